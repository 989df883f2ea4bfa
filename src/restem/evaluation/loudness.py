"""Waveforms come in; loudness, brightness and the level between a stem and its context go out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import sosfilt

from restem.audio.loudness import HIGH_PASS, SHELF, WEIGHTED_RATE
from restem.evaluation.signals import RATE, magnitudes, mono, resampled, standard

Channels = NDArray[np.float64]


def rms_db(waveform: ArrayLike) -> float:
    """Level in dB re full scale of the average of the channels; -inf for silence.

    10 log10 of the mean square: a full-scale sine has -3.01 dB.
    """
    power = float(np.mean(mono(waveform) ** 2))
    return 10 * np.log10(power) if power > 0 else -np.inf


def loudness(waveform: ArrayLike, sample_rate: int) -> float:
    """Integrated loudness in LUFS of a (sample,) or (sample, channel) waveform (ITU-R BS.1770-4).

    K-weighting at 48 kHz with the recommendation's own coefficients, blocks of 400 ms every
    100 ms, gates at -70 LUFS and 10 LU below the mean of what passes it. All channels weigh 1 (no
    surround weights). What is shorter than 400 ms is one block. Silence, or nothing above the
    gate, gives -inf.
    """
    samples = np.asarray(waveform, dtype=np.float64)
    mono(samples)  # the checks
    channels = samples[:, None] if samples.ndim == 1 else samples
    weighted = np.stack([_k_weighted(channel, sample_rate) for channel in channels.T], axis=1)
    block, step = 19200, 4800
    if len(weighted) < block:
        powers = np.array([np.mean(weighted**2, axis=0).sum()])
    else:
        running = np.concatenate([[0.0], np.cumsum((weighted**2).sum(axis=1))])
        starts = np.arange(0, len(weighted) - block + 1, step)
        powers = np.maximum(running[starts + block] - running[starts], 0) / block
    powers = powers[powers > _power(-70.0)]
    if len(powers) == 0:
        return -np.inf
    powers = powers[powers > powers.mean() * 0.1]
    return float(-0.691 + 10 * np.log10(powers.mean()))


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _k_weighted(channel: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    return sosfilt(np.array([SHELF, HIGH_PASS]), resampled(channel, sample_rate, WEIGHTED_RATE))


def loudness_relation(stem: ArrayLike, context: ArrayLike, sample_rate: int) -> float:
    """Loudness of the stem above that of the context, in LU; NaN when either is silent.

    Compare it with the true stem's relation: the difference says how much too loud the stem is.
    """
    stem_lufs, context_lufs = loudness(stem, sample_rate), loudness(context, sample_rate)
    if not (np.isfinite(stem_lufs) and np.isfinite(context_lufs)):
        return float("nan")
    return stem_lufs - context_lufs


def spectral_centroid(waveform: ArrayLike, sample_rate: int) -> float:
    """Centre of the whole clip's magnitude spectrum in Hz; NaN for silence.

    Sum of frequency times magnitude over sum of magnitude (G. Peeters, "A large set of audio
    features", 2004, 6.1.1) of a Hann STFT with 2,048 samples at 44,100 Hz, summed over the frames
    first, so that loud moments weigh as they sound and pauses weigh nothing.
    """
    spectrum = magnitudes(standard(waveform, sample_rate), 2048, 1024).sum(axis=0, dtype=np.float64)
    total = float(spectrum.sum())
    frequencies = np.arange(len(spectrum)) * RATE / 2048
    return float(spectrum @ frequencies / total) if total > 1e-9 else float("nan")
