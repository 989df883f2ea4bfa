"""Overlapping windows over one long array: cut, weigh, and average predictions back together."""

from __future__ import annotations

import numpy as np


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """Starts of windows that cover `length` tokens; the last one is moved back to end with it."""
    if length <= window:
        return [0]
    starts = list(range(0, length - window, hop))
    return [*starts, length - window]


def cut(array: np.ndarray, starts: list[int], window: int) -> np.ndarray:
    """Windows (window, token, ...) of an array (token, ...) at least `window` long."""
    return np.stack([array[start : start + window] for start in starts])


def join(windows: np.ndarray, starts: list[int], length: int) -> np.ndarray:
    """Average overlapping windows (MultiDiffusion, Bar-Tal et al. 2023, arXiv 2302.08113, eq. 5).

    A triangular weight lets each window fade out towards its edges, where it knows least.
    """
    window = windows.shape[1]
    ramp = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float32)
    weight = ramp.reshape(window, *([1] * (windows.ndim - 2)))
    total = np.zeros((length, *windows.shape[2:]), dtype=np.float32)
    norm = np.zeros((length, *([1] * (windows.ndim - 2))), dtype=np.float32)
    for piece, start in zip(windows, starts, strict=True):
        total[start : start + window] += weight * piece
        norm[start : start + window] += weight
    return total / norm
