"""Beats of a recording and notes in seconds in, bars and rolls out; and notes of rolls in seconds.

A beat, whatever its length, is a quarter note of the rolls: of 6/8, counted in dotted quarters, an
eighth is a triplet.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from restem.audio.beats import BeatGrid
from restem.audio.pitch_notes import PitchNotes
from restem.symbolic.rolls import STEPS_PER_QUARTER, notes_from_roll, planes_from_notes, snapped


def bars_of(grid: BeatGrid) -> np.ndarray:
    """Bars (bar, 4) in steps, as `rolls.bars_in_steps` has them, of which the last beat ends one.

    A grid that begins within a bar begins with a shorter one.
    """
    lines = np.flatnonzero(grid.positions == 1).tolist()
    edges = sorted({0, *lines, len(grid.times)})
    rows = [
        (a * STEPS_PER_QUARTER, (b - a) * STEPS_PER_QUARTER, b - a, 4) for a, b in pairwise(edges)
    ]
    return np.array(rows, dtype=np.int64)


def planes_heard(notes: PitchNotes, grid: BeatGrid) -> np.ndarray:
    """Planes (2, step, 128) of notes that were heard, moved to the sixteenths or triplets meant."""
    steps = len(grid.times) * STEPS_PER_QUARTER
    places = _steps_of(notes.starts, grid)
    start = snapped(places)
    end = start + np.maximum(np.rint(_steps_of(notes.ends, grid) - places).astype(np.int64), 1)
    inside = (start >= 0) & (start < steps)
    rows = np.stack([start, end, notes.pitches], axis=1)[inside]
    return planes_from_notes(rows, steps)


def notes_in_seconds(planes: np.ndarray, grid: BeatGrid) -> tuple[np.ndarray, np.ndarray]:
    """The notes of planes (2, step, 128) as rolls has them, (note, 3), and when they begin and end
    (note, 2)."""
    notes = notes_from_roll(planes[None])
    beats = np.arange(len(grid.times))
    times = np.interp(notes[:, :2] / STEPS_PER_QUARTER, beats, grid.times)
    return notes, times


def _steps_of(seconds: np.ndarray, grid: BeatGrid) -> np.ndarray:
    """Places of moments on the grid, in steps; past its ends those of its ends."""
    beats = np.interp(seconds, grid.times, np.arange(len(grid.times)))
    return np.asarray(beats * STEPS_PER_QUARTER)
