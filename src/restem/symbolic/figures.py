"""Bars of a part in, whose figure each of them takes out: people repeat what they play.

A network that tosses every cell for itself plays one figure a little differently in every bar. So a
few of its bars are chosen, those that the others are most like, and the others take after them. A
bar that is like none of them, a fill or a break, stays as it is. Drums take the whole bar; of other
parts the rhythm is taken, the pitches are painted anew, and where the harmony comes back too, the
bar comes back with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restem.symbolic.painting import Painter

# What one more figure of a window is worth, and how like the harmony of two bars is that are played
# alike. Chosen on validation songs, so that bars repeat about as often as those of people.
WORTH = {"drums": 0.2, "bass": 0.3, "guitar": 0.2, "keys": 0.2}
SAME_HARMONY = 0.7


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """F measure of two bars' strokes, bool of one shape: 1 if they are the same, or both rest."""
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def taken_figures(bars: Sequence[np.ndarray], settled: np.ndarray, worth: float) -> np.ndarray:
    """Index (bar,) of the bar whose figure each takes, its own where it stays as it is.

    `bars` are the strokes of each, bool, of any shapes; those of another shape are never alike.
    Bars that are `settled` stay, and others may take after them. One more figure is `worth` having
    if it brings all bars together so much nearer to theirs (1 less `likeness`).
    """
    count = len(bars)
    apart = np.ones((count, count))
    for i in range(count):
        for j in range(i + 1):
            if bars[i].shape == bars[j].shape:
                apart[i, j] = apart[j, i] = 1 - likeness(bars[i], bars[j])
    figures = np.flatnonzero(settled).tolist()
    free = np.flatnonzero(~settled)
    # Without any figure a bar is farther off than from the most unlike one.
    far = apart[free][:, figures].min(axis=1) if figures else np.full(len(free), 2.0)
    while len(free):
        gain = np.maximum(far[:, None] - apart[free], 0).sum(axis=0)
        gain[figures] = 0
        best = int(gain.argmax())
        if gain[best] <= worth:
            break
        figures.append(best)
        far = np.minimum(far, apart[free, best])
    out = np.arange(count)
    if figures:
        out[free] = np.array(figures)[apart[free][:, figures].argmin(axis=1)]
    return out


def settle(
    painter: Painter,
    values: np.ndarray,
    done: np.ndarray,
    window: slice,
    bar: np.ndarray,
    harmony: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Let the bars of a window that was just painted take after a few of them.

    `values` (token, value) changes there; `done` (token,) are those that were there before; `bar`
    (token,) counts bars; `harmony` (token, 12) is what sounds around the part.
    """
    bars = _whole_bars(bar, window)
    settled = np.array([bool(done[b].any()) for b in bars], dtype=bool)
    stem = painter.model.stem
    if stem == "drums":
        made = [values[b].copy() for b in bars]
        taken = taken_figures(made, settled, WORTH[stem])
        for b, figure in zip(bars, taken.tolist(), strict=True):
            values[b] = made[figure]
        return
    strokes = [painter.struck(values[b]) for b in bars]
    taken = taken_figures(strokes, settled, WORTH[stem])
    if (taken != np.arange(len(bars))).any():
        steps, known = painter.struck(values[window]), np.ones(len(values[window]), bool)
        for b, figure, old in zip(bars, taken.tolist(), settled.tolist(), strict=True):
            inside = slice(b.start - window.start, b.stop - window.start)
            steps[inside] = strokes[figure]
            known[inside] = old
        painter.paint_strokes(values, known, window, steps, rng)
    _return_with_harmony(values, bars, settled, [strokes[f] for f in taken], harmony)


def _return_with_harmony(
    values: np.ndarray,
    bars: Sequence[slice],
    settled: np.ndarray,
    strokes: Sequence[np.ndarray],
    harmony: np.ndarray,
) -> None:
    """Play new bars as the first one before them that has their rhythm and harmony."""
    for i, b in enumerate(bars):
        for j, before in enumerate(bars[:i]):
            if (
                not settled[i]
                and np.array_equal(strokes[i], strokes[j])
                and harmony[b].any()
                and likeness(harmony[b], harmony[before]) >= SAME_HARMONY
            ):
                values[b] = values[before]
                break


def _whole_bars(bar: np.ndarray, window: slice) -> list[slice]:
    """The tokens of each bar that lies within a window from end to end."""
    numbers = np.unique(bar[window])
    starts = np.searchsorted(bar, numbers).tolist()
    stops = np.searchsorted(bar, numbers, side="right").tolist()
    return [
        slice(a, z)
        for a, z in zip(starts, stops, strict=True)
        if a >= window.start and z <= window.stop
    ]
