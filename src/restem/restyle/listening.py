"""A song with and without its drums in, the beats that both tell of out."""

from __future__ import annotations

import numpy as np

from restem.audio.beats import BeatGrid
from restem.audio.files import AudioFile
from restem.audio.tracking import (
    SAMPLE_RATE,
    band_powers,
    beat_log_odds,
    grid_from_log_odds,
    tracker_features,
)
from restem.audio.waveform import mono_from_channels, resampled
from restem.hearing import at_tempo


def beat_odds(audio: AudioFile) -> np.ndarray:
    """Log-odds of beat and downbeat, (frame, 2), that the tracker hears in an audio file."""
    mono = resampled(mono_from_channels(audio.samples), audio.sample_rate, SAMPLE_RATE)
    return beat_log_odds(tracker_features(band_powers(mono)))


def common_beats(
    odds: list[np.ndarray], audio: AudioFile, bpm: float | None, metre: str | None = None
) -> BeatGrid:
    """The beats by the mean of several log-odds (frame, 2) of one song; `bpm` fixes the tempo,
    `metre` (of NAMED_METRES) the bar.

    Drums tell the beat, what plays without them tells the bar better.
    """
    frames = min(map(len, odds))
    seconds = len(audio.samples) / audio.sample_rate
    grid = grid_from_log_odds(np.mean([odd[:frames] for odd in odds], axis=0), seconds, metre)
    return grid if bpm is None else at_tempo(grid, bpm, seconds)
