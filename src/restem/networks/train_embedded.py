"""Song features in, the embedded network's checkpoint out: subtractive training in miniature."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Queue

import numpy as np
import torch
from torch import Tensor, nn

from restem.dataset.batches import Batch, BatchMaker, Target, read_songs
from restem.diffusion.path import noised
from restem.diffusion.training import Trainer, TrainingConfig
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.networks.export import start_from
from restem.text import TextEncoder
from restem.tokens import TokenConfig

SPREAD = 0.15  # of what a stem holds beyond the width of the network, about 3 dB
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
    target: Target = "stem"  # "mix": a base model, from the sentence alone
    compile: bool = False  # faster from the second minute on; needs a C++ compiler


def train(settings: EmbeddedTraining) -> Iterator[tuple[int, float]]:
    """Train by the settings, yielding (step, loss); the checkpoint lies in `settings.out`."""
    torch.manual_seed(settings.seed)
    tokens = TokenConfig() if settings.target == "stem" else TokenConfig().of_mix()
    network = EmbeddedNetwork(
        NetworkConfig(
            tokens.stem_values,
            tokens.context_values,
            tokens.phases,
            width=settings.width,
            blocks=settings.blocks,
            spread=SPREAD,
        )
    )
    if settings.start is not None:
        start_from(network, settings.start)
    null = torch.from_numpy(TextEncoder.load().encode([""]))
    songs = read_songs(settings.data, "train")
    maker = BatchMaker(songs, tokens, settings.seed, target=settings.target)
    ahead = _Ahead(maker, settings.batch)
    meta = {
        "network": network.config.to_dict(),
        "tokens": tokens.to_dict(),
        "target": settings.target,
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
    """Mean of (x - predicted x)^2 / t^2, the weight capped at 25, over one noised batch.

    Tokens that are given stand in x_t without noise, and do not count.
    """
    rng = np.random.default_rng((seed, step, 1))
    clean = torch.from_numpy(batch.stem)
    noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
    t = torch.from_numpy(_times(len(clean), rng))
    draw = torch.from_numpy(rng.random(len(clean)))
    text = torch.where((draw < TEXT_DROPOUT)[:, None], null, torch.from_numpy(batch.text))
    context = torch.from_numpy(batch.context)
    no_context = (draw >= TEXT_DROPOUT / 2) & (draw < TEXT_DROPOUT / 2 + CONTEXT_DROPOUT)
    context = torch.where(no_context[:, None, None], SILENT_CONTEXT, context)
    given = torch.from_numpy(batch.given)[:, :, None]
    shown = torch.where(given, clean, noised(clean, noise, t[:, None, None]))
    with torch.autocast("cpu", torch.bfloat16, enabled=_quick_in_half()):
        predicted = network(shown, context, torch.from_numpy(batch.phase), text, t)
    weight = torch.clamp(1 / t**2, max=25.0)[:, None, None] * ~given
    return (weight * (predicted.float() - clean) ** 2).sum() / ((~given).sum() * clean.shape[2])


@cache
def _quick_in_half() -> bool:
    """Whether this processor multiplies in bfloat16: several times as fast as in single precision
    where it does, and several times slower where it is emulated."""
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


SILENT_CONTEXT = TokenConfig().silence


def _times(count: int, rng: np.random.Generator) -> np.ndarray:
    """Logit-normal times (Esser et al. 2024, arXiv 2403.03206), most of them near the noise.

    A token holds hundreds of numbers that rise together, so a hit shows through almost pure noise:
    where the hits come and of which kit, which is what context, beat and sentence decide, is
    settled above 0.9. A third of the times are spread below, where texture is made.
    """
    high, low = rng.normal(3.2, 1.5, count), rng.normal(0.0, 1.5, count)
    logits = np.where(rng.random(count) < 2 / 3, high, low)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


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
