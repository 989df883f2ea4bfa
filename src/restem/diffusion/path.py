"""The straight path between data and noise: noising, guidance and Euler sampling on plain arrays.

Works on NumPy arrays and torch tensors alike; it knows no audio and no files. The path is
x_t = (1 - t) x + t e, t in [0, 1] (rectified flow, Liu et al. 2022, arXiv 2209.03003), and the
network predicts the clean x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

# Array or tensor: the arithmetic below is the same for both.
Array = Any
Logits = Sequence[float]  # of the second and of the last but one time, falling
Denoiser = Callable[[Array, float], Array]  # (x_t, t) -> prediction of the clean x


def noised(clean: Array, noise: Array, t: Array) -> Array:
    """x_t on the straight path; `t` broadcasts against `clean`."""
    return (1 - t) * clean + t * noise


def guided(with_text: Array, without_text: Array, scale: Array) -> Array:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598, eq. 6)."""
    return without_text + scale * (with_text - without_text)


def times(steps: int, logits: Logits | None = None) -> np.ndarray:
    """`steps` + 1 falling times, the first 1 and the last 0.

    Evenly spaced, or, if `logits` (high, low) are given, with log(t / (1 - t)) evenly spaced from
    high to low between the first and the last: so does the noise fade by equal decibels.
    """
    if steps < 1:
        raise ValueError("steps must be at least 1")
    if logits is None:
        return np.linspace(1.0, 0.0, steps + 1)
    high, low = logits
    between = 1 / (1 + np.exp(-np.linspace(high, low, steps - 1)))
    return np.concatenate([[1.0], between, [0.0]])


def sample(
    denoise: Denoiser, noise: Array, steps: int, logits: Logits | None = None, first: int = 0
) -> Iterator[tuple[int, Array]]:
    """Walk from noise to data in Euler steps, yielding (steps done, prediction of the clean x).

    One Euler step of dx/dt = (x_t - x) / t from t to s is x_s = x + (s / t) (x_t - x), so the
    last step lands on the prediction itself. With `first`, `noise` stands at that time of
    `times` already, and the steps before it are left out.
    """
    x = noise
    for done, (t, s) in enumerate(pairwise(times(steps, logits)[first:].tolist()), start=1):
        clean = denoise(x, t)
        x = clean + (s / t) * (x - clean)
        yield done, clean
