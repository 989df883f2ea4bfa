"""The picture of a stem in, its sound out."""

from __future__ import annotations

import numpy as np

from restem.audio.inversion import waveform_from_log_mel
from restem.audio.peaks import bend_peaks
from restem.audio.room import blocks
from restem.audio.spectrogram import SpectrogramConfig
from restem.audio.tightening import tightened
from restem.audio.tones import lost_power
from restem.hearing import Heard
from restem.order import Order


def sound(
    rows: np.ndarray,
    wave: np.ndarray,
    config: SpectrogramConfig,
    heard: Heard,
    order: Order,
    seed: int,
    first: int,
) -> None:
    """Write into `wave` (sample,) what rows (frame, column) in dB sound like, as loud beside the
    song as they are beside one at `hearing.WORKING_DB`; `first` is the song's sample at which they
    begin."""
    if order.tight:
        rows = tightened(rows, config, heard.beats, order.tight, first / config.sample_rate)
    wave[:] = waveform_from_log_mel(rows, config, len(wave), seed)
    if config.scale == "tonal":
        wave *= lost_power(wave, rows, config)
    bend_peaks(wave)
    for b in blocks(len(wave)):
        wave[b] /= heard.gain
