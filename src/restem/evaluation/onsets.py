"""Waveforms and beat times come in; onset envelopes, onset times and their agreement go out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from restem.evaluation.signals import RATE, magnitude_blocks, standard

HOP = 441
FRAMES_PER_SECOND = RATE / HOP  # 100
LAG = 2  # frames; longer than half a window, so that the flux peaks on the attack, not before it
BAND_EDGES_HZ = np.geomspace(30.0, 16000.0, 41)
KICK_EDGES_HZ = np.array([30.0, 110.0])
QUIET = 1e-11  # energy of -110 dB re full scale: nothing below it counts as sound


def onset_envelope(waveform: ArrayLike, sample_rate: int) -> NDArray[np.float64]:
    """Spectral flux, (frame,) in dB, 100 frames a second, frame t centred on t / 100 s.

    Hann STFT (1,024 samples at 44,100 Hz, hop 441); energies summed in bands spaced evenly on a
    log axis from 30 Hz to 16 kHz; in dB, floored 60 dB below the clip's loudest band and at
    -110 dB re full scale; then the mean over the bands of max(0, S[t] - S[t - 2]). The log flux is
    that of S. Böck and G. Widmer, "Maximum filter vibrato suppression for onset detection",
    DAFx 2013, eq. 1 to 3, without the maximum filter. Gain does not change it; silence gives zeros.
    """
    energies = _band_energies(standard(waveform, sample_rate), 1024, BAND_EDGES_HZ)
    floor = max(float(energies.max()) * 1e-6, QUIET)
    return _flux(energies, floor)


def kick_envelope(waveform: ArrayLike, sample_rate: int) -> NDArray[np.float64]:
    """Flux of the band from 30 to 110 Hz, (frame,) in dB, 100 frames a second.

    As `onset_envelope`, with a window of 2,048 samples and one band, floored 20 dB below the
    band's own peak and 30 dB below the loudest moment of the whole spectrum, so that the low end
    of a snare or of a brush does not count as a kick.
    """
    samples = standard(waveform, sample_rate)
    low = _band_energies(samples, 2048, KICK_EDGES_HZ)
    loudest = float(_band_energies(samples, 2048, np.array([30.0, 16000.0])).max())
    floor = max(float(low.max()) * 1e-2, loudest * 1e-3, QUIET)
    return _flux(low, floor)


def _band_energies(
    samples: NDArray[np.float64], n_fft: int, edges_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    edges = np.unique(np.ceil(edges_hz * n_fft / RATE).astype(int))
    sums = [
        np.add.reduceat(block[:, : edges[-1]].astype(np.float64) ** 2, edges[:-1], axis=1)
        for block in magnitude_blocks(samples, n_fft, HOP)
    ]
    return np.concatenate(sums)


def _flux(energies: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    levels = 10 * np.log10(np.maximum(energies, floor))
    # before the clip there is silence, so an attack on its first sample is an onset too
    before = np.full((LAG, levels.shape[1]), 10 * np.log10(floor))
    rises = levels - np.concatenate([before, levels[:-LAG]])[: len(levels)]
    return np.maximum(rises, 0).mean(axis=1)


def onset_times(envelope: ArrayLike, threshold_db: float = 2.0) -> NDArray[np.float64]:
    """Times in seconds, (onset,), of the peaks of an envelope at 100 frames a second.

    A frame is an onset if it is the greatest within 30 ms on both sides and lies `threshold_db`
    above the mean of the 100 ms before and after it (peak picking of S. Böck, F. Krebs and
    M. Schedl, "Evaluating the online capabilities of onset detection methods", ISMIR 2012,
    offline); of two that are closer than 30 ms the first counts.
    """
    values = _envelope(envelope)
    peaks = (values == maximum_filter1d(values, 7, mode="constant")) & (
        values >= uniform_filter1d(values, 21, mode="constant") + threshold_db
    )
    frames = np.flatnonzero(peaks)
    if len(frames):
        frames = frames[np.concatenate([[True], np.diff(frames) > 3])]
    return frames / FRAMES_PER_SECOND


def onset_correlation(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Pearson correlation of two onset envelopes (frame,) of the same length, -1 to 1.

    A constant envelope (silence) correlates with nothing: the result is then 0.
    Raises ValueError for envelopes of different lengths.
    """
    first, second = _envelope(reference), _envelope(estimate)
    if len(first) != len(second):
        raise ValueError(f"envelopes differ in length: {len(first)} and {len(second)} frames")
    first, second = first - first.mean(), second - second.mean()
    energy = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / energy) if energy > 0 else 0.0


def beats_with_onset(beats: ArrayLike, onsets: ArrayLike, tolerance_s: float = 0.07) -> float:
    """Share of the beats (seconds) that have an onset within the tolerance, 0 to 1.

    Dense onsets reach a high share by chance, so read it beside the same figure for shifted beats.
    NaN when there are no beats.
    """
    times, events = _times(beats, "beats"), _times(onsets, "onsets")
    if len(times) == 0:
        return float("nan")
    if len(events) == 0:
        return 0.0
    nearest = np.abs(times[:, None] - events[None, :]).min(axis=1)
    return float(np.mean(nearest <= tolerance_s + 1e-9))


def onsets_per_beat(beats: ArrayLike, onsets: ArrayLike) -> float:
    """Onsets from the first beat up to the last, over the number of beat intervals.

    NaN with fewer than two beats.
    """
    times, events = _times(beats, "beats"), _times(onsets, "onsets")
    if len(times) < 2:
        return float("nan")
    # 30 ms early counts: an onset on the first beat may be detected just before it
    inside = (events >= times[0] - 0.03) & (events < times[-1] - 0.03)
    return float(np.count_nonzero(inside) / (len(times) - 1))


def kick_on_beat_share(
    waveform: ArrayLike, sample_rate: int, beats: ArrayLike, tolerance_s: float = 0.05
) -> float:
    """Share of the beats (seconds) with a rise of at least 6 dB between 30 and 110 Hz at them.

    1 for four on the floor, about 0.5 for a backbeat with kicks on one and three. Beats outside
    the waveform are left out; NaN when none remain.
    """
    envelope = kick_envelope(waveform, sample_rate)
    times = _times(beats, "beats")
    times = times[(times >= 0) & (times < len(envelope) / FRAMES_PER_SECOND)]
    return beats_with_onset(times, onset_times(envelope, threshold_db=6.0), tolerance_s)


def _envelope(values: ArrayLike) -> NDArray[np.float64]:
    envelope = np.asarray(values, dtype=np.float64)
    if envelope.ndim != 1 or envelope.size == 0 or not np.all(np.isfinite(envelope)):
        raise ValueError("an onset envelope must be (frame,), not empty, and finite")
    return envelope


def _times(values: ArrayLike, name: str) -> NDArray[np.float64]:
    times = np.asarray(values, dtype=np.float64)
    if times.ndim != 1 or not np.all(np.isfinite(times)) or np.any(np.diff(times) < 0):
        raise ValueError(f"{name} must be (event,) times in seconds, finite and in order")
    return times
