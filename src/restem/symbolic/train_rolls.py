"""A corpus of rolls in, a network that predicts one part's binary cells out.

The network is that of the audio side (networks.embedded), fed with binary cells instead of mel
frames and read as log-odds; so are the training loop, its averaged weights and its resuming.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restem.diffusion.training import Trainer, TrainingConfig
from restem.errors import UserError
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.symbolic import cells, shared
from restem.symbolic.bernoulli import BinaryNoise, noised
from restem.symbolic.corpora import Piece
from restem.symbolic.corpus_file import RollBatch, RollBatches, load_corpus
from restem.symbolic.export_rolls import network_of
from restem.symbolic.model import CELL_SCALE, TEXT_VALUES, RollModel
from restem.symbolic.shared_training import SharedBatches, shared_network


@dataclass(frozen=True)
class RollTraining:
    """What to train on and for how long. The `stem` "pitched" is one network for bass, guitar and
    keys of recordings (`symbolic.shared`).

    Without a `noise`, cells are tossed with the density that they have in the corpus: the network
    then never sees rolls that are much fuller or emptier than music.
    """

    corpus: Path
    stem: str
    out: Path
    steps: int = 3000
    batch: int = 32
    seed: int = 0
    width: int = 160
    blocks: int = 5
    heads: int = 5
    learning_rate: float = 1e-3
    noise: BinaryNoise | None = None
    resume: bool = False
    splits: tuple[str, ...] = ("train",)
    start: RollModel | None = None  # an exported model whose sizes, noise and weights to begin from


def train(settings: RollTraining) -> Iterator[tuple[int, float]]:
    """Train by the settings, yielding (step, loss); the checkpoint lies in `settings.out`."""
    torch.manual_seed(settings.seed)
    pieces = [piece for split in settings.splits for piece in load_corpus(settings.corpus, split)]
    if not pieces:
        raise UserError(
            f"{settings.corpus} holds songs for validation and test only, by their names; add more "
            "songs with restem midi corpus."
        )
    shares = settings.stem == shared.FILE
    batches, rates, usual = (_shared_batches if shares else _batches)(pieces, settings)
    noise = settings.noise or replace(BinaryNoise(), density=round(float(rates.mean()), 5))
    if settings.start is not None:
        noise, network = settings.noise or settings.start.noise, network_of(settings.start)
        if shares and not settings.start.file:
            network = shared_network(network, settings.start.stem)
    else:
        network = _new_network(settings, rates)
    meta = {
        "network": network.config.to_dict(),
        "noise": noise.to_dict(),
        "stem": settings.stem,
        "seed": settings.seed,
        "batch": settings.batch,
        "pieces": len(batches.pieces),
        **usual,
        "splits": list(settings.splits),
    }
    trainer = Trainer(
        network,
        lambda net, step: batch_loss(
            net, batches.batch(step, settings.batch), noise, settings.seed, step
        ),
        TrainingConfig(
            settings.steps, settings.learning_rate, warmup=min(200, settings.steps // 10)
        ),
        settings.out,
        meta,
    )
    if settings.resume:
        trainer.resume()
    yield from trainer.run()


def _batches(
    pieces: list[Piece], settings: RollTraining
) -> tuple[RollBatches, np.ndarray, dict[str, Any]]:
    """Windows of one stem, how often each cell is set, and what the model is to say of it."""
    batches = RollBatches(pieces, settings.stem, settings.seed)
    rates, densities = _statistics(batches)
    return batches, rates, {"densities": densities}


def _shared_batches(
    pieces: list[Piece], settings: RollTraining
) -> tuple[SharedBatches, np.ndarray, dict[str, Any]]:
    """The same for several stems, each with noise of its own density."""
    batches, wide, parts = SharedBatches(pieces, settings.seed), [], {}
    for stem, own in batches.of.items():
        rates, densities = _statistics(own)
        noise = settings.noise or replace(BinaryNoise(), density=round(float(rates.mean()), 5))
        batches.densities[stem] = noise.density
        parts[stem] = {"noise": noise.to_dict(), "densities": densities, "pieces": len(own.pieces)}
        wide.append(shared.widened(rates, stem))
    return batches, np.mean(wide, axis=0), {"parts": parts}


def _new_network(settings: RollTraining, rates: np.ndarray) -> EmbeddedNetwork:
    together = settings.stem == shared.FILE
    network = EmbeddedNetwork(
        NetworkConfig(
            len(rates),
            shared.CONTEXT_VALUES if together else cells.context_values(settings.stem),
            cells.PLACES,
            TEXT_VALUES,
            settings.width,
            settings.blocks,
            settings.heads,
        )
    )
    # Begin at the frequency of each cell: sparse cells are otherwise most of the early loss.
    clipped = np.clip(rates, 1e-5, 0.5)
    network.stem_out.bias.data = torch.from_numpy(np.log(clipped / (1 - clipped))).float()
    return network


def batch_loss(
    network: nn.Module, batch: RollBatch, noise: BinaryNoise, seed: int, step: int
) -> Tensor:
    """Cross-entropy (or L1) of the cells that are to be found, summed over a token's cells."""
    rng = np.random.default_rng((seed, step, 1))
    t = rng.integers(1, noise.steps + 1, len(batch.clean))
    survival = noise.survival()[t].astype(np.float32)
    uniform = rng.random(batch.clean.shape, dtype=np.float32)
    rho = np.float32(noise.density) if batch.density is None else batch.density
    noisy = noised(batch.clean, survival[:, None, None], rho, uniform)
    shown = np.where(batch.real, noisy, batch.clean)
    with torch.autocast("cpu", torch.bfloat16):
        odds = network(
            torch.from_numpy(shown.astype(np.float32)) * CELL_SCALE,
            torch.from_numpy(batch.context) * CELL_SCALE,
            torch.from_numpy(batch.place),
            torch.from_numpy(batch.text),
            torch.from_numpy(1 - survival),
        )
    clean, real = torch.from_numpy(batch.clean).float(), torch.from_numpy(batch.real)
    if noise.loss == "l1":
        each = (torch.sigmoid(odds.float()) - clean).abs()
    else:
        each = F.binary_cross_entropy_with_logits(odds.float(), clean, reduction="none")
    tokens = real.any(dim=2).sum().clamp(min=1)
    return torch.where(real, each, 0.0).sum() / tokens


def _statistics(batches: RollBatches, windows: int = 400) -> tuple[np.ndarray, list[float]]:
    """How often each cell is set, and the 20th, 50th and 80th percentile of onsets a token."""
    rng = np.random.default_rng((batches.seed, 7))
    total, count, densities = np.zeros(cells.values_of(batches.stem)), 1.0, []
    for _ in range(windows):
        clean, real = batches.window(rng, other_rhythm=0)[:2]
        inside = real.any(axis=1)
        if inside.any():
            total += clean[inside].sum(axis=0)
            count += inside.sum()
            densities.append(cells.density(clean[inside], batches.stem))
    return total / count, [round(float(x), 4) for x in np.percentile(densities, [20, 50, 80])]
