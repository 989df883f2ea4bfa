"""Chords of a guitar in; how much earlier or later than the beat each string is struck, out."""

from __future__ import annotations

import numpy as np

from restem.symbolic.rolls import STEPS_PER_QUARTER

CHORD = 3  # notes of a stroke that are strummed
APART_S = (0.004, 0.007)  # from string to string; slower strums blur the beat
MOST_OF_NOTE = 0.5  # that a stroke takes, so that the last string has time to sound


def string_delays(rows: np.ndarray, times: np.ndarray, bars: np.ndarray, seed: int) -> np.ndarray:
    """Seconds (note,) for notes (note, 3) in steps that sound from and to `times` (note, 2).

    The middle of a stroke is on time. On the beat a hand strums down, from the lowest string; off
    the beat up. `bars` (bar, 4).
    """
    rng = np.random.default_rng([seed, 2])
    delays = np.zeros(len(rows))
    bar = np.searchsorted(bars[:, 0], rows[:, 0], side="right") - 1
    compound = (bars[bar, 3] == 8) & (bars[bar, 2] > 3) & (bars[bar, 2] % 3 == 0)
    beat = np.where(compound, 3 * STEPS_PER_QUARTER // 2, STEPS_PER_QUARTER)
    down = (rows[:, 0] - bars[bar, 0]) % beat == 0
    for moment in np.unique(rows[:, 0]):
        chord = np.flatnonzero(rows[:, 0] == moment)
        apart = rng.uniform(*APART_S)
        if len(chord) < CHORD:
            continue
        shortest = float(np.min(times[chord, 1] - times[chord, 0]))
        apart = min(apart, MOST_OF_NOTE * max(shortest, 0.0) / (len(chord) - 1))
        upwards = chord[np.argsort(rows[chord, 2], kind="stable")]
        delays[upwards if down[chord[0]] else upwards[::-1]] = apart * (
            np.arange(len(chord)) - (len(chord) - 1) / 2
        )
    return delays
