"""A stretch of a song, in seconds, in; what to work on for it, and a stem cut to it, out."""

from __future__ import annotations

import math

import numpy as np

from restem.errors import UserError
from restem.tokens import TokenConfig

Region = tuple[float, float]  # start and end in seconds

SHORTEST_SECONDS = 0.1
FADE_SECONDS = 0.01  # inside each end, so that there is no click
BEFORE_SECONDS = 4.0  # what is played before the region, so that the part is under way in it
EARLY_SECONDS = 0.03  # that a stroke may begin before the song does
AHEAD_SECONDS, OUT_SECONDS = 0.2, 1.2  # after a song's end, between which a stem fades
AFTER_SECONDS = 1.28  # and after it: the model listens ahead


def checked_region(region: Region, seconds: float) -> Region:
    """The region, ending with the song of `seconds` at the latest.

    Raises UserError if it is shorter than 0.1 s or begins after the song's end.
    """
    try:
        start, end = (float(edge) for edge in region)
    except (TypeError, ValueError):
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end) and start >= 0):
        raise UserError("A region is a start and an end in seconds, both 0 or more.")
    if start >= seconds:
        raise UserError(
            f"The region begins at {start:g} s, but the song ends at {seconds:.2f} s; "
            "choose one inside the song."
        )
    end = min(end, seconds)
    if end - start < SHORTEST_SECONDS:
        raise UserError(
            f"The region from {start:g} to {end:g} s is too short; it must end at least "
            f"{SHORTEST_SECONDS:g} s after it begins."
        )
    return start, end


def frames_around(region: Region, frames: int, config: TokenConfig) -> slice:
    """The frames, of `frames`, to work on for a region; they begin with a whole token."""
    rate, size = config.spectrogram.frame_rate, config.frames_per_token
    first = math.floor(max(region[0] - BEFORE_SECONDS, 0.0) * rate / size) * size
    return slice(first, min(math.ceil((region[1] + AFTER_SECONDS) * rate) + 1, frames))


def only_while(stem: np.ndarray, sounding: np.ndarray, sample_rate: int) -> None:
    """Silence a stem (sample,) before a song begins, and let it fade once the song has ended.

    `sounding` (frame,) says where the song can be heard; in between it rests as it likes.
    """
    heard = np.flatnonzero(sounding) * (len(stem) / len(sounding) / sample_rate)
    first = max(round((heard[0] - EARLY_SECONDS) * sample_rate), 0)
    before = max(first - round(FADE_SECONDS * sample_rate), 0)
    stem[:before] = 0.0
    rise = stem[before:first]
    rise *= np.linspace(0, 1, len(rise), dtype=np.float32)
    fading, end = (round((heard[-1] + s) * sample_rate) for s in (AHEAD_SECONDS, OUT_SECONDS))
    fall = stem[fading:end]
    fall *= np.linspace(1, 0, end - fading, dtype=np.float32)[: len(fall)]
    stem[end:] = 0.0


def only_inside(stem: np.ndarray, region: Region, sample_rate: int) -> None:
    """Silence a stem (sample, channel) outside the region; inside it fades within 10 ms."""
    first, end = (min(round(edge * sample_rate), len(stem)) for edge in region)
    length = min(round(FADE_SECONDS * sample_rate), (end - first) // 2)
    ramp = ((np.arange(length) + 0.5) / max(length, 1))[:, None]
    stem[:first], stem[end:] = 0.0, 0.0
    stem[first : first + length] *= ramp
    stem[end - length : end] *= ramp[::-1]
