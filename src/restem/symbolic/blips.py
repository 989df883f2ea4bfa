"""Notes too short to be meant in; the same notes long enough to be heard out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

BLIP_S, ENOUGH_S = 0.09, 0.15


def without_blips(rows: np.ndarray, times: np.ndarray, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Notes (note, 3) in steps and from and to when they sound (note, 2), none shorter than BLIP_S
    where the next stroke or the `end` does not come before.

    A blip lasts to the next stroke, but ENOUGH_S at most. Where that comes one step later, at the
    least distance of the grid, both are one stroke.
    """
    rows, times = rows.copy(), times.copy()
    begin = dict(zip(rows[:, 0].tolist(), times[:, 0].tolist(), strict=True))
    short = set(rows[times[:, 1] - times[:, 0] < BLIP_S, 0].tolist())
    for step, following in pairwise(sorted(begin)):
        if following == step + 1 and step in short:
            late = rows[:, 0] == following
            rows[late, 0], times[late, 0] = step, begin[step]
            short.discard(following)
    rows, times = without_doubles(rows, times)
    moments, which = np.unique(rows[:, 0], return_inverse=True)
    starts = np.array([begin[step] for step in moments.tolist()])
    latest = np.minimum(np.append(starts, end)[1:], end)[which]
    blips = times[:, 1] - times[:, 0] < BLIP_S
    longer = np.maximum(times[:, 1], np.minimum(latest, times[:, 0] + ENOUGH_S))
    times[blips, 1] = longer[blips]
    return rows, times


def without_doubles(rows: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same notes in order of start and pitch; of two that are one, the longer one."""
    order = np.lexsort((-times[:, 1], rows[:, 2], rows[:, 0]))
    rows, times = rows[order], times[order]
    again = (np.diff(rows[:, 0]) == 0) & (np.diff(rows[:, 2]) == 0)
    kept = np.append(True, ~again)[: len(rows)]
    return rows[kept], times[kept]
