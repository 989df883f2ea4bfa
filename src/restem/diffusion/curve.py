"""Losses of a training run in; a small table of them out, `curve.csv` beside the checkpoint."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

COLUMNS = "step,loss,learning_rate,seconds"
EVERY = 50  # steps a row: 6,000 rows, 240 kB, of the paper's 300,000 steps


class Curve:
    """A row every `EVERY` steps, and one of what is left after the last step.

    Its loss is the mean since the row before, its seconds are those of all of the run so far
    without the pauses between being stopped and resumed. Where a row stands follows from the step
    alone, and the checkpoint keeps `pending`, so the rows of a resumed run are those of an
    uninterrupted one but for the seconds. A file that is damaged or cannot be written never stops a
    training: what is whole in it is kept, and rows wait in memory until they can be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pending = (0.0, 0)  # sum and number of the losses since the last row
        self._rows: list[str] = []
        self._whole = False  # whether the file holds just these rows
        self._begun = time.monotonic()

    def begin(self, step: int) -> None:
        """Go on at a step: rows after it, and those of what is left, are forgotten."""
        found = [(row, line) for line in self._lines() if (row := _read(line)) and row[0] <= step]
        self._rows = [line for row, line in found if row[0] % EVERY == 0]
        self._begun = time.monotonic() - (found[-1][0][1] if found else 0.0)
        self._whole = False

    def add(self, step: int, loss: float, rate: float, *, last: bool) -> None:
        """Count the loss of a step that is done, and write a row if one is due."""
        total, count = self.pending[0] + loss, self.pending[1] + 1
        due = step % EVERY == 0
        self.pending = (0.0, 0) if due else (total, count)
        if due or last:
            seconds = time.monotonic() - self._begun
            self._write(f"{step},{total / count:.6g},{rate:.6g},{seconds:.1f}\n")

    def _lines(self) -> list[str]:
        with suppress(OSError):
            return self.path.read_text(encoding="utf-8", errors="replace").splitlines(True)
        return []

    def _write(self, row: str) -> None:
        self._rows.append(row)
        whole, self._whole = self._whole, False
        with suppress(OSError):
            if whole:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(row)
            else:
                partial = self.path.with_suffix(".part.csv")
                partial.write_text("".join([f"{COLUMNS}\n", *self._rows]), encoding="utf-8")
                os.replace(partial, self.path)
            self._whole = True


def _read(line: str) -> tuple[int, float] | None:
    """Step and seconds of a line; None if it is not a whole row."""
    values = line.split(",")
    with suppress(ValueError):
        if line.endswith("\n") and len(values) == COLUMNS.count(",") + 1:
            numbers = [float(value) for value in values]
            return int(values[0]), numbers[3]
    return None
