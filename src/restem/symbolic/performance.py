"""Drum notes on the grid in; how hard and how early or late a drummer would play them, out.

A small network has learned it from the performances of the Groove MIDI Dataset: for each stroke it
sees what the whole kit does within a beat around it and where in the bar it lies, and gives the
mean and spread of the velocity and of the distance from the grid. It runs in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from restem.errors import UserError
from restem.symbolic.rolls import ONSET, STEPS_PER_QUARTER

# The pieces of a kit, as the network tells them apart; all other pitches share the last group.
GROUPS = (
    (35, 36),
    (37, 38, 39, 40),
    (42, 44),
    (46,),
    (41, 43),
    (45, 47),
    (48, 50),
    (49, 52, 55, 57),
    (51, 53, 59),
)
REACH = STEPS_PER_QUARTER  # steps before and after a stroke that the network sees
SWAY = 0.5  # how much of a stroke's deviation its neighbour shares: hands drift, they do not jump
FEATURES = (len(GROUPS) + 1) * (2 * REACH + 2) + 11
VELOCITY_SCALE, TIMING_SCALE = 127.0, 0.04  # of the network's outputs; timing in quarters


@dataclass(frozen=True)
class Touch:
    """Weights of the network: linear layers with GELU between them; four outputs."""

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @classmethod
    def load(cls, path: str | Path | None = None) -> Touch:
        """The one in the package, or a file of `save`."""
        place = (
            Path(path) if path else Path(str(resources.files("restem"))) / "models/midi/touch.npz"
        )
        try:
            with np.load(place) as file:
                count = len(file.files) // 2
                return cls(
                    tuple(file[f"weight{i}"].astype(np.float32) for i in range(count)),
                    tuple(file[f"bias{i}"].astype(np.float32) for i in range(count)),
                )
        except (OSError, KeyError, ValueError) as error:
            raise UserError(
                f"The drummer's touch {place} cannot be read ({error}); reinstall restem."
            ) from None

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(stroke, 4): mean velocity, its spread, mean offset in quarters, its spread."""
        x = features.astype(np.float32)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight.T + bias
            if index + 1 < len(self.weights):
                x = 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))
        return read_outputs(x)


def read_outputs(raw: np.ndarray) -> np.ndarray:
    """The network's raw outputs (stroke, 4) in their units."""
    spread = np.exp(np.clip(raw[:, [1, 3]], -5, 1))
    return np.stack(
        [
            raw[:, 0] * VELOCITY_SCALE,
            spread[:, 0] * VELOCITY_SCALE,
            raw[:, 2] * TIMING_SCALE,
            spread[:, 1] * TIMING_SCALE,
        ],
        axis=1,
    )


def play(
    touch: Touch, planes: np.ndarray, bars: np.ndarray, seed: int, amount: float = 1.0
) -> np.ndarray:
    """Strokes (stroke, 4), float: step, pitch, velocity 1-127, offset from the grid in quarters.

    `amount` scales the offsets and the chance in both: 0 plays on the grid, at mean velocities.
    Offsets are less than half a step, so that a stroke is read again where it was meant.
    """
    steps, pitches = np.nonzero(planes[ONSET])
    if not len(steps):
        return np.zeros((0, 4))
    told = touch.predict(features(planes, bars, steps, pitches))
    rng = np.random.default_rng([seed, 9])
    chance = _drifting(rng.standard_normal((int(steps[-1]) + 1, 2)))[steps]
    own = rng.standard_normal((len(steps), 2))
    swing = np.sqrt(SWAY) * chance + np.sqrt(1 - SWAY) * own
    velocity = within(told[:, 0], amount * told[:, 1], swing[:, 0], 1, 127)
    half = 0.49 / STEPS_PER_QUARTER
    offset = within(amount * told[:, 2], amount * told[:, 3], swing[:, 1], -half, half)
    return np.stack([steps, pitches, np.rint(velocity), offset], axis=1).astype(np.float64)


def within(
    mean: np.ndarray, spread: np.ndarray, chance: np.ndarray, low: float, high: float
) -> np.ndarray:
    """Normal values of this mean and spread that lie in a range, from standard normal `chance`.

    A truncated normal distribution: clipping would heap up strokes at the ends, where none are.
    """
    mean, some = np.clip(mean, low, high), np.maximum(spread, 1e-9)
    first, last = ndtr((low - mean) / some), ndtr((high - mean) / some)
    drawn = mean + spread * ndtri(first + (last - first) * ndtr(chance))
    return np.asarray(np.clip(drawn, low, high))


def features(
    planes: np.ndarray, bars: np.ndarray, steps: np.ndarray, pitches: np.ndarray
) -> np.ndarray:
    """What the network sees of each stroke: (stroke, FEATURES), float32."""
    kit = grouped(planes[ONSET])
    padded = np.pad(kit, ((REACH, REACH), (0, 0)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1, axis=0)[steps]
    own = np.eye(len(GROUPS) + 1, dtype=bool)[group_of(pitches)]
    bar = np.searchsorted(bars[:, 0], steps, side="right") - 1
    phase = 2 * np.pi * (steps - bars[bar, 0]) / bars[bar, 1]
    beat = 2 * np.pi * steps / STEPS_PER_QUARTER
    columns = [f(k * phase) for k in (1, 2, 4) for f in (np.sin, np.cos)]
    columns += [f(beat * k) for k in (1, 2) for f in (np.sin, np.cos)]
    columns.append(bars[bar, 1] / (4 * STEPS_PER_QUARTER))
    return np.concatenate(
        [around.reshape(len(steps), -1), own, np.stack(columns, axis=1)], axis=1
    ).astype(np.float32)


def grouped(onsets: np.ndarray) -> np.ndarray:
    """Onsets (step, 128) by piece of the kit: (step, group)."""
    which = group_of(np.arange(onsets.shape[1]))
    return np.stack([onsets[:, which == g].any(axis=1) for g in range(len(GROUPS) + 1)], axis=1)


def group_of(pitches: np.ndarray) -> np.ndarray:
    """The index of each pitch's group."""
    out = np.full(len(pitches), len(GROUPS))
    for index, group in enumerate(GROUPS):
        out[np.isin(pitches, group)] = index
    return out


def _drifting(white: np.ndarray) -> np.ndarray:
    """Noise that wanders over about a beat, of unit variance."""
    keep = np.exp(-1 / STEPS_PER_QUARTER)
    out = np.empty_like(white)
    state = white[0]
    for index, row in enumerate(white):
        state = keep * state + np.sqrt(1 - keep**2) * row
        out[index] = state
    return out


def accents(steps: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Velocities of a pitched part: a bar's first beat, other beats, and between them.

    `bars` (bar, 4): start and length in steps, and the metre; of 6/8 and its like a beat is three
    eighths.
    """
    bar = np.searchsorted(bars[:, 0], steps, side="right") - 1
    offset, (count, unit) = steps - bars[bar, 0], bars[bar, 2:].T
    compound = (unit == 8) & (count > 3) & (count % 3 == 0)
    beat = np.where(compound, 3 * STEPS_PER_QUARTER // 2, STEPS_PER_QUARTER)
    return np.where(offset == 0, 100, np.where(offset % beat == 0, 92, 84))
