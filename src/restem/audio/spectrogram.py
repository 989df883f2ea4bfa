"""A mono waveform comes in, a log-mel picture with a fine-time envelope beside it goes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from restem.errors import UserError

CHUNK_FRAMES = 1024  # frames transformed at once, so that long audio needs little memory


@dataclass(frozen=True)
class SpectrogramConfig:
    """What a column and a row of a log-mel array mean; it travels with every artefact.

    A row is one frame, centred at ``frame * hop`` samples.  Its first ``mels`` columns are mel
    bands of a long window (timbre).  If ``fine_per_frame`` is not 0, they are followed by a
    short-window envelope in a few wide bands (attacks, which a long window smears): column
    ``mels + fine_per_frame * band + step`` is the level of ``band`` in a window of
    ``fine_n_fft`` samples centred at ``frame * hop + (step - fine_per_frame // 2) * fine_hop``.

    ``fine_edges_hz`` separates the wide bands, so there is one band more than there are edges.

    ``scale`` says how the bands of the long window lie: "mel" for drums; "tonal" for what has a
    pitch, quarter tones up to 2.1 kHz and an eighth of an octave above. A tonal picture has no
    fine band below the first edge, where short windows would show single waves.
    Raises ``UserError`` for values that describe no spectrogram.
    """

    sample_rate: int = 44100
    n_fft: int = 2048
    hop: int = 441
    mels: int = 96
    low_hz: float = 30.0
    high_hz: float = 20000.0
    floor_db: float = -80.0
    fine_n_fft: int = 192
    fine_per_frame: int = 7
    fine_edges_hz: tuple[float, ...] = (250.0, 2500.0)
    scale: str = "mel"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fine_edges_hz", tuple(float(f) for f in self.fine_edges_hz))
        nyquist = self.sample_rate / 2
        edges = (0.0, *self.fine_edges_hz, nyquist)
        fine = self.fine_per_frame
        sizes = (self.sample_rate, self.n_fft, self.hop, self.mels, self.fine_n_fft, fine)
        checks = {
            "sizes must be whole numbers": all(isinstance(size, int) for size in sizes),
            'scale must be "mel" or "tonal"': self.scale in ("mel", "tonal"),
            "sample_rate must be positive": self.sample_rate > 0,
            "n_fft must be even and at least 64": self.n_fft >= 64 and self.n_fft % 2 == 0,
            "hop must lie between 1 and n_fft / 2": 1 <= self.hop <= self.n_fft // 2,
            "mels must be at least 1": self.mels >= 1,
            "low_hz must be at least 0 and below high_hz": 0 <= self.low_hz < self.high_hz,
            "high_hz must not exceed half the sample rate": self.high_hz <= nyquist,
            "floor_db must be finite and below 0": -300 < self.floor_db < 0,
            "fine_per_frame must be 0 or an odd divisor of hop": fine == 0
            or (fine > 0 and fine % 2 == 1 and self.hop % fine == 0),
            "fine_n_fft must be even and at least twice hop / fine_per_frame": fine == 0
            or (self.fine_n_fft % 2 == 0 and self.fine_n_fft * fine >= 2 * self.hop),
            "fine_edges_hz must rise between 0 and half the sample rate": fine == 0
            or all(a < b for a, b in pairwise(edges)),
        }
        for sentence, holds in checks.items():
            if not holds:
                raise UserError(f"This spectrogram configuration is not valid: {sentence}.")

    @property
    def fine_hop(self) -> int:
        """Samples from one fine step to the next (``hop`` where there are no fine columns)."""
        return self.hop // max(self.fine_per_frame, 1)

    @property
    def fine_bands(self) -> int:
        """Number of wide bands of the fine envelope; 0 where there are no fine columns."""
        return len(self.fine_numbers) if self.fine_per_frame else 0

    @property
    def fine_numbers(self) -> np.ndarray:
        """Which of the bands that the edges separate are there, counted from 0 below the first."""
        return np.arange(self.scale == "tonal", len(self.fine_edges_hz) + 1)

    @property
    def columns(self) -> int:
        """Numbers in a row: the mel bands, then the fine envelope."""
        return self.mels + self.fine_bands * self.fine_per_frame

    @property
    def frame_rate(self) -> float:
        """Frames in a second."""
        return self.sample_rate / self.hop

    def frames(self, samples: int) -> int:
        """Number of rows that ``log_mel`` gives for this many samples."""
        return 1 + samples // self.hop

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "fine_edges_hz": list(self.fine_edges_hz)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SpectrogramConfig:
        """The inverse of ``to_dict``; missing names take their defaults, unknown names raise."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(f"Unknown names in a spectrogram configuration: {', '.join(unknown)}.")
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise UserError(f"A spectrogram configuration holds a wrong value: {error}.") from error


def log_mel(waveform: np.ndarray, config: SpectrogramConfig, gain: float = 1.0) -> np.ndarray:
    """Levels in dB, (frame, column) float32, of a mono waveform (sample,); frames are centred.

    A value is ``10 log10`` of the power in a band, that is ``20 log10`` of its magnitude, such
    that a sine of amplitude 1 wholly inside the band has 0 dB; nothing lies below
    ``config.floor_db``.  The waveform counts as silent before its start and after its end, and
    ``gain`` is a factor on all of it.
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"log_mel takes a mono waveform (sample,), not shape {waveform.shape}")
    frames = config.frames(len(waveform))
    power = np.empty((frames, config.columns), np.float32)
    bank = mel_filters(config).T
    for start, spectra in _power_chunks(waveform, config.n_fft, config.hop, frames, 0, gain):
        power[start : start + len(spectra), : config.mels] = spectra @ bank
    if config.fine_per_frame:
        steps = frames * config.fine_per_frame
        fine = np.empty((steps, config.fine_bands), np.float32)
        first = -(config.fine_per_frame // 2) * config.fine_hop
        bank = fine_filters(config).T
        for start, spectra in _power_chunks(
            waveform, config.fine_n_fft, config.fine_hop, steps, first, gain
        ):
            fine[start : start + len(spectra)] = spectra @ bank
        power[:, config.mels :] = rows_from_fine(fine, config)
    floor = np.float32(config.floor_db)
    np.maximum(power, np.float32(1e-30), out=power)
    np.log10(power, out=power)
    power *= 10
    np.maximum(power, floor, out=power)
    return power


def rows_from_fine(fine: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """(frame × step, band) in order of time → the fine columns (frame, band × step)."""
    by_frame = fine.reshape(-1, config.fine_per_frame, config.fine_bands)
    return by_frame.transpose(0, 2, 1).reshape(len(by_frame), -1)


def fine_from_rows(rows: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """The inverse of ``rows_from_fine``: (frame, band × step) → (frame × step, band)."""
    by_frame = rows.reshape(len(rows), config.fine_bands, config.fine_per_frame)
    return by_frame.transpose(0, 2, 1).reshape(-1, config.fine_bands)


@lru_cache(maxsize=8)
def mel_filters(config: SpectrogramConfig) -> np.ndarray:
    """Triangles of height 1 on Slaney's mel scale or the tonal one, (mel, bin) float32, read-only.

    Mel: linear to 1 kHz, logarithmic above (Slaney, Auditory Toolbox, 1998).  A band narrower than
    the distance of two bins would be empty, so each triangle reaches at least one bin to
    either side of its centre.
    """
    limits = np.array([config.low_hz, config.high_hz])
    if config.scale == "tonal":
        low_end, high_end = _tonal_from_hz(limits)
        edges = _hz_from_tonal(np.linspace(low_end, high_end, config.mels + 2))
    else:
        low_end, high_end = _mel_from_hz(limits)
        edges = _hz_from_mel(np.linspace(low_end, high_end, config.mels + 2))
    bin_hz = config.sample_rate / config.n_fft
    centre = edges[1:-1, None]
    low = np.minimum(edges[:-2, None], centre - bin_hz)
    high = np.maximum(edges[2:, None], centre + bin_hz)
    bins = np.arange(config.n_fft // 2 + 1)[None] * bin_hz
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    filters: np.ndarray = np.maximum(triangles, 0).astype(np.float32)
    filters.setflags(write=False)
    return filters


@lru_cache(maxsize=8)
def fine_filters(config: SpectrogramConfig) -> np.ndarray:
    """The wide bands of the fine envelope, (band, bin) float32 of 0 and 1, read-only."""
    bins = np.arange(config.fine_n_fft // 2 + 1) * config.sample_rate / config.fine_n_fft
    band = np.searchsorted(config.fine_edges_hz, bins, side="right")
    filters: np.ndarray = (band[None] == config.fine_numbers[:, None]).astype(np.float32)
    filters.setflags(write=False)
    return filters


def peak_hz(config: SpectrogramConfig) -> np.ndarray:
    """The frequency (mel,) at which each mel band hears best."""
    peaks: np.ndarray = mel_filters(config).argmax(axis=1) * config.sample_rate / config.n_fft
    return peaks


@lru_cache(maxsize=8)
def hann(size: int) -> np.ndarray:
    """Periodic Hann window, (size,) float32, read-only."""
    window: np.ndarray = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    window.setflags(write=False)
    return window


def power_scale(n_fft: int) -> float:
    """Factor on ``|STFT|²`` summed over bins that gives a sine of amplitude 1 the power 1."""
    return float(4 / (n_fft * np.sum(hann(n_fft).astype(np.float64) ** 2)))


def _power_chunks(
    waveform: np.ndarray, n_fft: int, hop: int, frames: int, first: int, gain: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs (index of the first frame, scaled power spectra (frame, bin)).

    Frame ``t`` is centred at sample ``first + t * hop``.
    """
    window = hann(n_fft) * np.float32(np.sqrt(power_scale(n_fft)))
    for start in range(0, frames, CHUNK_FRAMES):
        count = min(CHUNK_FRAMES, frames - start)
        begin = first + start * hop - n_fft // 2
        end = begin + (count - 1) * hop + n_fft
        piece = waveform[max(begin, 0) : max(end, 0)] * np.float32(gain)
        before = min(max(-begin, 0), end - begin)
        piece = np.pad(piece, (before, end - begin - before - len(piece)))
        spectra = scipy.fft.rfft(sliding_window_view(piece, n_fft)[::hop] * window, axis=1)
        yield start, spectra.real**2 + spectra.imag**2


def _mel_from_hz(hz: np.ndarray) -> np.ndarray:
    above = 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4)
    return np.where(hz < 1000, hz * 3 / 200, above)


def _hz_from_mel(mel: np.ndarray) -> np.ndarray:
    above = 1000 * np.exp((np.maximum(mel, 15) - 15) * np.log(6.4) / 27)
    return np.where(mel < 15, mel * 200 / 3, above)


# The tonal scale counts quarter tones: linear to 200 Hz, where a window cannot tell them apart,
# 24 an octave to 2.1 kHz, 8 an octave above.
_KNEES_HZ = (200.0, 2100.0)
_KNEES = (24 / np.log(2), 24 / np.log(2) + 24 * np.log2(2100 / 200))


def _tonal_from_hz(hz: np.ndarray) -> np.ndarray:
    low, high = _KNEES_HZ
    tones = _KNEES[0] + 24 * np.log2(np.maximum(hz, low) / low)
    above = _KNEES[1] + 8 * np.log2(np.maximum(hz, high) / high)
    return np.where(hz < low, hz / low * _KNEES[0], np.where(hz < high, tones, above))


def _hz_from_tonal(tonal: np.ndarray) -> np.ndarray:
    low, high = _KNEES_HZ
    tones = low * 2 ** ((tonal - _KNEES[0]) / 24)
    above = high * 2 ** ((tonal - _KNEES[1]) / 8)
    return np.where(
        tonal < _KNEES[0], tonal / _KNEES[0] * low, np.where(tonal < _KNEES[1], tones, above)
    )
