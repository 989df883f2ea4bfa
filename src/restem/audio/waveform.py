"""Waveforms in; one channel of them, at another rate, or their level, out.

Long ones come and go in a temporary file and are worked on in blocks: see `restem.audio.room`.
"""

from __future__ import annotations

import numpy as np
import soxr

from restem.audio.room import LARGEST_IN_MEMORY, blocks, room


def mono_from_channels(song: np.ndarray) -> np.ndarray:
    """(sample, channel) to (sample,): the mean, or the loudest channel where that cancels out.

    float64; the mean as float32 for a song so long that it does not stay in memory.
    """
    kind = np.float32 if len(song) * 8 > LARGEST_IN_MEMORY else np.float64
    mean = room((len(song),), kind)
    energies, energy = np.zeros(song.shape[1]), 0.0
    for b in blocks(len(song)):
        mean[b] = song[b].mean(axis=1)
        energies += np.sum(song[b] ** 2, axis=0)
        energy += float(np.sum(np.square(mean[b], dtype=np.float64)))
    if energy < 0.01 * energies.max():
        return np.asarray(song[:, int(np.argmax(energies))])
    return mean


def resampled(wave: np.ndarray, rate: int, target: int, samples: int | None = None) -> np.ndarray:
    """Mono float32 at another rate; `samples` fixes the length exactly.

    A long wave that is as wanted already is given back itself.
    """
    size = round(len(wave) * target / rate) if samples is None else samples
    if max(size, len(wave)) * 4 > LARGEST_IN_MEMORY:
        return _resampled_in_blocks(wave, rate, target, size)
    out = wave.astype(np.float32)
    if rate != target:
        out = soxr.resample(out, rate, target, quality="HQ")
    if samples is None or len(out) == samples:
        return out
    return out[:samples] if len(out) > samples else np.pad(out, (0, samples - len(out)))


def _resampled_in_blocks(wave: np.ndarray, rate: int, target: int, size: int) -> np.ndarray:
    if rate == target and len(wave) == size and wave.dtype == np.float32:
        return wave
    out, done = room((size,), np.float32), 0
    stream = soxr.ResampleStream(rate, target, 1, dtype="float32", quality="HQ")
    for b in blocks(len(wave)):
        piece = wave[b].astype(np.float32)
        if rate != target:
            piece = stream.resample_chunk(piece, last=b.stop == len(wave))
        piece = piece[: size - done]
        out[done : done + len(piece)] = piece
        done += len(piece)
    return out


def sounding_db(wave: np.ndarray, rate: int, within_db: float = 20.0) -> float:
    """Root mean square in dB re full scale of where a wave sounds: the 50 ms within so many dB of
    the loudest ones; -200 for silence."""
    size = rate // 20
    powers = np.concatenate([
        np.mean(np.square(wave[b], dtype=np.float64).reshape(-1, size), axis=1)
        for b in blocks(len(wave) // size * size, size * 1024)
    ] or [np.zeros(1)])  # fmt: skip
    loud = powers[powers >= powers.max() / 10 ** (within_db / 10)]
    return 10 * float(np.log10(loud.mean() + 1e-20))


def rms_db(wave: np.ndarray) -> float:
    """Root mean square in dB re full scale; -200 for silence."""
    energy = sum(float(np.sum(np.square(wave[b], dtype=np.float64))) for b in blocks(len(wave)))
    return 10 * float(np.log10(energy / max(1, wave.size) + 1e-20))
