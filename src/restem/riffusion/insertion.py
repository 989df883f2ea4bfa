"""A clip of any length and an instruction in; the stem that a fine-tuned Riffusion makes, out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restem.audio.riffusion_image import mel_from_picture, mel_magnitude, picture_from_mel
from restem.audio.riffusion_inversion import waveform_from_mel
from restem.audio.waveform import mono_from_channels, resampled, rms_db
from restem.diffusion.windows import window_starts
from restem.errors import UserError
from restem.networks.riffusion import LATENT_CHANNELS, Riffusion, mode_of
from restem.networks.riffusion_sampling import SamplingSettings, generate

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class ClipInsertion:
    """A stem of the clip's own shape, float64, to be added to it; and all that was decided."""

    stem: np.ndarray
    sample_rate: int
    settings: dict[str, Any] = field(default_factory=dict)


def insert_clip(
    model: Riffusion,
    samples: np.ndarray,
    rate: int,
    instruction: str,
    *,
    sampling: SamplingSettings | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ClipInsertion:
    """Make the model's stem for a clip (sample,) or (sample, channel); its samples are only read.

    One loudness reference holds for the whole clip. A model that draws the mix has its stem taken
    as the drawn mix minus what its VAE makes of the context, band by band, so that the VAE's own
    losses cancel. The same seed gives the same stem. Raises UserError for a clip that is unusable
    and for a model that is not trained for insertion.
    """
    check_trained(model)
    sampling = sampling or SamplingSettings()
    say: Progress = progress or (lambda fraction, words: None)
    clip = _checked(samples, rate, instruction)
    config = model.settings.picture
    mono = resampled(mono_from_channels(clip), rate, config.sample_rate)
    mel, frames = _whole_windows(mono, model)
    peak = float(mel.max()) * model.settings.peak_ratio
    if peak <= 0:
        raise UserError("The clip is silent, so there is nothing to play to; give another.")
    say(0.0, "encoding")
    context = _encoded(model, picture_from_mel(mel, peak, config))
    rng = np.random.default_rng(seed)

    def draw() -> Tensor:
        values = rng.standard_normal(tuple(context.shape), dtype=np.float32)
        return torch.from_numpy(values).to(context.device)

    latents = context
    for done, x in generate(model, context, instruction, draw(), sampling, draw):
        latents = x
        say(0.1 + 0.7 * done / sampling.steps, "denoising")
    if not bool(latents.isfinite().all()):
        raise UserError(
            "The model gave numbers that are not finite; train it again or try float32."
        )
    say(0.8, "decoding")
    made = mel_from_picture(_decoded(model, latents), peak, config)
    if model.settings.target == "mix":
        heard = mel_from_picture(_decoded(model, context * model.scale), peak, config)
        made = np.maximum(made - heard, 0)
    say(0.85, "turning the picture into sound")
    wave = waveform_from_mel(made[:, :frames], config, len(mono), seed)
    stem = resampled(wave, config.sample_rate, rate, len(clip)).astype(np.float64)
    settings = {
        "instruction": instruction,
        "stem": model.settings.stem,
        "seed": seed,
        **asdict(sampling),
        "target": model.settings.target,
        "reading": model.settings.reading,
        "stem_level_db": round(rms_db(stem) - rms_db(clip.mean(axis=1)), 2),
    }
    if np.ndim(samples) == 2:
        stem = np.repeat(stem[:, None], clip.shape[1], axis=1)
    say(1.0, "done")
    return ClipInsertion(stem, rate, settings)


def check_trained(model: Riffusion, name: str = "This checkpoint") -> None:
    """UserError unless the UNet takes as many channels as the model's reading feeds it."""
    reading, takes = model.settings.reading, int(model.unet.config.in_channels)
    needs = LATENT_CHANNELS * (2 if reading in ("R1", "R4") else 1)
    if takes == needs:
        return
    if takes == LATENT_CHANNELS:
        raise UserError(
            f"{name} has not been fine-tuned for insertion: its UNet takes {takes} channels where "
            f"reading {reading} needs {needs}; train it with `restem train riffusion`."
        )
    raise UserError(
        f"{name} does not fit insertion: its UNet takes {takes} channels where reading {reading} "
        f"needs {needs}; give a model that `restem train riffusion` made."
    )


def _checked(samples: np.ndarray, rate: int, instruction: str) -> np.ndarray:
    clip = np.asarray(samples, dtype=np.float64)
    clip = clip[:, None] if clip.ndim == 1 else clip
    if clip.ndim != 2 or clip.shape[1] < 1:
        raise UserError("Samples must be shaped (sample,) or (sample, channel).")
    if len(clip) < 0.1 * rate:
        raise UserError("The clip is shorter than 0.1 s; give a longer one.")
    if not np.isfinite(clip).all():
        raise UserError("The clip holds samples that are not numbers (NaN or infinity); repair it.")
    if not instruction.strip():
        raise UserError("The instruction is empty; write what to play, such as 'Add jazzy drums'.")
    return clip


def _whole_windows(mono: np.ndarray, model: Riffusion) -> tuple[np.ndarray, int]:
    """Mel magnitude (mel, frame) with silence after its end, and how many frames are the clip's.

    A picture at least, and whole latents.
    """
    config = model.settings.picture
    frames = config.frames_of(len(mono))
    columns = max(config.frames, -(-frames // model.shrink) * model.shrink)
    missing = (columns - 1) * config.hop - len(mono)
    padded = np.pad(mono, (0, max(missing, 0)))
    return mel_magnitude(padded, config)[:, :columns], frames


def _encoded(model: Riffusion, picture: np.ndarray) -> Tensor:
    """Modes (1, 4, h, w) of a picture (mel, frame), window by window."""
    shrink, frames = model.shrink, model.settings.picture.frames
    starts = _starts(model, picture.shape[1] // shrink)
    parts = [
        mode_of(model.moments(picture[None, :, start * shrink : start * shrink + frames]))[0]
        for start in starts
    ]
    joined = _joined([part.float().cpu().numpy() for part in parts], starts)
    return torch.from_numpy(joined)[None].to(model.device)


def _decoded(model: Riffusion, latents: Tensor) -> np.ndarray:
    """A picture (mel, frame) float32 of latents (1, 4, h, w), window by window."""
    window, starts = model.latent_shape[2], _starts(model, latents.shape[-1])
    parts = [model.pictures(latents[..., start : start + window])[0] for start in starts]
    return _joined(parts, [start * model.shrink for start in starts])


def _starts(model: Riffusion, columns: int) -> list[int]:
    """Where windows of one picture's latents begin; they overlap by a quarter."""
    window = model.latent_shape[2]
    return window_starts(columns, window, window - window // 4)


def _joined(parts: list[np.ndarray], starts: list[int]) -> np.ndarray:
    """Windows (…, column) put together, one fading into the next where they overlap."""
    window, length = parts[0].shape[-1], starts[-1] + parts[0].shape[-1]
    ramp = np.minimum(np.arange(window) + 1, window - np.arange(window)).astype(np.float32)
    total = np.zeros((*parts[0].shape[:-1], length), np.float32)
    weight = np.zeros(length, np.float32)
    for start, part in zip(starts, parts, strict=True):
        total[..., start : start + window] += ramp * part
        weight[start : start + window] += ramp
    return total / weight
