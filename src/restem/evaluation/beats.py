"""Beat times in seconds come in; beat F-measures and tempo errors go out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from restem.evaluation.onsets import FRAMES_PER_SECOND, kick_envelope, onset_envelope
from restem.evaluation.signals import mono, resampled

TOLERANCE_S = 0.07


def beat_f(reference: ArrayLike, estimate: ArrayLike, tolerance_s: float = TOLERANCE_S) -> float:
    """F-measure of estimated beats, 0 to 1, by mir_eval (extra `evaluation`).

    Both are (beat,) times in seconds in ascending order. A beat is found if an estimate lies
    within the tolerance of it, each estimate counting once (S. Dixon, "Evaluation of the audio
    beat tracking system BeatRoot", JNMR 2007). Nothing is trimmed from the start. If either
    side has no beats the result is 0.
    """
    import mir_eval  # extra `evaluation`: beat times without audio should not need it to be read

    true_times, times = _beats(reference), _beats(estimate)
    if len(true_times) == 0 or len(times) == 0:
        return 0.0
    return float(mir_eval.beat.f_measure(true_times, times, f_measure_threshold=tolerance_s))


@dataclass(frozen=True)
class LevelledF:
    """The best beat F over the metrical levels of the reference, and the level that gave it."""

    value: float
    level: str  # "same", "double", "half" or "half, off" (every second beat, from the second)


def best_beat_f(
    reference: ArrayLike, estimate: ArrayLike, tolerance_s: float = TOLERANCE_S
) -> LevelledF:
    """Best `beat_f` over the reference, its double tempo and both halves of it.

    The reference is varied, never the estimate, as in mir_eval's continuity metrics
    (M. Davies et al., "Evaluation methods for musical audio beat tracking algorithms", 2009).
    """
    true_times = _beats(reference)
    levels = {"same": true_times}
    if len(true_times) >= 2:
        midpoints = (true_times[1:] + true_times[:-1]) / 2
        levels["double"] = np.sort(np.concatenate([true_times, midpoints]))
        levels["half"] = true_times[::2]
        levels["half, off"] = true_times[1::2]
    scores = {name: beat_f(times, estimate, tolerance_s) for name, times in levels.items()}
    best = max(scores, key=lambda name: scores[name])  # the first of equals: "same" wins ties
    return LevelledF(scores[best], best)


def tempo(beats: ArrayLike) -> float:
    """Tempo in beats per minute from the median interval; NaN with fewer than two beats."""
    times = _beats(beats)
    return float(60 / np.median(np.diff(times))) if len(times) >= 2 else float("nan")


def tempo_error(reference_bpm: float, bpm: float, any_level: bool = False) -> float:
    """Distance of two tempi in octaves, |log2(bpm / reference)|: 0 is right, 1 is twice or half.

    With `any_level` the nearest of half, same and double tempo is taken. Raises ValueError for
    tempi that are not positive numbers.
    """
    if not (0 < reference_bpm < np.inf and 0 < bpm < np.inf):
        raise ValueError("a tempo must be a positive number of beats per minute")
    octaves = np.log2(bpm / reference_bpm)
    shifts = np.array([-1.0, 0.0, 1.0]) if any_level else np.zeros(1)
    return float(np.min(np.abs(octaves - shifts)))


def librosa_beats(waveform: ArrayLike, sample_rate: int) -> NDArray[np.float64]:
    """Beat times (beat,) in seconds by librosa's tracker, defaults at 22,050 Hz (extra
    `evaluation`): the ruler that stems are measured with, because it knows nothing of this model.

    Silence has no beats.
    """
    import librosa

    samples = mono(waveform)
    if not np.any(np.abs(samples) > 1e-5):
        return np.zeros(0)
    listened = np.asarray(resampled(samples, sample_rate, 22050), dtype=np.float32)
    _, times = librosa.beat.beat_track(y=listened, sr=22050, units="time")
    return np.asarray(times, dtype=np.float64)


def steady_beats(waveform: ArrayLike, sample_rate: int) -> NDArray[np.float64]:
    """Beat times (beat,) in seconds of drums that were recorded to a click: one tempo throughout.

    librosa's tracker gives the tempo to within its coarse steps; the Fourier sums of the onset
    envelope at that tempo and its double, within 4 %, give it exactly (P. Grosche and M. Müller,
    "Extracting predominant local pulse information", 2011, with one window: the whole song), and
    the onsets at the beats, of all bands and of those below 200 Hz in equal parts, the place.
    Beats go on through breaks. Fewer than two beats: none.
    """
    heard = librosa_beats(waveform, sample_rate)
    if len(heard) < 2:
        return np.zeros(0)
    every, low = onset_envelope(waveform, sample_rate), kick_envelope(waveform, sample_rate)
    envelope = every / (every.sum() + 1e-12) + low / (low.sum() + 1e-12)
    seconds = np.arange(len(envelope)) / FRAMES_PER_SECOND
    about = (len(heard) - 1) / (heard[-1] - heard[0])  # beats a second
    rates = about * np.linspace(0.96, 1.04, 1601)
    pulse = (np.exp(2j * np.pi * rate * seconds) for rate in rates)
    rate = rates[np.argmax([abs(turn @ envelope) + abs(turn**2 @ envelope) for turn in pulse])]
    steps = np.arange(int(seconds[-1] * rate)) / rate
    places = np.arange(0, 1 / rate, 0.002)
    wide = np.convolve(envelope, np.hanning(7)[1:-1], mode="same")
    at = [np.interp(place + steps, seconds, wide).sum() for place in places]
    return np.asarray(places[int(np.argmax(at))] + steps, dtype=np.float64)


def _beats(values: ArrayLike) -> NDArray[np.float64]:
    times = np.asarray(values, dtype=np.float64)
    if times.ndim != 1 or not np.all(np.isfinite(times)) or np.any(np.diff(times) <= 0):
        raise ValueError("beats must be (beat,) times in seconds, finite and strictly ascending")
    return times
