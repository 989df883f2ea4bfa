"""A stem and a context in, how much of the stem is still heard in the context out.

Two readings, both about zero where nothing leaks:

* the **probe**: a linear reading of the context's rises, band by band, fitted across songs to the
  onsets of stems that leak at random levels. A band plays together, so the probe finds onsets in
  clean contexts too; what counts is the excess over what it finds there.
* the **residual**: the gain at which the stem's high band is found in the context, phase included,
  by weighted least squares. Sharp for a stem that leaks as it is (its standard deviation on clean
  rendered pairs is under 0.001), blind to what a separator or a room has put out of phase.
  Instruments that begin together push the same way at first, so here, too, what counts is the
  excess over clean contexts. What those read grows with the context beside the stem; so a share of
  what the stem does not explain is taken off, which was fitted on clean contexts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.fft

from restem.audio.files import atomic_path
from restem.evaluation.onsets import onset_correlation

RATE, HOP, N_FFT = 44100, 441, 1024
BAND_EDGES_HZ = np.geomspace(60.0, 16000.0, 33)
LAG, DYNAMIC_DB = 2, 60.0
HIGH_HZ = (5000.0, 16000.0)
RIDGE = 1e-2
FAINT = 100.0  # about a stem 30 dB under the context in five seconds
FLOOR = 1e-4  # of the mean power, so that near silence does not count for all


@dataclass(frozen=True)
class Leak:
    """Readings of one clip, both about 0 without leakage.

    `residual` is an amplitude, 0.1 for a stem heard at -20 dB; it is the clip's score, since it
    tells clips apart. `probe` is the excess of a correlation; single clips scatter by 0.14, so
    read its mean over many.
    """

    probe: float
    residual: float


@dataclass(frozen=True, eq=False)
class Probe:
    """Weights (3 * band,) of the context's features, and what clean contexts read on average.

    `clean` is the correlation, `clean_share` the mean gain over the mean of `Fit.rest`, with the
    standard error of that quotient.
    """

    weights: np.ndarray
    clean: float
    clean_share: float
    clean_share_error: float

    def correlation(self, context: np.ndarray, stem: np.ndarray) -> float:
        """Of the read onsets with the stem's, -1 to 1, for mono waveforms at 44.1 kHz."""
        read = context_features(context) @ self.weights
        return onset_correlation(stem_onsets(stem), read)

    def leak(self, context: np.ndarray, stem: np.ndarray) -> Leak:
        """Both readings for mono waveforms (sample,) of one length; zeros for a silent stem."""
        if not np.any(stem) or not np.any(context):
            return Leak(0.0, 0.0)
        fit = high_band_fit(context, stem)
        excess = fit.gain - self.clean_share * fit.rest
        return Leak(self.correlation(context, stem) - self.clean, excess)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        values = {"clean": self.clean, "clean_share": self.clean_share,
                  "clean_share_error": self.clean_share_error,
                  "weights": [round(float(w), 6) for w in self.weights]}  # fmt: skip
        with atomic_path(path) as part:
            part.write_text(json.dumps(values) + "\n")


def _spectrum(wave: np.ndarray) -> np.ndarray:
    """(frame, bin) complex64, 100 frames a second."""
    padded = np.pad(np.asarray(wave, np.float32), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.asarray(scipy.fft.rfft(frames * np.hanning(N_FFT).astype(np.float32), axis=1))


def _levels(wave: np.ndarray) -> np.ndarray:
    """(frame, band) in dB, floored 60 dB under the clip's loudest band."""
    edges = np.unique(np.ceil(BAND_EDGES_HZ * N_FFT / RATE).astype(int))
    power = np.abs(_spectrum(wave)).astype(np.float64) ** 2
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    return 10 * np.log10(np.maximum(bands, max(bands.max() * 10 ** (-DYNAMIC_DB / 10), 1e-12)))


def context_features(context: np.ndarray) -> np.ndarray:
    """(frame, 3 * band): the rise over two frames, that of the frame before, and the level's height
    over its mean of the last 200 ms, each positive part, in units of 10 dB."""
    levels = _levels(context)
    rise = np.maximum(levels - np.concatenate([levels[:1]] * LAG + [levels[:-LAG]]), 0)
    before = np.concatenate([rise[:1], rise[:-1]])
    total = np.cumsum(np.concatenate([np.repeat(levels[:1], 20, axis=0), levels]), axis=0)
    height = np.maximum(levels - (total[20:] - total[:-20]) / 20, 0)
    return np.concatenate([rise, before, height], axis=1) / 10


def stem_onsets(stem: np.ndarray) -> np.ndarray:
    """(frame,) mean rise over the bands in dB."""
    levels = _levels(stem)
    rise = levels - np.concatenate([levels[:1]] * LAG + [levels[:-LAG]])
    return np.asarray(np.maximum(rise, 0).mean(axis=1))


class Fit(NamedTuple):
    """Of a stem to a context above 5 kHz.

    `gain` as an amplitude, -1 to 1; `rest` is how loud is what the stem does not explain, as an
    amplitude beside the stem's, both weighted alike.
    """

    gain: float
    rest: float


def high_band_fit(context: np.ndarray, stem: np.ndarray) -> Fit:
    """The gain at which the stem's spectrum above 5 kHz goes along with the context's, in phase.

    The least-squares gain of the stem in the context, each frame and bin weighted by one over the
    context's power around it, so that the places count where little else plays. Signed, so that
    chance averages out: a cymbal of the band that sounds at the same time has another phase. A
    stem that is much fainter there than the context says little and reads nearer to 0; -1 to 1.
    """
    low, high = (round(hz * N_FFT / RATE) for hz in HIGH_HZ)
    a, b = _spectrum(context)[:, low:high], _spectrum(stem)[:, low:high]
    energy = np.abs(b.astype(np.complex128)) ** 2
    if not np.any(np.abs(a)) or energy.sum() < 1e-12:
        return Fit(0.0, 0.0)
    power = _smoothed(np.abs(a) ** 2)
    floor = FLOOR * (float(energy.mean()) + float(power.mean()))
    weight = 1 / (power + floor)
    known, together = np.sum(weight * energy) + FAINT, np.sum(weight * (a * np.conj(b)).real)
    gain = together / known
    rest = max(np.sum(weight * np.abs(a) ** 2) - gain * together, 0.0) / known
    return Fit(float(np.clip(gain, -1, 1)), float(np.sqrt(rest)))


def _smoothed(power: np.ndarray) -> np.ndarray:
    """Mean over 9 frames and 9 bins."""
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(power.astype(np.float64), 9, mode="nearest"))


def leak_matched(
    mix: np.ndarray, context: np.ndarray, rng: np.random.Generator, gains: np.ndarray | None = None
) -> np.ndarray:
    """The context of a clean pair (sample,) with some of its stem let in, as a separator leaves it.

    `gains` are scores of separated clips, one of which is drawn; without them the level is drawn
    between -60 and -10 dB. It is tilted by up to 6 dB a decade, from 100 Hz to 10 kHz. The mix
    stays, so the model cannot learn that a trace of drums in the context means drums in the target.
    """
    if gains is None:
        gain = 10 ** (rng.uniform(-60, -10) / 20)
    else:
        gain = max(0.0, float(rng.choice(gains)))
    stem = np.asarray(mix, np.float64) - context
    spectrum = scipy.fft.rfft(stem)
    hz = np.maximum(np.arange(len(spectrum)) * RATE / len(stem), 20.0)
    tilt_db = rng.uniform(-6, 6) * np.clip(np.log10(hz / 1000), -1, 1)
    return np.asarray(context + scipy.fft.irfft(spectrum * gain * 10 ** (tilt_db / 20), len(stem)))


def fit_probe(pairs: Iterable[tuple[np.ndarray, np.ndarray]], seed: int = 0) -> Probe:
    """Ridge regression on clean (context, stem) pairs, with the stem let in at -40 to 0 dB.

    Odd pairs fit the weights; even ones are held back for the correlation with clean contexts.
    The gain, which no weight is fitted for, is read in both.
    """
    rng = np.random.default_rng(seed)
    size = 3 * (len(np.unique(np.ceil(BAND_EDGES_HZ * N_FFT / RATE).astype(int))) - 1)
    gram, moment = np.zeros((size, size)), np.zeros(size)
    held: list[tuple[np.ndarray, np.ndarray]] = []
    fits: list[Fit] = []
    for number, (context, stem) in enumerate(pairs):
        target = stem_onsets(stem)
        deviation = float(target.std())
        if deviation < 1e-6:
            continue
        fits.append(high_band_fit(context, stem))
        if number % 2 == 0:
            held.append((context_features(context), target))
            continue
        leaky = context + stem * 10 ** (rng.uniform(-40, 0) / 20)
        features = context_features(leaky)
        features = features - features.mean(axis=0)
        gram += features.T @ features
        moment += features.T @ ((target - target.mean()) / deviation)
    weights = np.linalg.solve(gram + RIDGE * np.trace(gram) / size * np.eye(size), moment)
    clean = [onset_correlation(target, features @ weights) for features, target in held]
    return Probe(weights, float(np.mean(clean)), *clean_share(fits))


def clean_share(fits: list[Fit]) -> tuple[float, float]:
    """Mean gain over mean rest of clean pairs, so that their mean excess is 0; its standard error.

    Not the mean of the quotients: the fainter a stem, the larger they are.
    """
    gain, rest = np.array(fits).T
    share = gain.sum() / rest.sum()
    error = np.std(gain - share * rest, ddof=1) / np.sqrt(len(fits)) / rest.mean()
    return float(share), float(error)


@cache
def packaged_probe() -> Probe:
    """The probe in the package, fitted on rendered songs of the training split."""
    text = resources.files("restem").joinpath("models/leak_probe.json").read_text()
    values = json.loads(text)
    rest = (float(values[name]) for name in ("clean", "clean_share", "clean_share_error"))
    return Probe(np.array(values["weights"]), *rest)
