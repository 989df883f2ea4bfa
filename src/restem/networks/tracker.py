"""The beat tracker's network: band features of a song in, log-odds of beat and downbeat out.

Convolutions over bands, then dilated residual blocks over time, after Davies and Böck, "Temporal
Convolutional Networks for Musical Audio Beat Tracking" (EUSIPCO 2019).
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class TrackerConfig:
    """Size of the network; the defaults are those of the tracker in the package."""

    bands: int = 80  # as restem.audio.tracking makes them
    front: tuple[int, ...] = (16, 24, 32)  # channels; each layer halves the bands
    width: int = 80
    taps: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    dropout: float = 0.1

    @property
    def reach(self) -> int:
        """Frames that one output frame sees to either side."""
        return len(self.front) + self.taps // 2 * sum(self.dilations)


class BeatTracker(nn.Module):
    """(batch, frame, band) features -> (batch, frame, 2) log-odds of beat and of downbeat."""

    def __init__(self, config: TrackerConfig = TrackerConfig()) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        channels, bands = 1, config.bands
        for width in config.front:
            layers += [
                nn.Conv2d(channels, width, 3, stride=(1, 2), padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.GELU(),
            ]
            channels, bands = width, (bands + 1) // 2
        self.front = nn.Sequential(*layers)
        self.enter = nn.Conv1d(channels * bands, config.width, 1)
        self.blocks = nn.ModuleList(_Block(config, dilation) for dilation in config.dilations)
        last = nn.Conv1d(config.width, 2, 1)
        last.bias = nn.Parameter(torch.full((2,), -3.0))  # most frames hold no beat
        self.out = nn.Sequential(nn.GELU(), last)

    def forward(self, features: Tensor) -> Tensor:
        x = self.front(features[:, None])  # (batch, channel, frame, band)
        x = self.enter(x.transpose(2, 3).flatten(1, 2))  # (batch, channel, frame)
        for block in self.blocks:
            x = block(x)
        return self.out(x).transpose(1, 2)


class _Block(nn.Module):
    """x + pointwise(GELU(dilated convolution(norm(x))))."""

    def __init__(self, config: TrackerConfig, dilation: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(config.width)
        self.dilated = nn.Conv1d(
            config.width,
            config.width,
            config.taps,
            dilation=dilation,
            padding=dilation * (config.taps // 2),
        )
        self.pointwise = nn.Conv1d(config.width, config.width, 1)
        self.dropout = nn.Dropout1d(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.gelu(self.dilated(self.norm(x)))
        return x + self.pointwise(self.dropout(y))


def export_onnx(network: BeatTracker, path: Path) -> None:
    """Writes the network as one ONNX file: "features" (1, frame, band) -> "log_odds"."""
    network.eval()
    example = torch.zeros(1, 2 * network.config.reach, network.config.bands)
    handle, partial = tempfile.mkstemp(suffix=".onnx", dir=path.parent)
    os.close(handle)
    with torch.no_grad():
        torch.onnx.export(
            network,
            (example,),
            partial,
            input_names=["features"],
            output_names=["log_odds"],
            dynamic_axes={"features": {1: "frame"}, "log_odds": {1: "frame"}},
            opset_version=17,
            dynamo=False,
        )
    os.chmod(partial, 0o644)
    os.replace(partial, path)
