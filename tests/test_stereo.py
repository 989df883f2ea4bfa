"""Stereo stems: their mean is the mono stem, the bass stays in the middle, peaks stay in bounds."""

import numpy as np
import pytest

from restem.audio.stereo import like_channels, stereo_from_mono
from restem.mixing import mix_down


def kit(rate, seconds=3):
    """A kick of 60 Hz and bursts of noise, as hats make."""
    time = np.arange(rate * seconds) / rate
    kick = np.sin(2 * np.pi * 60 * time) * np.exp(-12 * (time % 0.5))
    hats = np.random.default_rng(0).normal(0, 0.3, len(time)) * np.exp(-60 * (time % 0.125))
    return 0.4 * kick + 0.2 * hats


def bands(stereo, rate):
    """Power of side over that of middle, in dB, below 120 Hz and above 5 kHz."""
    middle, side = (np.abs(np.fft.rfft(stereo @ [0.5, s])) ** 2 for s in (0.5, -0.5))
    hz = np.fft.rfftfreq(len(stereo), 1 / rate)
    cuts = hz < 120, hz > min(5000, 0.3 * rate)
    return [10 * np.log10(side[cut].sum() / middle[cut].sum()) for cut in cuts]


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_the_mean_is_the_mono_stem_and_only_the_treble_is_wide(rate):
    wave = kit(rate)
    stereo = stereo_from_mono(wave, rate)
    assert stereo.shape == (len(wave), 2)
    assert np.abs(stereo.mean(axis=1) - wave).max() < 1e-15
    low, high = bands(stereo, rate)
    assert low < -30
    assert -20 < high < -4
    left, right = np.sqrt(np.mean(stereo**2, axis=0))
    assert abs(20 * np.log10(left / right)) < 1


def test_neither_channel_is_hollow():
    """A delayed copy would cancel whole bands; the phases here differ by band, not by a comb."""
    noise = np.random.default_rng(1).normal(0, 0.1, 1 << 17)
    stereo = stereo_from_mono(noise, 44100)
    spectra = np.abs(np.fft.rfft(stereo.T.reshape(2, 64, -1), axis=2)) ** 2
    plain = np.abs(np.fft.rfft(noise.reshape(64, -1), axis=1)) ** 2
    ratio = 10 * np.log10(spectra.mean(axis=1) / plain.mean(axis=0))
    assert np.abs(ratio[:, 20:-20]).max() < 6.5
    assert np.corrcoef(stereo.T)[0, 1] < 0.95


@pytest.mark.parametrize("wave", [np.eye(1, 9000, 4000)[0], kit(44100), np.ones(5000)])
def test_peaks_rise_by_a_decibel_at_most(wave):
    stereo = stereo_from_mono(wave, 44100)
    assert np.abs(stereo).max() <= 1.1221 * np.abs(wave).max()


def test_sound_does_not_begin_before_the_stroke_nor_echo():
    stereo = stereo_from_mono(np.eye(1, 9000, 4000)[0], 44100)
    assert np.abs(stereo[:4000]).max() < 1e-12
    assert np.abs(stereo[4000 + 1100 :]).max() < 1e-12  # 25 ms


def test_silence_and_a_single_sample_go_through():
    assert not stereo_from_mono(np.zeros(100), 44100).any()
    assert stereo_from_mono(np.ones(1), 44100).shape == (1, 2)


def test_only_songs_whose_two_channels_differ_get_a_stereo_stem():
    wave, song = kit(22050), np.random.default_rng(2).normal(0, 0.1, (3 * 22050, 2))
    assert not np.array_equal(*like_channels(wave, song, 22050).T)
    for same in (song[:, :1], song[:, [0, 0]], np.tile(song, 3)):
        made = like_channels(wave, same, 22050)
        assert made.shape == same.shape and np.array_equal(
            made, np.tile(wave[:, None], made.shape[1])
        )


def test_the_written_stem_sums_to_the_mono_stem_within_rounding():
    wave, song = kit(22050), np.random.default_rng(3).normal(0, 0.1, (3 * 22050, 2))
    song = np.rint(song * 32768) / 32768
    mixed = mix_down(song, like_channels(wave, song, 22050), "PCM_16")
    assert mixed.subtype == "PCM_16" and mixed.stem_gain_db == 0
    assert np.abs(mixed.stem.mean(axis=1) - wave * 32768).max() <= 0.5 + 1e-9
    assert np.array_equal(mixed.mix - mixed.stem, np.rint(song * 32768))
