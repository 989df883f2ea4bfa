"""Where windows lie on an array that is longer than one of them."""

from __future__ import annotations


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """Starts of windows that cover `length` tokens; the last one is moved back to end with it."""
    if length <= window:
        return [0]
    starts = list(range(0, length - window, hop))
    return [*starts, length - window]
