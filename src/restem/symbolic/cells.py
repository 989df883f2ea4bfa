"""Piano rolls in, tokens of binary cells for the network out, and back.

A token is half a quarter note, six steps of the grid. Tokens begin anew with each bar: where a
bar does not fill its last token, the rest of that token is void, so that a token always lies at
the same place of its bar, whatever metres came before. The cells of a token are ordered (plane,
step, pitch).

Shapes: planes (2, step, 128) as rolls.flat makes them; grid (token, 6), steps or -1 where void.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from restem.symbolic.parts import STEMS
from restem.symbolic.rolls import ONSET, PITCHES, SOUND, STEPS_PER_QUARTER

TOKEN_STEPS = 6
WINDOW = 64  # tokens: eight bars of 4/4
PLACES = 17  # numbers that tell where a token lies and what is known there
PLACE_KNOWN = 13  # index of "these cells are given"; the three after it say which parts are given
# Lowest and highest pitch (exclusive). Drums: the kit of General MIDI; bass: five strings and up to
# the twelfth fret and beyond; guitar: a seventh string or low tuning and up to the 24th fret.
RANGES = {"drums": (35, 82), "bass": (23, 68), "guitar": (35, 89), "keys": (35, 89)}
CHROMA = 12


def around(stem: str) -> tuple[str, ...]:
    """The kinds of parts that are shown to a stem's model as they are, apart from "other"."""
    return tuple(other for other in STEMS if other != stem)[:2]


def onsets_of(stem: str) -> int:
    """How many cells of onsets one token of a part has; they come first."""
    low, high = RANGES[stem]
    return TOKEN_STEPS * (high - low)


def values_of(stem: str) -> int:
    """How many cells one token of a part has."""
    return onsets_of(stem) * (1 if stem == "drums" else 2)


def context_values(stem: str) -> int:
    """How many cells one token of everything around a part has."""
    others = sum(values_of(other) for other in around(stem))
    return others + TOKEN_STEPS * CHROMA * 2


def token_grid(bars: np.ndarray) -> np.ndarray:
    """The grid (token, 6) of bars (bar, 4) in steps."""
    rows = []
    for start, length in bars[:, :2].tolist():
        steps = np.arange(-(-length // TOKEN_STEPS) * TOKEN_STEPS)
        rows.append(np.where(steps < length, start + steps, -1))
    return np.concatenate(rows).reshape(-1, TOKEN_STEPS)


def bar_of_token(bars: np.ndarray) -> np.ndarray:
    """The bar's index for each token of token_grid."""
    return np.repeat(np.arange(len(bars)), -(-bars[:, 1] // TOKEN_STEPS))


def places(bars: np.ndarray) -> np.ndarray:
    """Where each token lies in its bar and phrase, (token, 17), float32; the last four are zero."""
    bar = bar_of_token(bars)
    first = np.concatenate([[0], np.cumsum(-(-bars[:, 1] // TOKEN_STEPS))])[:-1]
    offset = (np.arange(len(bar)) - first[bar]) * TOKEN_STEPS
    phase = 2 * np.pi * offset / bars[bar, 1]
    columns = [f(k * phase) for k in (1, 2, 4) for f in (np.sin, np.cos)]
    # Phrases are often four or eight bars long.
    columns += [f(2 * np.pi * bar / n) for n in (4, 8) for f in (np.sin, np.cos)]
    columns.append(bars[bar, 1] / (4 * STEPS_PER_QUARTER))
    compound = (bars[:, 3] == 8) & (bars[:, 2] % 3 == 0) & (bars[:, 2] > 3)
    columns += [compound[bar].astype(float), np.ones(len(bar))]
    out = np.zeros((len(bar), PLACES), dtype=np.float32)
    out[:, :PLACE_KNOWN] = np.stack(columns, axis=1)
    return out


def cells_from_planes(planes: np.ndarray, stem: str, grid: np.ndarray) -> np.ndarray:
    """The cells (token, values_of(stem)), bool, of a part; pitches out of its range are folded in.

    Drums have onsets only, and those outside the kit are left out.
    """
    taken = _steps(planes, grid)  # (plane, token, step, pitch)
    low, high = RANGES[stem]
    if stem == "drums":
        return taken[ONSET, :, :, low:high].reshape(len(grid), -1)
    inside = taken[..., low:high].copy()
    for pitch in np.flatnonzero(taken.any(axis=(0, 1, 2))).tolist():
        if not low <= pitch < high:
            inside[..., _folded(pitch, low, high) - low] |= taken[..., pitch]
    return np.moveaxis(inside, 0, 1).reshape(len(grid), -1)


def planes_from_cells(cells: np.ndarray, stem: str, grid: np.ndarray, steps: int) -> np.ndarray:
    """The planes (2, steps, 128) of cells (token, values_of(stem)); void steps are dropped.

    A drum sounds for its onset step. Elsewhere gaps of one step within a note are closed.
    """
    low, high = RANGES[stem]
    planes = np.zeros((2, steps, PITCHES), dtype=bool)
    real = (grid >= 0) & (grid < steps)
    shaped = cells.reshape(len(grid), -1, TOKEN_STEPS, high - low)
    for plane in range(shaped.shape[1]):
        planes[plane, grid[real], low:high] = shaped[:, plane][real]
    if stem == "drums":
        planes[SOUND] = planes[ONSET]
    else:
        gap = ~planes[SOUND, 1:-1] & planes[SOUND, :-2] & planes[SOUND, 2:] & ~planes[ONSET, 2:]
        planes[SOUND, 1:-1] |= gap
    return planes


def context_cells(parts: Mapping[str, np.ndarray], stem: str, grid: np.ndarray) -> np.ndarray:
    """What surrounds `stem`: two other parts, then the pitch classes of all other tracks.

    `parts` maps kinds to planes; what is missing is silent. Returns (token, context_values), bool.
    """
    pieces = []
    for other in around(stem):
        pieces.append(
            cells_from_planes(parts[other], other, grid)
            if other in parts
            else np.zeros((len(grid), values_of(other)), bool)
        )
    if "other" in parts:
        pieces.append(
            np.moveaxis(chroma(_steps(parts["other"], grid)), 0, 1).reshape(len(grid), -1)
        )
    else:
        pieces.append(np.zeros((len(grid), TOKEN_STEPS * CHROMA * 2), bool))
    return np.concatenate(pieces, axis=1)


def harmony(parts: Mapping[str, np.ndarray], grid: np.ndarray) -> np.ndarray:
    """Which pitch classes sound in each token, drums aside: (token, 12), bool."""
    found = np.zeros((len(grid), CHROMA), bool)
    for kind, planes in parts.items():
        if kind != "drums":
            found |= chroma(_steps(planes, grid)[SOUND]).any(axis=1)
    return found


def given_flags(parts: Mapping[str, np.ndarray], stem: str) -> np.ndarray:
    """(3,) float32: whether each context channel, in the order of context_cells, is there."""
    kinds = (*around(stem), "other")
    return np.array([float(kind in parts) for kind in kinds], dtype=np.float32)


def spread(real: np.ndarray, stem: str) -> np.ndarray:
    """A mask of steps (token, 6) as a mask of the cells of a part (token, values_of(stem))."""
    one_plane = np.repeat(real, RANGES[stem][1] - RANGES[stem][0], axis=1)
    return np.tile(one_plane, values_of(stem) // one_plane.shape[1])


def chroma(planes: np.ndarray) -> np.ndarray:
    """Pitches (..., 128) laid over one octave: (..., 12)."""
    padded = np.concatenate([planes, np.zeros((*planes.shape[:-1], 4), bool)], axis=-1)
    return np.asarray(padded.reshape(*planes.shape[:-1], 11, CHROMA).any(axis=-2))


def transposed(planes: np.ndarray, semitones: int) -> np.ndarray:
    """Planes moved by semitones; what leaves the 128 pitches is lost."""
    out = np.zeros_like(planes)
    if semitones >= 0:
        out[..., semitones:] = planes[..., : PITCHES - semitones]
    else:
        out[..., :semitones] = planes[..., -semitones:]
    return out


def density(cells: np.ndarray, stem: str) -> float:
    """Onsets a token: steps of the grid at which the part strikes at least once."""
    onsets = cells.reshape(len(cells), -1, TOKEN_STEPS, RANGES[stem][1] - RANGES[stem][0])[:, 0]
    return float(onsets.any(axis=-1).sum() / max(len(cells), 1))


def _steps(planes: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Planes (plane, token, 6, pitch) along a grid; void and late steps are silent."""
    real = (grid >= 0) & (grid < planes.shape[1])
    return planes[:, np.where(real, grid, 0)] & real[None, :, :, None]


def _folded(pitch: int, low: int, high: int) -> int:
    """The pitch moved by octaves into low..high-1."""
    while pitch < low:
        pitch += 12
    while pitch >= high:
        pitch -= 12
    return pitch
