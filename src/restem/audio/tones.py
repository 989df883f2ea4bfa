"""Magnitudes of a long window come in, a waveform of the tones in them goes out.

Below TOP_HZ everything is done at a low rate, where a window is short and rounds are cheap. Phases
begin as those of tones that go on from frame to frame (Beauregard,
Harish & Wyse, "Single pass spectrogram inversion", 2015), and are then sought as in Griffin & Lim.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from restem.audio.room import blocks
from restem.audio.spectrogram import SpectrogramConfig, log_mel
from restem.audio.transform import Transform, unit
from restem.audio.waveform import resampled

TOP_HZ = 2100.0  # bands above are wider than a tone
ROUNDS = 60
MOMENTUM = 0.99
MOST_LOST = 4.0  # in amplitude, 12 dB
BLOCK_FRAMES = 4096  # looked at together, so that an hour needs little memory
FILTER = 64  # samples at the low rate that resampling blurs


def tones_from_magnitudes(
    magnitudes: np.ndarray, known: np.ndarray, samples: int, config: SpectrogramConfig
) -> np.ndarray:
    """(frame, bin) magnitudes of ``config.n_fft`` -> (sample,) float32, which begins as ``known``.

    Only what lies below TOP_HZ is heard.
    """
    factor = _slower(config)
    rate, hop, n_fft = (size // factor for size in (config.sample_rate, config.hop, config.n_fft))
    low = np.zeros((len(magnitudes), n_fft // 2 + 1), np.float32)
    bins = int(TOP_HZ * config.n_fft / config.sample_rate)
    low[:, :bins] = magnitudes[:, :bins] / factor
    transform = Transform(n_fft, hop, 0, len(low), -(-samples // factor))
    begun = resampled(known, config.sample_rate, rate) if len(known) else known
    begun = begun[: max(len(begun) - FILTER, 0)]
    # A window's first sample is its time zero, and phases are those at its centre.
    centred = np.exp(-1j * np.pi * np.arange(low.shape[1]))
    turns = np.zeros(low.shape)
    turns[:, :bins] = _phases(low[:, :bins], hop / n_fft)
    spectra = (low * np.exp(1j * turns) * centred).astype(np.complex64)
    previous = None
    for _ in range(ROUNDS):
        waveform = transform.backward(spectra)
        waveform[: len(begun)] = begun
        found = transform.forward(waveform)
        ahead = found if previous is None else found + MOMENTUM * (found - previous)
        previous = found
        spectra = low * unit(ahead)
    return resampled(transform.backward(spectra), rate, config.sample_rate, samples)


def lost_power(wave: np.ndarray, rows: np.ndarray, config: SpectrogramConfig) -> float:
    """The gain, at most MOST_LOST, that gives (sample,) the power of its picture (frame, column).

    Waves of a tone that is blurred over several bands cancel in part.
    """
    meant = heard = 0.0
    for b in blocks(len(rows), BLOCK_FRAMES):
        own = log_mel(wave[b.start * config.hop : b.stop * config.hop], config)
        meant += float(np.sum(10 ** (rows[b, : config.mels] / 10)))
        heard += float(np.sum(10 ** (own[: b.stop - b.start, : config.mels] / 10)))
    return float(np.clip(np.sqrt(meant / heard), 1.0, MOST_LOST)) if heard > 0 else 1.0


def _slower(config: SpectrogramConfig) -> int:
    """The largest whole factor by which rate, hop and window can shrink with room over TOP_HZ."""
    common = gcd(gcd(config.sample_rate, config.hop), config.n_fft // 2)
    most = int(config.sample_rate / 2 / (1.1 * TOP_HZ))
    return max(factor for factor in range(1, most + 1) if common % factor == 0)


def _phases(magnitudes: np.ndarray, windows_a_hop: float) -> np.ndarray:
    """(frame, bin) radians at the centres of the frames.

    Each peak turns on from its place in the frame before, at the frequency of the centre of power
    of the bins around it, which turn with it. Bands of a picture keep that centre.
    """
    bins = np.arange(magnitudes.shape[1])
    turned = np.random.default_rng(0).uniform(0, 2 * np.pi, len(bins))
    phases = np.empty(magnitudes.shape)
    for frame, power in enumerate(np.maximum(magnitudes, 1e-9) ** 2):
        inner = power[1:-1]
        peaks = 1 + np.flatnonzero((inner > power[:-2]) & (inner >= power[2:]))
        if len(peaks):
            owner = np.searchsorted((peaks[1:] + peaks[:-1] + 1) // 2, bins, side="right")
            place = np.bincount(owner, power * bins) / np.bincount(owner, power)
            turned = (turned[peaks] + 2 * np.pi * windows_a_hop * place)[owner]
        else:
            turned = turned + 2 * np.pi * windows_a_hop * bins
        phases[frame] = turned
    return phases
