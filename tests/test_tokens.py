"""Tokens: lossless reshaping, levels relative to the context, phases at known beats."""

import numpy as np
import pytest

from restem.audio.beats import BeatGrid
from restem.audio.spectrogram import log_mel
from restem.tokens import (
    PHASES,
    TokenConfig,
    context_level_db,
    denormalise,
    mel_from_tokens,
    normalise,
    phase_features,
    tokens_from_mel,
)

CONFIG = TokenConfig()


def test_tokens_are_the_frames_in_order():
    mel = np.random.default_rng(0).standard_normal((512, CONFIG.spectrogram.columns))
    tokens = tokens_from_mel(mel, CONFIG)
    assert tokens.shape == (128, CONFIG.stem_values)
    np.testing.assert_array_equal(mel_from_tokens(tokens, CONFIG), mel)


def test_normalising_is_undone_and_quiet_becomes_silence():
    mel = np.array([[-30.0, -60.0, -200.0]])
    back = denormalise(normalise(mel, -20.0, CONFIG), -20.0, CONFIG)
    np.testing.assert_allclose(back[0, :2], [-30.0, -60.0], atol=1e-4)
    assert back[0, 2] <= -120.0


def test_the_level_follows_gain_and_ignores_pauses():
    rng = np.random.default_rng(1)
    wave = rng.standard_normal(44100).astype(np.float32) * 0.1
    config = CONFIG.context_spectrogram
    level = context_level_db(log_mel(wave, config))
    assert context_level_db(log_mel(wave * 0.5, config)) == pytest.approx(level - 6.02, abs=0.05)
    with_pause = np.concatenate([wave, np.zeros(88200, np.float32)])
    assert context_level_db(log_mel(with_pause, config)) == pytest.approx(level, abs=0.3)
    assert context_level_db(np.full((10, 96), -120.0)) == -120.0


def test_phases_turn_with_the_beat():
    grid = BeatGrid.from_bpm(120.0, 0.0, 4.0)
    features = phase_features(grid, np.array([0.0, 0.5, 0.25]))
    assert features.shape == (3, PHASES)
    np.testing.assert_allclose(features[:2, 0], 0.0, atol=1e-6)  # sine of the beat, on beats
    np.testing.assert_allclose(features[:2, 1], 1.0, atol=1e-6)
    assert features[2, 1] == pytest.approx(-1.0)  # half-way
    assert np.all(features[:, -1] == 1.0)
    three = phase_features(BeatGrid.from_bpm(120.0, 0.0, 4.0, 3), np.array([0.1]))
    assert three[0, 13] == 1.0 and features[0, 13] == 0.0


def test_the_configuration_survives_json():
    assert TokenConfig.from_dict(CONFIG.to_dict()) == CONFIG
