"""Takes of a drum part, their context and its beats in; how well each fits, best first, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from restem.evaluation.loudness import loudness_relation
from restem.evaluation.onsets import (
    FRAMES_PER_SECOND,
    beats_with_onset,
    onset_correlation,
    onset_envelope,
    onset_times,
)

HIT_SECONDS = 0.03
SMOOTH_FRAMES = 1.5  # 15 ms: players are not clocks
USUAL_LU = -6.0  # of drums to their context, as restem makes them
LEVEL_SPREAD_LU = 8.0  # so far from it counts half
WEIGHTS = {"beat": 1.0, "context": 1.0, "level": 0.5}
NOVELTY_WEIGHT = 0.1  # small: what is new by being wrong must not rise


@dataclass(frozen=True)
class Fit:
    """How a take fits. `take` is its row; `score` the weighted sum of the others.

    `beat`, -1 to 1: share of the beats with an onset within 30 ms, and how far onsets stand out at
    the beats. `context`, -1 to 1: correlation of onset envelopes. `level`, 0 to 1: how usual the
    loudness is, against the context and the other takes. `novelty`, 0 to 1: how far the onsets
    differ from those of the takes that are ranked better.
    """

    take: int
    score: float
    beat: float
    context: float
    level: float
    novelty: float


def ranked(
    takes: Sequence[np.ndarray], context: np.ndarray, sample_rate: int, beats: np.ndarray
) -> list[Fit]:
    """The `Fit` of each of `takes`, (sample,) each, to `context` (sample,), the best first.

    `beats` (beat,) are seconds. After the best, each next one is the best of the rest with some
    weight for novelty. Silent takes come last.
    """
    own = [onset_envelope(take, sample_rate) for take in takes]
    song = _smooth(onset_envelope(context, sample_rate))
    smooth = [_smooth(envelope) for envelope in own]
    relations = np.array([loudness_relation(take, context, sample_rate) for take in takes])
    usual = np.median(relations[np.isfinite(relations)]) if np.isfinite(relations).any() else 0.0
    parts = [
        {
            "beat": _beat_fit(own[i], smooth[i], beats),
            "context": onset_correlation(song, smooth[i]),
            "level": _level_fit(relations[i], USUAL_LU) / 2 + _level_fit(relations[i], usual) / 2,
        }
        for i in range(len(takes))
    ]
    sounding = [float(np.any(envelope)) for envelope in own]
    scores = [sum(WEIGHTS[k] * part[k] for k in WEIGHTS) for part in parts]
    novelty = np.ones(len(takes))
    order: list[Fit] = []
    left = list(range(len(takes)))
    while left:
        best = max(left, key=lambda i: (sounding[i], scores[i] + NOVELTY_WEIGHT * novelty[i]))
        left.remove(best)
        order.append(Fit(best, sounding[best] * scores[best], novelty=novelty[best], **parts[best]))
        for i in left:
            alike = onset_correlation(smooth[i], smooth[best])
            novelty[i] = min(novelty[i], float(np.clip(1 - alike, 0, 1)))
    return order


def _smooth(envelope: np.ndarray) -> np.ndarray:
    return np.asarray(gaussian_filter1d(envelope, SMOOTH_FRAMES))


def _beat_fit(envelope: np.ndarray, smooth: np.ndarray, beats: np.ndarray) -> float:
    """Half the share of beats hit, half how far onsets stand out at the beats."""
    beats = beats[(beats >= 0) & (beats < len(envelope) / FRAMES_PER_SECOND)]
    if len(beats) < 2 or not envelope.any():
        return 0.0
    hits = beats_with_onset(beats, onset_times(envelope), HIT_SECONDS)
    at = np.interp(beats * FRAMES_PER_SECOND, np.arange(len(smooth)), smooth).mean()
    return float(hits / 2 + (at - smooth.mean()) / (at + smooth.mean()) / 2)


def _level_fit(relation: float, usual: float) -> float:
    distance = relation - usual if np.isfinite(relation) else np.inf
    return float(1 / (1 + (distance / LEVEL_SPREAD_LU) ** 2))
