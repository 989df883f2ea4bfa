"""A mel magnitude of Riffusion's kind comes in, a waveform with that picture goes out.

First the bands are spread over the bins (non-negative least squares), then phases are sought that
fit the magnitudes (Griffin & Lim 1984, accelerated as in Perraudin, Balazs & Søndergaard 2013).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from restem.audio.riffusion_image import PictureConfig, hann_window, mel_bank

MEL_STEPS = 50
ITERATIONS = 32
MOMENTUM = 0.99
BLOCK_FRAMES = 512  # frames solved together: three arrays of spectra, 36 MB each
CARRIED_FRAMES = 20  # frames of the block before, held fixed: two windows
TINY = np.float32(1e-12)


def magnitude_from_mel(mel: np.ndarray, config: PictureConfig) -> np.ndarray:
    """Magnitudes per bin (bin, frame) float32, not negative, whose mel bands are near ``mel``.

    Least squares by multiplicative steps (Lee & Seung 2001, with the filters held fixed). Bins
    above ``config.high_hz`` belong to no band and are 0.
    """
    bank = mel_bank(config)
    spread = bank.T.tocsr()
    found = spread @ np.maximum(mel, 0).astype(np.float32)
    wanted = found.copy()
    for _ in range(MEL_STEPS):
        found *= wanted / np.maximum(spread @ (bank @ found), TINY)
    return found


def waveform_from_mel(
    mel: np.ndarray, config: PictureConfig, samples: int, seed: int = 0
) -> np.ndarray:
    """A waveform (sample,) float32 whose ``mel_magnitude`` is near ``mel`` (mel, frame).

    The same arguments give the same samples. Past the last frame it is silent. Raises
    ``ValueError`` for a wrong shape and for values that are not finite.
    """
    if mel.ndim != 2 or len(mel) != config.mels:
        raise ValueError(f"expected ({config.mels}, frame) magnitudes, got shape {mel.shape}")
    if not np.isfinite(mel).all():
        raise ValueError("the mel magnitudes hold values that are not finite")
    frames = mel.shape[1]
    noise = np.random.default_rng(seed).standard_normal(
        frames * config.hop + config.window, dtype=np.float32
    )
    # In time padded by half a window, frame t covers samples t * hop to t * hop + window.
    padded = np.zeros_like(noise)
    for first in range(0, frames, BLOCK_FRAMES):
        begin, end = max(first - CARRIED_FRAMES, 0), min(first + BLOCK_FRAMES, frames)
        piece = slice(begin * config.hop, (end - 1) * config.hop + config.window)
        known = padded[piece][: (first - begin) * config.hop]
        magnitudes = magnitude_from_mel(mel[:, begin:end], config).T
        padded[piece] = _griffin_lim(magnitudes, noise[piece], known.copy(), config)
    found = padded[config.window // 2 :][:samples]
    return np.pad(found, (0, samples - len(found)))


def _griffin_lim(
    magnitudes: np.ndarray, waveform: np.ndarray, known: np.ndarray, config: PictureConfig
) -> np.ndarray:
    """The waveform of one block, beginning with ``known``; magnitudes are (frame, bin)."""
    window = hann_window(config.window)
    weight = _overlap_add(np.broadcast_to(window**2, (len(magnitudes), config.window)), config.hop)
    weight = np.maximum(weight, 1e-3 * weight.max())
    previous: np.ndarray | None = None
    for _ in range(ITERATIONS + 1):
        views = sliding_window_view(waveform, config.window)[:: config.hop]
        found = scipy.fft.rfft(views * window, config.n_fft, axis=1)
        ahead = found if previous is None else found + MOMENTUM * (found - previous)
        previous = found
        ahead *= magnitudes / np.maximum(np.abs(ahead), TINY)
        frames = scipy.fft.irfft(ahead, config.n_fft, axis=1)[:, : config.window]
        waveform = _overlap_add(frames * window, config.hop) / weight
        waveform[: len(known)] = known
    return waveform


def _overlap_add(frames: np.ndarray, hop: int) -> np.ndarray:
    """(frame, sample) windows a hop apart, added up: ((frames - 1) * hop + window,) float32."""
    count, size = frames.shape
    shifts = -(-size // hop)
    total = np.zeros((count + shifts, hop), np.float32)
    for shift in range(shifts):
        part = frames[:, shift * hop : (shift + 1) * hop]
        total[shift : shift + count, : part.shape[1]] += part
    return total.reshape(-1)[: (count - 1) * hop + size]
