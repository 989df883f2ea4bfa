"""The embedded network: noisy stem, context, beat phase and sentence in, clean stem out.

A one-dimensional transformer over tokens of a few mel frames (diffusion transformers: Peebles and
Xie 2023, arXiv 2212.09748), with a depthwise convolution and rotary attention in each block. The
time and the sentence act through one shared adaptive normalisation with a learned offset a block
(PixArt-alpha, Chen et al. 2023, arXiv 2310.00426), which keeps the parameters in the blocks.

Shapes: stem and context (batch, token, value), phase (batch, token, phase feature), text
(batch, 384), followed by the controls in the same row where the network has them, t (batch,).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the embedded network."""

    stem_values: int  # numbers in one token of the stem
    context_values: int
    phases: int  # beat-phase features a token
    text: int = 384
    width: int = 288
    blocks: int = 8
    heads: int = 6
    kernel: int = 7
    spread: float = 0.0  # of texture; above 0, x_t has a direct way
    controls: int = 0  # numbers about how the stem is played, after those of the text

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Block(nn.Module):
    """Depthwise convolution, rotary attention and MLP, each modulated by the condition."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        d = config.width
        self.heads = config.heads
        self.offset = nn.Parameter(torch.zeros(9, d))
        self.norm = nn.LayerNorm(d, elementwise_affine=False)
        self.local = nn.Conv1d(d, d, config.kernel, padding=config.kernel // 2, groups=d)
        self.mix = nn.Linear(d, d)
        self.qkv = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d)
        self.up = nn.Linear(d, 4 * d)
        self.down = nn.Linear(4 * d, d)

    def forward(self, x: Tensor, modulation: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        m = modulation + self.offset  # (batch, 9, width)
        a, b, c, d, e, f, g, h, i = (m[:, k : k + 1] for k in range(9))
        y = self.norm(x) * (1 + a) + b
        x = x + c * self.mix(F.silu(self._convolve(y)))
        x = x + f * self._attend(self.norm(x) * (1 + d) + e, cos, sin)
        return x + i * self.down(F.gelu(self.up(self.norm(x) * (1 + g) + h), approximate="tanh"))

    def _convolve(self, x: Tensor) -> Tensor:
        if not x.is_cuda:
            return self.local(x.transpose(1, 2)).transpose(1, 2)
        # Several times as fast as a depthwise convolution there: shifted sums, fused by a compiler.
        reach, tokens = self.local.kernel_size[0] // 2, x.shape[1]
        padded = F.pad(x, (0, 0, reach, reach))
        weight = self.local.weight[:, 0].to(x.dtype)
        assert self.local.bias is not None
        total = self.local.bias.to(x.dtype)
        for k in range(weight.shape[1]):
            total = total + padded[:, k : k + tokens] * weight[:, k]
        return total

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        split = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        if x.is_cuda:
            y = F.scaled_dot_product_attention(q, k, v)
        else:  # on a processor, for 128 tokens, this trains faster than the fused kernel
            y = ((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5).softmax(dim=-1).to(v.dtype) @ v
        return self.out(y.transpose(1, 2).reshape(batch, tokens, width))


class EmbeddedNetwork(nn.Module):
    """Predicts the clean stem from x_t; see the module's shapes.

    A token holds more numbers than the network is wide, so fine texture cannot pass through it.
    With a `spread`, x_t is let past it by as much as would best recover Gaussian texture of that
    spread (Karras et al. 2022, arXiv 2206.00364, eq. 7 and table 1, for the straight path).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        d = config.width
        self.config = config
        self.stem_in = nn.Linear(config.stem_values, d)
        self.context_in = nn.Sequential(
            nn.Linear(config.context_values, d), nn.GELU(approximate="tanh"), nn.Linear(d, d)
        )
        self.phase_in = nn.Sequential(
            nn.Linear(config.phases, d), nn.GELU(approximate="tanh"), nn.Linear(d, d)
        )
        self.time_in = nn.Sequential(nn.Linear(128, d), nn.SiLU(), nn.Linear(d, d))
        self.text_in = nn.Sequential(nn.Linear(config.text, d), nn.SiLU(), nn.Linear(d, d))
        if config.controls:
            self.control_in = nn.Sequential(
                nn.Linear(config.controls, d), nn.SiLU(), nn.Linear(d, d, bias=False)
            )
        self.modulate = nn.Sequential(nn.SiLU(), nn.Linear(d, 9 * d))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(d)
        self.stem_out = nn.Linear(d, config.stem_values)
        nn.init.zeros_(self.stem_out.weight)
        nn.init.zeros_(self.stem_out.bias)
        spread = self.modulate[1]
        assert isinstance(spread, nn.Linear)
        nn.init.normal_(spread.weight, std=0.02)
        nn.init.zeros_(spread.bias)
        gate = min(0.33, 2.3 / config.blocks)  # the blocks speak from the first step
        for block in self.blocks:
            assert isinstance(block, Block)
            block.offset.data[[2, 5, 8]] = gate

    def forward(
        self, stem: Tensor, context: Tensor, phase: Tensor, text: Tensor, t: Tensor
    ) -> Tensor:
        words = text[:, : self.config.text] * math.sqrt(self.config.text)
        condition = self.time_in(_time_features(t)) + self.text_in(words)
        if self.config.controls:
            condition = condition + self.control_in(text[:, self.config.text :])
        modulation = self.modulate(condition).reshape(-1, 9, self.config.width)
        x = self.stem_in(stem) + self.context_in(context) + self.phase_in(phase)
        cos, sin = _rotary(stem.shape[1], self.config.width // self.config.heads, stem.device)
        for block in self.blocks:
            x = block(x, modulation, cos, sin)
        added = self.stem_out(self.norm(x))
        if not self.config.spread:
            return added
        variance, t = self.config.spread**2, t[:, None, None].float()
        kept = (1 - t) * variance / ((1 - t) ** 2 * variance + t**2)
        return kept * stem + added


def _time_features(t: Tensor) -> Tensor:
    rates = torch.exp(torch.linspace(0.0, math.log(1000.0), 64, device=t.device))
    angles = t[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _rotary(tokens: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rotary position angles (token, size / 2) (RoFormer, Su et al. 2021, eq. 15)."""
    rates = 10000.0 ** (-torch.arange(0, size, 2, device=device) / size)
    angles = torch.arange(tokens, device=device)[:, None] * rates
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    even, odd = x.float().chunk(2, dim=-1)
    turned = torch.cat([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.to(x.dtype)
