"""Waveforms in; one channel of them, at another rate, or their level, out."""

from __future__ import annotations

import numpy as np
import soxr


def mono_from_channels(song: np.ndarray) -> np.ndarray:
    """(sample, channel) to (sample,): the mean, or the loudest channel where that cancels out."""
    mean = song.mean(axis=1)
    energies = np.sum(song**2, axis=0)
    if np.sum(mean**2) < 0.01 * energies.max():
        return np.asarray(song[:, int(np.argmax(energies))])
    return np.asarray(mean)


def resampled(wave: np.ndarray, rate: int, target: int, samples: int | None = None) -> np.ndarray:
    """Mono float32 at another rate; `samples` fixes the length exactly."""
    out = wave.astype(np.float32)
    if rate != target:
        out = soxr.resample(out, rate, target, quality="HQ")
    if samples is None or len(out) == samples:
        return out
    return out[:samples] if len(out) > samples else np.pad(out, (0, samples - len(out)))


def rms_db(wave: np.ndarray) -> float:
    """Root mean square in dB re full scale; -200 for silence."""
    power = float(np.mean(np.square(wave, dtype=np.float64))) if len(wave) else 0.0
    return 10 * float(np.log10(power + 1e-20))
