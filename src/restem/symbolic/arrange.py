"""Rolls with a part missing in, the part out: windows of a song filled one after another.

Each window sees up to four bars that are there already, made or given, as known cells. So a song of
any length is continued without a seam, and a region is filled between what surrounds it. The bars
of a window then take after a few of them (figures).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from restem.manner import density_of_words
from restem.symbolic import cells
from restem.symbolic.articulation import as_worded, is_broken
from restem.symbolic.figures import settle
from restem.symbolic.model import RollModel
from restem.symbolic.painting import Painter
from restem.symbolic.parts import STEMS
from restem.symbolic.rhythms import own_words, rhythm_of, steps_to_strike
from restem.symbolic.roots import leaning
from restem.symbolic.wishes import Wishes

OVERLAP = 32  # tokens of the last window that the next one sees: four bars of 4/4
Follow = Callable[[float], None]


def complete(
    models: Mapping[str, RollModel],
    parts: Mapping[str, np.ndarray],
    bars: np.ndarray,
    wanted: Sequence[str],
    wishes: Wishes,
    region: tuple[int, int] | None = None,
    progress: Follow | None = None,
) -> dict[str, np.ndarray]:
    """The wanted parts as planes (2, step, 128), made one after the other, each hearing the last.

    `parts` maps kinds ("drums", "bass", "guitar", "other") to planes; `bars` (bar, 4) in steps.
    With a `region` (first bar, bar after the last, counted from 0) only its bars are filled: a part
    that is there already is known outside of it and stays out of the result.
    """
    heard = dict(parts)
    made: dict[str, np.ndarray] = {}
    order = [stem for stem in STEMS if stem in wanted]
    for index, stem in enumerate(order):

        def follow(share: float, index: int = index) -> None:
            if progress is not None:
                progress((index + share) / len(order))

        own = wishes
        if wishes.density is None:
            own = wishes.fuller(density_of_words(own_words(wishes.style, stem)))
        made[stem] = fill(models[stem], heard, bars, own, region, follow)
        before = heard.get(stem)
        heard[stem] = made[stem] if before is None else made[stem] | before
    return made


def fill(
    model: RollModel,
    parts: Mapping[str, np.ndarray],
    bars: np.ndarray,
    wishes: Wishes,
    region: tuple[int, int] | None = None,
    progress: Follow | None = None,
) -> np.ndarray:
    """One part as planes (2, step, 128), silent outside of the region; see `complete`."""
    stem, grid, bar = model.stem, cells.token_grid(bars), cells.bar_of_token(bars)
    steps = int(bars[-1, 0] + bars[-1, 1])
    context = {kind: planes for kind, planes in parts.items() if kind != stem}
    asked = np.ones(len(grid), bool)
    values = np.zeros((len(grid), cells.values_of(stem)), bool)
    done = np.zeros(len(grid), bool)
    if region is not None:
        asked = (bar >= region[0]) & (bar < region[1])
        if stem in parts:
            done = ~asked
            values[done] = cells.cells_from_planes(parts[stem], stem, grid)[done]
    painter = Painter(
        model,
        wishes,
        cells.context_cells(context, stem, grid),
        cells.places(bars),
        cells.given_flags(context, stem),
        grid,
        own=done & np.isin(bar, bar[values.any(axis=1)]),  # bars in which it rests say nothing
    )
    if stem == "bass" and model.file:  # of a recording
        painter.lean = leaning(context, bars, grid)
    harmony = cells.harmony(context, grid)
    # What words say of broken chords is not how often a chord comes.
    broken = is_broken(wishes.style, stem)
    named = None if broken else steps_to_strike(bars, rhythm_of(wishes.style, stem))
    rng = np.random.default_rng([wishes.seed, (*STEMS, "keys").index(stem)])
    total = max(int((asked & ~done).sum()), 1)
    while np.any(asked & ~done):
        window = _next_window(asked, done, bar)
        painter.paint(values, done, window, rng)
        if named is None:
            settle(painter, values, done, asked, window, bars, harmony, rng)
        else:
            alone = 1.0 if stem == "bass" else None
            painter.paint_strokes(values, done[window], window, named[grid[window]], rng, alone)
        done[window] = True
        if progress is not None:
            progress(1 - int((asked & ~done).sum()) / total)
    values[~asked] = False
    planes = cells.planes_from_cells(values, stem, grid, steps)
    tones = [part for kind, part in context.items() if kind != "drums"]
    return as_worded(planes, tones, bars, wishes.style, stem, parts.get(stem))


def _next_window(asked: np.ndarray, done: np.ndarray, bar: np.ndarray) -> slice:
    """Tokens of the next window: from a bar line at most OVERLAP before the first missing token."""
    first = int(np.argmax(asked & ~done))
    start = first
    if first and done[first - 1]:
        start = max(first - OVERLAP, 0)
        lines = start + np.flatnonzero(np.diff(bar, prepend=-1)[start : first + 1])
        start = int(lines[0]) if len(lines) else start  # a bar may be longer than a window
    return slice(start, min(start + cells.WINDOW, len(asked)))
