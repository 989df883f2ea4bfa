"""Pictures and sentences in, latents and embeddings out; latents in, pictures out.

A Riffusion model is a Stable Diffusion 1.x checkpoint whose pictures are spectrograms: a VAE, a
text encoder (both frozen) and a UNet, the only part that learns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from restem.audio.riffusion_image import PictureConfig
from restem.diffusion.schedule import NoiseSchedule
from restem.errors import UserError

Target = Literal["mix", "stem"]
# How the context enters, after the four ways in which the paper can be read:
# R1 in four more channels; R2 in place of the noise, one step to the target; R3 as the start of a
# bridge to the target, without noise; R4 trained as R1, sampled from the noised context.
Reading = Literal["R1", "R2", "R3", "R4"]
LATENT_CHANNELS = 4


@dataclass(frozen=True)
class RiffusionSettings:
    """What a fine-tuned model draws and from what; `restem.json` in its folder.

    `peak_ratio`: how much louder the loudest spot of a training pair was than that of its context
    alone, the median. With it an insertion, which knows only the context, sets its reference.
    """

    picture: PictureConfig = field(default_factory=PictureConfig)
    target: Target = "mix"
    reading: Reading = "R1"
    stem: str = "drums"
    peak_ratio: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RiffusionSettings:
        """The inverse of `to_dict`; UserError for what it does not know."""
        try:
            found = cls(**{**values, "picture": PictureConfig.from_dict(values["picture"])})
        except (TypeError, KeyError) as error:
            raise UserError(f"A restem.json is not understood: {error}.") from None
        if found.target not in get_args(Target) or found.reading not in get_args(Reading):
            raise UserError(f"A restem.json names {found.target!r} and {found.reading!r}.")
        return found


@dataclass(frozen=True)
class Riffusion:
    """A loaded checkpoint. `unet`, `vae`, `text_encoder` and `tokenizer` are the library's own."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    schedule: NoiseSchedule
    settings: RiffusionSettings

    @property
    def device(self) -> torch.device:
        """Where the VAE lies."""
        return next(self.vae.parameters()).device

    @property
    def scale(self) -> float:
        """What a latent is multiplied by to have about variance 1: 0.18215."""
        return float(self.vae.config.scaling_factor)

    @property
    def shrink(self) -> int:
        """Pixels a latent's side stands for: 8 in Stable Diffusion."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channel, height, width) of a picture's latent: (4, 64, 64) for Riffusion."""
        picture = self.settings.picture
        return LATENT_CHANNELS, picture.mels // self.shrink, picture.frames // self.shrink

    def with_settings(self, **changes: Any) -> Riffusion:
        """The same networks with other settings."""
        return replace(self, settings=replace(self.settings, **changes))

    @torch.no_grad()
    def moments(self, pictures: np.ndarray) -> Tensor:
        """Mean and log variance (picture, 8, height, width) of pictures (picture, mel, frame)."""
        found: Tensor = self.vae.encode(self.pixels(pictures)).latent_dist.parameters
        return found

    def pixels(self, pictures: np.ndarray) -> Tensor:
        """(picture, mel, frame) of 0..255 to (picture, 3, mel, frame) of -1..1."""
        grey = torch.as_tensor(np.ascontiguousarray(pictures), dtype=torch.float32)
        parameter = next(self.vae.parameters())
        colours = (2 * (grey / 255) - 1)[:, None].expand(-1, 3, -1, -1)
        return colours.to(parameter.device, parameter.dtype)

    @torch.no_grad()
    def pictures(self, latents: Tensor) -> np.ndarray:
        """Pictures (picture, mel, frame) float32 of 0..255, between whole pixels, of latents."""
        parameter = next(self.vae.parameters())
        decoded = self.vae.decode(latents.to(parameter) / self.scale).sample
        grey = (decoded.float().mean(dim=1) / 2 + 0.5).clamp(0, 1) * 255
        return np.asarray(grey.cpu().numpy())

    @torch.no_grad()
    def embed(self, sentences: Sequence[str]) -> Tensor:
        """Token states (sentence, token, width); the null text is that of ""."""
        tokens = self.tokenizer(
            list(sentences),
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        found: Tensor = self.text_encoder(tokens.input_ids.to(self.text_encoder.device))[0]
        return found


def mode_of(moments: Tensor) -> Tensor:
    """The most likely latent (…, 4, h, w), unscaled, of moments (…, 8, h, w)."""
    return moments[..., :LATENT_CHANNELS, :, :]


def sampled(moments: Tensor, noise: Tensor) -> Tensor:
    """A latent (…, 4, h, w), unscaled, drawn from moments by normal noise of its shape."""
    mean, log_variance = moments.chunk(2, dim=-3)
    return mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * noise


def widened(unet: Any) -> Any:
    """The UNet with four more input channels, in place; their weights are zero.

    So before training it says what it said, whatever lies in the new channels. The bias is kept
    too. Raises UserError if it has neither four nor eight channels.
    """
    old = unet.conv_in
    if old.in_channels == 2 * LATENT_CHANNELS:
        return unet
    if old.in_channels != LATENT_CHANNELS:
        raise UserError(
            f"The checkpoint's UNet takes {old.in_channels} channels; give one that takes 4 or 8."
        )
    new = nn.Conv2d(
        2 * LATENT_CHANNELS, old.out_channels, old.kernel_size, old.stride, old.padding
    ).to(old.weight)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, :LATENT_CHANNELS].copy_(old.weight)
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=2 * LATENT_CHANNELS)
    return unet
