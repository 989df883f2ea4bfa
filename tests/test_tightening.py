"""Hits whose times are known, pulled to a grid and heard again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from restem.audio.beats import BeatGrid
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.spectrogram import SpectrogramConfig, log_mel
from restem.audio.tightening import tightened
from restem.errors import UserError
from restem.evaluation.onsets import onset_envelope, onset_times

RATE = 44100
CONFIG = SpectrogramConfig()
GRID = BeatGrid.from_bpm(100, 0.0, 6.0)
START = 3.0  # the rows begin late in a song


def drums(times):
    """Kicks and snares in turn, (sample,) of 6 s."""
    rng = np.random.default_rng(1)
    out = np.zeros(6 * RATE, np.float32)
    age = np.arange(4410)
    for i, time in enumerate(times):
        hit = rng.normal(0, 0.5, 4410) * np.exp(-age / (1200 if i % 2 else 100))
        hit += 0 if i % 2 else np.sin(2 * np.pi * 70 * age / RATE) * np.exp(-age / 2000)
        start = round(time * RATE)
        out[start : start + 4410] += hit[: len(out) - start]
    return out


def heard_ms(rows, true):
    """How far from the true times onsets are heard in the sound of the rows."""
    sound = waveform_from_log_mel(rows.astype(np.float32), CONFIG, 6 * RATE)
    found = onset_times(onset_envelope(sound, RATE))
    away = np.array([found[np.abs(found - time).argmin()] - time for time in true])
    return 1000 * np.abs(away - np.median(away))


@pytest.mark.parametrize("parts", [4, 3])
def test_late_and_early_hits_come_to_their_marks(parts):
    spacing = 0.6 / parts
    true = np.arange(2, 8 * parts) * spacing
    true = true[(np.arange(len(true)) % 5) < 3]
    played = true + np.random.default_rng(0).uniform(-0.03, 0.03, len(true))
    rows = log_mel(drums(played), CONFIG)
    grid = replace(GRID, times=GRID.times + START)
    before, half, after = (
        np.mean(heard_ms(tightened(rows, CONFIG, grid, amount, START), true))
        for amount in (0.0, 0.5, 1.0)
    )
    assert before > 9 and half < 0.75 * before and after < 0.4 * before


def test_what_is_far_from_every_mark_stays():
    played = np.array([0.6, 1.2 + 0.07, 1.8, 2.4 + 0.07, 3.0])  # half-way between sixteenths
    rows = log_mel(drums(played), CONFIG)
    assert heard_ms(tightened(rows, CONFIG, GRID, 1.0), played).max() <= 10


def test_silence_and_no_pull_are_left_alone():
    silent = np.full((500, CONFIG.columns), -120.0, np.float32)
    np.testing.assert_array_equal(tightened(silent, CONFIG, GRID, 1.0), silent)
    rows = log_mel(drums([0.61, 1.22]), CONFIG)
    assert tightened(rows, CONFIG, GRID, 0.0) is rows
    kept = tightened(rows, CONFIG, GRID, 1.0)
    assert kept.shape == rows.shape and np.isfinite(kept).all()


def test_rows_without_a_fine_envelope_are_refused():
    with pytest.raises(UserError, match="no fine envelope"):
        tightened(np.zeros((10, 96)), replace(CONFIG, fine_per_frame=0), GRID, 1.0)
