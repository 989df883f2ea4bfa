"""How a part is played, measured in training and told to a model beside the sentence.

Words alone move density and dynamics only so far. So a model is also told, in half of its training
windows, how many hits a second the window's drums have and how hard they are played; a control
then asks for more or less than is usual for the sentence.
"""

from __future__ import annotations

import numpy as np

from restem.evaluation.onsets import onset_times

MOST = 2.0  # controls lie between -MOST and MOST
TOLD = 0.5  # share of the training windows in which each of the two is told
STEP = 0.9  # standard deviations to one step of a control
_MARKS = np.random.default_rng(384).standard_normal((4, 384)).astype(np.float32)
_MARKS *= np.float32(0.4) / np.linalg.norm(_MARKS, axis=1, keepdims=True)
# Mean and spread over training windows of log2 of the hits a second, and of the level in dB.
_USUAL = np.array([[2.25, 0.57], [-6.8, 5.6]])


def played(stem_db: np.ndarray) -> np.ndarray | None:
    """Density and dynamics (2,) of drums (frame, mel) in dB to the song, 100 frames a second.

    None if they are silent. Each in standard deviations of the training windows from their mean.
    Density counts the onsets in the flux of the bands. Dynamics are the level beside the song, which
    is what a rendered player's strokes decide.
    """
    level = 10 * np.log10((10 ** (stem_db / 10)).sum(axis=1).mean() + 1e-20)
    if level < -60:
        return None
    floored = np.maximum(stem_db, stem_db.max() - 60)
    rises = np.maximum(floored[2:] - floored[:-2], 0).mean(axis=1)
    hits = len(onset_times(rises)) / (len(stem_db) / 100)
    values = (np.array([np.log2(hits + 0.25), level]) - _USUAL[:, 0]) / _USUAL[:, 1]
    return np.clip(values, -3, 3).astype(np.float32)


def told(text: np.ndarray, density: float | None, dynamics: float | None) -> np.ndarray:
    """A sentence vector (384,) with one or both values of `played` told beside it."""
    vector = text.astype(np.float32)
    for value, (flag, direction) in zip((density, dynamics), _MARKS.reshape(2, 2, -1), strict=True):
        if value is not None:
            vector = vector + flag + np.float32(value) * direction
    return vector


def asked(usual: np.ndarray, density: float, dynamics: float) -> tuple[float | None, float | None]:
    """What to tell a model for two controls, -2 to 2; None for a control that is at 0.

    `usual` (2,) are the values of `played` to expect of the sentence.
    """
    values = (usual + STEP * np.array([density, dynamics])).tolist()
    return (values[0] if density else None), (values[1] if dynamics else None)
