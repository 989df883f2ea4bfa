"""The drums separator's network: magnitudes of a mix in, the share of each bin that is drums out.

A dilated convolution network hears the mix in bands and sets, frame by frame and band by band, how
much weight a few local contrasts of each bin get (does it stand out in time, along frequency?).
Median filtering along both axes (D. FitzGerald, "Harmonic/percussive separation using median
filtering", DAFx 2010) is close to a special case of it, with weights that never change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE = 44100
N_FFT, HOP = 2048, 1024
BINS = N_FFT // 2 + 1
FLOOR = 1e-4  # of the clip's level: 80 dB under it, all is silence


@dataclass(frozen=True)
class SeparatorConfig:
    """Size of the network; the defaults are those of the separator in the package."""

    bands: int = 112
    width: int = 192
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    hidden: int = 6
    times: tuple[int, ...] = (3, 9, 25)  # frames over which a bin is compared with itself
    tones: tuple[int, ...] = (7, 21, 63)  # bins over which it is compared with its neighbours

    @property
    def contrasts(self) -> int:
        """Local contrasts of a bin: those of `times` and `tones`, one frame back, one ahead."""
        return len(self.times) + len(self.tones) + 2


def band_matrix(bands: int) -> np.ndarray:
    """(band, bin) triangles that overlap by half and sum to one in every bin, float32.

    Bands are as wide as a bin at the low end and evenly spaced in log frequency above.
    """
    centres = np.geomspace(1.0, BINS + 40.0, bands)
    for i in range(1, bands):
        centres[i] = max(centres[i], centres[i - 1] + 1.0)
    centres = (centres - centres[0]) * (BINS - 1) / (centres[-1] - centres[0])
    eye = np.eye(bands)
    bins = np.arange(BINS)
    return np.stack([np.interp(bins, centres, row) for row in eye]).astype(np.float32)


class DrumsMask(nn.Module):
    """(batch, frame, bin) magnitudes -> (batch, frame, bin) masks from 0 to 1."""

    spread: Tensor
    gather: Tensor

    def __init__(self, config: SeparatorConfig = SeparatorConfig()) -> None:
        super().__init__()
        self.config = config
        matrix = torch.from_numpy(band_matrix(config.bands))
        self.register_buffer("spread", matrix, persistent=False)
        gather = (matrix / matrix.sum(dim=1, keepdim=True)).T.contiguous()
        self.register_buffer("gather", gather, persistent=False)
        self.enter = nn.Conv1d(2 * config.bands, config.width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(config.width, d) for d in config.dilations)
        self.out = nn.Conv1d(config.width, config.bands * (config.hidden + 1), 1)
        self.mix = nn.Conv2d(config.contrasts, config.hidden, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, magnitudes: Tensor) -> Tensor:
        level = magnitudes.square().mean(dim=(1, 2), keepdim=True).sqrt() + 1e-8
        loud = torch.log(magnitudes / level + FLOOR) / 4
        local = self._contrasts(loud)
        heard = loud @ self.gather
        rise = (local[:, 0] @ self.gather) * 4
        x = self.enter(torch.cat([heard, rise], dim=2).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        batch, _, frames = x.shape
        weights = self.out(functional.gelu(x)).view(
            batch, self.config.hidden + 1, self.config.bands, frames
        )
        weights = weights.transpose(2, 3) @ self.spread  # (batch, hidden + 1, frame, bin)
        features = functional.relu(self.mix(4 * local))
        logits = weights[:, 0] * 4 + (weights[:, 1:] * features).sum(dim=1) * 4 - 0.5
        return torch.sigmoid(logits)

    def _contrasts(self, loud: Tensor) -> Tensor:
        plane = loud[:, None]
        parts = []
        for frames in self.config.times:
            mean = functional.avg_pool2d(
                plane, (frames, 1), 1, (frames // 2, 0), count_include_pad=False
            )
            parts.append(plane - mean)
        for bins in self.config.tones:
            mean = functional.avg_pool2d(
                plane, (1, bins), 1, (0, bins // 2), count_include_pad=False
            )
            parts.append(plane - mean)
        padded = functional.pad(plane, (0, 0, 1, 1))
        parts += [plane - padded[:, :, :-2], plane - padded[:, :, 2:]]
        return torch.cat(parts, dim=1)


class _Block(nn.Module):
    """x + pointwise(GELU(dilated convolution(norm(x))))."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.dilated = nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation)
        self.pointwise = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pointwise(functional.gelu(self.dilated(self.norm(x))))
