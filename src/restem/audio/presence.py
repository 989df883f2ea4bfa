"""A log-mel of a song in, the probability that drums play in it already out."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

import numpy as np

from restem.audio.room import blocks

GROUPS = 12  # neighbouring mel bands are read together
LAG = 2  # frames over which a rise is measured


def presence_features(mel_db: np.ndarray) -> np.ndarray:
    """(3 * GROUPS,) numbers of a log-mel (frame, mel) in dB: level, mean rise and sharp rises.

    Drums lift many bands at once and by much, the high ones most; held notes do not.
    """
    groups = np.empty((len(mel_db), GROUPS))
    for b in blocks(len(mel_db), 4096):
        power = 10 ** (mel_db[b].astype(np.float64) / 10)
        parts = np.array_split(power, GROUPS, axis=1)
        groups[b] = np.stack([part.sum(axis=1) for part in parts], axis=1)
    loudest = groups.sum(axis=1)
    kept = groups[loudest > 1e-4 * loudest.max()] if loudest.max() > 0 else groups
    if len(kept) <= LAG:
        return np.zeros(3 * GROUPS)
    floor = kept.sum(axis=1).mean() * 1e-5 + 1e-12
    level = 10 * np.log10(kept + floor)
    rise = np.maximum(level[LAG:] - level[:-LAG], 0)
    mean = 10 * np.log10(kept.mean(axis=0) / (kept.sum(axis=1).mean() + 1e-12) + 1e-6)
    return np.concatenate([mean / 20, rise.mean(axis=0), np.percentile(rise, 95, axis=0) / 10])


def drums_present(mel_db: np.ndarray) -> float:
    """Probability, 0 to 1, that a log-mel (frame, mel) of a song holds drums.

    Logistic regression on rendered songs with and without drums; see the model card.
    """
    weights = _weights()
    z = (presence_features(mel_db) - weights["mean"]) / weights["scale"]
    return float(1 / (1 + np.exp(-(z @ weights["weights"] + weights["bias"]))))


@cache
def _weights() -> dict[str, np.ndarray]:
    text = resources.files("restem").joinpath("models/drum_presence.json").read_text()
    return {name: np.array(value) for name, value in json.loads(text).items() if name != "note"}
