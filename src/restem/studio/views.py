"""Samples and mel rows in; what the page draws of them out: outlines and spectrograms."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restem.audio.files import atomic_path
from restem.audio.spectrogram import SpectrogramConfig, log_mel
from restem.audio.waveform import mono_from_channels, resampled
from restem.picture import COLOURS, columns_from_frames, save_picture

OUTLINE_RATE = 200  # columns a second
SPECTROGRAM = SpectrogramConfig(mels=96, high_hz=16000.0, floor_db=-160.0, fine_per_frame=0)
WIDEST = 12000  # pixels; browsers draw no images beyond 16,384
RANGE_DB = 66.0
SOFTEST_TOP_DB = -60.0
PREVIEW_WIDTH = 256


def write_views(
    folder: Path, name: str, samples: NDArray, sample_rate: int, full_scale: float = 1.0
) -> None:
    """Write `name`.outline and `name`.spectrogram.png for (sample, channel) samples."""
    with atomic_path(folder / f"{name}.outline") as part:
        part.write_bytes(outline(samples, sample_rate, full_scale).tobytes())
    mono = mono_from_channels(samples.astype(np.float32) / np.float32(full_scale))
    rows = log_mel(resampled(mono, sample_rate, SPECTROGRAM.sample_rate), SPECTROGRAM)
    top = max(SOFTEST_TOP_DB, float(rows.max()))
    width = min(WIDEST, max(1, len(rows) // 2))
    save_picture(folder / f"{name}.spectrogram.png", picture(rows, width, top))


def outline(samples: NDArray, sample_rate: int, full_scale: float) -> NDArray[np.int16]:
    """(2, column): the highest and the lowest sample of each 1/200 s, 32767 at full scale.

    The last column is filled up by what there is, so that columns never drift from the sound.
    """
    columns = max(1, -(-len(samples) * OUTLINE_RATE // sample_rate))
    edges = np.minimum(np.arange(columns) * sample_rate // OUTLINE_RATE, len(samples) - 1)
    high = np.maximum.reduceat(samples.max(axis=1), edges)
    low = np.minimum.reduceat(samples.min(axis=1), edges)
    both = np.stack([high, low]) / full_scale * 32767
    return np.clip(np.rint(both), -32767, 32767).astype("<i2")


def picture(rows: NDArray, width: int, top_db: float) -> Image.Image:
    """(frame, mel) in dB as a picture in colours, low frequencies below."""
    columns = columns_from_frames(rows, width)
    brightness = np.clip((columns - top_db) / RANGE_DB + 1.0, 0.0, 1.0)
    image = Image.fromarray(np.rint(255 * brightness.T[::-1]).astype(np.uint8))
    image.putpalette(_palette())
    return image


def preview(rows: NDArray) -> str:
    """A small PNG, in base64, of mel rows in dB that are still being made."""
    image = picture(rows, min(len(rows), PREVIEW_WIDTH), float(rows.max()))
    with io.BytesIO() as file:
        image.save(file, format="PNG", compress_level=1)
        return base64.b64encode(file.getvalue()).decode()


@cache
def _palette() -> list[int]:
    stops = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in COLOURS]
    place = np.linspace(0, len(stops) - 1, 256)
    bands = [np.interp(place, range(len(stops)), band) for band in zip(*stops, strict=True)]
    return np.rint(np.stack(bands, axis=1)).astype(int).ravel().tolist()
