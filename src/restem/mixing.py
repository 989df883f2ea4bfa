"""Song and stem as floats in; stem and mix as their files hold them out, with mix - stem = song.

In PCM both are integers on one grid and the difference is exact. In float it is exact wherever the
stem is zero, and everywhere if the song lies on a grid that leaves room for the sum (as songs do
that were PCM once); otherwise it is within one unit in the last place of the mix sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, minimum_filter1d

from restem.audio.room import blocks, room
from restem.audio.waveform import rms_db

# By so much at most the stem's loudest instants are turned down to keep the mix in full scale.
MOST_LOWERING_DB = 12.0
# Below full scale, where a stem that is turned down leaves the mix if that takes no more than so
# much: meters show a sample at full scale as clipped.
CEILING_DB = -0.1
_REACH = 128  # samples that turning down takes to come and to go, 3 ms at 44.1 kHz

_Ends = tuple[int, int]  # the lowest and the highest integer that are used
_PCM_BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_FLOAT_TYPES: dict[str, np.dtype[Any]] = {
    "FLOAT": np.dtype(np.float32),
    "DOUBLE": np.dtype(np.float64),
}


@dataclass(frozen=True, eq=False)
class Mixdown:
    """Stem and mix, (sample, channel), ready to be written as WAV of format `subtype`.

    PCM: integers, counted from zero also for 8 bit. FLOAT, DOUBLE: floats of that size.
    `stem_gain_db`: how far the stem's loudest instants were turned down, 0 or negative.
    `song_rounded`: `subtype` is too coarse for the song; mix - stem is the song rounded to it.
    `notices`: sentences for the user.
    """

    stem: NDArray
    mix: NDArray
    subtype: str
    stem_gain_db: float = 0.0
    song_rounded: bool = False
    notices: list[str] = field(default_factory=list)

    def turned_down_db(self, stem: NDArray) -> float:
        """How far the limiter took the whole of `stem` (full scale at 1.0) down: 0 or negative."""
        if not self.stem_gain_db:
            return 0.0
        full_scale_db = 20 * math.log10(1 << (_PCM_BITS[self.subtype] - 1))
        return rms_db(self.stem) - full_scale_db - rms_db(stem)


def mix_down(song: NDArray, stem: NDArray, subtype: str) -> Mixdown:
    """Add `stem` to `song`, both (sample, channel) with full scale at 1.0, in WAV format `subtype`.

    Where PCM would clip, the stem is turned down for that instant, as a limiter does, by up to
    12 dB: so that both stay under CEILING_DB or, in loud songs that have no such room, in full
    scale. If that is not enough, or if the song itself exceeds full scale, both come out as 32-bit
    float (64-bit if the song needs it), and a notice says so. Raises ValueError for shapes that
    differ and stems that are not finite.
    """
    song, stem = np.asarray(song, np.float64), np.asarray(stem, np.float64)
    if song.shape != stem.shape:
        raise ValueError(f"stem {stem.shape} and song {song.shape} must have one shape")
    if not all(np.isfinite(stem[b]).all() for b in blocks(len(stem))):
        raise ValueError("the stem must be finite")
    if subtype in _FLOAT_TYPES:
        return _mix_floats(song, stem, subtype, [])
    reason = "The song exceeds full scale"
    if _peak(song) <= 1.0:
        mixdown = _mix_integers(song, stem, subtype)
        if mixdown is not None:
            return mixdown
        reason = "The mix exceeds full scale by more than a limiter of 12 dB can take from the stem"
    float_subtype = "FLOAT" if _fits_single(song, stem, subtype) else "DOUBLE"
    width = {"FLOAT": "32-bit", "DOUBLE": "64-bit"}[float_subtype]
    notice = f"{reason}, so stem and mix are written as {width} float."
    return _mix_floats(song, stem, float_subtype, [notice])


def _fits_single(song: NDArray, stem: NDArray, subtype: str) -> bool:
    """Whether 32-bit floats hold the song and, if it was PCM, leave the difference exact.

    32-bit PCM may be so quiet that its few bits fit while those of its sum with a stem do not.
    """
    peak, half = _peak(song) + _peak(stem), 1 << (_PCM_BITS[subtype] - 1)
    step = _finest_step(peak, _FLOAT_TYPES["FLOAT"])
    parts = [song[b] for b in blocks(len(song))]
    if not all(np.array_equal(part.astype(np.float32), part) for part in parts):
        return False
    if peak > 2 or not all(np.array_equal(np.rint(part * half), part * half) for part in parts):
        return True
    return all(np.array_equal(np.rint(part / step), part / step) for part in parts)


def _mix_integers(song: NDArray, stem: NDArray, subtype: str) -> Mixdown | None:
    """The sum on the PCM grid; None if the stem would have to be turned down too far."""
    half = 1 << (_PCM_BITS[subtype] - 1)
    parts = list(blocks(len(song)))
    ends = (-half, half - 1)
    gain_db = _lowest_gain_db(song, stem, half, ends)
    if gain_db < 0:
        top = int(10 ** (CEILING_DB / 20) * half)
        under_db = _lowest_gain_db(song, stem, half, (-top, top))
        if under_db >= -MOST_LOWERING_DB:
            gain_db, ends = under_db, (-top, top)
    if gain_db < -MOST_LOWERING_DB:
        return None
    grid_stem, grid_mix = room(song.shape, np.int32), room(song.shape, np.int32)
    rounded = False
    for b in parts:
        grid_song = _on_grid(song[b], half)
        limits = _stem_limits(grid_song, ends)
        gain = _limiter_gain(song, stem, b, half, ends)[:, None] if gain_db < 0 else 1.0
        fitted = np.clip(np.rint(gain * half * stem[b]).astype(np.int64), *limits)
        grid_stem[b], grid_mix[b] = fitted, grid_song + fitted
        rounded = rounded or not np.array_equal(grid_song, song[b] * half)
    notices = []
    if gain_db < -0.05:  # less would be said to be 0.0 dB
        notices.append(
            f"The stem's loudest instants were turned down, by {-gain_db:.1f} dB at most, so that "
            "the mix does not clip."
        )
    return Mixdown(grid_stem, grid_mix, subtype, gain_db, rounded, notices)


def _on_grid(song: NDArray, half: int) -> NDArray[np.int64]:
    """The nearest integers; +1.0, which lies one step above the highest, becomes the highest."""
    return np.minimum(np.rint(song * half), half - 1).astype(np.int64)


def _stem_limits(grid_song: NDArray[np.int64], ends: _Ends) -> tuple[NDArray, NDArray]:
    """How far the stem may go at each sample, down and up, so that neither it nor the mix goes
    beyond `ends`; where the song does, no further."""
    lowest, highest = ends
    down = np.clip(lowest - grid_song, lowest, 0)
    return down, np.clip(highest - grid_song, 0, highest)


def _fitting_gain(song: NDArray, stem: NDArray, half: int, ends: _Ends) -> NDArray[np.float64]:
    """For each sample the largest gain up to 1 at which the stem, rounded, keeps its limits."""
    lowest, highest = _stem_limits(_on_grid(song, half), ends)
    room = np.where(stem > 0, highest, -lowest) + 0.5  # what is below half a step rounds away
    size = np.abs(stem) * half
    fits = np.divide(room, size, out=np.ones_like(size), where=size > room)
    return np.asarray(fits.min(axis=1))


def _lowest_gain_db(song: NDArray, stem: NDArray, half: int, ends: _Ends) -> float:
    parts = blocks(len(song))
    fitting = (float(_fitting_gain(song[b], stem[b], half, ends).min()) for b in parts)
    return 20.0 * math.log10(min(fitting, default=1.0))


def _limiter_gain(
    song: NDArray, stem: NDArray, part: slice, half: int, ends: _Ends
) -> NDArray[np.float64]:
    """The gain in `part`, the same in all channels: nowhere above the fitting one, and smooth."""
    start, stop = max(part.start - 2 * _REACH, 0), min(part.stop + 2 * _REACH, len(song))
    fitting = _fitting_gain(song[start:stop], stem[start:stop], half, ends)
    inside = slice(part.start - start, part.stop - start)
    if fitting.min() == 1.0:
        return fitting[inside]
    held = minimum_filter1d(fitting, 2 * _REACH + 1, mode="nearest")
    window = np.hanning(2 * _REACH + 3)[1:-1]
    smooth = convolve1d(held, window / window.sum(), mode="nearest")
    return np.asarray(np.minimum(smooth, fitting)[inside])


def _finest_step(peak: float, float_type: np.dtype[Any]) -> float:
    """The smallest power of two whose multiples, up to `peak`, are all numbers of this float type.

    Sums and differences of such multiples that stay within `peak` are exact.
    """
    fraction, exponent = math.frexp(peak)
    exponent -= fraction == 0.5  # frexp gives the power of two above the peak, also for such powers
    limits = np.finfo(float_type)
    return math.ldexp(1.0, max(exponent - limits.nmant - 1, limits.minexp - limits.nmant))


def _peak(samples: NDArray) -> float:
    return float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))


def _mix_floats(song: NDArray, stem: NDArray, subtype: str, notices: list[str]) -> Mixdown:
    """The sum in a float type, on a grid where that makes the difference exact."""
    float_type = _FLOAT_TYPES[subtype]
    step = _finest_step(_peak(song) + _peak(stem), float_type)
    parts = list(blocks(len(song)))
    on_grid = all(np.array_equal(np.rint(song[b] / step), song[b] / step) for b in parts)
    written_stem, mix = room(song.shape, float_type), room(song.shape, float_type)
    rounded = False
    for b in parts:
        written_stem[b] = np.rint(stem[b] / step) * step if on_grid else stem[b]
        written_song = song[b].astype(float_type)
        mix[b] = written_song + written_stem[b]  # one rounded addition, so half a unit at most
        rounded = rounded or not np.array_equal(written_song, song[b])
    peak = _peak(mix)
    if peak > 1.0:
        notices = [
            *notices,
            f"The mix peaks {20 * np.log10(peak):.1f} dB above full scale; "
            "turn it down before you play or convert it.",
        ]
    return Mixdown(
        stem=written_stem,
        mix=mix,
        subtype=subtype,
        song_rounded=rounded,
        notices=notices,
    )
