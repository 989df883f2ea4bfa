"""Kits whose hits come early are laid on the beat."""

import numpy as np
import pytest

from restem.audio.beats import BeatGrid
from restem.audio.spectrogram import log_mel
from restem.dataset.kit_bank import is_whole
from restem.dataset.kit_timing import LEAST_S, early_by, unhurried
from restem.insertion import Inserter
from restem.tokens import TokenConfig, normalise, phase_features, tokens_from_mel

CONFIG = TokenConfig()
RATE = CONFIG.spectrogram.sample_rate


def anchor(early_s: float, bpm: float = 110.0, beats_per_bar: int = 4):
    """1.28 s of bursts on the eighths of a grid, `early_s` before them; tokens and phases."""
    grid = BeatGrid.from_bpm(bpm, 0.1, 3.0, beats_per_bar)
    rng = np.random.default_rng(0)
    frames = CONFIG.anchor * CONFIG.frames_per_token
    wave = np.zeros(frames * CONFIG.spectrogram.hop)
    for time in np.arange(0.1, 1.2, 30 / bpm) - early_s:
        first = round(time * RATE)
        burst = rng.normal(0, 0.2, 4000) * np.exp(-np.arange(4000) / 800)
        wave[first : first + 4000] += burst[: len(wave) - first]
    stem = tokens_from_mel(
        normalise(log_mel(wave, CONFIG.spectrogram)[:frames], -20.0, CONFIG), CONFIG
    )
    return stem, phase_features(grid, CONFIG.token_times(0, len(stem)))


@pytest.mark.parametrize("early", [-0.02, 0.0, 0.01, 0.025])
@pytest.mark.parametrize("bar", [3, 4])
def test_an_early_anchor_is_heard_and_laid_on_the_beat(early, bar):
    stem, phase = anchor(early, beats_per_bar=bar)
    found, beat = early_by(stem, phase, CONFIG)
    assert found == pytest.approx(early, abs=0.004) and beat == pytest.approx(60 / 110, rel=1e-3)
    turned = unhurried(stem, phase, CONFIG)
    if early < LEAST_S:
        assert turned is phase
    else:
        assert abs(early_by(stem, turned, CONFIG)[0]) < 0.001
        grid = BeatGrid.from_bpm(110.0, 0.1 - found, 3.0, bar)  # as if the beats were earlier
        wanted = phase_features(grid, CONFIG.token_times(0, len(stem)))
        assert np.allclose(turned, wanted, atol=1e-3)


def test_without_beats_or_hits_nothing_is_turned():
    stem, phase = anchor(0.03)
    unknown = np.zeros_like(phase)
    assert unhurried(stem, unknown, CONFIG) is unknown
    silent = np.full_like(stem, CONFIG.silence)
    assert unhurried(silent, phase, CONFIG) is phase


def test_no_kit_that_ships_is_early():
    kits, config = Inserter.load().kits, CONFIG
    early = [
        early_by(kits._tokens(k), kits.phase[k], config)[0] for k in range(0, len(kits.text), 8)
    ]
    assert np.percentile(early, 95) < 0.007


def test_a_kit_is_whole_with_weight_and_something_on_top():
    kits = Inserter.load().kits
    for k in range(0, len(kits.text), 40):
        assert is_whole(kits._tokens(k), CONFIG)
    mels, stem_columns = CONFIG.spectrogram.mels, CONFIG.spectrogram.columns

    def without(columns):
        stem = kits._tokens(0).reshape(-1, CONFIG.spectrogram.columns).copy()
        stem[:, columns] = CONFIG.silence
        return stem.reshape(len(kits.stem[0]), -1)

    assert is_whole(without(slice(0, 0)), CONFIG)
    assert not is_whole(without(slice(0, 78)), CONFIG)  # cymbals alone, which made a hiss
    assert not is_whole(without(slice(0, 8)), CONFIG)  # no weight
    high = [*range(8, mels), *range(mels + CONFIG.spectrogram.fine_per_frame, stem_columns)]
    assert not is_whole(without(high), CONFIG)  # a kick alone
    assert not is_whole(np.full_like(kits._tokens(0), CONFIG.silence), CONFIG)
