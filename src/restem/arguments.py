"""Words of the command line in, checked values out; for argparse."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import Any

MOST_SEED = 2**32 - 1  # of a training run, whose steps are counted on from it


def sentence_of(text: str) -> str:
    """An instruction in valid text, without spaces around it."""
    words = text.strip()
    try:
        words.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("write the instruction in valid text (UTF-8)") from None
    if not words:
        raise argparse.ArgumentTypeError('say what to play, for example "Add jazzy drums"')
    return words


def within(kind: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    """A parser of numbers from `low` to `high`."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            whole = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {whole} from {low:g} to {high:g}")
        return value

    return parse


def region_of(text: str) -> tuple[float, float]:
    """Start and end in seconds of "0:30-1:00", "30-60" or "1:02:03.5-1:03:00"."""
    ends = [seconds_of(part) for part in text.split("-")]
    if len(ends) != 2 or None in ends:
        raise argparse.ArgumentTypeError(f"{text!r} is no region such as 0:30-1:00 or 30-60")
    start, end = (float(edge or 0) for edge in ends)
    if end <= start:
        raise argparse.ArgumentTypeError(f"{text!r} must end after it begins")
    return start, end


def bars_of(text: str) -> tuple[int, int]:
    """First and last of "9-16", counted from 1; "9" is that bar alone."""
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text.strip(), re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 9-16")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last:
        raise argparse.ArgumentTypeError(
            f"{text!r}: bars are counted from 1, and the last is not before the first"
        )
    return first, last


def seconds_of(text: str) -> float | None:
    """Seconds of "90", "1:30" or "0:01:30"; None for anything else."""
    if not re.fullmatch(r"\d{1,9}(:\d{1,2}){0,2}(\.\d{1,9})?", text.strip(), re.ASCII):
        return None
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds
