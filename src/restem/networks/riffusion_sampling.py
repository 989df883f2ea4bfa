"""A context's latents and an instruction in, the latents of the target out.

Latents may be wider than those of one picture: then the network looks at windows that overlap, and
what it says of a column is averaged over them, in every step (MultiDiffusion, Bar-Tal et al. 2023,
arXiv 2302.08113), so that a long clip is one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from restem.diffusion import path
from restem.diffusion.schedule import Ddim, Draw, Euler, Sampler, guided_by_both, sample
from restem.diffusion.sdedit import sdedit
from restem.diffusion.windows import window_starts
from restem.networks.riffusion import LATENT_CHANNELS, Riffusion

SamplerName = Literal["ddim", "euler", "euler-ancestral"]


@dataclass(frozen=True)
class SamplingSettings:
    """How to sample; the defaults are the paper's 20 steps and the common two scales."""

    steps: int = 20
    text_guidance: float = 7.5
    context_guidance: float = 1.5
    sampler: SamplerName = "ddim"


def make_sampler(model: Riffusion, name: SamplerName) -> Sampler:
    """The sampler of this name on the model's schedule."""
    if name == "ddim":
        return Ddim(model.schedule)
    return Euler(model.schedule, ancestral=name == "euler-ancestral")


@torch.no_grad()
def generate(
    model: Riffusion,
    context: Tensor,
    instruction: str,
    noise: Tensor,
    settings: SamplingSettings,
    draw: Draw | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Yield (steps done, latents (1, 4, h, w), scaled); the last are the target's.

    `context` (1, 4, h, w): modes of the VAE, unscaled. `noise`: normal, of its shape. `draw` gives
    more of it, for samplers that add noise on the way. How the context enters is the model's
    reading.
    """
    text, null = model.embed([instruction, ""]).chunk(2)
    reading, steps = model.settings.reading, settings.steps
    start = context * model.scale
    if reading == "R2":
        last = float(model.schedule.timesteps - 1)
        yield 1, _by_text(model, start, last, text, null, settings.text_guidance)
    elif reading == "R3":

        def to_target(x: Tensor, t: float) -> Tensor:
            # In training time runs from 1/T, at timestep 0, to 1.
            timestep = max(t * model.schedule.timesteps - 1, 0.0)
            return _by_text(model, x, timestep, text, null, settings.text_guidance)

        yield from path.sample(to_target, start, steps)
    else:

        def denoise(x: Tensor, t: float) -> Tensor:
            return _by_both(model, x, context, t, text, null, settings)

        sampler = make_sampler(model, settings.sampler)
        if reading == "R4":
            yield from sdedit(denoise, start, noise, steps, 1.0, sampler, draw)
        else:
            yield from sample(sampler, denoise, noise, steps, draw)


@torch.no_grad()
def edit(
    model: Riffusion,
    context: Tensor,
    caption: str,
    noise: Tensor,
    settings: SamplingSettings,
    strength: float,
    draw: Draw | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """SDEdit with a checkpoint of four channels, the baseline: yields as `generate` does."""
    text, null = model.embed([caption, ""]).chunk(2)

    def denoise(x: Tensor, t: float) -> Tensor:
        return _by_text(model, x, t, text, null, settings.text_guidance)

    sampler = make_sampler(model, settings.sampler)
    yield from sdedit(
        denoise, context * model.scale, noise, settings.steps, strength, sampler, draw
    )


def _by_both(
    model: Riffusion,
    x: Tensor,
    context: Tensor,
    t: float,
    text: Tensor,
    null: Tensor,
    settings: SamplingSettings,
) -> Tensor:
    """The prediction guided by text and context, three evaluations in one batch."""
    seen = torch.cat([x.expand(3, -1, -1, -1), _three(context)], dim=1)
    said = _over_windows(model, seen, t, torch.cat([text, null, null]))
    scales = settings.text_guidance, settings.context_guidance
    guided: Tensor = guided_by_both(said[:1], said[1:2], said[2:], *scales)
    return guided


def _three(context: Tensor) -> Tensor:
    return torch.cat([context, context, torch.zeros_like(context)])


def _by_text(
    model: Riffusion, x: Tensor, t: float, text: Tensor, null: Tensor, scale: float
) -> Tensor:
    """The prediction guided by text alone, two evaluations in one batch."""
    if scale == 1:
        return _over_windows(model, x, t, text)
    said = _over_windows(model, x.expand(2, -1, -1, -1), t, torch.cat([text, null]))
    guided: Tensor = path.guided(said[:1], said[1:], scale)
    return guided


def _over_windows(model: Riffusion, x: Tensor, t: float, text: Tensor) -> Tensor:
    """What the UNet says of latents (batch, channel, h, w) of any width from one picture's on."""
    window = model.latent_shape[2]
    starts = window_starts(x.shape[-1], window, window - window // 4)
    if len(starts) == 1:
        said: Tensor = model.unet(x, t, text).sample
        return said
    # Columns near a window's edge see only half of what is around them, so they count less.
    ramp = torch.from_numpy(np.minimum(np.arange(window) + 1, window - np.arange(window)))
    weight = torch.clamp(ramp / (window // 4), max=1).to(x)
    total = x.new_zeros(len(x), LATENT_CHANNELS, *x.shape[2:])
    count = x.new_zeros(x.shape[-1])
    for start in starts:
        part = slice(start, start + window)
        total[..., part] += weight * model.unet(x[..., part], t, text).sample
        count[part] += weight
    return total / count
