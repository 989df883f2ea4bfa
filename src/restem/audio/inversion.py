"""A log-mel picture comes in, a mono waveform with that timbre and those attacks goes out.

A magnitude picture says nothing of phase.  The iteration here looks for a waveform that agrees
with both resolutions of the picture by going back and forth between them: the long-window
magnitudes (Griffin & Lim 1984, accelerated as in Perraudin, Balazs & Søndergaard 2013) and the
short-window energies of the fine envelope, which hold attacks in place and keep the noise of
the long window from spreading ahead of them. A tonal picture begins with its tones, whose phases
follow from their pitch, and needs few rounds.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse

from restem.audio.room import room
from restem.audio.spectrogram import (
    SpectrogramConfig,
    fine_filters,
    fine_from_rows,
    mel_filters,
    power_scale,
)
from restem.audio.tones import TOP_HZ, tones_from_magnitudes
from restem.audio.transform import TINY, Transform, unit

ITERATIONS = 8  # twice as many cost twice as much and lift attack correlation by 0.03
PLAIN_ITERATIONS = 16  # without the fine envelope, at much the same cost
TONAL_ITERATIONS = 2  # after `tones_from_magnitudes`; 4 and 8 bring no better pitch
MOMENTUM = 0.99
MEL_STEPS = 12
HIGHEST_DB = 60.0  # far above any sound; keeps absurd input within float32
GAIN_LIMIT = 20.0  # of one correction of the envelope, as a factor up or down
BLOCK_FRAMES = 1024  # rows solved together: bounds the memory, 10 s at the default hop


def waveform_from_log_mel(
    log_mel: np.ndarray, config: SpectrogramConfig, samples: int, seed: int = 0
) -> np.ndarray:
    """A waveform (sample,) float32 whose ``log_mel`` comes near the given one (frame, column).

    The same arguments give the same samples.  Levels at ``config.floor_db`` mean silence, and
    levels above 60 dB are taken as 60 dB.  ``samples`` may ask for more or less than the frames
    hold; what lies past the last frame is silent.  Raises ``ValueError`` for a wrong shape and
    for values that are not finite.
    """
    log_mel = np.asarray(log_mel, dtype=np.float32)
    if log_mel.ndim != 2 or log_mel.shape[1] != config.columns:
        raise ValueError(f"expected (frame, {config.columns}) levels, got shape {log_mel.shape}")
    if not (np.isfinite(log_mel.min(initial=0)) and np.isfinite(log_mel.max(initial=0))):
        raise ValueError("the log-mel array holds values that are not finite")
    if samples < 0:
        raise ValueError(f"samples must not be negative, got {samples}")
    # Blocks follow one another.  Each takes over the end of the one before it and holds it
    # fixed, so that no seam is heard, and reaches past its own end, where the picture's next
    # rows have a say; that part is thrown away.
    margin = -(-config.n_fft // config.hop)
    noise = _Noise(seed)
    waveform = room((samples,), np.float32)
    for first in range(0, len(log_mel), BLOCK_FRAMES):
        begin = max(first - margin, 0)
        end = min(first + BLOCK_FRAMES + margin, len(log_mel))
        done = slice(begin * config.hop, first * config.hop)
        piece = slice(begin * config.hop, min(end * config.hop, samples))
        known = waveform[done]
        if piece.stop <= done.stop:
            break
        waveform[piece] = _solve(log_mel[begin:end], noise.piece(piece), known, config)
    return waveform


class _Noise:
    """White noise of a seed, of which pieces are asked in order; they may overlap."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.start, self.held = 0, np.zeros(0, np.float32)

    def piece(self, wanted: slice) -> np.ndarray:
        missing = wanted.stop - self.start - len(self.held)
        fresh = self.rng.standard_normal(max(missing, 0), dtype=np.float32)
        self.held = np.concatenate([self.held, fresh])[wanted.start - self.start :]
        self.start = wanted.start
        return self.held[: wanted.stop - wanted.start]


def _solve(
    rows: np.ndarray, noise: np.ndarray, known: np.ndarray, config: SpectrogramConfig
) -> np.ndarray:
    """The waveform of one block, as long as ``noise``, beginning with ``known``."""
    transform = Transform(config.n_fft, config.hop, 0, len(rows), len(noise))
    magnitudes = np.sqrt(linear_power(rows[:, : config.mels], config))
    envelope = _Envelope(rows, config, len(noise)) if config.fine_per_frame else None

    waveform = envelope.impose(noise) if envelope else noise
    found = transform.forward(waveform)
    rounds = ITERATIONS if envelope else PLAIN_ITERATIONS
    if config.scale == "tonal":
        low = slice(0, int(TOP_HZ * config.n_fft / config.sample_rate))
        found[:, low] = transform.forward(
            tones_from_magnitudes(magnitudes, known, len(noise), config)
        )[:, low]
        rounds = TONAL_ITERATIONS
    spectra = magnitudes * unit(found)
    previous = None
    for _ in range(rounds):
        waveform = transform.backward(spectra)
        if envelope:
            waveform = envelope.impose(waveform)
        waveform[: len(known)] = known
        found = transform.forward(waveform)
        ahead = found if previous is None else found + MOMENTUM * (found - previous)
        previous = found
        spectra = magnitudes * unit(ahead)
    waveform = transform.backward(spectra)
    if envelope:
        waveform = envelope.impose(waveform)
    waveform[: len(known)] = known
    return waveform


def linear_power(log_mel: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """Power per bin (frame, bin) whose mel bands have the given levels (frame, mel), in dB.

    Non-negative by multiplicative steps that lower the Kullback-Leibler divergence between the
    bands (Lee & Seung 2001, with the filters held fixed).
    """
    power = _power_from_db(log_mel, config) / np.float32(power_scale(config.n_fft))
    bank = scipy.sparse.csr_array(mel_filters(config))
    spread, gather = bank.T.tocsr(), bank
    reach = np.maximum(np.asarray(bank.sum(axis=0)), TINY)[:, None]
    bands = np.ascontiguousarray(power.T)
    found = spread @ (bands / np.maximum(np.asarray(bank.sum(axis=1)), TINY)[:, None])
    for _ in range(MEL_STEPS):
        found *= (spread @ (bands / np.maximum(gather @ found, TINY))) / reach
    return np.ascontiguousarray(found.T, dtype=np.float32)


class _Envelope:
    """The fine columns of some rows, ready to be imposed on a waveform."""

    def __init__(self, rows: np.ndarray, config: SpectrogramConfig, samples: int) -> None:
        steps = fine_from_rows(rows[:, config.mels :], config)
        self.energies = _power_from_db(steps, config) / np.float32(power_scale(config.fine_n_fft))
        self.bands = fine_filters(config)
        self.free = 1 - self.bands.sum(axis=0)  # bins of no band, which are left as they are
        first = -(config.fine_per_frame // 2) * config.fine_hop
        self.transform = Transform(config.fine_n_fft, config.fine_hop, first, len(steps), samples)

    def impose(self, waveform: np.ndarray) -> np.ndarray:
        """The waveform with every band's energy brought to the envelope's, phases kept."""
        spectra = self.transform.forward(waveform)
        energies = (spectra.real**2 + spectra.imag**2) @ self.bands.T
        gains = np.sqrt(self.energies / np.maximum(energies, TINY))
        spectra *= np.clip(gains, 1 / GAIN_LIMIT, GAIN_LIMIT) @ self.bands + self.free
        return self.transform.backward(spectra)


def _power_from_db(levels: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """Power of levels in dB, with the floor as exact silence."""
    floor = np.float32(10 ** (config.floor_db / 10))
    power: np.ndarray = 10 ** (np.clip(levels, config.floor_db, HIGHEST_DB) / np.float32(10))
    return np.maximum(power - floor, 0)
