"""How loud a song is from moment to moment in; a stem that goes with it out.

A stem is played alike throughout. A player goes softer where the song does, fades out with it, and
stops where all stop.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, grey_closing

from restem.audio.loudness import ear_weights
from restem.audio.room import blocks
from restem.audio.spectrogram import SpectrogramConfig, log_mel, peak_hz
from restem.audio.waveform import resampled, rms_db
from restem.hearing import SILENCE_DB, WORKING_DB, Heard
from restem.manner import dynamics_of_words
from restem.order import Order

STEP_S, BLOCK_S = 0.1, 0.4  # a level is the mean of a block, as in BS.1770, every step
FRAMES = 4096  # worked on at once
SILENT_DB = -120.0
PAUSE_DB = 40.0  # under the loudest moment, where nothing counts as played
HARDLY = 0.1  # of a region; where a song sounds no more than that, it is not followed
REST_BARS = 3.0  # as long as this a song may rest without its stem going softer
EVEN_DB = 3.0  # above and below the mean, where a stem stays as it is
GENTLY, GENTLE_DB = 0.5, 9.0  # beyond, it goes half as far, down to there
CATCHING_UP = 1.2  # and below, as in a fade-out, until it lies as far down as the song
MOST_LOUDER_DB = 3.0
SMOOTH_S = 0.15
STOP_BARS, STOP_S = 1.0, 1.5  # a silence at least as long as both is a stop
STOPS_S, ENTERS_S = 0.35, 0.03  # in which a stem falls silent then, and how early it may come back
DYNAMICS_DB = 5.0  # a step of them
MOST_MATCHED_DB = 20.0  # by which a stem is turned to be as loud as the one before it


def follow(wave: np.ndarray, rate: int, heard: Heard, order: Order) -> None:
    """Turn a stem (sample,), in place, up and down with the song that was heard, or with the stem
    that it replaces, and let it stop where the song stops.

    A region is wished for as it is: a song that is silent there does not silence it.
    """
    if heard.context_db is None or not np.any(wave):
        return
    config, bar_s = heard.config, heard.beats.beats_per_bar * 60 / heard.beats.bpm
    start, end = order.region or (0.0, len(wave) / rate)
    here = slice(round(start / STEP_S), max(round(end / STEP_S), round(start / STEP_S) + 1))
    part = wave[round(start * rate) : round(end * rate)]
    old = None if order.replaced is None else order.replaced.within(start, end)
    if old and rms_db(old.wave) > SILENCE_DB:
        old_db, new_db = (
            levels_of(resampled(w, r, config.sample_rate), config)
            for w, r in ((old.wave, old.sample_rate), (part, rate))
        )
        gains = louder_db(new_db, old_db) + DYNAMICS_DB * _harder(order)
        if old.whole:
            turn(part, gains + old_stem_gains(old_db, bar_s), rate)
            return
        turn(part, np.maximum(gains, 0.0), rate)
    song = levels(heard.context_db, config)
    if np.mean(song[here] > song.max() - PAUSE_DB) > HARDLY:
        turn(wave, song_gains(song, bar_s), rate)
    if not order.region:
        silence_in(wave, stops(heard.context_db, config, bar_s), rate)


def levels(mel_db: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """The level in dB (step,), every STEP_S, of a log-mel (frame, mel) as the ear weighs it."""
    frames = powers(mel_db, config)
    size, step = (round(s * config.frame_rate) for s in (BLOCK_S, STEP_S))
    total = np.append(0.0, np.cumsum(frames))
    middle = np.arange(0, len(frames), step)
    first = np.maximum(middle - size // 2, 0)
    end = np.minimum(middle + size - size // 2, len(frames))
    return _db((total[end] - total[first]) / (end - first))


def levels_of(wave: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """The same of a wave (sample,) at the rate of `config`, in dB beside full scale."""
    gain_db = WORKING_DB - rms_db(wave)
    gain = 10 ** (np.clip(gain_db, -120, 120) / 20)
    return levels(log_mel(wave, config, gain), config) - 20 * np.log10(gain)


def powers(mel_db: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """The power (frame,) of a log-mel's frames as the ear weighs it; 0 at the floor."""
    weights, silence = ear_weights(peak_hz(config)), 10 ** (config.floor_db / 10)
    total = np.empty(len(mel_db))
    for b in blocks(len(mel_db), FRAMES):
        bands = 10 ** (mel_db[b, : config.mels].astype(np.float64) / 10)
        total[b] = (bands - silence) @ weights
    return np.maximum(total, 0.0)


def mean_level(level_db: np.ndarray) -> float:
    """The mean level of the moments of `levels` in which something is played."""
    played = level_db[level_db > level_db.max() - PAUSE_DB]
    return float(_db(np.mean(10 ** (played / 10))))


def song_gains(level_db: np.ndarray, bar_s: float) -> np.ndarray:
    """Gains in dB (step,) for a stem played to a song of such `levels`, whose bars last `bar_s`.

    Rests shorter than REST_BARS and not at the song's ends are played through.
    """
    apart = _phrases(level_db, REST_BARS * bar_s) - mean_level(level_db)
    louder = np.clip(apart - EVEN_DB, 0, None) * GENTLY
    softer = np.clip(-apart - EVEN_DB, 0, None)
    gentle = np.minimum(softer, GENTLE_DB - EVEN_DB)
    softer = np.minimum(GENTLY * gentle + CATCHING_UP * (softer - gentle), softer + EVEN_DB)
    return _smooth(np.minimum(louder, MOST_LOUDER_DB) - softer)


def stops(mel_db: np.ndarray, config: SpectrogramConfig, bar_s: float) -> list[tuple[float, float]]:
    """From and to which seconds a song, of a log-mel (frame, mel), is silent amid its playing."""
    frames = powers(mel_db, config)
    sounding = np.flatnonzero(frames > frames.max() / 10 ** (PAUSE_DB / 10))
    long = max(STOP_BARS * bar_s, STOP_S) * config.frame_rate
    after = np.flatnonzero(np.diff(sounding) >= long)
    return [
        (float(sounding[i] + 1) / config.frame_rate, float(sounding[i + 1]) / config.frame_rate)
        for i in after
    ]


def silence_in(stem: np.ndarray, stops: list[tuple[float, float]], rate: int) -> None:
    """Let a stem (sample,) fall silent, in place, in each stop, and come back with the song."""
    for start, end in stops:
        first, back = (round(s * rate) for s in (start, end - ENTERS_S))
        silent = min(first + round(STOPS_S * rate), back)
        fall = stem[first:silent]
        fall *= np.linspace(1, 0, silent - first, dtype=np.float32)[: len(fall)] ** 2
        stem[silent:back] = 0.0
        rise = stem[back : round(end * rate)]
        rise *= np.linspace(0, 1, len(rise), dtype=np.float32)


def turn(stem: np.ndarray, gains_db: np.ndarray, rate: int) -> None:
    """Turn a stem (sample,), in place, by gains (step,) in dB every STEP_S."""
    if not np.any(gains_db):
        return
    at = np.arange(len(gains_db)) * STEP_S  # one gain alone holds throughout
    for b in blocks(len(stem)):
        seconds = np.arange(b.start, b.stop) / rate
        stem[b] *= 10 ** (np.interp(seconds, at, gains_db) / 20).astype(np.float32)


def louder_db(new_db: np.ndarray, old_db: np.ndarray) -> np.ndarray:
    """By how much a stem of levels `new_db` must be turned up to be as loud as one of `old_db` is
    while that plays: (1,) dB."""
    steps, old_mean = min(len(new_db), len(old_db)), mean_level(old_db)
    played = old_db[:steps] > old_db.max() - PAUSE_DB
    now = float(_db(np.mean(10 ** (new_db[:steps][played] / 10)))) if played.any() else old_mean
    return np.clip([old_mean - now], -MOST_MATCHED_DB, MOST_MATCHED_DB)


def old_stem_gains(old_db: np.ndarray, bar_s: float) -> np.ndarray:
    """Gains in dB (step,) by which a stem rises, falls and rests like one of levels `old_db`."""
    apart = _phrases(old_db, bar_s) - mean_level(old_db)
    return _smooth(np.sign(apart) * np.clip(np.abs(apart) - EVEN_DB, 0, None))


def _harder(order: Order) -> float:
    return dynamics_of_words(order.instruction) if order.dynamics is None else order.dynamics


def _phrases(level_db: np.ndarray, rest_s: float) -> np.ndarray:
    """Levels (step,) without the dips of notes that die away and of rests up to `rest_s`."""
    size = 2 * round(rest_s / STEP_S / 2) + 1
    padded = np.pad(level_db, size, constant_values=SILENT_DB)
    return np.asarray(grey_closing(padded, size)[size:-size])


def _smooth(gains_db: np.ndarray) -> np.ndarray:
    return np.asarray(gaussian_filter1d(gains_db, SMOOTH_S / STEP_S, mode="nearest"))


def _db(power: np.ndarray | float) -> np.ndarray:
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENT_DB / 10))))
