"""Song features in, the embedded network's checkpoint out: subtractive training in miniature."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import numpy as np
import torch
from torch import Tensor, nn

from restem.dataset.batches import Batch, BatchMaker, read_songs
from restem.diffusion.path import noised
from restem.diffusion.training import Trainer, TrainingConfig
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.networks.export import network_from_model
from restem.text import TextEncoder
from restem.tokens import TokenConfig

TEXT_DROPOUT, CONTEXT_DROPOUT = 0.1, 0.05


@dataclass(frozen=True)
class EmbeddedTraining:
    """What to train on and for how long."""

    data: Path
    out: Path
    steps: int
    batch: int = 16
    seed: int = 0
    width: int = 288
    blocks: int = 7
    learning_rate: float = 6e-4
    resume: bool = False
    start: Path | None = None  # model folder whose weights to begin with
    compile: bool = False  # faster from the second minute on; needs a C++ compiler


def train(settings: EmbeddedTraining) -> Iterator[tuple[int, float]]:
    """Train by the settings, yielding (step, loss); the checkpoint lies in `settings.out`."""
    torch.manual_seed(settings.seed)
    tokens = TokenConfig()
    network = EmbeddedNetwork(
        NetworkConfig(
            tokens.stem_values,
            tokens.context_values,
            tokens.phases,
            width=settings.width,
            blocks=settings.blocks,
        )
    )
    if settings.start is not None:
        network.load_state_dict(network_from_model(settings.start).state_dict())
    null = torch.from_numpy(TextEncoder.load().encode([""]))
    maker = BatchMaker(read_songs(settings.data, "train"), tokens, settings.seed)
    ahead = _Ahead(maker, settings.batch)
    meta = {
        "network": network.config.to_dict(),
        "tokens": tokens.to_dict(),
        "seed": settings.seed,
        "batch": settings.batch,
    }
    trainer = Trainer(
        network,
        lambda net, step: batch_loss(net, ahead.get(step), null, settings.seed, step),
        TrainingConfig(settings.steps, settings.learning_rate),
        settings.out,
        meta,
    )
    if settings.resume:
        trainer.resume()
    if settings.compile:
        network.compile()  # in place: the parameters keep their names
    yield from trainer.run()


def batch_loss(network: nn.Module, batch: Batch, null: Tensor, seed: int, step: int) -> Tensor:
    """Mean of (x - predicted x)^2 / t^2, the weight capped at 25, over one noised batch."""
    rng = np.random.default_rng((seed, step, 1))
    clean = torch.from_numpy(batch.stem)
    noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
    # Logit-normal times (Esser et al. 2024, arXiv 2403.03206), moved towards the noise: a token
    # holds hundreds of numbers that rise together, so a hit shows through almost pure noise, and
    # where the hits come, which is what context, beat and sentence decide, is settled above 0.9.
    t = torch.from_numpy((1 / (1 + np.exp(-rng.normal(2.8, 1.5, len(clean))))).astype(np.float32))
    draw = torch.from_numpy(rng.random(len(clean)))
    text = torch.where((draw < TEXT_DROPOUT)[:, None], null, torch.from_numpy(batch.text))
    context = torch.from_numpy(batch.context)
    no_context = (draw >= TEXT_DROPOUT / 2) & (draw < TEXT_DROPOUT / 2 + CONTEXT_DROPOUT)
    context = torch.where(no_context[:, None, None], SILENT_CONTEXT, context)
    with torch.autocast("cpu", torch.bfloat16):
        predicted = network(
            noised(clean, noise, t[:, None, None]), context, torch.from_numpy(batch.phase), text, t
        )
    weight = torch.clamp(1 / t**2, max=25.0)[:, None, None]
    return (weight * (predicted.float() - clean) ** 2).mean()


# The value of silence in a normalised context.
SILENT_CONTEXT = (TokenConfig().quiet_db - TokenConfig().centre_db) / TokenConfig().scale_db


class _Ahead:
    """Makes the next batches in a thread while the network trains."""

    def __init__(self, maker: BatchMaker, size: int) -> None:
        self.maker, self.size = maker, size
        self.queue: Queue[tuple[int, Batch | Exception]] = Queue(maxsize=4)
        self.thread: threading.Thread | None = None

    def _work(self, step: int) -> None:
        while True:
            try:
                made: Batch | Exception = self.maker.batch(step, self.size)
            except Exception as error:
                made = error
            self.queue.put((step, made))
            step += 1

    def get(self, step: int) -> Batch:
        if self.thread is None:
            self.thread = threading.Thread(target=self._work, args=(step,), daemon=True)
            self.thread.start()
        number, batch = self.queue.get()
        if isinstance(batch, Exception):
            raise batch
        assert number == step, "steps are trained in order"
        return batch
