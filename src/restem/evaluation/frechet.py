"""Two sets of features come in; their Fréchet distance, also for endless sets, goes out."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from restem.evaluation.threads import side_by_side

Floats = NDArray[np.float64]


def frechet_distance(reference: ArrayLike, features: ArrayLike) -> float:
    """Fréchet distance of the Gaussians through two sets of features, 0 or more.

    Both are (clip, dimension). |m1 - m2|^2 + Tr C1 + Tr C2 - 2 Tr (C1 C2)^(1/2) with unbiased
    covariances (D. Dowson and B. Landau, 1982; M. Heusel et al., "GANs trained by a two time-scale
    update rule", 2017, eq. 6), all in float64.

    No matrix square root is taken. With C = A'A, where A holds the centred features over
    sqrt(clips - 1), the last trace is the sum of the roots of the eigenvalues of A1 C2 A1', and
    those roots are the singular values of A1 A2', which are found without squaring them first.
    """
    first, second = checked_features(reference), checked_features(features)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"features differ in dimensions: {first.shape[1]} and {second.shape[1]}; "
            "both sets must come from the same embedding"
        )
    gap = first.mean(axis=0) - second.mean(axis=0)
    first_factor, second_factor = _factor(first), _factor(second)
    roots = np.linalg.svd(first_factor @ second_factor.T, compute_uv=False)
    traces = np.sum(first_factor**2) + np.sum(second_factor**2)
    return max(float(gap @ gap + traces - 2 * roots.sum()), 0.0)


def frechet_from_statistics(
    mean: ArrayLike, covariance: ArrayLike, other_mean: ArrayLike, other_covariance: ArrayLike
) -> float:
    """The same distance from means (dimension,) and covariances (dimension, dimension).

    For published statistics. Tr (C1 C2)^(1/2) is the sum of the roots of the eigenvalues of
    C1^(1/2) C2 C1^(1/2), which is symmetric; what rounding makes negative counts as 0.
    """
    first_mean, first = _statistics(mean, covariance)
    second_mean, second = _statistics(other_mean, other_covariance)
    if len(first_mean) != len(second_mean):
        raise ValueError(f"statistics differ: {len(first_mean)} and {len(second_mean)} dimensions")
    values, vectors = np.linalg.eigh(first)
    half = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ second @ half), 0))
    gap = first_mean - second_mean
    return max(float(gap @ gap + np.trace(first) + np.trace(second) - 2 * roots.sum()), 0.0)


@dataclass(frozen=True)
class EndlessFrechet:
    """Fréchet distance extrapolated to endless sets, and the standard error of that."""

    value: float
    standard_error: float


def frechet_infinity(
    reference: Sequence[ArrayLike],
    features: Sequence[ArrayLike],
    seed: int = 0,
    sizes: int = 8,
    blocks: int = 10,
) -> EndlessFrechet:
    """Fréchet distance at 1/n = 0, by a straight line through distances of smaller sets.

    Each clip is (dimension,) or (frame, dimension), so a (clip, dimension) array will do.
    Finite sets raise the distance by about c/n (M. J. Chong and D. Forsyth, "Effectively unbiased
    FID and Inception Score", CVPR 2020, 3.1; A. Gui et al., "Adapting Frechet Audio Distance for
    generative music evaluation", 2024). Here both sets shrink together, clip by clip in pairs if
    they have the same length, since both are finite: two samples of one distribution give about 0
    (and, by chance, values below it). Distances of `sizes` sets evenly spaced in 1/n, from half of
    the clips (or, if more, just above the dimensions) to all. The standard error is a jackknife
    over `blocks` blocks of clips.

    Raises ValueError with no more clips than dimensions: the line does not hold there.
    """
    first = [np.atleast_2d(np.asarray(clip, np.float64)) for clip in reference]
    second = [np.atleast_2d(np.asarray(clip, np.float64)) for clip in features]
    fewest = min(len(first), len(second))
    if fewest == 0:
        raise ValueError("a Fréchet distance needs clips on both sides")
    dimensions = first[0].shape[1]
    needed = (dimensions + 2) * blocks // (blocks - 1) + 1  # also with one block left out
    if fewest < needed:
        raise ValueError(
            f"{fewest} clips are too few for {dimensions} dimensions: the Fréchet distance can "
            f"only be extrapolated from {needed} or more"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(first))
    other = order if len(second) == len(first) else generator.permutation(len(second))
    first, second = [first[clip] for clip in order], [second[clip] for clip in other]

    def without(block: int) -> float:  # strided blocks of shuffled clips, left out one by one
        kept = [[c for n, c in enumerate(part) if n % blocks != block] for part in (first, second)]
        return _intercept(kept[0], kept[1], sizes)

    value = _intercept(first, second, sizes)
    left = side_by_side(without, range(blocks))
    spread = (blocks - 1) / blocks * np.sum((np.array(left) - np.mean(left)) ** 2)
    return EndlessFrechet(value, float(np.sqrt(spread)))


def _intercept(first: list[Floats], second: list[Floats], sizes: int) -> float:
    fewest = min(len(first), len(second))
    smallest = max(fewest // 2, first[0].shape[1] + 1)
    inverse, distances = [], []
    for index, shrink in enumerate(np.linspace(1, fewest / smallest, sizes)):
        subsets = []
        for part in (first, second):
            # each size begins elsewhere in the shuffled set, so that the subsets overlap less
            start, count = len(part) * index // sizes, round(len(part) / shrink)
            subsets.append((part[start:] + part[:start])[:count])
        inverse.append(sum(1 / len(subset) for subset in subsets) / 2)
        distances.append(frechet_distance(*(np.concatenate(subset) for subset in subsets)))
    return float(np.polyfit(inverse, distances, 1)[1])


def checked_features(features: ArrayLike) -> Floats:
    """Features as float64 (clip, dimension); ValueError for other shapes, under 2 clips, NaN."""
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"features must be (clip, dimension), not of shape {values.shape}")
    if len(values) < 2:
        raise ValueError("a Fréchet distance needs at least 2 clips on both sides")
    if not np.all(np.isfinite(values)):
        raise ValueError("features must be free of NaN and infinite values")
    return values


def _factor(features: Floats) -> Floats:
    """A with A'A the covariance, with no more rows than dimensions where there are many clips."""
    centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    rows, dimensions = centred.shape
    if rows <= 2 * dimensions:
        return centred
    covariance = centred.T @ centred
    with suppress(np.linalg.LinAlgError):  # much faster than eigenvalues
        return np.linalg.cholesky(covariance).T
    # singular, as with a dimension that is constant: roots of eigenvalues
    values, vectors = np.linalg.eigh(covariance)
    return np.sqrt(np.maximum(values, 0))[:, None] * vectors.T


def _statistics(mean: ArrayLike, covariance: ArrayLike) -> tuple[Floats, Floats]:
    centre, spread = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if centre.ndim != 1 or spread.shape != (len(centre), len(centre)):
        raise ValueError(
            f"a mean must be (dimension,) and a covariance (dimension, dimension), "
            f"not {centre.shape} and {spread.shape}"
        )
    if not (np.all(np.isfinite(centre)) and np.allclose(spread, spread.T, rtol=1e-6, atol=1e-9)):
        raise ValueError("a mean must be finite and a covariance symmetric")
    return centre, (spread + spread.T) / 2
