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

from restem.symbolic import cells
from restem.symbolic.painting import Painter

# What one more figure of a window is worth, and how like the harmony of two bars is that are played
# alike. Chosen on validation songs, so that bars repeat about as often as those of people.
WORTH = {"drums": 0.3, "bass": 0.4, "guitar": 0.3, "keys": 0.2}
SAME_HARMONY = 0.7
MOST_CHANGED = 0.1  # of the strokes of a window
PHRASE = 8  # bars


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """F measure of two bars' strokes, bool of one shape: 1 if they are the same, or both rest."""
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def taken_figures(
    bars: Sequence[np.ndarray], metres: Sequence[object], settled: np.ndarray, worth: float
) -> np.ndarray:
    """Index (bar,) of the bar whose figure each takes, its own where it stays as it is.

    `bars` are the strokes of each, bool; those of another of the `metres` are never alike. Bars
    that are `settled` stay, and others may take after them. One more figure is `worth` having if it
    brings all bars together so much nearer to theirs (1 less `likeness`).
    """
    count = len(bars)
    apart = np.ones((count, count))
    for i in range(count):
        for j in range(i + 1):
            if metres[i] == metres[j]:
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


def taken_as_full(
    bars: Sequence[np.ndarray], metres: Sequence[object], settled: np.ndarray, worth: float
) -> np.ndarray:
    """`taken_figures`, with more of them if fewer would take or add too many strokes.

    What few bars have in common is less than what each has: without this a part loses strokes
    from window to window.
    """
    before = sum(int(bar.sum()) for bar in bars)
    for each in (worth, worth / 2, worth / 4):
        taken = taken_figures(bars, metres, settled, each)
        after = sum(int(bars[figure].sum()) for figure in taken)
        if abs(after - before) <= MOST_CHANGED * before:
            return taken
    return np.arange(len(bars))


def settle(
    painter: Painter,
    values: np.ndarray,
    done: np.ndarray,
    asked: np.ndarray,
    window: slice,
    metres: np.ndarray,
    harmony: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Let the bars of a window that was just painted take after a few of them.

    `values` (token, value) changes there; `done` (token,) are those that were there before, `asked`
    those that are wanted; `metres` (bar, 4) as everywhere; `harmony` (token, 12) is what sounds
    around the part.
    """
    stem = painter.model.stem
    numbers, bars = _whole_bars(metres, window, done | asked)
    if stem == "drums":
        # The bar before a new phrase is where drummers do something else.
        kept = [i for i, number in enumerate(numbers) if number % PHRASE != PHRASE - 1]
        numbers, bars = [numbers[i] for i in kept], [bars[i] for i in kept]
    settled = np.array([bool(done[b].all()) for b in bars], dtype=bool)
    kinds = [tuple(metres[n, 1:].tolist()) for n in numbers]
    if stem == "drums":
        made = [values[b].copy() for b in bars]
        taken = taken_as_full(made, kinds, settled, WORTH[stem])
        for b, figure in zip(bars, taken.tolist(), strict=True):
            values[b] = made[figure]
        return
    strokes = [painter.struck(values[b]) for b in bars]
    taken = taken_as_full(strokes, kinds, settled, WORTH[stem])
    if (taken != np.arange(len(bars))).any():
        steps, known = painter.struck(values[window]), np.ones(len(values[window]), bool)
        for i, (b, figure) in enumerate(zip(bars, taken.tolist(), strict=True)):
            inside = slice(b.start - window.start, b.stop - window.start)
            steps[inside] = strokes[figure]
            # What has its figure's rhythm already keeps its pitches too.
            right = not painter.wishes.second_look and np.array_equal(strokes[i], strokes[figure])
            known[inside] = settled[i] or right
        painter.paint_strokes(values, known, window, steps, rng)
    for i in np.flatnonzero(~settled).tolist():
        for j in range(i):
            same = kinds[i] == kinds[j] and np.array_equal(strokes[taken[i]], strokes[taken[j]])
            if same and _comes_back(painter, values, harmony, bars[j], bars[i], window):
                values[bars[i]] = values[bars[j]]
                break


def _comes_back(
    painter: Painter,
    values: np.ndarray,
    harmony: np.ndarray,
    first: slice,
    again: slice,
    window: slice,
) -> bool:
    """Whether harmony comes back, and no note is held over a bar line that would be cut."""
    after = [values[again.stop]] if again.stop < window.stop else []
    return (
        bool(harmony[again].any())
        and likeness(harmony[again], harmony[first]) >= SAME_HARMONY
        and not any(painter.holds_over(token) for token in (values[first.start], *after))
    )


def _whole_bars(
    metres: np.ndarray, window: slice, wanted: np.ndarray
) -> tuple[list[int], list[slice]]:
    """Numbers and tokens of the wanted bars that lie within a window from end to end."""
    bar = cells.bar_of_token(metres)
    numbers = np.unique(bar[window])
    starts = np.searchsorted(bar, numbers).tolist()
    stops = np.searchsorted(bar, numbers, side="right").tolist()
    found = [
        (int(n), slice(a, z))
        for n, a, z in zip(numbers, starts, stops, strict=True)
        if a >= window.start and z <= window.stop and wanted[a:z].all()
    ]
    return [n for n, _ in found], [b for _, b in found]
