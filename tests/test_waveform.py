"""One channel, another rate, a level."""

import numpy as np
import pytest

from restem.audio.waveform import mono_from_channels, resampled, rms_db


def test_channels_are_averaged_unless_they_cancel():
    left = np.random.default_rng(0).standard_normal(1000)
    np.testing.assert_allclose(mono_from_channels(np.stack([left, left], axis=1)), left)
    np.testing.assert_array_equal(mono_from_channels(np.stack([left, -left], axis=1)), left)


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
def test_a_tone_stays_a_tone_at_another_rate(rate):
    wave = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    out = resampled(wave, rate, 44100, 44100)
    expected = np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    assert out.shape == (44100,) and out.dtype == np.float32
    np.testing.assert_allclose(out[2000:-2000], expected[2000:-2000], atol=1e-3)


def test_the_length_can_be_fixed():
    assert len(resampled(np.ones(100), 8000, 8000, 103)) == 103
    assert len(resampled(np.ones(100), 8000, 8000, 97)) == 97


def test_levels():
    assert rms_db(np.ones(10)) == pytest.approx(0.0)
    assert rms_db(np.full(10, 0.1)) == pytest.approx(-20.0)
    assert rms_db(np.zeros(10)) == pytest.approx(-200.0)
