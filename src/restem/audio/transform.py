"""A waveform to its short-time Fourier transform and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from restem.audio.spectrogram import hann

TINY = np.float32(1e-12)


@dataclass
class Transform:
    """STFT and its least-squares inverse; frame ``t`` is centred at ``first + t * hop``."""

    n_fft: int
    hop: int
    first: int
    frames: int
    samples: int

    def __post_init__(self) -> None:
        self.window = hann(self.n_fft)
        self.before = self.n_fft // 2 - self.first  # samples of padding ahead of the waveform
        self.length = (self.frames - 1) * self.hop + self.n_fft
        weight = self._overlap_add(np.broadcast_to(self.window**2, (self.frames, self.n_fft)))
        # At both ends a sample may lie under the foot of one window only, where dividing by its
        # weight would turn rounding into noise.
        self.weight = np.maximum(weight, 1e-3 * weight.max())

    def forward(self, waveform: np.ndarray) -> np.ndarray:
        """(sample,) → (frame, bin) complex64."""
        padded = np.zeros(max(self.length, self.before + self.samples), np.float32)
        padded[self.before : self.before + self.samples] = waveform
        frames = sliding_window_view(padded[: self.length], self.n_fft)[:: self.hop]
        spectra: np.ndarray = scipy.fft.rfft(frames * self.window, axis=1)
        return spectra

    def backward(self, spectra: np.ndarray) -> np.ndarray:
        """(frame, bin) → (sample,) float32, Griffin & Lim 1984, equation 6."""
        frames = scipy.fft.irfft(spectra, n=self.n_fft, axis=1)
        frames *= self.window
        padded = self._overlap_add(frames) / self.weight
        waveform = np.zeros(self.samples, np.float32)
        piece = padded[self.before : self.before + self.samples]
        waveform[: len(piece)] = piece
        return waveform

    def _overlap_add(self, frames: np.ndarray) -> np.ndarray:
        shifts = -(-self.n_fft // self.hop)
        total = np.zeros((self.frames + shifts, self.hop), np.float32)
        for shift in range(shifts):
            part = frames[:, shift * self.hop : (shift + 1) * self.hop]
            total[shift : shift + self.frames, : part.shape[1]] += part
        return total.reshape(-1)[: self.length]


def unit(spectra: np.ndarray) -> np.ndarray:
    """The phases of the spectra as numbers of length one."""
    unit: np.ndarray = spectra / np.maximum(np.abs(spectra), TINY)
    return unit
