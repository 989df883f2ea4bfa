"""Large arrays in a temporary file, and work in blocks that gives what work at once gives."""

import errno

import numpy as np
import pytest

from restem.audio import room as rooms
from restem.audio.beats import BeatGrid
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.room import blocks, room
from restem.audio.spectrogram import SpectrogramConfig, log_mel
from restem.audio.stereo import stereo_from_mono
from restem.audio.tracking import band_powers
from restem.audio.waveform import mono_from_channels, resampled, rms_db
from restem.errors import UserError
from restem.picture import draw_song

RATE = 44100


@pytest.fixture
def small_room(monkeypatch):
    """Everything above nothing goes to the disk, in blocks that are no multiple of anything."""
    monkeypatch.setattr(rooms, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr("restem.audio.waveform.LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(rooms, "BLOCK", 7001)


@pytest.fixture(scope="module")
def song():
    rng = np.random.default_rng(5)
    wave = rng.normal(0, 0.1, (3 * RATE + 17, 2))
    wave[: RATE // 2] = 0
    return wave


def test_blocks_cover_everything_once():
    covered = np.concatenate([np.arange(100)[b] for b in blocks(100, 33)])
    np.testing.assert_array_equal(covered, np.arange(100))
    assert list(blocks(0)) == []


def test_a_large_array_lies_on_the_disk_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(rooms, "LARGEST_IN_MEMORY", 1000)
    assert room((100,), np.float64).base is None
    large = room((1000, 2), np.float32)
    assert isinstance(large.base, np.memmap) and not large.any()
    large[:] = 1
    assert large.sum() == 2000
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_before_the_work(monkeypatch):
    def full(handle, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rooms, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(rooms, "_reserve", full)
    with pytest.raises(UserError, match=r"needs 0\.8 GB in .*TMPDIR"):
        room((100_000_000,), np.float64)
    with pytest.raises(UserError, match=r"needs [0-9.]+ GB in .*TMPDIR"):
        rooms.check_room(1 << 60)
    rooms.check_room(1)


def test_where_nothing_can_be_reserved_zeros_are_written(monkeypatch, small_room):
    def cannot(handle, start, size):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("os.posix_fallocate", cannot, raising=False)
    large = room((30000,), np.float64)
    assert isinstance(large.base, np.memmap) and not large.any()


def test_mono_and_level_are_the_same_in_blocks(song, request):
    mono, level = mono_from_channels(song), rms_db(song[:, 0])
    request.getfixturevalue("small_room")
    np.testing.assert_allclose(mono_from_channels(song), mono, atol=1e-8)
    opposed = np.stack([song[:, 0], -song[:, 0]], axis=1)
    np.testing.assert_array_equal(mono_from_channels(opposed), song[:, 0])
    assert rms_db(song[:, 0]) == pytest.approx(level, abs=1e-9)


@pytest.mark.parametrize(("rate", "target"), [(44100, 44100), (48000, 44100), (44100, 8000)])
def test_another_rate_is_the_same_in_blocks(song, request, rate, target):
    whole = resampled(song[:, 0], rate, target)
    longer = resampled(song[:, 0], rate, target, len(whole) + 50)
    request.getfixturevalue("small_room")
    parts = resampled(song[:, 0], rate, target)
    size = min(len(parts), len(whole))
    assert abs(len(parts) - len(whole)) <= 1
    np.testing.assert_allclose(parts[:size], whole[:size], atol=1e-5)
    np.testing.assert_allclose(
        resampled(song[:, 0], rate, target, len(whole) + 50)[:size], longer[:size], atol=1e-5
    )


def test_stereo_is_the_same_in_blocks(song, request):
    whole = stereo_from_mono(song[:, 0], RATE)
    request.getfixturevalue("small_room")
    np.testing.assert_allclose(stereo_from_mono(song[:, 0], RATE), whole, atol=1e-12)


def test_a_picture_becomes_the_same_sound_with_noise_in_pieces():
    """Ten seconds and more are several blocks; a second run draws the same noise again."""
    config = SpectrogramConfig()
    rows = np.full((1500, config.columns), -40.0, np.float32)
    first = waveform_from_log_mel(rows, config, 1499 * config.hop, seed=3)
    again = waveform_from_log_mel(rows, config, 1499 * config.hop, seed=3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, waveform_from_log_mel(rows, config, 1499 * config.hop, seed=4))
    # No piece of noise comes twice: far places of a steady picture have nothing in common.
    a, b = first[: 4 * RATE], first[10 * RATE : 14 * RATE]
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05


def test_a_gain_before_the_picture_is_a_gain_on_the_wave(song):
    config, wave = SpectrogramConfig(), song[:, 0].astype(np.float32)
    np.testing.assert_array_equal(log_mel(wave, config, 0.5), log_mel(wave * 0.5, config))


def test_bands_of_a_piece_are_those_of_the_whole(song):
    """Frames in the middle do not depend on where the song was cut."""
    wave = np.tile(song[:, 0], 8)  # more than one block of frames
    powers = band_powers(wave)
    assert len(powers) == 1 + len(wave) // 882
    later = band_powers(wave[882 * 100 :])
    np.testing.assert_allclose(later[5:], powers[105:], rtol=1e-4, atol=1e-9)


def test_the_picture_of_a_long_song_is_the_same(song, request):
    grid = BeatGrid.from_bpm(120, 0.0, 3.0)
    whole = draw_song(song, song * 0.25, RATE, grid, "drums", "x").tobytes()
    request.getfixturevalue("small_room")
    near = np.frombuffer(draw_song(song, song * 0.25, RATE, grid, "drums", "x").tobytes(), "u1")
    differs = np.abs(near.astype(int) - np.frombuffer(whole, "u1").astype(int))
    assert differs.max() <= 3
