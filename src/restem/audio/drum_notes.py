"""The sound of drums in; which drum was struck when, and how hard, out.

A few small convolution networks hear every frame of the log-mel; peaks of what they say, on
average, are notes. They were trained by `scripts/train_drum_notes.py` on rendered drums whose notes
are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from scipy.special import expit

from restem.audio.spectrogram import SpectrogramConfig, log_mel

CONFIG = SpectrogramConfig()  # the model's own, so that its stems are heard as they were drawn
# What is told apart: General MIDI pitch, and the drum that it stands for.
PITCHES = (36, 38, 42, 46, 48, 43, 49, 51)
DRUMS = ("kick", "snare", "hats", "hats", "toms", "toms", "cymbals", "cymbals")
RANGE_DB = 72.0  # below the loudest frames, all is silence
PEAK = 0.7  # to which a stem is brought, so that the spectrogram's floor is far below
OTHER = {"kick": "toms", "toms": "kick"}
FAR = 2.0  # log-odds, from which one of a kick and a tom at once is taken for the other's echo
NEAR = 3  # frames; one drum is not struck twice within this time
# Of the layers, as many as a network has; all but the first add to what they are given. The last
# two reach over a bar or so: a soft ride under a snare is told by the ride's other strokes.
DILATIONS = (1, 1, 2, 4, 8, 16, 32, 64, 128)
BLOCK = 6000  # frames heard at once, so that an hour needs little memory

Weights = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class DrumNotes:
    """Strokes in order: `times` (note,) seconds, `pitches` of PITCHES, `velocities` 1-127."""

    times: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray


def hear_drums(wave: np.ndarray) -> DrumNotes:
    """The notes of a drum stem, mono (sample,) at 44.1 kHz, of any level; none in silence."""
    peak = float(np.abs(wave).max(initial=0.0))
    if not peak:
        return DrumNotes(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    levels = log_mel(wave * (PEAK / peak), CONFIG)
    networks, thresholds = shipped()
    return pick_notes(*heard_by(networks, note_features(levels, loudest(levels))), thresholds)


def loudest(levels: np.ndarray) -> float:
    """The level in dB to which all others of a stem (frame, column) are compared."""
    return float(np.percentile(levels.max(axis=1), 99.5))


def note_features(levels: np.ndarray, loud: float) -> np.ndarray:
    """(frame, column) in dB -> what the network reads: levels below `loud`, from -1 to 1.4."""
    return (np.clip((levels - loud) / RANGE_DB, -1, 0.2) * 2 + 1).astype(np.float32)


def heard_by(networks: Sequence[Weights], features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(frame, column) features -> (frame, kind) log-odds of an onset, and its velocity 0..1: the
    mean over some networks, which err in different places."""
    each = [network(features, weights) for weights in networks]
    logits, velocities = (np.mean(kind, axis=0) for kind in zip(*each, strict=True))
    return logits, velocities


def network(features: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """The same of one network: arrays "w0", "b0", ... of its layers, "w_out" and "b_out"."""
    out = np.empty((len(features), 2 * len(PITCHES)), np.float32)
    dilations = [d for layer, d in enumerate(DILATIONS) if f"w{layer}" in weights]
    reach = 1 + sum(dilations)  # frames on either side that a note's verdict hangs on
    for first in range(0, len(features), BLOCK):
        begin, last = max(first - reach, 0), min(first + BLOCK, len(features))
        x = features[begin : last + reach]
        for layer, dilation in enumerate(dilations):
            new = np.maximum(_convolved(x, weights[f"w{layer}"], weights[f"b{layer}"], dilation), 0)
            x = x + new if layer else new
        out[first:last] = (x @ weights["w_out"] + weights["b_out"])[first - begin : last - begin]
    return out[:, : len(PITCHES)], expit(out[:, len(PITCHES) :])


def _convolved(x: np.ndarray, w: np.ndarray, b: np.ndarray, dilation: int) -> np.ndarray:
    """(frame, in) by `w` (tap, in, out), zeros beyond the ends; tap by tap keeps memory flat."""
    taps = len(w)
    reach = taps // 2 * dilation
    padded = np.pad(x, ((reach, reach), (0, 0)))
    out = np.repeat(b[None], len(x), axis=0)
    for tap in range(taps):
        out += padded[tap * dilation : tap * dilation + len(x)] @ w[tap]
    return out


def pick_notes(logits: np.ndarray, velocities: np.ndarray, thresholds: np.ndarray) -> DrumNotes:
    """Peaks of (frame, drum) log-odds above their drum's threshold, refined by a parabola.

    Two pitches of one drum that sound alike speak together; one note is told by the likelier. So
    is one of a kick and a tom at once where the other is far likelier: each is easily heard in it.
    """
    notes = []
    for drum in dict.fromkeys(DRUMS):
        kinds = [k for k, name in enumerate(DRUMS) if name == drum]
        over = (logits - thresholds)[:, kinds]
        best = np.logaddexp.reduce(over, axis=1)
        padded = np.pad(best, NEAR, constant_values=-np.inf)
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEAR + 1)
        for frame in np.flatnonzero((best > 0) & (around.argmax(axis=1) == NEAR)):
            kind = kinds[int(over[frame].argmax())]
            before, at, after = (best[np.clip(frame + k, 0, len(best) - 1)] for k in (-1, 0, 1))
            bend = before - 2 * at + after
            shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
            strength = velocities[frame, kind] * 127
            notes.append(
                (frame + np.clip(shift, -0.5, 0.5), PITCHES[kind], strength, drum, best[frame])
            )
    kept = [note[:3] for note in notes if note[3] not in OTHER] + _not_doubled(notes)
    found = np.array(sorted(kept)).reshape(-1, 3)
    hard = np.clip(np.rint(found[:, 2]), 1, 127).astype(np.int64)
    times = np.maximum(found[:, 0], 0) / CONFIG.frame_rate
    return DrumNotes(times, found[:, 1].astype(np.int64), hard)


def _not_doubled(notes: list[tuple]) -> list[tuple]:
    """Kicks and toms (frame, pitch, velocity) of notes (…, drum, odds), but for those that are far
    the unlikelier of both within two frames."""
    kept = []
    own = {drum: [note for note in notes if note[3] == drum] for drum in OTHER}
    for drum, other in OTHER.items():
        frames = np.array([note[0] for note in own[other]])
        odds = np.array([note[4] for note in own[other]])
        for note in own[drum]:
            first = np.searchsorted(frames, note[0] - 2)
            near = slice(first, np.searchsorted(frames, note[0] + 2, "right"))
            if not (odds[near] > note[4] + FAR).any():
                kept.append(note[:3])
    return kept


@cache
def shipped() -> tuple[list[Weights], np.ndarray]:
    """The package's networks and their thresholds: log-odds (kind,) from which a peak is a note."""
    with resources.files("restem").joinpath("models/drum_notes.npz").open("rb") as file:
        arrays = {name: value.astype(np.float32) for name, value in np.load(file).items()}
    thresholds = arrays.pop("thresholds")
    networks: dict[str, Weights] = {}
    for name, value in arrays.items():
        number, _, own = name.partition(".")
        networks.setdefault(number, {})[own] = value
    return list(networks.values()), thresholds
