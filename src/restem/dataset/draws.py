"""A seed in, the random numbers of one batch on its device out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Which windows of a step are this process's, where several share it."""

    process: int = 0
    processes: int = 1

    def of(self, drawn: Tensor) -> Tensor:
        """Its rows of what is drawn for all: together they see what one with all would see."""
        return drawn.chunk(self.processes)[self.process]


ALONE = Share()


class Draw:
    """Random numbers of one batch, or of a process's share of it, a row a window."""

    def __init__(self, seed: int, size: int, device: torch.device, share: Share = ALONE) -> None:
        self.size, self.device, self._share = size, device, share
        self._all = size * share.processes
        self._generator = torch.Generator(device)
        self._generator.manual_seed(seed)

    def uniform(self, low: float, high: float, columns: int = 1) -> Tensor:
        """(window, column) between low and high."""
        drawn = torch.rand(self._all, columns, generator=self._generator, device=self.device)
        return low + (high - low) * self._share.of(drawn)

    def normal(self, columns: int) -> Tensor:
        """(window, column) of mean 0 and spread 1."""
        drawn = torch.randn(self._all, columns, generator=self._generator, device=self.device)
        return self._share.of(drawn)

    def chance(self, share: float) -> Tensor:
        """(window,), True in a share of them."""
        return self.uniform(0, 1)[:, 0] < share

    def below(self, count: int | Tensor) -> Tensor:
        """(window,) whole numbers from 0 to below count, which may differ for each window."""
        return (self.uniform(0, 1)[:, 0].double() * count).long()
