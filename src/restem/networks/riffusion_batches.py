"""The number of a training step in; a batch of latents with its own random numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from restem.networks.riffusion_latents import LatentBatch, LatentCache


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, each pair's own: (pair, 4, h, w) noises, (pair,) the rest."""

    sample: Tensor
    noise: Tensor
    timestep: Tensor
    dropout: Tensor


class Batches:
    """Which pairs make a part of a step on a process, and with which random numbers.

    Pairs are counted through all epochs; the number decides everything that is random about one.
    So two processes, or two accumulated parts, see together what one batch of twice the size sees.
    """

    def __init__(
        self, cache: LatentCache, size: int, seed: int, process: int = 0, processes: int = 1
    ) -> None:
        self.cache, self.size, self.seed = cache, size, seed
        self.process, self.processes = process, processes
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def get(self, part: int, device: torch.device | str = "cpu") -> tuple[LatentBatch, Draws]:
        """Batch and random numbers of part number `part`, on a device."""
        numbers = self._numbers(part)
        found = self.cache.batch([self._pair(number) for number in numbers])
        moments, context = found.moments.to(device), found.context.to(device)
        draws = [self._draw(number, tuple(context.shape[1:])) for number in numbers]
        columns = (torch.stack(column).to(device) for column in zip(*draws, strict=True))
        return LatentBatch(moments, context, found.sentences, found.names), Draws(*columns)

    def names(self, part: int) -> str:
        """The pairs of part number `part`, for a message."""
        pairs = [self.cache.pairs[self._pair(number)].name for number in self._numbers(part)]
        return ", ".join(pairs)

    def _numbers(self, part: int) -> range:
        first = (part * self.processes + self.process) * self.size
        return range(first, first + self.size)

    def _pair(self, number: int) -> int:
        epoch, place = divmod(number, len(self.cache.pairs))
        return int(self._order(epoch)[place])

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, epoch, 1)).permutation(len(self.cache.pairs))

    def _draw(self, number: int, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        rng = np.random.default_rng((self.seed, number, 2))
        sample, noise = (
            torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) for _ in range(2)
        )
        return sample, noise, torch.tensor(rng.random()), torch.tensor(rng.random())
