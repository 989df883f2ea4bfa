"""Beats and their places in the bar, as one grid: times in, phases of beat and bar out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from restem.errors import UserError

# Past its ends the grid goes on with the mean of this many neighbouring intervals.
LOCAL_INTERVALS = 4
LOWEST_BPM, HIGHEST_BPM = 20.0, 400.0

MOST_IN_A_BAR = 16


@dataclass(frozen=True, eq=False)
class BeatGrid:
    """Every beat of a song with its number in the bar.

    `times`: (beat,) float64 seconds, strictly increasing, at least two.
    `positions`: (beat,) integers, 1 = downbeat, each one more than the last or 1 again.
    `beats_per_bar`: the usual length of a bar; 2 for 6/8, counted in dotted quarters. Single bars
    may differ from it.
    `confidence`: 0..1; 1.0 where a person gave the beats.
    Raises ValueError where the arrays break these rules.
    """

    times: NDArray[np.floating]
    positions: NDArray[np.integer]
    beats_per_bar: int
    confidence: float = field(default=1.0)

    def __post_init__(self) -> None:
        times = np.array(self.times, dtype=np.float64)
        positions = np.array(self.positions, dtype=np.int64)
        if times.ndim != 1 or times.shape != positions.shape or len(times) < 2:
            raise ValueError("a beat grid needs two or more times, each with one position")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise ValueError("beat times must be finite and strictly increasing")
        if (positions < 1).any() or ((np.diff(positions) != 1) & (positions[1:] != 1)).any():
            raise ValueError("positions must count 1, 2, 3, ... and begin again at 1")
        if self.beats_per_bar < 1:
            raise ValueError("a bar has at least one beat")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError("confidence lies between 0 and 1")
        times.flags.writeable = positions.flags.writeable = False
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "positions", positions)

    @classmethod
    def from_bpm(
        cls, bpm: float, first_downbeat: float, duration: float, beats_per_bar: int = 4
    ) -> BeatGrid:
        """A steady grid over 0..`duration` seconds whose downbeats pass through `first_downbeat`.

        Raises UserError for a tempo outside 20 to 400 BPM and for times that are not finite.
        """
        if not LOWEST_BPM <= bpm <= HIGHEST_BPM:
            raise UserError(
                f"The tempo must lie between {LOWEST_BPM:g} and {HIGHEST_BPM:g} BPM, not {bpm:g}."
            )
        if not (math.isfinite(first_downbeat) and math.isfinite(duration)):
            raise UserError("Give the first downbeat and the duration in seconds.")
        if not 1 <= beats_per_bar <= MOST_IN_A_BAR:
            raise UserError(f"A bar has 1 to {MOST_IN_A_BAR} beats, not {beats_per_bar}.")
        period = 60.0 / bpm
        first = math.ceil(-first_downbeat / period - 1e-9)
        last = max(first + 1, math.floor((duration - first_downbeat) / period + 1e-9))
        index = np.arange(first, last + 1)
        return cls(first_downbeat + index * period, index % beats_per_bar + 1, beats_per_bar)

    @property
    def bpm(self) -> float:
        """Beats per minute, from the median interval."""
        return 60.0 / float(np.median(np.diff(self.times)))

    @property
    def downbeats(self) -> NDArray[np.float64]:
        """Times of the downbeats, (bar,) seconds."""
        return self.times[self.positions == 1]

    def summary(self) -> dict[str, float | int | None]:
        """Tempo, metre, first downbeat and confidence, JSON-ready."""
        downbeats = self.downbeats
        return {
            "bpm": round(self.bpm, 3),
            "beats_per_bar": self.beats_per_bar,
            "first_downbeat_s": round(float(downbeats[0]), 4) if len(downbeats) else None,
            "confidence": round(self.confidence, 3),
        }

    def extended(self, start: float, end: float) -> BeatGrid:
        """The same grid carried on, by the local period, until it covers `start`..`end` seconds."""
        first, last = _end_periods(self.times)
        before = max(0, math.ceil((self.times[0] - start) / first))
        after = max(0, math.ceil((end - self.times[-1]) / last))
        times = np.concatenate(
            [
                self.times[0] - first * np.arange(before, 0, -1),
                self.times,
                self.times[-1] + last * np.arange(1, after + 1),
            ]
        )
        bar = self.beats_per_bar
        head = (self.positions[0] - 1 - np.arange(before, 0, -1)) % bar + 1
        tail = np.arange(self.positions[-1], self.positions[-1] + after)
        # A last bar that is longer than usual ends here: the count begins again at 1.
        tail = tail % bar + 1 if self.positions[-1] <= bar else np.arange(after) % bar + 1
        # The bar before the first beat is filled up to the beat that is there.
        if self.positions[0] > bar:
            full = np.arange(self.positions[0] - 1, 0, -1)[:before][::-1]
            head = np.concatenate([np.arange(len(full) - before, 0) % bar + 1, full])
        return replace(self, times=times, positions=np.concatenate([head, self.positions, tail]))

    def phases(self, t_seconds: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(beat phase, bar phase) at the given times, each in [0, 1), 0 on the beat or downbeat.

        Linear between beats; before the first and after the last beat the local period goes on.
        `t_seconds` may have any shape; both answers have it too.
        """
        t = np.asarray(t_seconds, dtype=np.float64)
        if t.size == 0:
            return np.zeros(t.shape), np.zeros(t.shape)
        period = max(_end_periods(self.times))
        grid = self.extended(float(t.min()) - period, float(t.max()) + period)
        beat = np.clip(np.searchsorted(grid.times, t, side="right") - 1, 0, len(grid.times) - 2)
        beat_phase = (t - grid.times[beat]) / (grid.times[beat + 1] - grid.times[beat])
        beat_phase = np.clip(beat_phase, 0.0, np.nextafter(1.0, 0.0))
        bar_phase = (grid.positions[beat] - 1 + beat_phase) / grid._bar_lengths()[beat]
        return beat_phase, np.clip(bar_phase, 0.0, np.nextafter(1.0, 0.0))

    def halved(self) -> BeatGrid:
        """Half the tempo: every second beat, counted from the first downbeat, in the same metre."""
        index = np.arange(len(self.times)) - self._first_downbeat()
        kept = index % 2 == 0
        if kept.sum() < 2:
            raise UserError("Too few beats to halve the tempo.")
        positions = index[kept] // 2 % self.beats_per_bar + 1
        return replace(self, times=self.times[kept], positions=positions)

    def doubled(self) -> BeatGrid:
        """Twice the tempo: a beat is added half-way between neighbours, in the same metre."""
        times = np.empty(2 * len(self.times) - 1)
        times[::2] = self.times
        times[1::2] = (self.times[:-1] + self.times[1:]) / 2
        positions = (np.arange(len(times)) - 2 * self._first_downbeat()) % self.beats_per_bar + 1
        return replace(self, times=times, positions=positions)

    def shifted(self, beats: float) -> BeatGrid:
        """The downbeats `beats` later (earlier if negative).

        Whole beats move the count and leave the times; a fraction such as 0.5 moves the times too.
        """
        whole = math.floor(beats)
        fraction = beats - whole
        times = np.append(self.times, self.times[-1] + _end_periods(self.times)[1])
        times = times[:-1] + fraction * np.diff(times)
        first, last = self.times[0], self.times[-1]
        reach = (abs(whole) + 1) * max(_end_periods(self.times))
        longer = self.extended(first - reach, last + reach)
        start = int(np.searchsorted(longer.times, first)) - whole
        positions = longer.positions[start : start + len(self.times)]
        return replace(self, times=times, positions=positions)

    def _first_downbeat(self) -> int:
        """Index of the first downbeat; before the first beat (negative) if there is none."""
        downbeats = np.flatnonzero(self.positions == 1)
        return int(downbeats[0]) if len(downbeats) else 1 - int(self.positions[0])

    def _bar_lengths(self) -> NDArray[np.int64]:
        """(beat,) number of beats in the bar to which each beat belongs."""
        bar = np.cumsum(self.positions == 1)
        lengths = np.zeros(bar[-1] + 1, dtype=np.int64)
        np.maximum.at(lengths, bar, self.positions)
        lengths[-1] = max(lengths[-1], self.beats_per_bar)  # it may go on past the last beat
        return lengths[bar]


def read_beats(path: str | Path, beats_per_bar: int = 4) -> BeatGrid:
    """Reads a text file of beats: a time in seconds a line, then, if known, its number in the bar.

    Columns are parted by spaces, tabs or commas, as Sonic Visualiser, madmom and beat_this write
    them; empty lines and lines that begin with # are skipped. Without numbers the first beat is
    taken as a downbeat and bars have `beats_per_bar` beats.
    Raises UserError with the line at fault.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file of beat times.") from None
    except OSError as error:
        raise UserError(f"Cannot read beats from {path}: {error.strerror}.") from None
    times: list[float] = []
    positions: list[int | None] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        time, position = _parse_line(line, f"{path}, line {number}")
        if times and time <= times[-1]:
            raise UserError(f"{path}, line {number}: beat times must rise from line to line.")
        if positions and (position is None) != (positions[-1] is None):
            raise UserError(f"{path}, line {number}: give every beat a number in the bar, or none.")
        if position and positions and positions[-1] and position not in (1, positions[-1] + 1):
            raise UserError(
                f"{path}, line {number}: beat {position} follows beat {positions[-1]}, but "
                f"{positions[-1] + 1} or 1 must; add or renumber beats."
            )
        if position and position > MOST_IN_A_BAR:
            raise UserError(
                f"{path}, line {number}: a bar of {position} beats; the numbers must begin again "
                f"at 1 in each bar of at most {MOST_IN_A_BAR}."
            )
        times.append(time)
        positions.append(position)
    if len(times) < 2:
        raise UserError(f"{path} holds fewer than two beats; write one time in seconds a line.")
    if positions[0] is None:
        numbers, usual = np.arange(len(times)) % beats_per_bar + 1, beats_per_bar
    else:
        numbers = np.array(positions, dtype=np.int64)
        usual = _usual_bar(numbers)
    grid = BeatGrid(np.array(times), numbers, usual)
    if not LOWEST_BPM <= grid.bpm <= HIGHEST_BPM:
        raise UserError(
            f"{path} tells a tempo of {grid.bpm:.4g} BPM, which must lie between {LOWEST_BPM:g} "
            f"and {HIGHEST_BPM:g}; write the times in seconds, one beat a line."
        )
    return grid


def _parse_line(line: str, where: str) -> tuple[float, int | None]:
    fields = line.replace(",", " ").replace(";", " ").split()
    try:
        time = float(fields[0])
    except (ValueError, IndexError):
        time = math.nan
    if not math.isfinite(time):
        raise UserError(f"{where}: expected a time in seconds, found {line.strip()[:40]!r}.")
    if len(fields) < 2:
        return time, None
    try:
        position = float(fields[1].strip("\"'"))
    except ValueError:
        position = math.nan
    if not (math.isfinite(position) and position >= 1 and position.is_integer()):
        raise UserError(f"{where}: {fields[1][:20]!r} is not a beat number such as 1, 2, 3 or 4.")
    return time, int(position)


def _usual_bar(positions: NDArray[np.int64]) -> int:
    """The most frequent length of the whole bars; the highest number where no bar is whole."""
    starts = np.flatnonzero(positions == 1)
    if len(starts) < 2:
        return int(positions.max())
    return Counter(np.diff(starts).tolist()).most_common(1)[0][0]


def _end_periods(times: NDArray[np.floating]) -> tuple[float, float]:
    """Mean interval in seconds at the first and at the last beats."""
    intervals = np.diff(times)
    return float(intervals[:LOCAL_INTERVALS].mean()), float(intervals[-LOCAL_INTERVALS:].mean())
