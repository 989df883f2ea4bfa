"""A stem and its context come in; how well their harmony fits and how much leaks across go out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_toeplitz
from scipy.ndimage import uniform_filter
from scipy.signal import correlate, fftconvolve

from restem.evaluation.signals import RATE, magnitudes, standard


def chroma(waveform: ArrayLike, sample_rate: int) -> NDArray[np.float64]:
    """Energy by pitch class, (frame, 12) from C to B at A = 440 Hz, one frame each 93 ms.

    Hann STFT (8,192 samples at 44,100 Hz, hop 4,096); the energy of each bin from 65 Hz to 2.1 kHz
    goes to its nearest semitone (T. Fujishima, "Realtime chord recognition of musical sound",
    ICMC 1999, eq. 2 and 3).
    """
    energies = magnitudes(standard(waveform, sample_rate), 8192, 4096).astype(np.float64) ** 2
    frequencies = np.arange(energies.shape[1]) * RATE / 8192
    bins = np.flatnonzero((frequencies >= 65.0) & (frequencies <= 2100.0))
    classes = np.round(69 + 12 * np.log2(frequencies[bins] / 440.0)).astype(int) % 12
    return energies[:, bins] @ np.eye(12)[classes]


def chroma_fit(stem: ArrayLike, context: ArrayLike, sample_rate: int) -> float:
    """Agreement of the pitch classes of a stem and its context over time, -1 to 1.

    The square roots of both chromas, averaged over about 0.5 s and freed of their mean over the
    twelve classes, compared by cosine in each frame; frames weigh by the stem's energy. 1 is the
    same chord, about 0 an unpitched or unrelated stem; NaN if nothing of either is pitched or
    sounding. Both are as long as the shorter one.
    """
    stem_chroma, context_chroma = chroma(stem, sample_rate), chroma(context, sample_rate)
    frames = min(len(stem_chroma), len(context_chroma))
    weights = stem_chroma[:frames].sum(axis=1)
    first = _contrast(stem_chroma[:frames])
    second = _contrast(context_chroma[:frames])
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    heard = lengths > 1e-12
    if not np.any(heard) or weights[heard].sum() <= 0:
        return float("nan")
    cosines = (first * second).sum(axis=1)[heard] / lengths[heard]
    return float(np.average(cosines, weights=weights[heard]))


def _contrast(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    smooth = uniform_filter(np.sqrt(energies), size=(5, 1), mode="nearest")
    return smooth - smooth.mean(axis=1, keepdims=True)


def waveform_leak_db(
    stem: ArrayLike, context: ArrayLike, sample_rate: int, taps: int = 64
) -> float:
    """Energy of what a short filter of the context explains of the stem, in dB re the stem.

    The least-squares projection of E. Vincent et al., "Performance measurement in blind audio
    source separation", 2006, eq. 12 to 15, with a filter of `taps` samples centred on zero delay.
    0 dB: the stem is filtered context. An unrelated stem of N samples reaches about
    10 log10(taps / N) by chance. -inf if either is silent. This follows the phase: a stem that
    was made through a spectrogram needs `spectral_leak` beside it.
    Raises ValueError for different lengths.
    """
    target, source = standard(stem, sample_rate), standard(context, sample_rate)
    if len(target) != len(source):
        raise ValueError(f"stem and context differ in length: {len(target)} and {len(source)}")
    energy = float(target @ target)
    if energy == 0 or not np.any(source):
        return -np.inf
    half = taps // 2
    delayed = np.pad(source, (half, half))
    # row i of the normal equations: correlation of the source with the target at lag i - half
    autocorrelation = correlate(delayed, source, mode="full", method="fft")[
        len(source) - 1 + half : len(source) - 1 + half + taps
    ]
    cross = correlate(np.pad(target, half), source, mode="full", method="fft")
    cross = cross[len(source) - 1 : len(source) - 1 + taps]
    autocorrelation[0] *= 1 + 1e-9  # a band-limited context leaves the system near singular
    response = solve_toeplitz(autocorrelation, cross)
    explained = fftconvolve(delayed, response)[2 * half :][: len(target)]
    return float(10 * np.log10(max(float(explained @ explained) / energy, 1e-30)))


def spectral_leak(stem: ArrayLike, context: ArrayLike, sample_rate: int) -> float:
    """Correlation of the fine structure of both log spectrograms, -1 to 1; 0 if either is silent.

    Levels in dB (Hann STFT, 4,096 samples at 44,100 Hz, hop 2,048, 60 dB below the peak is the
    floor) from 60 Hz to 8 kHz, minus their own average over 21 bins: what remains are partials,
    which an independent drum stem does not share with its context, whatever the rhythm. The
    context itself gives 1.
    """
    first, second = _partials(stem, sample_rate), _partials(context, sample_rate)
    if len(first) != len(second):
        raise ValueError(f"stem and context differ: {len(first)} and {len(second)} frames")
    first, second = first - first.mean(), second - second.mean()
    energy = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / energy) if energy > 0 else 0.0


def _partials(waveform: ArrayLike, sample_rate: int) -> NDArray[np.float64]:
    spectrum = magnitudes(standard(waveform, sample_rate), 4096, 2048).astype(np.float64)
    floor = max(float(spectrum.max()) * 1e-3, 10 ** (-90 / 20))
    levels = 20 * np.log10(np.maximum(spectrum, floor))
    fine = levels - uniform_filter(levels, size=(1, 21), mode="nearest")
    return fine[:, 6:744]
