"""Clips' scores, or a score of many clips, come in; the score with its 95 % interval goes out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from restem.evaluation.threads import side_by_side


@dataclass(frozen=True)
class Scored:
    """A score and the ends of its 95 % interval over other draws of as many clips."""

    value: float
    low: float
    high: float


def scored_mean(scores: ArrayLike, seed: int = 0, draws: int = 2000) -> Scored:
    """Mean of clips' scores (clip,) with a percentile bootstrap interval.

    (B. Efron, "Bootstrap methods: another look at the jackknife", 1979.) Clips are drawn as if
    they were independent: those of one song are not, so the true interval is wider then.
    Raises ValueError for no scores and for NaN.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.all(np.isfinite(values)):
        raise ValueError("scores must be (clip,), not empty, and finite")
    generator = np.random.default_rng(seed)
    means = [values[_draw(generator, len(values))].mean() for _ in range(draws)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Scored(float(values.mean()), float(low), float(high))


def scored_set(
    score: Callable[[NDArray[np.int64]], float],
    clips: int,
    seed: int = 0,
    draws: int = 50,
    lowest: float = -np.inf,
) -> Scored:
    """A score of a whole set of clips, value ± 1.96 bootstrap standard deviations.

    `score` takes indices (clip,) with repeats and returns the score of those clips. The percentile
    interval would not do for Fréchet distances and Inception Scores: a draw with repeats holds
    fewer different clips, and these scores change with their number, so only the spread of the
    draws is taken, around the score of all clips. `lowest` is the score's own lower bound.
    """
    value = score(np.arange(clips))
    generator = np.random.default_rng(seed)
    drawn = [_draw(generator, clips) for _ in range(draws)]
    spread = np.std(side_by_side(score, drawn), ddof=1)
    return around(value, float(spread), lowest)


def around(value: float, standard_error: float, lowest: float = -np.inf) -> Scored:
    """The interval value ± 1.96 standard errors, not below `lowest`."""
    reach = 1.96 * standard_error
    return Scored(value, max(value - reach, lowest), value + reach)


def _draw(generator: np.random.Generator, clips: int) -> NDArray[np.int64]:
    return generator.integers(0, clips, clips)
