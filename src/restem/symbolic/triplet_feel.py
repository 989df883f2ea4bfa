"""A bar's written beats in, the times at which they are played with Guitar Pro's triplet feel out.

Triplet feel swings pairs: two eighths that fill a beat (or two sixteenths that fill an eighth) are
played as the long and the short part of a triplet. A rest counts as its length does. All else stays
where it is written: dotted notes, tuplets, and an eighth beside other values.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

VALUES = {"eighth": 8, "sixteenth": 16}  # of the notes that are paired, by pyguitarpro's name


def swung(
    written: Sequence[tuple[Fraction, Fraction]], durations: Sequence[Any], feel: str
) -> list[tuple[Fraction, Fraction]]:
    """Start and end of each beat of a voice as played; starts count from the bar line.

    `durations` are pyguitarpro's of the same beats, `feel` the name of its TripletFeel.
    """
    played = list(written)
    if feel not in VALUES:
        return played
    for first in range(len(written) - 1):
        start, end = written[first][0], written[first + 1][1]
        pair = all(_plain(d, VALUES[feel]) for d in durations[first : first + 2])
        if pair and start % (end - start) == 0:
            later = start + (end - start) * Fraction(2, 3)
            played[first], played[first + 1] = (start, later), (later, end)
    return played


def _plain(duration: Any, value: int) -> bool:
    """Whether a duration is that value, neither dotted nor of a tuplet."""
    tuplet = duration.tuplet
    return duration.value == value and not duration.isDotted and tuplet.enters == tuplet.times
