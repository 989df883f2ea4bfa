"""How far the work is, in; a line for the user on a text stream, out."""

from __future__ import annotations

import math
import shutil
from time import monotonic
from typing import TextIO


class Progress:
    """Shows a fraction and a word: one renewed line on a terminal, elsewhere a line a quarter
    and, in long work, one a minute."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._start = self._shown = monotonic()
        self._quarter = -1

    def __call__(self, fraction: float, text: str) -> None:
        now = monotonic()
        if self._terminal and (now - self._shown >= 0.1 or self._quarter < 0 or fraction >= 1):
            self._shown, self._quarter = now, 0
            width = shutil.get_terminal_size().columns - 1
            line = f"{fraction:4.0%}  {text}{self._left(fraction, now)}"[:width]
            self._stream.write(f"\r{line:<{width}}")
            self._stream.flush()
        elif not self._terminal and (int(fraction * 4) > self._quarter or now - self._shown >= 60):
            self._shown, self._quarter = now, int(fraction * 4)
            print(f"restem: {fraction:4.0%}  {text}", file=self._stream, flush=True)

    def close(self) -> None:
        """Leave an empty line behind."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r{'':<{width}}\r")
            self._stream.flush()

    def _left(self, fraction: float, now: float) -> str:
        elapsed = now - self._start
        if elapsed < 2 or not 0.02 < fraction < 1:
            return ""
        return f", {math.ceil(elapsed * (1 - fraction) / fraction)} s left"
