"""How loud a song is from moment to moment in; a stem that goes with it out.

A stem is played alike throughout, and drums that were drawn with levels of their own are made so
first. A player goes softer where the song does, fades out with it, and stops where all stop.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, grey_closing, maximum_filter1d

from restem.audio.loudness import ear_weights
from restem.audio.room import blocks
from restem.audio.spectrogram import SpectrogramConfig, log_mel, peak_hz
from restem.audio.waveform import resampled, rms_db
from restem.hearing import SILENCE_DB, WORKING_DB, Heard, Removed
from restem.order import DYNAMICS_DB, Order

STEP_S, BLOCK_S = 0.1, 0.4  # a level is the mean of a block, as in BS.1770, every step
FRAMES = 4096  # worked on at once
SILENT_DB = -120.0
PAUSE_DB = 40.0  # under the loudest moment, where nothing counts as played
HARDLY = 0.1  # of a region; where a song sounds no more than that, it is not followed
REST_BARS = 2.0  # so long a song may rest without its stem going softer
EVEN_DB = 1.5  # beyond so little apart from its mean, a stem goes as far as its song
MOST_LOUDER_DB = 2.0
LOWEST_DB = -80.0
AHEAD_S, SMOOTH_S = 0.2, 0.1  # it is as loud as its song a moment before, so that strokes are whole
GAP_DB, GAP_BARS = 25.0, 8.0  # how far under its mean a song pauses, and for how long at most
OFTEN, LONGER = 3, 1.25  # as often, pauses are how a song goes; one so many times longer is not
STOP_BARS, STOP_S = 0.75, 1.2  # a silence at least as long as both is a stop
LEAVES_S, STOPS_S, ENTERS_S = 0.05, 0.2, 0.03  # how early a stem falls silent, for how long; enters
PHRASE_BARS = 2.0  # standard deviation in time of what counts as one phrase of a stem
GATE_DB = 10.0  # under a phrase's mean, where no stroke counts; as in BS.1770
LEAST_STROKES = 0.02  # of a phrase; one with fewer has no level of its own
MOST_LIFTED_DB, MOST_LOWERED_DB = 4.0, 12.0  # what is soft may be meant so, as hi-hats alone are
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
    if order.stem == "drums":  # others' notes are all struck on one scale
        own = levels_of(resampled(wave, rate, config.sample_rate), config)
        turn(wave, even_gains(own, bar_s), rate)
    old = order.replaced
    if old is not None and rms_db(old.wave) > SILENCE_DB:
        part = wave[round(start * rate) : round(end * rate)]
        _replace(part, rate, old, here, config, bar_s, order.harder)
        if old.whole:
            return
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

    Pauses of up to REST_BARS, and those that come again and again, are played through.
    """
    mean, played = mean_level(level_db), np.flatnonzero(level_db > level_db.max() - PAUSE_DB)
    sparse = _closed(level_db, GAP_BARS * bar_s) > mean - GAP_DB
    usual = LONGER * _often(_runs((level_db < mean - GAP_DB) & sparse))
    # A song that pauses so may begin and end with such a pause.
    loud = np.flatnonzero(level_db > mean - GAP_DB / 2)
    padded = np.pad(level_db, round(GAP_BARS * bar_s / STEP_S), constant_values=SILENT_DB)
    before = (len(padded) - len(level_db)) // 2
    if len(loud) and loud[0] <= usual:
        padded[:before] = mean
    if len(loud) and len(level_db) - 1 - loud[-1] <= usual:
        padded[before + len(level_db) :] = mean
    phrases = _closed(padded, max(REST_BARS * bar_s, usual * STEP_S))[before:][: len(level_db)]
    apart = phrases - mean_level(phrases)
    # What is silent before the song, and blocks in which it begins, are no soft beginning.
    first = min(int(played[0]) + round(BLOCK_S / STEP_S / 2), len(apart) - 1)
    apart[:first] = apart[first]
    louder = np.minimum(np.clip(apart - EVEN_DB, 0, None) / 2, MOST_LOUDER_DB)
    return _smooth(louder - np.clip(-apart - EVEN_DB, 0, None))


def even_gains(own_db: np.ndarray, bar_s: float) -> np.ndarray:
    """Gains in dB (step,) that bring the phrases of a stem of levels `own_db` near to one level.

    Over all it stays as loud. Only strokes count (moments as loud as those beside them), each
    alike, so that neither rests, nor few strokes in a bar, nor a crash make a phrase soft or loud.
    The gains go over several bars, and leave strokes within a bar as they are to each other.
    """

    def around(values: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(values, PHRASE_BARS * bar_s / STEP_S, mode="nearest")

    power = 10 ** (own_db / 10)
    struck = power > around(power) / 10 ** (GATE_DB / 10)
    struck &= own_db > own_db.max() - PAUSE_DB
    struck &= own_db > maximum_filter1d(own_db, 2 * round(BLOCK_S / STEP_S) + 1) - 1
    share = around(struck.astype(np.float64))
    at = np.flatnonzero(share > min(LEAST_STROKES, share.max() / 2))
    phrases = np.interp(np.arange(len(own_db)), at, around(own_db * struck)[at] / share[at])
    middle = float(np.mean(phrases[struck]))
    gains = np.clip(middle - phrases, -MOST_LOWERED_DB, MOST_LIFTED_DB)
    return gains + _db(power.sum()) - _db(np.sum(power * 10 ** (gains / 10)))


def stops(mel_db: np.ndarray, config: SpectrogramConfig, bar_s: float) -> list[tuple[float, float]]:
    """From and to which seconds a song, of a log-mel (frame, mel), is silent amid its playing.

    Silences that come again and again are how it goes, and no stops.
    """
    frames = powers(mel_db, config)
    gaps = _runs(frames <= frames.max() / 10 ** (PAUSE_DB / 10))
    rate = config.frame_rate
    least = max(STOP_BARS * bar_s * rate, STOP_S * rate, LONGER * _often(gaps))
    return [(start / rate, end / rate) for start, end in gaps if end - start >= least]


def silence_in(stem: np.ndarray, stops: list[tuple[float, float]], rate: int) -> None:
    """Let a stem (sample,) fall silent, in place, in each stop, and come back with the song."""
    for start, end in stops:
        first, back = (round(s * rate) for s in (start - LEAVES_S, end - ENTERS_S))
        silent = min(first + round(STOPS_S * rate), back)
        fall = stem[first:silent]
        fall *= np.linspace(1, 0, silent - first, dtype=np.float32)[: len(fall)] ** 3
        stem[silent:back] = 0.0
        rise = stem[back : round(end * rate)]
        rise *= np.linspace(0, 1, len(rise), dtype=np.float32)


def turn(stem: np.ndarray, gains_db: np.ndarray, rate: int) -> None:
    """Turn a stem (sample,), in place, by gains (step,) in dB every STEP_S; one alone holds
    throughout."""
    if not np.any(gains_db):
        return
    at = np.arange(len(gains_db)) * STEP_S
    for b in blocks(len(stem)):
        seconds = np.arange(b.start, b.stop) / rate
        stem[b] *= 10 ** (np.interp(seconds, at, gains_db) / 20).astype(np.float32)


def old_stem_gains(old_db: np.ndarray, bar_s: float) -> np.ndarray:
    """Gains in dB (step,) by which a stem rises, falls and rests like one of levels `old_db`."""
    padded = np.pad(old_db, size := round(bar_s / STEP_S) + 1, constant_values=SILENT_DB)
    phrases = _closed(padded, bar_s)[size:-size]
    apart = phrases - mean_level(phrases)
    return _smooth(np.sign(apart) * np.clip(np.abs(apart) - EVEN_DB, 0, None))


def _replace(
    stem: np.ndarray,
    rate: int,
    old: Removed,
    here: slice,
    config: SpectrogramConfig,
    bar_s: float,
    harder: float,
) -> None:
    """Make a stem (sample,) of the steps `here`, in place, as loud as the old one is there or, if
    that rests, elsewhere. One that is not sure to be whole makes it louder only."""
    old_db = levels_of(resampled(old.wave, old.sample_rate, config.sample_rate), config)
    played = old_db[here] > old_db.max() - PAUSE_DB
    if old.whole and played.any():
        turn(stem, old_stem_gains(old_db, bar_s)[here], rate)
    new_db = levels_of(resampled(stem, rate, config.sample_rate), config)
    wanted = mean_level(old_db[here] if played.any() else old_db)
    both = played[: len(new_db)] if played.any() else np.ones(len(new_db), bool)
    now = float(_db(np.mean(10 ** (new_db[: len(both)][both] / 10)))) if both.any() else wanted
    gain_db = float(np.clip(wanted - now, -MOST_MATCHED_DB, MOST_MATCHED_DB))
    gain_db += DYNAMICS_DB * harder
    turn(stem, np.array([gain_db if old.whole else max(gain_db, 0.0)]), rate)


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First index of each run of a mask (step,) and the one after its last; none at the ends."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8))) + 1
    inner = edges[1:] if mask[0] else edges
    return [(int(a), int(b)) for a, b in zip(inner[::2], inner[1::2], strict=False)]


def _often(runs: list[tuple[int, int]]) -> int:
    """The length that OFTEN runs have at least; 0 where there are fewer."""
    lengths = sorted((end - start for start, end in runs), reverse=True)
    return lengths[OFTEN - 1] if len(lengths) >= OFTEN else 0


def _closed(level_db: np.ndarray, rest_s: float) -> np.ndarray:
    """Levels (step,) without the dips that are no longer than `rest_s`."""
    return np.asarray(grey_closing(level_db, 2 * round(rest_s / STEP_S / 2) + 1))


def _smooth(gains_db: np.ndarray) -> np.ndarray:
    size = 2 * round(AHEAD_S / STEP_S) + 1
    gains = 10 ** (maximum_filter1d(np.maximum(gains_db, LOWEST_DB), size) / 20)
    return 20 * np.log10(gaussian_filter1d(gains, SMOOTH_S / STEP_S, mode="nearest"))


def _db(power: np.ndarray | float) -> np.ndarray:
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENT_DB / 10))))
