"""Cells of one pitched part in, cells that a network of several such parts shares out, and back.

A network that is shown only what is heard of a recording sees the same for a bass as for keys: the
pitch classes around it. So one network makes them all, on the pitches of all, and is told which
part it is to make.
"""

from __future__ import annotations

import numpy as np

from restem.symbolic.cells import CHROMA, PLACE_KNOWN, RANGES, TOKEN_STEPS, values_of

FILE = "pitched"  # of the network, in place of a stem's name
STEMS = ("bass", "guitar", "keys")
LOW = min(RANGES[stem][0] for stem in STEMS)
HIGH = max(RANGES[stem][1] for stem in STEMS)
PLANES = 2
VALUES = PLANES * TOKEN_STEPS * (HIGH - LOW)  # cells of one token
CONTEXT_VALUES = TOKEN_STEPS * CHROMA * 2  # cells of one token of all that surrounds a part
CODES = {"bass": (1.0, 0.0), "guitar": (0.0, 0.0), "keys": (0.0, 1.0)}


def widened(cells: np.ndarray, stem: str) -> np.ndarray:
    """Cells (..., values_of(stem)) among those of all pitches (..., VALUES), which are zero."""
    low, high = RANGES[stem]
    wide = np.zeros((*cells.shape[:-1], PLANES, TOKEN_STEPS, HIGH - LOW), cells.dtype)
    own = cells.reshape(*cells.shape[:-1], PLANES, TOKEN_STEPS, high - low)
    wide[..., low - LOW : high - LOW] = own
    return wide.reshape(*cells.shape[:-1], VALUES)


def narrowed(wide: np.ndarray, stem: str) -> np.ndarray:
    """The cells (..., values_of(stem)) of a part out of those of all pitches (..., VALUES)."""
    low, high = RANGES[stem]
    shaped = wide.reshape(*wide.shape[:-1], PLANES, TOKEN_STEPS, HIGH - LOW)
    return shaped[..., low - LOW : high - LOW].reshape(*wide.shape[:-1], values_of(stem))


def context_of(context: np.ndarray) -> np.ndarray:
    """Of `cells.context_cells` (..., value) the pitch classes of all other tracks, which are last.

    Other parts that are known by name are not shown to a shared network.
    """
    return context[..., -CONTEXT_VALUES:]


def told(place: np.ndarray, stem: str) -> np.ndarray:
    """Where tokens lie (..., 17), with the part that is to be made.

    It is told where a network of one part is told which other parts by name are given: here none.
    """
    place = place.copy()
    place[..., PLACE_KNOWN + 1 : PLACE_KNOWN + 3] = CODES[stem]
    return place
