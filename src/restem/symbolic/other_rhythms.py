"""A stretch of a song in, the same stretch in a rhythm that its style does not have out.

A network learns the figures of some hundred styles by heart, and then knows where a bass strikes
from the style alone. Here all parts of a stretch are changed alike: the bar line is moved, the
tempo halved or doubled, straight notes are swung and swung ones straightened. What a part plays
then follows from the parts around it and from nothing else, so that a network has to listen.
"""

from __future__ import annotations

import numpy as np

from restem.symbolic.rolls import ONSET, SOUND, STEPS_PER_QUARTER

SLOW, FAST, SWUNG = 0.15, 0.3, 0.3  # chance of half the tempo (of half or twice), and of swing
SWING = np.array([0, 6, 12]), np.array([0, 8, 12])  # where a quarter's steps lie without and with


def changed(
    bars: np.ndarray, parts: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Bars (bar, 4) from step 0 on and planes (2, step, 128) of each part, in another rhythm.

    A stretch whose bars are not all of one length, or that has only one, comes back as it was.
    """
    if len(bars) < 2 or (bars[:, 1] != bars[0, 1]).any():
        return bars, parts
    length = int(bars[0, 1])
    draw, swing = rng.random(), rng.random() < SWUNG
    compound = bars[0, 3] == 8
    beat = STEPS_PER_QUARTER * 3 // 2 if compound else STEPS_PER_QUARTER
    move = beat * int(rng.integers(max(length // beat, 1)))
    steps = int(bars[-1, 0]) + length
    starts = np.arange(steps + 1)
    if swing and not compound:
        starts = _swung(starts, parts)
    if draw < SLOW:
        starts = starts * 2
    elif draw < FAST and _eighths(parts):
        starts = starts // 2
    count = (int(starts[-1]) - move) // length
    if count < 1:
        return bars, parts
    rows = np.repeat(bars[:1], count, axis=0)
    rows[:, 0] = np.arange(count) * length
    inside = slice(move, move + count * length)
    return rows, {kind: _moved(planes, starts)[:, inside] for kind, planes in parts.items()}


def _moved(planes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Planes whose step i begins at step starts[i]; onsets that meet become one."""
    out = np.zeros((2, int(starts[-1]), planes.shape[2]), dtype=bool)
    source = np.searchsorted(starts[:-1], np.arange(out.shape[1]), side="right") - 1
    out[SOUND] = planes[SOUND, source]
    step, pitch = np.nonzero(planes[ONSET, : len(starts) - 1])
    out[:, np.minimum(starts[step], out.shape[1] - 1), pitch] = True
    return out


def _swung(starts: np.ndarray, parts: dict[str, np.ndarray]) -> np.ndarray:
    """Steps of straight parts swung, and of swung parts straightened."""
    struck = _strokes(parts)
    place = np.arange(len(struck)) % STEPS_PER_QUARTER
    straight = struck[place == 6].sum() >= struck[place == 8].sum()
    before, after = SWING if straight else SWING[::-1]
    quarter, rest = np.divmod(starts, STEPS_PER_QUARTER)
    moved = np.rint(np.interp(rest, before, after)).astype(int)
    return np.asarray(quarter * STEPS_PER_QUARTER + moved)


def _eighths(parts: dict[str, np.ndarray]) -> bool:
    """Whether nearly all strokes can be played twice as fast on the grid."""
    struck = _strokes(parts)
    return bool(struck[1::2].sum() <= 0.1 * struck.sum())


def _strokes(parts: dict[str, np.ndarray]) -> np.ndarray:
    """How many of the parts strike at each step."""
    return np.asarray(np.sum([planes[ONSET].any(axis=1) for planes in parts.values()], axis=0))
