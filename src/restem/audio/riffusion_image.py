"""A mono waveform comes in, the picture that Riffusion reads goes out; and back.

The facts are those of Riffusion's own converter: a magnitude mel spectrogram of a long window, the
fourth root of it, dark where it is loud, low notes at the bottom. What is ours: the level that
counts as black is an argument and is kept, since a picture that is normalised by its own maximum
no longer knows how loud a mix was beside the same mix without a stem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.lib.stride_tricks import sliding_window_view

from restem.errors import UserError

CHUNK_FRAMES = 128  # frames transformed at once: 128 spectra of 8,821 bins are 9 MB


@dataclass(frozen=True)
class PictureConfig:
    """What a pixel means; it travels with every model that draws such pictures.

    A column is a frame, centred at ``column * hop`` samples; a row is a mel band (HTK scale,
    triangles of height 1 from 0 Hz to ``high_hz``), the lowest at the bottom. ``frames`` columns
    make a picture. Raises ``UserError`` for values that describe none.
    """

    sample_rate: int = 44100
    hop: int = 441
    window: int = 4410
    n_fft: int = 17640
    mels: int = 512
    high_hz: float = 10000.0
    frames: int = 512
    power: float = 0.25

    def __post_init__(self) -> None:
        checks = {
            "hop must lie between 1 and half the window": 1 <= self.hop <= self.window // 2,
            "window must be even and at most n_fft": self.window % 2 == 0
            and self.window <= self.n_fft,
            "mels must be at least 1": self.mels >= 1,
            "high_hz must lie between 0 and half the sample rate": 0
            < self.high_hz
            <= self.sample_rate / 2,
            "frames must be at least 8": self.frames >= 8,
            "power must lie between 0 and 1": 0 < self.power <= 1,
        }
        for sentence, holds in checks.items():
            if not holds:
                raise UserError(f"This picture configuration is not valid: {sentence}.")

    @property
    def samples(self) -> int:
        """The fewest samples that fill a picture: 225,351 for 512 frames, which is 5.11 s."""
        return (self.frames - 1) * self.hop

    def frames_of(self, samples: int) -> int:
        """Number of frames that this many samples give."""
        return 1 + samples // self.hop

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PictureConfig:
        """The inverse of ``to_dict``; unknown names raise."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(f"Unknown names in a picture configuration: {', '.join(unknown)}.")
        return cls(**values)


def mel_magnitude(waveform: np.ndarray, config: PictureConfig) -> np.ndarray:
    """Mel bands of the magnitude spectrum, (mel, frame) float32, of a waveform (sample,).

    The waveform is continued at both ends by its mirror image, as in Riffusion. Raises
    ``ValueError`` for another shape and for fewer samples than half a window.
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1 or len(waveform) <= config.window // 2:
        raise ValueError(f"expected (sample,) longer than half a window, got {waveform.shape}")
    mel = np.empty((config.mels, config.frames_of(len(waveform))), np.float32)
    bank = mel_bank(config)
    padded = np.pad(waveform, config.window // 2, mode="reflect")
    for part, spectra in _spectra(padded, mel.shape[1], config):
        mel[:, part] = bank @ np.abs(spectra).T
    return mel


def picture_from_mel(mel: np.ndarray, peak: float, config: PictureConfig) -> np.ndarray:
    """The picture (mel, frame) uint8 of a mel magnitude whose ``peak`` is black (0).

    What is louder than ``peak`` is black too; a ``peak`` of 0 (silence) gives a white picture.
    """
    if not (np.isfinite(peak) and peak >= 0):
        raise ValueError(f"the peak must be finite and not negative, not {peak}")
    level = np.clip(mel / peak, 0, 1) ** config.power if peak > 0 else np.zeros_like(mel)
    # Riffusion cuts the fraction off; mel_from_picture gives the middle of the step back.
    return (255 - 255 * level).astype(np.uint8)[::-1]


def mel_from_picture(picture: np.ndarray, peak: float, config: PictureConfig) -> np.ndarray:
    """Mel magnitude (mel, frame) of a picture (mel, frame), pixels from 0 to 255, also between."""
    level = np.clip((254.5 - np.asarray(picture, np.float32)) / 255, 0, 1)
    return (peak * level ** (1 / config.power)).astype(np.float32)[::-1]


def clip_pictures(
    waveforms: list[np.ndarray], config: PictureConfig
) -> tuple[list[np.ndarray], float]:
    """Pictures (mel, frame) uint8 of clips that belong together, and their common peak.

    Every clip is cut to ``config.frames`` frames. Raises ``UserError`` for one that is too short.
    """
    if min(len(wave) for wave in waveforms) < config.samples:
        seconds = config.samples / config.sample_rate
        raise UserError(f"A clip is shorter than {seconds:.2f} s; give longer ones.")
    mels = [mel_magnitude(wave, config)[:, : config.frames] for wave in waveforms]
    peak = float(max(mel.max() for mel in mels))
    return [picture_from_mel(mel, peak, config) for mel in mels], peak


@lru_cache(maxsize=4)
def mel_bank(config: PictureConfig) -> scipy.sparse.csr_array:
    """Triangles of height 1 on the HTK mel scale, sparse (mel, bin) float32."""
    top = 2595 * np.log10(1 + config.high_hz / 700)
    edges = 700 * (10 ** (np.linspace(0, top, config.mels + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(config.n_fft, 1 / config.sample_rate)[None]
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return scipy.sparse.csr_array(np.maximum(triangles, 0).astype(np.float32))


@lru_cache(maxsize=4)
def hann_window(size: int) -> np.ndarray:
    """Periodic Hann window (size,) float32, read-only."""
    window: np.ndarray = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    window.setflags(write=False)
    return window


def _spectra(
    padded: np.ndarray, frames: int, config: PictureConfig
) -> Iterator[tuple[slice, np.ndarray]]:
    """Pairs (frames, their spectra (frame, bin) complex64) of a waveform padded by half a window.

    The window begins at the transform's first sample and not in its middle, which turns the
    phases in a way that neither magnitudes nor the way back notice.
    """
    views = sliding_window_view(padded, config.window)[:: config.hop]
    for start in range(0, frames, CHUNK_FRAMES):
        part = slice(start, min(start + CHUNK_FRAMES, frames))
        yield part, scipy.fft.rfft(views[part] * hann_window(config.window), config.n_fft, axis=1)
