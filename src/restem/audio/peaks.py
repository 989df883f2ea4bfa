"""A waveform with a few spikes in, the same with the spikes bent down out.

Phases found for a picture sometimes agree for an instant and stack up to a spike of some samples,
far above every other hit, which makes the mix exceed full scale.
"""

from __future__ import annotations

import numpy as np

from restem.audio.room import blocks

RARE = 1e-4  # share of the sounding samples that lie above the threshold
CEILING = 1.1  # times the threshold, which bent peaks approach
SOUNDING = 1e-3  # of the highest peak
_BINS = 1 << 14


def bend_peaks(wave: np.ndarray) -> None:
    """Bend the rare peaks of (sample,) towards a ceiling, in place; all below stays as it is."""
    threshold = _threshold(wave)
    knee = (CEILING - 1) * threshold
    for b in blocks(len(wave)):
        size = np.abs(wave[b])
        over = size > threshold
        if knee > 0 and over.any():
            bent = threshold + knee * np.tanh((size[over] - threshold) / knee)
            wave[b][over] = np.copysign(bent, wave[b][over])


def _threshold(wave: np.ndarray) -> float:
    """The level that all sounding samples but the RARE ones stay below; 0 for silence."""
    peak = max((float(np.abs(wave[b]).max()) for b in blocks(len(wave))), default=0.0)
    counts = np.zeros(_BINS, np.int64)
    for b in blocks(len(wave)) if peak > 0 else ():
        size = np.abs(wave[b])
        loud = size[size > SOUNDING * peak]
        counts += np.histogram(loud, _BINS, (0.0, peak))[0]
    below = np.cumsum(counts) <= (1 - RARE) * counts.sum()
    return peak * (int(below.sum()) + 1) / _BINS if peak > 0 else 0.0
