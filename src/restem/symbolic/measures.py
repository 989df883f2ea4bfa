"""A part and what plays around it in, as planes; how well they agree, how rich the part is, out.

Pure functions of planes (2, step, 128) as rolls.flat makes them, and bars (bar, 4) in steps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from restem.symbolic.cells import chroma
from restem.symbolic.rolls import ONSET, SOUND, STEPS_PER_QUARTER

KICKS, SNARES, HATS = (35, 36), (37, 38, 39, 40), (42, 44, 46, 51, 53, 59)


def onsets(planes: np.ndarray) -> np.ndarray:
    """Whether the part strikes at each step: (step,) bool."""
    return np.asarray(planes[ONSET].any(axis=1))


def density(planes: np.ndarray, bars: np.ndarray) -> float:
    """Onsets a quarter note; notes struck together count once."""
    return float(onsets(planes).sum() * STEPS_PER_QUARTER / bars[:, 1].sum())


def grid_agreement(planes: np.ndarray, bars: np.ndarray) -> float:
    """Share of onsets on sixteenths or eighth triplets of their bar; NaN without onsets."""
    struck = np.flatnonzero(onsets(planes))
    offset = struck - bars[np.searchsorted(bars[:, 0], struck, side="right") - 1, 0]
    return _mean((offset % 3 == 0) | (offset % 4 == 0))


def accents(context: Mapping[str, np.ndarray]) -> np.ndarray:
    """How strongly the context strikes at each step: the kinds that do, and a bit for chords."""
    weights = []
    for planes in context.values():
        count = planes[ONSET].sum(axis=1)
        weights.append(np.minimum(count, 1) + 0.1 * np.minimum(count, 6))
    return np.sum(weights, axis=0)


def accent_agreement(planes: np.ndarray, context: Mapping[str, np.ndarray]) -> float:
    """Correlation of a part's onsets with the context's accents over steps; NaN if either rests.

    1 is a part that strikes wherever, and only where, the context does; a part that knows nothing
    of this song still reaches what all music of its metre shares.
    """
    if not context:
        return float("nan")
    struck, accent = onsets(planes).astype(float), accents(context)
    length = min(len(struck), len(accent))
    struck, accent = (
        struck[:length] - struck[:length].mean(),
        accent[:length] - accent[:length].mean(),
    )
    norm = np.sqrt((struck**2).sum() * (accent**2).sum())
    return float((struck * accent).sum() / norm) if norm > 0 else float("nan")


def pitch_agreement(planes: np.ndarray, context: Mapping[str, np.ndarray]) -> float:
    """Share of a part's sounding cells whose pitch class the context sounds within a beat around.

    Drums say nothing of pitch and are left out; NaN if there is nothing to compare.
    """
    pitched = [p for kind, p in context.items() if kind != "drums"]
    if not pitched:
        return float("nan")
    heard = np.asarray(np.any([chroma(p[SOUND]) for p in pitched], axis=0))
    reach = STEPS_PER_QUARTER // 2
    padded = np.pad(heard, ((reach, reach), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    around = np.asarray(windows.any(axis=-1))
    step, pitch = np.nonzero(planes[SOUND][: len(around)])
    step, pitch = step[around[step].any(axis=1)], pitch[around[step].any(axis=1)]
    return _mean(around[step, pitch % 12])


def bar_marks(planes: np.ndarray, bars: np.ndarray, pitched: bool) -> list[bytes]:
    """One mark a bar, equal for equal onsets; of pitched parts in whatever key. b"" if it rests."""
    marks = []
    for start, length in bars[:, :2].tolist():
        places = np.argwhere(planes[ONSET, start : start + length])
        if pitched and len(places):
            places[:, 1] -= places[:, 1].min()
        marks.append(
            places.astype(np.int16).tobytes() + bytes([length % 251]) if len(places) else b""
        )
    return marks


def distinct_bars(marks: list[bytes]) -> float:
    """Number of different bars over the number of bars that are not empty; NaN if all rest."""
    full = [mark for mark in marks if mark]
    return len(set(full)) / len(full) if full else float("nan")


def copied_share(marks: list[bytes], known: Collection[bytes]) -> float:
    """Share of the bars that are not empty that are among the known ones; NaN if all rest."""
    return _mean(np.array([mark in known for mark in marks if mark]))


def statistics(planes: np.ndarray, bars: np.ndarray, drums: bool) -> np.ndarray:
    """Simple statistics of a stretch of a part, for a Fréchet distance: (12,) float64."""
    quarters = bars[:, 1].sum() / STEPS_PER_QUARTER
    step, pitch = np.nonzero(planes[ONSET])
    if not len(step):
        return np.zeros(12)
    place = step % STEPS_PER_QUARTER
    struck = max(int(onsets(planes).sum()), 1)
    shares = [np.mean(place == p) for p in (0, 3, 6, 9)] + [np.mean(np.isin(place, (4, 8)))]
    if drums:
        colour = [np.isin(pitch, group).mean() for group in (KICKS, SNARES, HATS)]
        shape = [len(np.unique(pitch)) / 10, 0.0]
    else:
        leaps = np.abs(np.diff(pitch[np.argsort(step, kind="stable")]))
        colour = [
            pitch.mean() / 40,
            pitch.std() / 12,
            float(leaps.mean()) / 12 if len(leaps) else 0.0,
        ]
        length = planes[SOUND].sum() / len(step) / STEPS_PER_QUARTER
        shape = [len(np.unique(pitch % 12)) / 12, min(float(length), 4.0)]
    return np.array(
        [struck / quarters, len(step) / struck, *shares, *colour, *shape], dtype=np.float64
    )


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
