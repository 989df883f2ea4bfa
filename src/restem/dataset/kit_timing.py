"""An anchor in, the beat phases at which its hits are not early out.

A model plays as its anchor does. Some anchors come from performances, or sounds, that are early by
20 ms and more all along, and with them every stem would rush.
"""

from __future__ import annotations

import numpy as np

from restem.audio.spectrogram import fine_from_rows
from restem.audio.tightening import attacks_in
from restem.tokens import TokenConfig

LEAST_S, MOST_S = 0.005, 0.06  # what is less early is left; what is further off is another stroke
TURNS = (1, 2, 3, 4)  # of the beat in `tokens.phase_features`, before those of the bar


def early_by(stem: np.ndarray, phase: np.ndarray, config: TokenConfig) -> tuple[float, float]:
    """Seconds by which the hits on the beats of an anchor (token, value) come too early, the median
    by strength, negative if they are late; and the seconds of a beat.

    `phase` (token, feature) is `tokens.phase_features`. (0, 1) without beats or two such hits.
    Between the beats hits may swing, so that nobody knows when they are early.
    """
    spectrogram, phase = config.spectrogram, phase.astype(np.float64)
    rows = stem.reshape(len(stem) * config.frames_per_token, -1) * config.scale_db
    fine = fine_from_rows(rows[:, spectrogram.mels :] + config.centre_db, spectrogram)
    step = 1 / (spectrogram.frame_rate * spectrogram.fine_per_frame)
    attacks, strengths = attacks_in(fine, step)
    if phase[:, -1].mean() < 0.5:
        return 0.0, 1.0
    beats = np.unwrap(np.arctan2(phase[:, 0], phase[:, 1])) / (2 * np.pi)
    rate, first = np.polyfit(config.token_times(0, len(stem)), beats, 1)
    places = first + rate * (attacks - (spectrogram.fine_per_frame // 2) * step)
    early = (np.rint(places) - places) / rate
    near = np.abs(early) < MOST_S
    if near.sum() < 2:
        return 0.0, 1.0
    order = np.argsort(early[near])
    weights = np.cumsum(strengths[near][order])
    middle = int(np.searchsorted(weights, weights[-1] / 2))
    return float(early[near][order][middle]), float(1 / rate)


def unhurried(stem: np.ndarray, phase: np.ndarray, config: TokenConfig) -> np.ndarray:
    """The phases of an anchor, turned on so far that its hits are not early; else as they are."""
    early, beat = early_by(stem, phase, config)
    if early < LEAST_S:
        return phase
    twos, threes = phase[:, -3].mean() > 0.5, phase[:, -2].mean() > 0.5
    beats_per_bar = 2 if twos else 3 if threes else 4
    turned = phase.astype(np.float64)
    for index, turn in enumerate((*TURNS, 1 / beats_per_bar, 2 / beats_per_bar)):
        sine, cosine = turned[:, 2 * index].copy(), turned[:, 2 * index + 1].copy()
        angle = np.arctan2(sine, cosine) + 2 * np.pi * turn * early / beat
        size = np.hypot(sine, cosine)
        turned[:, 2 * index] = size * np.sin(angle)
        turned[:, 2 * index + 1] = size * np.cos(angle)
    return turned.astype(phase.dtype)
