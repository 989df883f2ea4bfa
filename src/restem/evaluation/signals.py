"""Waveforms in any layout and rate come in; checked mono waveforms at one rate and STFTs go out."""

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]

RATE = 44100  # the rate at which every signal metric of this room listens, in Hz


def mono(waveform: ArrayLike) -> NDArray[np.float64]:
    """Average of the channels of a (sample,) or (sample, channel) waveform, as float64 (sample,).

    Raises ValueError for other shapes, for no samples, and for NaN or infinite samples.
    """
    samples = np.asarray(waveform, dtype=np.float64)
    if samples.ndim == 2:
        samples = samples.mean(axis=1) if samples.shape[1] else samples[:, 0:0].ravel()
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError("a waveform must be (sample,) or (sample, channel) with some samples")
    if not np.all(np.isfinite(samples)):
        raise ValueError("a waveform must be free of NaN and infinite samples")
    return samples


def resampled(waveform: Floats, sample_rate: int, target_rate: int) -> Floats:
    """The (sample,) waveform at target_rate in Hz, by the one resampler of all scores: soxr, HQ.

    The resampler alone can move published scores, so nothing here uses another one.
    """
    if sample_rate <= 0 or target_rate <= 0:
        raise ValueError("sample rates must be positive")
    if sample_rate == target_rate:
        return waveform
    return soxr.resample(waveform, sample_rate, target_rate, quality="HQ")


def standard(waveform: ArrayLike, sample_rate: int) -> NDArray[np.float64]:
    """Mono at `RATE`, (sample,) float64: what every signal metric of this room starts from."""
    return np.asarray(resampled(mono(waveform), sample_rate, RATE), dtype=np.float64)


def magnitudes(waveform: NDArray[np.float64], n_fft: int, hop: int) -> NDArray[np.float32]:
    """Magnitudes (frame, n_fft // 2 + 1) of a Hann STFT; a full-scale sine peaks at about 1.

    Frame t is centred on sample t * hop, outside the waveform there is silence, and there are
    1 + samples // hop frames.
    """
    return np.concatenate(list(magnitude_blocks(waveform, n_fft, hop)))


def magnitude_blocks(
    waveform: NDArray[np.float64], n_fft: int, hop: int
) -> Iterator[NDArray[np.float32]]:
    """`magnitudes` in blocks of frames, so that memory stays small for whole songs."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    scale = 2 / window.sum()
    padded = np.pad(waveform, (n_fft // 2, n_fft))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    frames = frames[: 1 + len(waveform) // hop]
    for start in range(0, len(frames), 1024):
        block = frames[start : start + 1024] * window
        yield (np.abs(np.fft.rfft(block, axis=1)) * scale).astype(np.float32)
