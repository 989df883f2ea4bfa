"""How a part is played: measured in a mel spectrogram, told beside a sentence, asked by controls."""

import numpy as np
import pytest

from restem.manner import STEP, asked, played, told

FRAMES, MELS = 384, 96


def _drums(hits, level_db):
    """`hits` evenly spaced hits, each fading by 1 dB a frame from `level_db` in all bands."""
    rows = np.full(FRAMES, -200.0)
    for start in np.linspace(5, FRAMES - 20, hits).astype(int):
        rows[start:] = level_db - np.arange(FRAMES - start)
    return np.repeat(rows[:, None], MELS, axis=1)


def test_density_counts_hits_and_dynamics_are_the_level():
    few, many = played(_drums(6, -30.0)), played(_drums(16, -30.0))
    assert many[0] - few[0] == pytest.approx(
        (np.log2(16 / 3.84 + 0.25) - np.log2(6 / 3.84 + 0.25)) / 0.57, abs=1e-4
    )
    soft, loud = played(_drums(8, -26.0)), played(_drums(8, -20.0))
    assert soft[0] == loud[0]
    assert loud[1] - soft[1] == pytest.approx(6 / 5.6, abs=1e-4)


def test_silence_is_not_played_in_any_manner():
    assert played(np.full((FRAMES, MELS), -120.0)) is None


def test_only_what_is_told_changes_the_sentence():
    text = np.random.default_rng(0).standard_normal(384).astype(np.float32)
    np.testing.assert_array_equal(told(text, None, None), text)
    density, both = told(text, 1.0, None) - text, told(text, 1.0, -1.0) - text
    dynamics = told(text, None, -1.0) - text
    np.testing.assert_allclose(both, density + dynamics, atol=1e-5)
    assert abs(density @ dynamics) < 0.2 * np.linalg.norm(density) * np.linalg.norm(dynamics)
    assert np.linalg.norm(told(text, 0.0, None) - text) > 0.3  # the mean told is not nothing told


def test_controls_ask_for_more_than_is_usual_for_the_sentence():
    usual = np.array([0.5, -0.2])
    assert asked(usual, 0, 0) == (None, None)
    assert asked(usual, 1, 0) == (pytest.approx(0.5 + STEP), None)
    assert asked(usual, 0, -2) == (None, pytest.approx(-0.2 - 2 * STEP))
