"""The straight path between data and noise: noising, guidance and Euler sampling on plain arrays.

Works on NumPy arrays and torch tensors alike; it knows no audio and no files. The path is
x_t = (1 - t) x + t e, t in [0, 1] (rectified flow, Liu et al. 2022, arXiv 2209.03003), and the
network predicts the clean x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

# Array or tensor: the arithmetic below is the same for both.
Array = Any
Denoiser = Callable[[Array, float], Array]  # (x_t, t) -> prediction of the clean x


def noised(clean: Array, noise: Array, t: Array) -> Array:
    """x_t on the straight path; `t` broadcasts against `clean`."""
    return (1 - t) * clean + t * noise


def guided(with_text: Array, without_text: Array, scale: float) -> Array:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598, eq. 6)."""
    return without_text + scale * (with_text - without_text)


def times(steps: int, shift: float = 1.0) -> np.ndarray:
    """`steps` + 1 times from 1 to 0; `shift` > 1 spends more of them near the noise."""
    if steps < 1:
        raise ValueError("steps must be at least 1")
    t = np.linspace(1.0, 0.0, steps + 1)
    return shift * t / (1 + (shift - 1) * t)


def sample(
    denoise: Denoiser, noise: Array, steps: int, shift: float = 1.0, first: int = 0
) -> Iterator[tuple[int, Array]]:
    """Walk from noise to data in Euler steps, yielding (steps done, prediction of the clean x).

    With `first` above 0 that many steps are left out and `noise` is x at time number `first`.

    One Euler step of dx/dt = (x_t - x) / t from t to s is x_s = x + (s / t) (x_t - x), so the
    last step lands on the prediction itself.
    """
    grid = times(steps, shift)
    x = noise
    for i in range(first, steps):
        t, s = float(grid[i]), float(grid[i + 1])
        clean = denoise(x, t)
        x = clean + (s / t) * (x - clean)
        yield i + 1 - first, clean
