"""Riffusion's picture against librosa and plain arithmetic, there and back."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from restem.audio.riffusion_image import (
    PictureConfig,
    clip_pictures,
    mel_bank,
    mel_from_picture,
    mel_magnitude,
    picture_from_mel,
)
from restem.audio.riffusion_inversion import magnitude_from_mel, waveform_from_mel
from restem.audio.waveform import mono_from_channels, resampled
from restem.errors import UserError

FULL = PictureConfig()
SMALL = PictureConfig(hop=441, window=1764, n_fft=3528, mels=96, frames=64)
SONG = Path(__file__).parents[1] / "examples" / "evening-bus.ogg"


@pytest.fixture(scope="module")
def song():
    samples, rate = soundfile.read(SONG, always_2d=True, frames=44100 * 8)
    return resampled(mono_from_channels(samples), rate, 44100)[44100 : 44100 + FULL.samples]


@pytest.fixture(scope="module")
def mel(song):
    return mel_magnitude(song, FULL)


def test_512_frames_come_from_225351_to_225791_samples():
    assert FULL.samples == 225_351
    found = [FULL.frames_of(n) for n in (225_350, 225_351, 225_791, 225_792)]
    assert found == [511, 512, 512, 513]


def test_the_mel_is_librosas(song, mel):
    magnitude = np.abs(librosa.stft(song, n_fft=17640, hop_length=441, win_length=4410,
                                    window="hann", center=True, pad_mode="reflect"))  # fmt: skip
    bank = librosa.filters.mel(sr=44100, n_fft=17640, n_mels=512, fmin=0, fmax=10000,
                               htk=True, norm=None)  # fmt: skip
    np.testing.assert_allclose(mel_bank(FULL).toarray(), bank, atol=2e-5)
    # The last frames look past the end: librosa mirrors half a transform, which changes nothing.
    np.testing.assert_allclose(mel, bank @ magnitude, atol=2e-5 * mel.max())


def test_the_picture_is_riffusions(mel):
    peak = float(mel.max())
    picture = picture_from_mel(mel, peak, FULL)
    assert picture.shape == (512, 512)
    assert picture.dtype == np.uint8
    level = 255 - np.power(mel / np.max(mel), 0.25) * 255
    assert np.array_equal(picture, np.flipud(level.astype(np.uint8)))
    assert picture.min() == 0


def test_a_low_tone_is_dark_at_the_bottom():
    tone = np.sin(2 * np.pi * 100 / 44100 * np.arange(FULL.samples)).astype(np.float32)
    picture = picture_from_mel(found := mel_magnitude(tone, FULL), float(found.max()), FULL)
    row = int(np.argmin(picture[:, 256]))
    band = int(np.argmax(mel_bank(FULL).toarray()[:, 40]))  # bin 40 is 100 Hz
    assert row == 511 - band > 480


def test_one_peak_a_pair_keeps_the_level_between_the_two(song):
    pictures, peak = clip_pictures([song, 0.1 * song], FULL)
    back = [mel_from_picture(picture, peak, FULL) for picture in pictures]
    loud = back[0] > 0.05 * peak
    ratio = back[1][loud].sum() / back[0][loud].sum()
    assert ratio == pytest.approx(0.1, rel=0.02)
    own, _ = clip_pictures([0.1 * song], FULL)
    assert np.mean(np.abs(own[0].astype(int) - pictures[0])) < 0.5  # that is what would be lost


def test_eight_bits_lose_about_as_much_as_measured_elsewhere(mel):
    back = mel_from_picture(picture_from_mel(mel, float(mel.max()), FULL), float(mel.max()), FULL)
    error_db = 10 * np.log10(np.sum((back - mel) ** 2) / np.sum(mel**2))
    assert error_db < -38


def test_silence_is_white_and_comes_back_as_silence():
    pictures, peak = clip_pictures([np.zeros(FULL.samples, np.float32)], FULL)
    assert peak == 0
    assert (pictures[0] == 255).all()
    assert not mel_from_picture(pictures[0], 1.0, FULL).any()
    assert not waveform_from_mel(np.zeros((96, 64), np.float32), SMALL, 5000).any()


def test_bins_agree_with_their_bands(mel):
    bins = magnitude_from_mel(mel, FULL)
    assert (bins >= 0).all()
    error_db = 10 * np.log10(np.sum((mel_bank(FULL) @ bins - mel) ** 2) / np.sum(mel**2))
    assert error_db < -60


def test_sound_made_of_a_picture_has_that_picture(song, mel):
    song, mel = song[: 119 * 441], mel[:, :120]
    wave = waveform_from_mel(mel, FULL, len(song))
    assert wave.shape == song.shape
    again = mel_magnitude(wave, FULL)
    error_db = 10 * np.log10(np.sum((again - mel) ** 2) / np.sum(mel**2))
    assert error_db < -13
    librosas = librosa.griffinlim(
        magnitude_from_mel(mel, FULL), n_iter=32, hop_length=441, win_length=4410,
        n_fft=17640, momentum=0.99, random_state=0, length=len(song),
    )  # fmt: skip
    reference = mel_magnitude(librosas, FULL)
    reference_db = 10 * np.log10(np.sum((reference - mel) ** 2) / np.sum(mel**2))
    assert error_db < reference_db + 1


def test_a_long_sound_has_no_seam_between_blocks(song, monkeypatch):
    mel = mel_magnitude(song, SMALL)
    monkeypatch.setattr("restem.audio.riffusion_inversion.BLOCK_FRAMES", 100)
    wave = waveform_from_mel(mel, SMALL, len(song))
    again = mel_magnitude(wave, SMALL)
    errors = np.sum((again - mel) ** 2, axis=0) / np.maximum(np.sum(mel**2, axis=0), 1e-3)
    seams = np.concatenate([errors[n - 3 : n + 3] for n in range(100, 500, 100)])
    assert np.median(seams) < 3 * np.median(errors)


def test_the_same_seed_gives_the_same_sound(song):
    mel = mel_magnitude(song[:30000], SMALL)
    first, again, other = (waveform_from_mel(mel, SMALL, 30000, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_bad_input_is_named():
    with pytest.raises(UserError, match=r"shorter than 5\.11 s"):
        clip_pictures([np.zeros(FULL.samples - 1, np.float32)], FULL)
    with pytest.raises(UserError, match="hop must lie"):
        PictureConfig(hop=0)
    with pytest.raises(UserError, match="Unknown names"):
        PictureConfig.from_dict({"bands": 3})
    with pytest.raises(ValueError, match="not finite"):
        waveform_from_mel(np.full((96, 9), np.nan, np.float32), SMALL, 100)
    with pytest.raises(ValueError, match="longer than half a window"):
        mel_magnitude(np.zeros((4410, 2), np.float32), FULL)
    assert PictureConfig.from_dict(SMALL.to_dict()) == SMALL
