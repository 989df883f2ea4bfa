"""What a score file holds, whatever its format: tracks of notes, tempi, metres and bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restem.errors import UserError
from restem.symbolic.rolls import steps_from_ticks

LONGEST_SECONDS, MOST_QUARTERS, MOST_TRACKS = 3600.0, 20_000, 1000
NO_NOTES = np.zeros((0, 4), dtype=np.int64)


@dataclass(frozen=True)
class Track:
    """The notes that one track of a file plays on one channel.

    `number` counts the file's tracks from 1, `channel` runs from 0 to 15 (9: drums in General
    MIDI); `program` is None if the file chooses none; `bank_drums` tells that a bank of drum kits
    was chosen. `notes` (note, 4), integers, in order of time: start and end tick, pitch, velocity.
    """

    number: int
    channel: int
    name: str
    program: int | None
    notes: np.ndarray
    bank_drums: bool = False


@dataclass(frozen=True)
class Song:
    """A song as notes, and the bytes of the MIDI file that holds them.

    `tempos` (change, 2): tick, microseconds a quarter. `metres` (change, 3): tick, numerator,
    denominator. Both begin at tick 0. `channels`: all that any event of the file uses.
    """

    name: str
    ticks_per_quarter: int
    tracks: tuple[Track, ...]
    tempos: np.ndarray
    metres: np.ndarray
    channels: frozenset[int]
    data: bytes
    notices: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """Tick at which the last note ends."""
        return max(
            (int(track.notes[:, 1].max()) for track in self.tracks if len(track.notes)), default=0
        )

    def seconds(self, ticks: np.ndarray | float) -> np.ndarray:
        """Times of ticks in seconds, by the tempo map."""
        starts, tempos = self.tempos[:, 0], self.tempos[:, 1].astype(np.float64)
        each = tempos / 1e6 / self.ticks_per_quarter
        passed = np.concatenate([[0.0], np.cumsum(np.diff(starts) * each[:-1])])
        where = np.maximum(np.searchsorted(starts, ticks, side="right") - 1, 0)
        return np.asarray(passed[where] + (ticks - starts[where]) * each[where])

    def bars(self) -> np.ndarray:
        """Bars (bar, 4) up to the last note: start tick, length in ticks, numerator, denominator.

        A metre that changes within a bar cuts that bar short. What is shorter than a step of the
        grid, because a metre comes some ticks late, is no bar: all bars have one number everywhere.
        """
        bars, end = [], max(self.end, 1)
        ends = np.append(self.metres[1:, 0], end)
        for (start, numerator, denominator), stop in zip(self.metres, ends, strict=True):
            length = max(1, round(self.ticks_per_quarter * 4 * int(numerator) / int(denominator)))
            for first in range(int(start), int(min(stop, end)), length):
                bars.append(
                    (
                        first,
                        min(length, int(stop) - first) if stop < end else length,
                        int(numerator),
                        int(denominator),
                    )
                )
        table = np.array(bars, dtype=np.int64).reshape(-1, 4)
        starts = steps_from_ticks(table[:, 0], self.ticks_per_quarter)
        ends = steps_from_ticks(table[:, :2].sum(axis=1), self.ticks_per_quarter)
        return table[ends > starts] if (ends > starts).any() else table[:1]


def checked(song: Song) -> Song:
    """The song itself; UserError if it has no notes or is too long for a piano roll."""
    if not any(len(track.notes) for track in song.tracks):
        raise UserError(f"{song.name} holds no notes; give a song with at least one part.")
    hours = float(song.seconds(song.end)) / 3600
    quarters = song.end / song.ticks_per_quarter
    if hours * 3600 > LONGEST_SECONDS or quarters > MOST_QUARTERS:
        raise UserError(
            f"{song.name} lasts {hours:.1f} hours or {quarters:.0f} quarter notes; cut "
            f"it into songs of at most an hour and {MOST_QUARTERS} quarter notes."
        )
    return song


def by_tick(changes: list[tuple[int, ...]], first: tuple[int, ...]) -> np.ndarray:
    """Changes sorted by tick, the last one of each tick only, with `first` at tick 0 if none is."""
    latest = {0: first} | {change[0]: change for change in sorted(changes, key=lambda c: c[0])}
    return np.array([latest[tick] for tick in sorted(latest)], dtype=np.int64)
