"""A mono stem in, the same as a kit or an instrument in a room between two speakers out."""

from __future__ import annotations

import numpy as np
from scipy.signal import oaconvolve

from restem.audio.room import blocks, room

# How loud the sides are beside the middle, by frequency: kick and the body of the snare stay in the
# middle, toms spread a little, hats and cymbals most.
WIDTH_HZ = (0.0, 180.0, 360.0, 1500.0, 6000.0)
WIDTH = (0.0, 0.0, 0.15, 0.2, 0.45)
SPREAD_SECONDS = 0.012  # over which the sides are smeared; longer would sound like an echo
LOUDER = 1.122  # 1 dB: how much higher than the mono stem's peak a channel's may be


def like_channels(wave: np.ndarray, song: np.ndarray, rate: int, wide: bool = True) -> np.ndarray:
    """A mono stem (sample,) in the channels of `song` (sample, channel), as float64.

    Two channels that differ are a stereo song, which gets a stereo stem if that is to be `wide`;
    otherwise, and in surround, every channel gets the wave itself.
    """
    if wide and song.shape[1] == 2 and not np.array_equal(song[:, 0], song[:, 1]):
        return stereo_from_mono(wave, rate)
    made = room(song.shape, np.float64)
    for b in blocks(len(wave)):
        made[b] = wave[b, None]
    return made


def stereo_from_mono(wave: np.ndarray, rate: int) -> np.ndarray:
    """(sample,) to (sample, 2) float64, whose mean is the wave itself within rounding.

    One channel is the wave plus a side signal, the other minus it: bands of the wave, softer than
    it and with their phases turned by a fixed all-pass response, so that neither ear hears a comb
    (M. Schroeder, "An artificial stereophonic effect obtained from a single audio signal", 1958).
    """
    made = room((len(wave), 2), np.float64)
    response = _side_response(rate)
    before = np.zeros(len(response) - 1)
    for b in blocks(len(wave)):
        heard = np.concatenate([before, wave[b]])
        made[b, 1] = oaconvolve(heard, response, mode="full")[len(before) : len(heard)]
        before = heard[len(heard) - len(before) :]
    share = _share(wave, made[:, 1])
    for b in blocks(len(wave)):
        side = share * made[b, 1]
        made[b, 0], made[b, 1] = wave[b] + side, wave[b] - side
    return made


def _share(wave: np.ndarray, side: np.ndarray) -> float:
    """How much of the side signal keeps both channels' peaks near the wave's."""
    peak = max((float(np.abs(wave[b]).max()) for b in blocks(len(wave))), default=0.0)
    share = 1.0
    while any(
        float((np.abs(wave[b]) + np.abs(share * side[b])).max()) > LOUDER * peak
        for b in blocks(len(wave))
    ):
        share *= 0.8
    return share


def _side_response(rate: int) -> np.ndarray:
    """(tap,) float64: causal, of WIDTH's magnitudes, energy spread over SPREAD_SECONDS."""
    size = 1 << int(np.ceil(np.log2(8 * SPREAD_SECONDS * rate)))
    hz = np.fft.rfftfreq(size, 1 / rate)
    gain = np.interp(hz, WIDTH_HZ, WIDTH)
    # The delay of each frequency wanders between 0.2 and 1 of the spread, a turn an octave or so;
    # the phase is its integral.
    turns = 2.3 * np.log2(np.maximum(hz, 50.0) / 50.0)
    delay = SPREAD_SECONDS * (0.35 + 0.25 * np.sin(2 * np.pi * turns))
    phase = -2 * np.pi * np.cumsum(delay) * (hz[1] - hz[0])
    response = np.fft.irfft(gain * np.exp(1j * phase), size)
    taps = int(2 * SPREAD_SECONDS * rate)
    fade = np.ones(taps)
    fade[taps // 2 :] = np.cos(np.linspace(0, np.pi / 2, taps - taps // 2)) ** 2
    return response[:taps] * fade
