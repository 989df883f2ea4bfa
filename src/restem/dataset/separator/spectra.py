"""Waveforms in, complex spectra out, and back: the transform that the separator was trained on."""

from __future__ import annotations

import numpy as np
import scipy.fft

N_FFT, HOP = 2048, 1024


def _window() -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


def spectra(waves: np.ndarray) -> np.ndarray:
    """(channel, sample) to (channel, frame, bin) complex64, as torch.stft with center=True."""
    padded = np.pad(waves.astype(np.float32), ((0, 0), (N_FFT // 2, N_FFT // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT, axis=1)[:, ::HOP]
    return np.asarray(scipy.fft.rfft(frames * _window(), axis=2), np.complex64)


def waves_from_spectra(parts: np.ndarray, samples: int) -> np.ndarray:
    """(channel, frame, bin) back to (channel, sample), by weighted overlap-add."""
    window = _window()
    pieces = scipy.fft.irfft(parts, N_FFT, axis=2) * window
    total = np.zeros((len(parts), (parts.shape[1] - 1) * HOP + N_FFT))
    weight = np.zeros(total.shape[1])
    for frame in range(parts.shape[1]):
        place = slice(frame * HOP, frame * HOP + N_FFT)
        total[:, place] += pieces[:, frame]
        weight[place] += window**2
    whole = total / np.maximum(weight, 1e-8)
    out = whole[:, N_FFT // 2 : N_FFT // 2 + samples]
    return np.pad(out, ((0, 0), (0, samples - out.shape[1]))).astype(np.float32)
