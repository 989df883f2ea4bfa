"""The promise of the mix: taking the stem away again gives the song back, in files on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from restem.audio.files import AudioFile, read_audio, write_wav
from restem.mixing import CEILING_DB, MOST_LOWERING_DB, Mixdown, mix_down

BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
CEILING = 10 ** (CEILING_DB / 20)
KINDS = {"FLOAT": np.float32, "DOUBLE": np.float64}
RATES = [8000, 22050, 44100, 48000, 96000, 192000]


def make(seed: int, rate: int, channels: int, song_level: float, stem_level: float):
    """A song of an odd length, and a stem that is silent in its first third."""
    rng = np.random.default_rng(seed)
    shape = (rate // 10 + 1 + rate // 10 % 2, channels)
    song = np.clip(rng.normal(0, song_level, shape), -1.0, 1.0)
    stem = rng.laplace(0, stem_level, shape)
    stem[: shape[0] // 3] = 0.0
    return song, stem


def through_files(song: np.ndarray, stem: np.ndarray, rate: int, subtype: str):
    """The song as a file, what we make of it, and both results as files, read by libsndfile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if subtype in BITS:
            top = 2 ** (BITS[subtype] - 1) - 1
            left = np.rint(song * top).astype(np.int64) << (32 - BITS[subtype])
            sf.write(folder / "song.wav", left.astype(np.int32), rate, subtype=subtype)
        else:
            sf.write(folder / "song.wav", song, rate, subtype=subtype)
        audio = read_audio(folder / "song.wav")
        mixdown = mix_down(audio.samples, stem, audio.wav_subtype)
        write_wav(folder / "stem.wav", mixdown.stem, rate, mixdown.subtype)
        write_wav(folder / "mix.wav", mixdown.mix, rate, mixdown.subtype)
        kind = "int32" if mixdown.subtype in BITS else "float64"
        read = [
            sf.read(folder / f"{part}.wav", dtype=kind, always_2d=True)[0]
            for part in ("song", "stem", "mix")
        ]
    return audio, mixdown, read


def within_one_unit(song: np.ndarray, stem: np.ndarray, mix: np.ndarray, kind: type) -> bool:
    unit = np.spacing(np.abs(mix).astype(kind)).astype(np.longdouble)
    error = np.abs(mix.astype(np.longdouble) - stem - song)
    return bool((error <= unit).all())


cases = given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from(RATES),
    channels=st.sampled_from([1, 2, 6]),
    song_level=st.sampled_from([0.0, 1e-4, 0.05, 0.2, 3.0]),  # 3.0: mostly at full scale
    stem_level=st.sampled_from([0.0, 1e-5, 0.01, 0.05, 0.3]),
)


@pytest.mark.parametrize("subtype", [*BITS, *KINDS])
@settings(max_examples=25, deadline=None)
@cases
@example(seed=0, rate=44100, channels=2, song_level=3.0, stem_level=0.3)
@example(seed=0, rate=8000, channels=1, song_level=0.05, stem_level=0.05)
@example(seed=0, rate=8000, channels=1, song_level=1e-4, stem_level=0.3)
def test_mix_minus_stem_is_the_song(subtype, seed, rate, channels, song_level, stem_level):
    song, stem = make(seed, rate, channels, song_level, stem_level)
    audio, mixdown, (song_read, stem_read, mix_read) = through_files(song, stem, rate, subtype)
    assert mix_read.shape == stem_read.shape == song_read.shape == song.shape
    assert not mixdown.song_rounded
    if mixdown.subtype in BITS:
        assert mixdown.subtype == subtype
        assert np.array_equal(mix_read.astype(np.int64) - stem_read, song_read)
    else:
        kind = KINDS[mixdown.subtype]
        assert within_one_unit(audio.samples, stem_read, mix_read, kind)
        silent = stem_read == 0
        assert np.array_equal(mix_read[silent], audio.samples[silent])
        if subtype in BITS and audio.samples.max() + np.abs(stem).max() <= 2:
            assert np.array_equal(mix_read - stem_read, audio.samples)


@pytest.mark.parametrize("subtype", [*BITS, *KINDS])
@settings(max_examples=15, deadline=None)
@cases
def test_the_stem_written_is_the_stem_meant(subtype, seed, rate, channels, song_level, stem_level):
    song, stem = make(seed, rate, channels, song_level, stem_level)
    mixdown = mix_down(song, stem, subtype)
    step = 2.0 ** (1 - BITS[subtype]) if mixdown.subtype in BITS else 0.0
    written = mixdown.stem * (step or 1.0)
    finest = 2.0**-24 * (np.abs(song).max() + np.abs(stem).max())
    off = max(step / 2 * 1.001, finest)
    lowest = 10 ** (mixdown.stem_gain_db / 20)
    if lowest == 1:
        assert np.abs(written - stem).max(initial=0) <= off
    assert (np.abs(written) <= np.abs(stem) + off).all()
    assert (np.abs(written) >= lowest * np.abs(stem) - off).all()
    assert -MOST_LOWERING_DB <= mixdown.stem_gain_db <= 0


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", RATES)
def test_a_song_at_full_scale_everywhere_becomes_float_and_still_nulls(rate, channels):
    song = np.where(np.arange(rate // 10 + 1)[:, None] % 200 < 100, 1.0, -1.0)
    song = np.repeat(song, channels, axis=1)
    stem = make(0, rate, channels, 0.0, 0.1)[1][: len(song)]
    song = song[: len(stem)]
    audio, mixdown, (_, stem_read, mix_read) = through_files(song, stem, rate, "PCM_16")
    assert mixdown.subtype == "FLOAT"
    assert "32-bit float" in mixdown.notices[0] and "above full scale" in mixdown.notices[1]
    assert np.array_equal(mix_read - stem_read, audio.samples)


def pair(peak: float) -> tuple[np.ndarray, np.ndarray]:
    """A song with a peak of 0.5, where the stem has its own `peak`; the stem is -0.25 elsewhere."""
    song, stem = np.zeros((1001, 2)), np.full((1001, 2), -0.25)
    song[500, 0], stem[500, 0] = 0.5, peak
    return song, stem


def lowered(peak: float, subtype: str = "PCM_16") -> Mixdown:
    return mix_down(*pair(peak), subtype)


@pytest.mark.parametrize("subtype", BITS)
def test_a_stem_that_fits_is_not_turned_down(subtype):
    top = 1.0 - 2.0 ** (1 - BITS[subtype])
    mixdown = lowered(top - 0.5, subtype)
    assert (mixdown.subtype, mixdown.stem_gain_db, mixdown.notices) == (subtype, 0.0, [])
    assert mixdown.mix.max() == 2 ** (BITS[subtype] - 1) - 1


def test_a_stem_is_turned_down_where_the_mix_would_clip_and_nowhere_else():
    mixdown = lowered(0.6)
    assert mixdown.subtype == "PCM_16"
    gain_db = 20 * np.log10((CEILING - 0.5) / 0.6)
    assert mixdown.stem_gain_db == pytest.approx(gain_db, abs=1e-3)
    assert mixdown.mix.max() == int(CEILING * 2**15)
    written, told = mixdown.stem / 2**15, pair(0.6)[1]
    less = 10 * np.log10(np.mean(written**2) / np.mean(told**2))
    assert mixdown.turned_down_db(told) == pytest.approx(less, abs=1e-6) and less < -0.01
    assert lowered(0.4).turned_down_db(pair(0.4)[1]) == 0
    quiet = mixdown.stem[:, 1] / -(0.25 * 2**15)  # the other channel goes along
    assert quiet[500] == pytest.approx((CEILING - 0.5) / 0.6, abs=1e-3)
    assert (np.diff(quiet)[:500] <= 0).all() and (np.diff(quiet)[500:] >= 0).all()
    assert np.abs(np.diff(quiet)).max() < 0.003  # no click
    assert (quiet[:244] == 1).all() and (quiet[757:] == 1).all()
    assert mixdown.notices == [
        "The stem's loudest instants were turned down, by 1.8 dB at most, "
        "so that the mix does not clip."
    ]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_song_above_the_ceiling_is_kept_in_full_scale(subtype):
    song, stem = np.zeros((1001, 1)), np.full((1001, 1), 0.1)
    song[500], stem[500] = 0.995, 0.00501
    mixdown = mix_down(song, stem, subtype)
    assert mixdown.subtype == subtype and mixdown.mix.max() == 2 ** (BITS[subtype] - 1) - 1
    assert mixdown.stem_gain_db < 0 and mixdown.notices == []  # by less than 0.05 dB
    assert mixdown.mix[500] - mixdown.stem[500] == np.rint(0.995 * 2 ** (BITS[subtype] - 1))
    down = mix_down(-song, -stem - 0.01, subtype)
    assert down.mix.min() == -(2 ** (BITS[subtype] - 1)) and down.notices


def test_neither_end_of_a_mix_that_is_turned_down_is_beyond_the_ceiling():
    for sign in (1, -1):
        mixdown = mix_down(*(sign * part for part in pair(0.9)), "PCM_24")
        assert np.abs(mixdown.mix).max() == int(CEILING * 2**23)
        assert np.array_equal(mixdown.mix - mixdown.stem, np.rint(sign * pair(0.9)[0] * 2**23))


def test_a_peak_at_the_edge_of_a_block_is_turned_down_as_anywhere(monkeypatch):
    whole = lowered(0.7)
    monkeypatch.setattr("restem.audio.room.BLOCK", 499)
    assert np.array_equal(lowered(0.7).stem, whole.stem)


def test_beyond_six_decibels_the_files_become_float():
    at_the_border = 0.5 * 10 ** (MOST_LOWERING_DB / 20)
    assert lowered(at_the_border * 0.999).subtype == "PCM_16"
    beyond = lowered(at_the_border * 1.001)
    assert (beyond.subtype, beyond.stem_gain_db) == ("FLOAT", 0.0)
    assert beyond.mix[500, 0] - beyond.stem[500, 0] == 0.5


def test_a_stem_beyond_full_scale_is_lowered_too_where_the_mix_has_room():
    song, stem = np.full((11, 1), -0.5), np.full((11, 1), 1.05)
    mixdown = mix_down(song, stem, "PCM_24")
    assert mixdown.subtype == "PCM_24" and mixdown.stem.max() == int(CEILING * 2**23)


def test_a_stem_below_half_a_step_leaves_a_full_scale_song_alone():
    song = np.full((11, 1), 1 - 2.0**-15)
    mixdown = mix_down(song, np.full((11, 1), 2.0**-17), "PCM_16")
    assert mixdown.subtype == "PCM_16" and not mixdown.stem.any() and mixdown.stem_gain_db == 0


def test_32_bit_integers_that_float32_cannot_hold_become_64_bit_float():
    song = np.full((11, 1), (2**31 - 1) / 2**31)
    mixdown = mix_down(song, np.full((11, 1), 0.5), "PCM_32")
    assert mixdown.subtype == "DOUBLE" and "64-bit float" in mixdown.notices[0]
    assert np.array_equal(mixdown.mix - mixdown.stem, song)


def test_compressed_songs_are_rounded_to_24_bit():
    song, stem = make(3, 44100, 2, 0.2, 0.05)
    decoded = np.clip(song, -0.9, 0.9).astype(np.float32).astype(np.float64)
    mixdown = mix_down(decoded, np.clip(stem, -0.05, 0.05), "PCM_24")
    assert mixdown.subtype == "PCM_24" and mixdown.song_rounded
    assert np.array_equal(mixdown.mix - mixdown.stem, np.rint(decoded * 2**23))


@pytest.mark.parametrize("level", [1.0001, 4.0])
def test_songs_above_full_scale_become_float_with_a_notice(level):
    song = np.linspace(-1, 1, 99)[:, None].astype(np.float32).astype(np.float64) * level
    song = song.astype(np.float32).astype(np.float64)
    mixdown = mix_down(song, np.zeros_like(song), "PCM_24")
    assert mixdown.subtype == "FLOAT" and "exceeds full scale" in mixdown.notices[0]
    assert np.array_equal(mixdown.mix, song)


def test_a_float_song_that_ends_at_one_stays_in_pcm():
    mixdown = mix_down(np.array([[1.0], [-1.0]]), np.zeros((2, 1)), "PCM_16")
    assert mixdown.mix[:, 0].tolist() == [2**15 - 1, -(2**15)]
    assert mixdown.song_rounded


def test_a_coarser_format_says_that_the_song_was_rounded():
    song, stem = make(4, 44100, 1, 0.1, 0.01)
    song = np.rint(song * 2**23) / 2**23
    assert mix_down(song, stem, "PCM_16").song_rounded
    assert not mix_down(song, stem, "PCM_24").song_rounded
    assert not mix_down(song, stem, "FLOAT").song_rounded
    assert mix_down(song + 2.0**-40, stem, "FLOAT").song_rounded


def test_very_soft_float_songs_keep_a_soft_stem():
    song, stem = make(5, 44100, 1, 1e-8, 1e-9)
    mixdown = mix_down(song.astype(np.float32), stem, "FLOAT")
    assert np.allclose(mixdown.stem, stem, rtol=1e-6, atol=0)


def test_silence_stays_silence():
    for subtype in (*BITS, *KINDS):
        mixdown = mix_down(np.zeros((999, 2)), np.zeros((999, 2)), subtype)
        assert mixdown.subtype == subtype and not mixdown.mix.any() and not mixdown.notices


def test_long_songs_are_worked_on_in_blocks(monkeypatch):
    song, stem = make(6, 44100, 2, 0.2, 0.1)
    whole = [mix_down(song, stem * 0.4, kind) for kind in ("PCM_24", "FLOAT")]
    monkeypatch.setattr("restem.audio.room.BLOCK", 1000)
    monkeypatch.setattr("restem.audio.room.LARGEST_IN_MEMORY", 0)
    parts = [mix_down(song, stem * 0.4, kind) for kind in ("PCM_24", "FLOAT")]
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one.mix, other.mix) and np.array_equal(one.stem, other.stem)
        assert isinstance(other.mix.base, np.memmap)


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        mix_down(np.zeros((10, 2)), np.zeros((10, 1)), "PCM_16")
    with pytest.raises(ValueError, match="finite"):
        mix_down(np.zeros((10, 1)), np.full((10, 1), np.nan), "PCM_16")


def test_what_is_read_here_is_an_audio_file(tmp_path):
    sf.write(tmp_path / "song.wav", np.zeros((5000, 2)), 44100)
    assert isinstance(read_audio(tmp_path / "song.wav"), AudioFile)
