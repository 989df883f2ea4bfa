"""A stem and its kit in, the stem with the kit's balance of lows and highs out.

Guidance leads towards what words and song add most of, and of drums that is hats and snares: a stem
made by it has less of the kick, and more on top, than the kit with which it began.
"""

from __future__ import annotations

import numpy as np

from restem.audio.room import blocks
from restem.audio.spectrogram import peak_hz
from restem.kits import Kit
from restem.tokens import BLOCK_FRAMES, TokenConfig

MOST_DB = 15.0  # that a band is raised or lowered
_SMOOTH = np.array([0.25, 0.5, 0.25])  # over neighbouring bands


def balance_to(stem: np.ndarray, kit: Kit | None, config: TokenConfig) -> None:
    """Give stem tokens (token, value), in place, their kit's mean spectrum at their own power.

    What is silent stays so. The fine envelope goes with the bands that it covers.
    """
    if kit is None:
        return
    mine, wanted = _power(stem, config), _power(kit.stem, config)
    if min(mine.sum(), wanted.sum()) < 1.01 * len(mine) * 10 ** (config.quiet_db / 10):
        return  # silence
    gain = 10 * np.log10((wanted + 1e-12) / (mine + 1e-12))
    gain -= 10 * np.log10(wanted.sum() / mine.sum())
    gain = np.convolve(np.pad(gain, 1, mode="edge"), _SMOOTH, "valid")
    gain = np.clip(gain, -MOST_DB, MOST_DB)
    gain -= 10 * np.log10((mine * 10 ** (gain / 10)).sum() / mine.sum())
    change = np.float32(_of_columns(gain, mine, config) / config.scale_db)
    for b in blocks(len(stem), BLOCK_FRAMES):
        cells = stem[b].reshape(-1, config.spectrogram.columns)
        moved = np.maximum(cells + change, np.float32(config.silence))
        stem[b] = np.where(cells > config.silence, moved, cells).reshape(stem[b].shape)


def _power(tokens: np.ndarray, config: TokenConfig) -> np.ndarray:
    """Mean power (mel,) of tokens."""
    mels, total = config.spectrogram.mels, np.zeros(config.spectrogram.mels)
    for b in blocks(len(tokens), BLOCK_FRAMES):
        cells = tokens[b].reshape(-1, config.spectrogram.columns)[:, :mels].astype(np.float64)
        total += (10 ** ((cells * config.scale_db + config.centre_db) / 10)).sum(axis=0)
    return total / max(1, len(tokens) * config.frames_per_token)


def _of_columns(gain: np.ndarray, power: np.ndarray, config: TokenConfig) -> np.ndarray:
    """Gain (mel,) in dB for every column (column,): each wide band's is that of its power."""
    spectrogram = config.spectrogram
    band = np.searchsorted(spectrogram.fine_edges_hz, peak_hz(spectrogram), side="right")
    wide = []
    for number in spectrogram.fine_numbers if spectrogram.fine_per_frame else []:
        inside = band == number
        louder = (power[inside] * 10 ** (gain[inside] / 10)).sum() / max(power[inside].sum(), 1e-12)
        wide.append(10 * np.log10(louder + 1e-12))
    return np.concatenate([gain, np.repeat(wide, spectrogram.fine_per_frame)])
