"""Songs as stem powers in, crops for the beat tracker out: varied mixes and their beat targets.

Everything happens on band powers, where stems add up, a filter is a gain a band, a room is an
exponential tail and a change of tempo a resampling of frames; no waveform is made again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from restem.audio.tracking import BANDS, HOP, SAMPLE_RATE, tracker_features
from restem.dataset.tracker_songs import TrackerSong

Array = NDArray[np.float32]
FRAME_SECONDS = HOP / SAMPLE_RATE
# Standard deviation of a beat's bump in the target, in frames
TARGET_WIDTH = 0.8


@dataclass(frozen=True)
class Crop:
    """`features` (frame, band), `targets` (frame, 2) 0..1, `weight` (frame,) 0 beyond the song."""

    features: Array
    targets: Array
    weight: Array


def random_crop(
    song: TrackerSong, frames: int, rng: np.random.Generator, distractor: TrackerSong | None = None
) -> Crop:
    """A stretch of a random mix of the song's stems, as some listener's file might hold it.

    `distractor`: another song, of which one stem may sound softly and out of time, as free singing
    does. Starts anywhere, so that the network cannot learn that files begin on a downbeat.
    """
    source = warped_frames(frames, rng) + rng.uniform(0, loop_frames(song))
    source, end = _begun_or_ended(source, rng)
    chosen = random_stems(song.kinds, rng)
    power = np.zeros((frames, BANDS), dtype=np.float32)
    shift = rng.uniform(-3, 3) if rng.random() < 0.4 else 0.0
    for stem in chosen:
        late = rng.normal(0, 0.3)  # frames; players are not one machine
        moved = looped_decibels(song, stem, source + late, shift)
        power += _power(moved + rng.uniform(-8, 8) + _tone(rng, 4.0))
    if distractor is not None and rng.random() < 0.12:
        stem = int(rng.integers(len(distractor.powers)))
        other = warped_frames(frames, rng) + rng.uniform(0, loop_frames(distractor))
        voice = _power(looped_decibels(distractor, stem, other, 0.0))
        power += _relative(voice, power, rng.uniform(-18, -8))
    inside = (source >= 0) & (source < end)
    power = _produced(power * inside[:, None], song, source, rng)
    features = tracker_features(power) + np.float32(rng.normal(0, 0.25))
    targets = beat_targets(song, source) * inside[:, None]
    return Crop(features, targets, inside.astype(np.float32))


def loop_frames(song: TrackerSong) -> float:
    """The song's length in frames; as it has whole bars of one tempo, it can go round for ever."""
    beats = song.beats
    return len(beats) * (beats[-1] - beats[0]) / (len(beats) - 1) / FRAME_SECONDS


def warped_frames(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(frame,) source frames from 0 that a crop shows: at another, sometimes drifting tempo."""
    rate = np.full(frames, np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    if rng.random() < 0.4:
        knots = np.arange(0, frames + 200, 200)
        drift = rng.normal(0, rng.uniform(0.01, 0.05), len(knots))
        rate *= np.exp(np.interp(np.arange(frames), knots, drift))
    return np.cumsum(rate) - rate[0]


def _begun_or_ended(
    source: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """At times the song begins (at frame 0) or ends inside the crop; returns where it ends too."""
    draw, length = rng.random(), source[-1] - source[0]
    if draw < 0.12:
        source = source - source[0] - rng.uniform(0, 0.3) * length
    end = source[-1] - rng.uniform(0, 0.3) * length if draw > 0.9 else np.inf
    return source, end


def random_stems(kinds: list[str], rng: np.random.Generator) -> list[int]:
    """Indices of a non-empty subset: all, some or one, often without bass, rarely bass alone."""
    count = len(kinds)
    draw = rng.random()
    if draw < 0.4:
        chosen = list(range(count))
    elif draw < 0.8:
        chosen = [i for i in range(count) if rng.random() < 0.6]
    else:
        chosen = [int(rng.integers(count))]
    if rng.random() < 0.25:
        chosen = [i for i in chosen if kinds[i] != "bass"]
    if all(kinds[i] == "bass" for i in chosen) and rng.random() < 0.9:
        others = [i for i in range(count) if kinds[i] != "bass"]
        chosen = [int(rng.choice(others))] if others else list(range(count))
    return chosen


def beat_targets(song: TrackerSong, source: NDArray[np.float64]) -> Array:
    """(frame, 2) bumps at the beats and downbeats of the looped song, placed below the frame."""
    loop = loop_frames(song)
    rounds = np.arange(np.floor(source[0] / loop), np.floor(source[-1] / loop) + 1) * loop
    beats = (rounds[:, None] + song.beats / FRAME_SECONDS).ravel()
    where = np.interp(beats, source, np.arange(len(source)), left=-99, right=-99)
    down = np.tile(song.positions == 1, len(rounds))
    targets = np.zeros((len(source), 2), dtype=np.float32)
    for column, found in enumerate((where, where[down])):
        place = found[found > -99]
        near = np.rint(place).astype(int)[:, None] + np.arange(-3, 4)
        bump = np.exp(-0.5 * ((near - place[:, None]) / TARGET_WIDTH) ** 2)
        kept = (near >= 0) & (near < len(source))
        np.maximum.at(targets[:, column], near[kept], bump[kept].astype(np.float32))
    return targets


def looped_decibels(
    song: TrackerSong, stem: int, source: NDArray[np.float64], bands: float
) -> Array:
    """(frame, band) decibels of one stem at fractional source frames, moved up by `bands`."""
    decibels, loop = song.powers[stem], loop_frames(song)
    # the last windows hold the cut at the song's end, which would click
    place = np.minimum(np.mod(source, loop), int(loop) - 3)
    low = place.astype(int)
    part = (place - low).astype(np.float32)[:, None]
    here = decibels[low].astype(np.float32)
    moved = here + part * (decibels[low + 1].astype(np.float32) - here)
    if bands:
        places = np.clip(np.arange(BANDS) - bands, 0, BANDS - 1)
        under = np.minimum(places.astype(int), BANDS - 2)
        share = (places - under).astype(np.float32)
        moved = moved[:, under] * (1 - share) + moved[:, under + 1] * share
    return moved


def _produced(
    power: Array, song: TrackerSong, source: NDArray[np.float64], rng: np.random.Generator
) -> Array:
    """What studios, rooms, formats and tape do to a mix, each at random and in that order."""
    if rng.random() < 0.15:
        power = _softened(power, rng.uniform(0.02, 0.08))
    if rng.random() < 0.15:
        power = power + _pad(power, rng)
    if rng.random() < 0.15:
        power = _echoed(power, song, source, rng)
    if rng.random() < 0.35:
        power = _in_room(power, rng.uniform(0.3, 2.5), rng.uniform(-22, -4))
    if rng.random() < 0.35:
        power = _compressed(power, rng)
    power = power * _power(_tone(rng, 5.0) + _band_limits(rng))
    if rng.random() < 0.5:
        hiss = rng.exponential(1.0, power.shape).astype(np.float32) * _power(_tone(rng, 8.0))
        power = power + _relative(hiss, power, rng.uniform(-60, -22))
    return power


def _power(decibels: Array) -> Array:
    return np.exp(decibels * np.float32(np.log(10) / 10))


def _relative(extra: Array, power: Array, decibels: float) -> Array:
    """`extra` at a mean level of `decibels` relative to `power`."""
    return extra * np.float32(10 ** (decibels / 10) * power.mean() / (extra.mean() + 1e-12))


def _tone(rng: np.random.Generator, spread: float) -> Array:
    """(band,) decibels of a smooth random equaliser."""
    x = np.linspace(0, 1, BANDS)
    waves = [np.cos(np.pi * order * x) * rng.normal(0, spread / order) for order in (1, 2, 3, 4)]
    return np.sum(waves, axis=0).astype(np.float32)


def _band_limits(rng: np.random.Generator) -> Array:
    """(band,) decibels of an old format's, small speaker's or thin microphone's limits."""
    x = np.arange(BANDS)
    cut = np.zeros(BANDS)
    if rng.random() < 0.2:
        cut -= 40 / (1 + np.exp(rng.uniform(30, BANDS) - x))
    if rng.random() < 0.12:
        cut -= 30 / (1 + np.exp(x - rng.uniform(1, 10)))
    if rng.random() < 0.15:
        centre, width = rng.uniform(0, BANDS), rng.uniform(3, 10)
        cut -= rng.uniform(5, 25) * np.exp(-0.5 * ((x - centre) / width) ** 2)
    return cut.astype(np.float32)


def _softened(power: Array, seconds: float) -> Array:
    """Slow attacks: a one-pole smoothing over time."""
    keep = np.exp(-FRAME_SECONDS / seconds)
    return lfilter([1 - keep], [1, -keep], power, axis=0).astype(np.float32)


def _in_room(power: Array, seconds: float, wet_decibels: float) -> Array:
    """A diffuse tail that falls by 60 dB in `seconds`."""
    keep = 10 ** (-6 * FRAME_SECONDS / seconds)
    tail = lfilter([0, 1], [1, -keep], power, axis=0).astype(np.float32)
    return power + np.float32(10 ** (wet_decibels / 10)) * tail


def _echoed(
    power: Array, song: TrackerSong, source: NDArray[np.float64], rng: np.random.Generator
) -> Array:
    """Up to three echoes, at a fraction of the beat, as producers set them, or anywhere."""
    beat = np.median(np.diff(song.beats)) / FRAME_SECONDS / np.mean(np.diff(source))
    locked = beat * rng.choice([0.5, 0.75, 1.0])
    delay = max(1, int(locked if rng.random() < 0.7 else rng.uniform(4, 30)))
    level = np.float32(10 ** (rng.uniform(-14, -5) / 10))
    out, echo = power.copy(), power
    for _ in range(int(rng.integers(1, 4))):
        echo = np.concatenate([np.zeros((delay, BANDS), np.float32), echo[:-delay]]) * level
        out += echo
    return out


def _compressed(power: Array, rng: np.random.Generator) -> Array:
    """A bus compressor: follows the level with attack and release in one smoothing."""
    level = 10 * np.log10(power.sum(axis=1) + 1e-9)
    keep = np.exp(-FRAME_SECONDS / rng.uniform(0.03, 0.25))
    smooth = lfilter([1 - keep], [1, -keep], level, zi=[keep * level[0]])[0]
    threshold = np.percentile(level, 95) - rng.uniform(6, 20)
    cut = (1 - 1 / rng.uniform(2, 8)) * np.maximum(smooth - threshold, 0)
    return power * _power(-cut.astype(np.float32))[:, None]


def _pad(power: Array, rng: np.random.Generator) -> Array:
    """A sustained sound without rhythm: some bands that swell slowly."""
    bands = rng.random(BANDS) < 0.25
    knots = np.arange(0, len(power) + 100, 100)
    swell = np.interp(np.arange(len(power)), knots, rng.normal(0, 3, len(knots)))
    slope = _power(np.linspace(0, -20, BANDS).astype(np.float32)) * bands
    pad = _power(swell.astype(np.float32))[:, None] * slope
    return _relative(pad, power, rng.uniform(-15, 2))
