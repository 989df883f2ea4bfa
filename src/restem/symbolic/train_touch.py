"""Drum performances in; the network that plays drums like a drummer (performance.Touch) out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restem.audio.files import atomic_path
from restem.dataset.drums import DrumSource, read_groove_midi
from restem.diffusion.checkpoints import ema_weights
from restem.diffusion.training import Trainer, TrainingConfig
from restem.errors import UserError
from restem.symbolic.corpora import LeftOut
from restem.symbolic.performance import FEATURES, TIMING_SCALE, VELOCITY_SCALE, features
from restem.symbolic.rolls import STEPS_PER_QUARTER, planes_from_notes, snapped

WIDTH = 128
BATCH, LEARNING_RATE = 1024, 2e-3


@dataclass(frozen=True)
class Strokes:
    """Strokes of many performances: features (stroke, FEATURES) float16, targets (stroke, 2)."""

    features: np.ndarray
    targets: np.ndarray


def read_strokes(folder: Path, split: str, left_out: LeftOut | None = None) -> Strokes:
    """All strokes of one split of the Groove MIDI Dataset: scaled velocity and offset.

    Damaged files are passed over, and `left_out` told which. UserError if there is no stroke.
    """
    sources = read_groove_midi(folder, split, left_out or (lambda _: None))
    made = [strokes_of(source) for source in sources]
    if not made:
        raise UserError(
            f"{folder} holds no performance of the {split} split of its info.csv; get a complete "
            "copy of the Groove MIDI Dataset."
        )
    return Strokes(np.concatenate([m[0] for m in made]), np.concatenate([m[1] for m in made]))


def strokes_of(source: DrumSource) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of one performance; of strokes that share a cell the loudest counts."""
    notes = source.notes[np.argsort(-source.notes[:, 3], kind="stable")]
    place = np.maximum(snapped(notes[:, 0] * STEPS_PER_QUARTER), 0)
    pitch = notes[:, 2].astype(np.int64)
    _, first = np.unique(place * 128 + pitch, return_index=True)
    place, pitch, notes = place[first], pitch[first], notes[first]
    length = source.quarters_per_bar * STEPS_PER_QUARTER
    count = int(place.max() // length) + 1
    bars = np.array([(i * length, length, source.quarters_per_bar, 4) for i in range(count)])
    planes = planes_from_notes(np.stack([place, place + 1, pitch], axis=1), count * length)
    offset = notes[:, 0] - place / STEPS_PER_QUARTER
    targets = np.stack([notes[:, 3] / VELOCITY_SCALE, offset / TIMING_SCALE], axis=1)
    return features(planes, bars, place, pitch).astype(np.float16), targets.astype(np.float32)


def train_touch(
    folder: Path,
    out: Path,
    steps: int = 3000,
    batch: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    resume: bool = False,
    left_out: LeftOut | None = None,
) -> Iterator[tuple[int, float]]:
    """Train, yielding (step, loss); the checkpoint lies in `out`, `left_out` is told of damage.

    None are BATCH strokes a step and the LEARNING_RATE at its highest.
    """
    torch.manual_seed(seed)
    size = batch or BATCH
    strokes = read_strokes(folder, "train", left_out)
    network = nn.Sequential(
        nn.Linear(FEATURES, WIDTH),
        nn.GELU(approximate="tanh"),
        nn.Linear(WIDTH, WIDTH),
        nn.GELU(approximate="tanh"),
        nn.Linear(WIDTH, 4),
    )

    def loss(net: nn.Module, step: int) -> Tensor:
        rows = np.random.default_rng((seed, step)).integers(len(strokes.features), size=size)
        shown = torch.from_numpy(strokes.features[rows].astype(np.float32))
        return stroke_loss(net(shown), torch.from_numpy(strokes.targets[rows]))

    config = TrainingConfig(steps, learning_rate or LEARNING_RATE, warmup=min(100, steps // 10))
    trainer = Trainer(network, loss, config, out, {"strokes": len(strokes.features), "seed": seed})
    if resume:
        trainer.resume()
    yield from trainer.run()


def stroke_loss(raw: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of velocity and offset, a Laplace distribution each.

    Its tails are long, as a drummer's are, so that a few wild strokes do not widen all others.
    """
    spread = raw[:, [1, 3]].clamp(-5, 1)
    distance = (raw[:, [0, 2]] - targets).abs()
    return (distance * torch.exp(-spread) + spread).mean()


def export_touch(checkpoint: Path, path: Path) -> None:
    """Write the averaged weights, in half precision, as the file that Touch.load reads.

    Raises UserError, and makes no folder, if it is a checkpoint of anything else.
    """
    weights, meta = ema_weights(checkpoint)
    if "strokes" not in meta:
        raise UserError(
            f"{checkpoint} is not of restem midi train --stem touch; leave out --touch, or name "
            "one that is."
        )
    arrays: dict[str, Any] = {}
    for index, layer in enumerate(sorted({name.split(".")[0] for name in weights}, key=int)):
        arrays[f"weight{index}"] = weights[f"{layer}.weight"].numpy().astype(np.float16)
        arrays[f"bias{index}"] = weights[f"{layer}.bias"].numpy().astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)
