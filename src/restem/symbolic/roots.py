"""What is heard of a song in, which notes a bass is likelier to play out.

The network of recordings sees pitch classes, and learned from bands whose keys leave the root to
the bass: beside A, C and E, an F is as good as an A to it. A guitar or piano that plays alone has
the root itself, mostly as its lowest note.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from restem.symbolic.cells import CHROMA, RANGES, values_of
from restem.symbolic.rolls import STEPS_PER_QUARTER

HEARD = 3  # a note counts that sounds in one of so many steps of what is left of the beat
LOWEST, UNHEARD = 2.0, 2.0  # log-odds for the lowest note's class, against classes unheard
LOW = 55  # from this pitch on, the lowest note tells nothing of the root


def leaning(parts: Mapping[str, np.ndarray], bars: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Log-odds (token, value) to add to those of a bass beside planes (2, step, 128) of parts.

    What is heard from a token to the end of its beat counts, as chords change on beats; `grid` is
    that of the `bars` (bar, 4).
    """
    low, high = RANGES["bass"]
    classes = np.arange(low, high) % CHROMA
    heard = [planes.any(axis=0) for kind, planes in parts.items() if kind != "drums"]
    lean = np.zeros((len(grid), high - low), dtype=np.float32)
    sounding = np.any(heard, axis=0) if heard else np.zeros((0, 128), bool)
    for token, steps in enumerate(grid):
        bar = bars[np.searchsorted(bars[:, 0], steps[0], side="right") - 1, 0]
        left = STEPS_PER_QUARTER - (steps[0] - bar) % STEPS_PER_QUARTER
        lasts = sounding[steps[0] : steps[0] + left].sum(axis=0)
        pitches = np.flatnonzero(HEARD * lasts >= left)
        if len(pitches):
            lean[token, ~np.isin(classes, pitches % CHROMA)] -= UNHEARD
            if pitches[0] < LOW:
                lean[token, classes == pitches[0] % CHROMA] += LOWEST
    return np.tile(lean, values_of("bass") // (high - low))
