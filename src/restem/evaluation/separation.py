"""A true stem and a separated one come in; how well they agree, in dB, goes out."""

import numpy as np
from numpy.typing import ArrayLike


def si_sdr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Scale-invariant signal-to-distortion ratio in dB of mono waveforms (sample,).

    J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, eq. 4. NaN for a silent
    reference; raises ValueError for different lengths.
    """
    target, given = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if target.shape != given.shape or target.ndim != 1:
        raise ValueError(f"shapes must be (sample,) and equal, not {target.shape}, {given.shape}")
    energy = float(target @ target)
    if energy <= 0:
        return float("nan")
    part = (given @ target / energy) * target
    return 10 * float(np.log10((part @ part + 1e-20) / (np.sum((given - part) ** 2) + 1e-20)))
