"""Diffusion of binary cells: noise that replaces cells by coin tosses, and the way back.

Works on NumPy arrays and torch tensors alike, knows no music and no files. Each cell is kept with
probability a_t and otherwise tossed anew with the prior density rho (Austin et al. 2021, arXiv
2107.03006; for piano rolls Atassi 2023, arXiv 2303.08385):

    q(x_t | x_{t-1}) = Bern((1 - beta_t) x_{t-1} + rho beta_t)
    q(x_t | x_0)     = Bern(a_t x_0 + rho (1 - a_t)),   a_t = prod_{i<=t} (1 - beta_i)

The network predicts p = P(x_0 = 1 | x_t) for each cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Array = Any  # NumPy array or torch tensor: the arithmetic is the same
# (x_t, t) -> probability that x_0 is 1
Predictor = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class BinaryNoise:
    """How cells are noised in training, and how their posterior is taken in sampling.

    `schedule`: "survival" (a_t = 1 - t / T, that is beta_t = 1 / (T - t + 1)) or "linear" (beta
    rises from 0.1 / T to 20 / T, at most 0.999). `density`: the prior's rho. `posterior`: "mixed"
    or "plug-in", see these functions. `loss`: "bce" (whose minimum is the true p) or "l1".
    """

    steps: int = 256
    schedule: str = "survival"
    density: float = 0.02
    posterior: str = "mixed"
    loss: str = "bce"

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.density < 1:
            raise ValueError("steps must be at least 1 and the density between 0 and 1")
        if self.schedule not in ("survival", "linear") or self.posterior not in (
            "mixed",
            "plug-in",
        ):
            raise ValueError(f"unknown schedule {self.schedule} or posterior {self.posterior}")

    def survival(self) -> np.ndarray:
        """a_t for t = 0 ... T, float64: the chance that a cell has not been tossed anew."""
        if self.schedule == "survival":
            return 1 - np.arange(self.steps + 1) / self.steps
        beta = np.linspace(0.1, 20.0, self.steps) / self.steps
        return np.concatenate([[1.0], np.cumprod(1 - np.minimum(beta, 0.999))])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# The cited work: T = 100, linear, L1 loss, fair coins as the prior.
PAPER = BinaryNoise(steps=100, schedule="linear", density=0.5, posterior="plug-in", loss="l1")


def noised_probability(clean: Array, survival: Array, density: Array) -> Array:
    """P(x_t = 1 | x_0), where `survival` is a_t; all arguments broadcast."""
    return survival * clean + density * (1 - survival)


def noised(clean: Array, survival: Array, density: Array, uniform: Array) -> Array:
    """x_t, boolean, drawn with the given uniform numbers from [0, 1)."""
    return uniform < noised_probability(clean, survival, density)


def plug_in(noisy: Array, p: Array, a_t: Array, a_s: Array, density: Array) -> Array:
    """P(x_s = 1 | x_t, x_0 = p) for s < t, the predicted probability put in the place of x_0.

    Bayes' rule with one step of the chain from s to t, whose survival is a_t / a_s, and the prior
    P(x_s = 1 | x_0). Exact for p = 0 and p = 1; in between it is not P(x_s = 1 | x_t).
    """
    kept = a_t / a_s
    prior = noised_probability(p, a_s, density)
    if_one = kept + density * (1 - kept)  # P(x_t = 1 | x_s = 1)
    if_zero = density * (1 - kept)
    one = (noisy * if_one + (1 - noisy) * (1 - if_one)) * prior
    zero = (noisy * if_zero + (1 - noisy) * (1 - if_zero)) * (1 - prior)
    return one / (one + zero)


def mixed(noisy: Array, p: Array, a_t: Array, a_s: Array, density: Array) -> Array:
    """P(x_s = 1 | x_t) for s < t: the posteriors of x_0 = 1 and x_0 = 0 mixed by p. The default.

    With the true p this is the true marginal of each cell, so a perfect network walks back exactly
    as the data were noised (for single cells; cells that depend on each other need small steps).
    """
    return p * plug_in(noisy, 1.0, a_t, a_s, density) + (1 - p) * plug_in(
        noisy, 0.0, a_t, a_s, density
    )


def walk(steps: int, total: int) -> np.ndarray:
    """Times from `total` down to 0 in `steps` near-equal strides."""
    if not 1 <= steps <= total:
        raise ValueError(f"steps must lie between 1 and {total}")
    return np.rint(np.linspace(total, 0, steps + 1)).astype(np.int64)


def sample(
    predict: Predictor,
    shape: tuple[int, ...],
    noise: BinaryNoise,
    steps: int,
    rng: np.random.Generator,
    known: np.ndarray | None = None,
    known_values: np.ndarray | None = None,
    decide: bool = True,
    density: np.ndarray | float | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Walk from noise to data, yielding (steps done, x) with x boolean of `shape`.

    Cells where `known` is true are held at `known_values` throughout. At the end each cell takes
    its likelier value; with `decide` false it is drawn by its probability. `density` overrules
    the prior's density, also by cell.
    """
    survival = noise.survival()
    rho = noise.density if density is None else density
    posterior = mixed if noise.posterior == "mixed" else plug_in
    times = walk(steps, noise.steps)

    def held(x: np.ndarray) -> np.ndarray:
        return x if known is None or known_values is None else np.where(known, known_values, x)

    x = held(rng.random(shape) < rho)
    for done, (t, s) in enumerate(pairwise(times), 1):
        p = predict(x, int(t))
        # At s = 0 the posterior is p itself, but its formula is 0 / 0 where p leaves no doubt.
        chance = p if s == 0 else posterior(x, p, survival[t], survival[s], rho)
        uniform = rng.random(shape)
        x = held(np.asarray(chance > 0.5 if s == 0 and decide else uniform < chance))
        yield done, x
