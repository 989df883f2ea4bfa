"""Frequencies in, how much the ear makes of them out (K-weighting, ITU-R BS.1770-4)."""

from __future__ import annotations

import numpy as np
from scipy.signal import sosfreqz

WEIGHTED_RATE = 48000  # at which the coefficients hold
# Tables 1 and 2 of the recommendation: the head's high shelf, then the RLB high-pass.
SHELF = (
    1.53512485958697,
    -2.69169618940638,
    1.19839281085285,
    1,
    -1.69065929318241,
    0.73248077421585,
)
HIGH_PASS = (1.0, -2.0, 1.0, 1, -1.99004745483398, 0.99007225036621)


def ear_weights(hz: np.ndarray) -> np.ndarray:
    """The factor (frequency,) by which power at each of some frequencies, below 24 kHz, counts."""
    _, response = sosfreqz(np.array([SHELF, HIGH_PASS]), worN=hz, fs=WEIGHTED_RATE)
    return np.asarray(np.abs(response) ** 2)
