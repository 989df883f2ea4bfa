"""Rendered songs in, a trained drums separator and its checkpoint out.

Every example is drawn from its step number alone, so a resumed run repeats an uninterrupted one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restem.dataset.separator.network import BINS, HOP, N_FFT, DrumsMask, SeparatorConfig
from restem.diffusion.checkpoints import ema_weights
from restem.diffusion.training import Trainer, TrainingConfig
from restem.errors import UserError

SOFT_LIMIT = 1e-3  # of the mix's energy: errors 30 dB under the mix are good enough
NO_DRUMS_SHARE, STRANGE_DRUMS_SHARE = 0.05, 0.25


@dataclass(frozen=True)
class SeparatorTraining:
    """What to train on, how long, and where to."""

    songs: Path
    out: Path
    steps: int = 6000
    batch: int = 8
    seconds: float = 4.0
    learning_rate: float = 2e-3
    seed: int = 0
    resume: bool = False


def train_separator(settings: SeparatorTraining) -> Iterator[tuple[int, float]]:
    """Train on the songs of split "train", yielding (step, loss); ends with `separator.onnx`.

    The loss is the mean over clips of log10 of the error's share of the drums' energy, so -1 is a
    signal-to-distortion ratio of 10 dB.
    """
    songs = training_songs(settings.songs)
    torch.manual_seed(settings.seed)
    network = DrumsMask(SeparatorConfig())
    config = TrainingConfig(settings.steps, settings.learning_rate, warmup=100, ema=0.995)
    meta = {
        "network": asdict(network.config),
        "songs": len(songs),
        "seed": settings.seed,
        "batch": settings.batch,
        "seconds": settings.seconds,
    }

    def loss(module: nn.Module, step: int) -> Tensor:
        mix, drums = draw_batch(songs, settings, step)
        return mask_loss(module(mix.abs()), mix, drums)

    trainer = Trainer(network, loss, config, settings.out, meta)
    if settings.resume:
        trainer.resume()
    yield from trainer.run()
    export_separator(trainer.path, settings.out / "separator.onnx")


def training_songs(folder: Path) -> list[Path]:
    """Records of the rendered songs of split "train", in order; UserError if there are none."""
    songs = [p for p in sorted(folder.glob("*.json")) if '"split": "train"' in p.read_text()]
    if not songs:
        raise UserError(
            f"{folder} holds no rendered songs to train on; make some with `restem dataset render`."
        )
    return songs


def draw_batch(songs: list[Path], settings: SeparatorTraining, step: int) -> tuple[Tensor, Tensor]:
    """Complex spectra (batch, frame, bin) of mixes and of the drums in them."""
    rng = np.random.default_rng((settings.seed, step))
    samples = round(settings.seconds * 44100 / HOP) * HOP
    pairs = [_draw(songs, samples, rng) for _ in range(settings.batch)]
    waves = torch.from_numpy(np.concatenate([[c for c, _ in pairs], [d for _, d in pairs]]))
    window = torch.hann_window(N_FFT)
    spectra = torch.stft(waves, N_FFT, HOP, window=window, return_complex=True)
    context, drums = spectra.transpose(1, 2).chunk(2)
    context = context * _equalisers(settings.batch, rng)
    drums = drums * _equalisers(settings.batch, rng)
    return context + drums, drums


def _draw(songs: list[Path], samples: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """A crop of one song's context and of its own, another song's or no drums, float32."""
    song = songs[int(rng.integers(len(songs)))]
    context = _crop(song, "context", samples, rng)
    gains = 10 ** (rng.uniform(-9, 6, len(context)) / 20)
    wave = (context * gains[:, None]).sum(axis=0)
    kind = rng.random()
    if kind < NO_DRUMS_SHARE:
        return wave.astype(np.float32), np.zeros(samples, np.float32)
    if kind < NO_DRUMS_SHARE + STRANGE_DRUMS_SHARE:
        song = songs[int(rng.integers(len(songs)))]
    takes = _crop(song, "drums", samples, rng)
    drums = takes[int(rng.integers(len(takes)))]
    level = np.sqrt(np.mean(drums**2)) + 1e-4
    wanted = (np.sqrt(np.mean(wave**2)) + 1e-4) * 10 ** (rng.uniform(-12, 6) / 20)
    return wave.astype(np.float32), (drums * (wanted / level)).astype(np.float32)


def _crop(song: Path, kind: str, samples: int, rng: np.random.Generator) -> np.ndarray:
    """(track, sample) of a random stretch; shorter songs repeat."""
    tracks = np.load(song.with_suffix(f".{kind}.npy"), mmap_mode="r")
    start = int(rng.integers(max(1, tracks.shape[1] - samples)))
    cut = np.asarray(tracks[:, start : start + samples], np.float32) / 32768
    return np.resize(cut.T, (samples, len(cut))).T if cut.shape[1] < samples else cut


def _equalisers(count: int, rng: np.random.Generator) -> Tensor:
    """(count, 1, bin) smooth random gains of a few decibels, as desks and rooms make them."""
    knots = rng.normal(0, 4, (count, 8))
    place = np.linspace(0, 7, BINS)
    place = 7 * np.log1p(place * 20) / np.log1p(140)
    curves = np.stack([np.interp(place, np.arange(8), row) for row in knots])
    return torch.from_numpy(10 ** (curves / 20)).float()[:, None]


def mask_loss(mask: Tensor, mix: Tensor, drums: Tensor) -> Tensor:
    """Mean over clips of log10(error energy / drums energy), both softened by SOFT_LIMIT."""
    error = _energy(mask[..., None] * torch.view_as_real(mix) - torch.view_as_real(drums))
    energy = _energy(torch.view_as_real(drums))
    soft = SOFT_LIMIT * _energy(torch.view_as_real(mix)) + 1e-6
    return torch.log10((error + soft) / (energy + soft)).mean()


def _energy(parts: Tensor) -> Tensor:
    """(clip,) energy of (clip, frame, bin, 2). Real, since |z| of a denormal z has no gradient."""
    return parts.square().sum(dim=(1, 2, 3))


def export_separator(checkpoint: Path, path: Path) -> None:
    """Write the averaged weights as one ONNX file: "magnitudes" -> "mask", free batch and frame."""
    weights, meta = ema_weights(checkpoint)
    settings: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in meta["network"].items()
    }
    network = DrumsMask(SeparatorConfig(**settings))
    network.load_state_dict(weights)
    free = {0: "clip", 1: "frame"}
    partial = path.with_suffix(".part")
    torch.onnx.export(
        network.eval(),
        (torch.rand(2, 40, BINS),),
        str(partial),
        input_names=["magnitudes"],
        output_names=["mask"],
        dynamic_axes={"magnitudes": free, "mask": free},
        opset_version=17,
        dynamo=False,
    )
    os.replace(partial, path)
    path.with_suffix(".json").write_text(json.dumps(meta, indent=2) + "\n")
