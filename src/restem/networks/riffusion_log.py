"""A training run in; its loss, learning rate and samples out, to TensorBoard or Weights & Biases.

Accelerate's own trackers do the writing; here is what they are given.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restem.audio.riffusion_image import mel_from_picture
from restem.audio.riffusion_inversion import waveform_from_mel
from restem.dataset.pairs import Pair, read_pairs
from restem.diffusion.training import Trainer
from restem.errors import UserError
from restem.networks.riffusion import Riffusion, mode_of
from restem.networks.riffusion_latents import pair_pictures
from restem.networks.riffusion_sampling import SamplingSettings, generate

SAMPLE_EVERY = 1000  # steps; samples are made after the last step too
SAMPLES = 3


def tracker_options(log: Any, folder: Path) -> dict[str, Any]:
    """What `Accelerator` needs for a log: the name "tensorboard" or "wandb", one of accelerate's
    trackers, or None for no log. Raises UserError for a package that is missing."""
    if log is None:
        return {}
    if isinstance(log, str) and importlib.util.find_spec(log) is None:
        raise UserError(f"--log {log} needs {log}; install it with pip install {log}.")
    return {"log_with": log, "project_dir": folder / "log"}


def open_log(
    accelerator: Any, model: Riffusion, trainer: Trainer, pairs: Sequence[Pair], settings: Any
) -> TrainingLog:
    """The log of a run with its settings noted; samples are of pairs that are held out.

    They are the first of the validation split, or of `pairs`, if there is no such split.
    """
    plain = {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in vars(settings).items()
    }
    named = {"wandb": {"name": settings.out.name, "dir": str(settings.out)}}
    accelerator.init_trackers("restem", plain, init_kwargs=named)
    try:
        held_out = read_pairs(settings.data, "validation", settings.stem)
    except UserError:
        held_out = list(pairs)
    return TrainingLog(accelerator, model, trainer, held_out[:SAMPLES])


@dataclass(frozen=True)
class Sample:
    """A made picture (mel, frame) uint8 and its sound (sample,) float32 with a peak of 0.9."""

    picture: np.ndarray
    sound: np.ndarray


class TrainingLog:
    """Gives the accelerator's trackers what a run does.

    Every process must call `write`, for all take part in making a sample of a split network.
    """

    def __init__(
        self, accelerator: Any, model: Riffusion, trainer: Trainer, pairs: Sequence[Pair]
    ) -> None:
        self.accelerator, self.model, self.trainer, self.pairs = accelerator, model, trainer, pairs
        self._contexts = [_context(model, pair) for pair in pairs]

    def write(self, step: int, loss: float) -> None:
        """Log a step that is done; samples come every `SAMPLE_EVERY` steps and after the last."""
        config = self.trainer.config
        values = {"loss": loss, "learning_rate": config.rate(step - 1)}
        self.accelerator.log(values, step=step)
        if step % SAMPLE_EVERY and step != config.steps:
            return
        with self.trainer.averaged():
            made = [self._latents(number) for number in range(len(self.pairs))]
        if self.accelerator.is_main_process:
            for pair, latents in zip(self.pairs, made, strict=True):
                sample = _sample(self.model, latents)
                for tracker in self.accelerator.trackers:
                    _show(tracker, pair.name, sample, self.model, step)

    def _latents(self, number: int) -> Tensor:
        """What the network makes of a pair's context and instruction, from the same noise always.

        The noise that some samplers add on the way is not needed by the one used here.
        """
        context = self._contexts[number]
        noise = np.random.default_rng(number).standard_normal(context.shape, dtype=np.float32)
        start = torch.from_numpy(noise).to(context)
        said = self.pairs[number].instruction
        *_, (_, latents) = generate(self.model, context, said, start, SamplingSettings())
        return latents


def _context(model: Riffusion, pair: Pair) -> Tensor:
    pictures, _ = pair_pictures(model, pair)
    return mode_of(model.moments(pictures[1:]))


def _sample(model: Riffusion, latents: Tensor) -> Sample:
    picture, config = model.pictures(latents)[0], model.settings.picture
    sound = waveform_from_mel(mel_from_picture(picture, 1.0, config), config, config.samples)
    sound *= 0.9 / max(float(np.abs(sound).max()), 1e-9)
    return Sample(np.round(picture).astype(np.uint8), sound)


def _show(tracker: Any, name: str, sample: Sample, model: Riffusion, step: int) -> None:
    """Hand a sample over as the tracker's own kind of picture and sound."""
    rate = model.settings.picture.sample_rate
    picture, sound = f"picture/{name}", f"sound/{name}"
    if tracker.name == "wandb":
        import wandb

        shown = {
            picture: wandb.Image(sample.picture),
            sound: wandb.Audio(sample.sound, sample_rate=rate),
        }
        tracker.log(shown, step=step)
    else:
        tracker.tracker.add_image(picture, sample.picture, step, dataformats="HW")
        tracker.tracker.add_audio(sound, sample.sound[None], step, sample_rate=rate)
