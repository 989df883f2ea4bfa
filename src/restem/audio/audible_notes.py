"""Notes, and their sound before and after it was turned down in places, in; the notes that are
still heard out."""

from __future__ import annotations

import numpy as np

from restem.audio.pitch_notes import PitchNotes
from restem.audio.room import blocks

FRAME_S = 0.01  # in which a peak is taken
GONE_DB = 40.0  # turned down by as much beside the note that is turned down least, none is heard
LATE_S = 0.03  # that a note may lack of its beginning
LEAST_S = 0.05  # that must be heard of a note that is not heard whole
_BLOCK = 4096  # frames


def peaks(wave: np.ndarray, rate: int) -> np.ndarray:
    """The highest sample (frame,) of each FRAME_S of a wave (sample,)."""
    size = round(FRAME_S * rate)
    parts = [
        np.maximum.reduceat(np.abs(wave[b]), np.arange(0, b.stop - b.start, size))
        for b in blocks(len(wave), _BLOCK * size)
    ]
    return np.concatenate([np.zeros(0), *parts])


def audible(notes: PitchNotes, before: np.ndarray, wave: np.ndarray, rate: int) -> PitchNotes:
    """The notes of a wave (sample,) whose `peaks` were those `before` it was turned down.

    Those that begin where it was silenced are left out, and those that hold into it end there. The
    wave's own level says nothing: strings fade, and soft notes are notes.
    """
    sounds, after = np.flatnonzero(before), peaks(wave, rate)
    if not len(notes.starts) or not len(sounds):
        return notes
    second, count = round(FRAME_S * rate) / rate, len(before)
    gains = np.interp(np.arange(count), sounds, after[sounds] / before[sounds])
    frames = (notes.starts / second).astype(int).clip(0, count - 1)
    heard = gains > gains[frames].max() / 10 ** (GONE_DB / 20)
    first = _next(heard)[frames]
    starts = np.maximum(notes.starts, first * second)
    silent = _next(~heard)[first]
    ends = np.where(silent < count, np.minimum(notes.ends, silent * second), notes.ends)
    whole = (starts == notes.starts) & (ends == notes.ends)
    kept = whole | ((starts - notes.starts <= LATE_S) & (ends - starts >= LEAST_S))
    return PitchNotes(starts[kept], ends[kept], notes.pitches[kept], notes.velocities[kept])


def _next(mask: np.ndarray) -> np.ndarray:
    """From each frame, or from the end, the first (frame + 1,) on which a mask (frame,) holds; the
    number of frames where none does."""
    at = np.append(np.where(mask, np.arange(len(mask)), len(mask)), len(mask))
    return np.asarray(np.minimum.accumulate(at[::-1])[::-1])
