"""A seed in, the random numbers of one batch on its device out."""

from __future__ import annotations

import torch
from torch import Tensor


class Draw:
    """Random numbers of one batch, a row a window."""

    def __init__(self, seed: int, size: int, device: torch.device) -> None:
        self.size, self.device = size, device
        self._generator = torch.Generator(device)
        self._generator.manual_seed(seed)

    def uniform(self, low: float, high: float, columns: int = 1) -> Tensor:
        """(window, column) between low and high."""
        drawn = torch.rand(self.size, columns, generator=self._generator, device=self.device)
        return low + (high - low) * drawn

    def normal(self, columns: int) -> Tensor:
        """(window, column) of mean 0 and spread 1."""
        return torch.randn(self.size, columns, generator=self._generator, device=self.device)

    def chance(self, share: float) -> Tensor:
        """(window,), True in a share of them."""
        return self.uniform(0, 1)[:, 0] < share

    def below(self, count: int | Tensor) -> Tensor:
        """(window,) whole numbers from 0 to below count, which may differ for each window."""
        return (self.uniform(0, 1)[:, 0].double() * count).long()
