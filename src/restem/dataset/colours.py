"""Random points in, gains of all columns of a picture out: rooms, microphones and worn tapes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from restem.audio.spectrogram import SpectrogramConfig, peak_hz
from restem.dataset.draws import Draw


class Colours:
    """Smooth curves over the columns of a picture."""

    def __init__(self, spectrogram: SpectrogramConfig, device: torch.device) -> None:
        self._mels, self._device = spectrogram.mels, device
        places = torch.linspace(0, 5, self._mels)
        near = (1 - (places[:, None] - torch.arange(6)).abs()).clamp(min=0)
        self._curve = near.to(device)  # (mel, 6): between six points of a smooth curve
        self._wide = _wide_bands(spectrogram).to(device)

    def of(self, points: Tensor, cut: Tensor | None = None) -> Tensor:
        """Gain in dB (window, column): a smooth curve through six points (window, 6), and what is
        cut; the wide bands of the fine envelope have the mean of theirs."""
        curve = points @ self._curve.T - (0 if cut is None else cut)
        return torch.cat([curve, curve @ self._wide], dim=1)

    def cut(self, draw: Draw) -> Tensor:
        """dB (window, mel) that a dull top loses, in a quarter of the windows."""
        mels = self._mels
        first = mels // 2 + draw.below(mels - mels // 2)
        mel = torch.arange(mels, device=self._device)
        share = ((mel - first[:, None]) / (mels - 1 - first[:, None]).clamp(min=1)).clamp(min=0)
        depth = torch.where(draw.chance(0.25), draw.uniform(10, 60)[:, 0], 0.0)
        return depth[:, None] * share


def _wide_bands(spectrogram: SpectrogramConfig) -> Tensor:
    """(mel, fine column): shares of each mel band in the mean over a wide band."""
    band = np.searchsorted(spectrogram.fine_edges_hz, peak_hz(spectrogram), side="right")
    inside = (band[:, None] == spectrogram.fine_numbers).astype(np.float32)
    shares = inside / np.maximum(inside.sum(axis=0), 1)
    return torch.from_numpy(np.repeat(shares, spectrogram.fine_per_frame, axis=1))
