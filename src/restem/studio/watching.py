"""Somewhere to send messages in; functions that tell how far a take is and how it looks, out."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np

from restem.insertion import Preview, Progress
from restem.studio.views import preview

SHARE = 0.9  # of a take's time that is spent in the inserter; the rest goes into its files
LEAST_SECONDS = 0.15  # between pictures
FRAMES_PER_SECOND = 100


def watchers(send: Callable[[dict[str, Any]], None]) -> tuple[Progress, Preview]:
    """What to give `Inserter.insert` as progress and as preview; both `send` messages.

    The `window` of a preview is the part of the song that it shows, in seconds.
    """
    last_shown = -LEAST_SECONDS

    def progress(fraction: float, words: str) -> None:
        send({"progress": [SHARE * fraction, words]})

    def show(start: float, rows: np.ndarray) -> None:
        nonlocal last_shown
        if monotonic() - last_shown < LEAST_SECONDS:
            return
        last_shown = monotonic()
        window = [start, start + len(rows) / FRAMES_PER_SECOND]
        send({"preview": {"png": preview(rows), "window": window}})

    return progress, show
