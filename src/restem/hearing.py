"""A song's samples in; what must be known of it before a stem is played to it, out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from restem.audio.beats import BeatGrid
from restem.audio.drums_separator import CHUNK, SAMPLE_RATE, DrumsSeparator
from restem.audio.pitch_notes import PitchNotes, hear_pitches
from restem.audio.presence import drums_present
from restem.audio.room import blocks
from restem.audio.spectrogram import SpectrogramConfig, log_mel
from restem.audio.tracking import track_beats
from restem.audio.waveform import mono_from_channels, resampled, rms_db
from restem.errors import UserError

WORKING_DB = -20.0  # the song is brought to this level before its mel, so that the floor is far
SILENCE_DB = -75.0
DRUMS_HEARD = 0.9  # probability from which a song counts as having drums
DRUMS_SHARE_DB = -12.0  # `drums_share_db` from which it does so too; strummed strings reach -15
# Seconds of sound that drums are told by: one in twelve pieces of 1 to 2 s of a plucked guitar was
# taken for drums, and none of 3 s.
TELLING_S = 3.0
DRUMS_ALREADY = "This song seems to have drums already; the new ones are added to them."
SILENT_REGION = "Nothing is played in that region: the song is silent there, or the stem rests."
FAINT_DB = 60.0  # under a song's loudest moments, where it counts as silent
BEGUN_DB = 50.0  # under them, where what comes before a song's beginning is noise at most
MOST_CONSTANT = 0.001  # of a song's energy that may be an offset; more is taken away
UNSURE = 0.6  # expected beat F below which the tracked beats may mislead more than they help


@dataclass(frozen=True, eq=False)
class Heard:
    """A song as the model hears it; all takes for it share this.

    `song` (sample, channel) is at `sample_rate`, `mono` (sample,) at `mono_rate`, `level_db`
    its root mean square, `context_db` (frame, mel) its log-mel at WORKING_DB; a silent
    song has none, and `config` is what it was made with. `notices` are sentences for the user.
    """

    song: np.ndarray
    sample_rate: int
    mono: np.ndarray
    mono_rate: int
    level_db: float
    context_db: np.ndarray | None
    beats: BeatGrid
    notices: list[str]
    config: SpectrogramConfig

    @cached_property
    def pitches(self) -> PitchNotes:
        """The notes that can be heard in it."""
        return hear_pitches(self.mono, self.mono_rate)

    @cached_property
    def sounding(self) -> np.ndarray:
        """Which frames of `context_db` sound: (frame,) bool."""
        assert self.context_db is not None  # nothing is played to a silent song
        loudest = self.context_db.max(axis=1)
        return np.asarray(loudest > loudest.max() - FAINT_DB)

    @property
    def lasts(self) -> float:
        """The seconds from the first sound to the last."""
        first, last = np.flatnonzero(self.sounding)[[0, -1]]
        return float((last + 1 - first) / self.config.frame_rate)

    @property
    def gain(self) -> np.float32:
        """The factor that brings the song to WORKING_DB."""
        return np.float32(10 ** ((WORKING_DB - self.level_db) / 20))


@dataclass(frozen=True, eq=False)
class Removed:
    """A stem (sample,) that was taken out of a song. One that is not sure to be `whole` tells
    neither where it rested nor how soft it was."""

    wave: np.ndarray
    sample_rate: int
    whole: bool = True

    def within(self, start: float, end: float) -> Removed:
        """What lies between two moments in seconds."""
        part = slice(*(round(edge * self.sample_rate) for edge in (start, end)))
        return replace(self, wave=self.wave[part])


def hear(
    song: np.ndarray,
    sample_rate: int,
    stem: str,
    config: SpectrogramConfig,
    beats: BeatGrid | None = None,
    bpm: float | None = None,
) -> Heard:
    """Listen to a `checked` song (sample, channel) that is to get a `stem`.

    Beats are tracked unless `beats` gives them; `bpm` alone fixes the tempo and leaves the
    downbeat to the tracker. With both, the beats count, and were made at that tempo.
    """
    if beats is not None and not isinstance(beats, BeatGrid):
        raise UserError("Beats are a restem.BeatGrid; BeatGrid.from_bpm makes one.")
    mono = resampled(mono_from_channels(song), sample_rate, config.sample_rate)
    level = _without_constant(mono)
    seconds = len(mono) / config.sample_rate
    if beats is not None and not np.any((beats.times >= 0) & (beats.times <= seconds)):
        raise UserError(
            f"None of the beats that were given lies in the song, which lasts {seconds:.1f} s; "
            "give the beats of this song, in seconds from its beginning."
        )
    if level < SILENCE_DB:
        steady = BeatGrid.from_bpm(bpm or 120.0, 0.0, max(seconds, 1.0))
        grid = beats or replace(steady, confidence=0.0)
        silent = ["The song is silent, so the stem is silent too."]
        return Heard(song, sample_rate, mono, config.sample_rate, level, None, grid, silent, config)
    grid = beats if beats is not None else track_beats(mono)
    if beats is None and bpm is not None:
        grid = at_tempo(grid, bpm, seconds)
    doubts = _doubts(grid, bpm is not None)
    heard = Heard(song, sample_rate, mono, config.sample_rate, level, None, grid, doubts, config)
    context_db = log_mel(mono, config, float(heard.gain))
    heard = replace(heard, context_db=context_db)
    if stem == "drums" and heard.lasts >= TELLING_S and drums_play(mono, context_db):
        doubts.append(DRUMS_ALREADY)
    return heard


def _without_constant(mono: np.ndarray) -> float:
    """The level in dB of what varies; a constant that would be heard as a step at either end is
    taken away."""
    mean, whole = float(mono.mean(dtype=np.float64)), 10 ** (rms_db(mono) / 10)
    if mean**2 > MOST_CONSTANT * whole:
        for b in blocks(len(mono)):
            mono[b] -= np.float32(mean)
        return rms_db(mono)
    return 10 * float(np.log10(max(whole - mean**2, 1e-20)))


def at_tempo(grid: BeatGrid, bpm: float, duration: float) -> BeatGrid:
    """A steady grid of `bpm` whose downbeats lie as near as can be to those of `grid`.

    Where the two tempi are too far apart for that, the first downbeat of `grid` counts. Raises
    UserError for a tempo outside 20 to 400 BPM.
    """
    bars = grid.beats_per_bar
    marks = grid.downbeats if len(grid.downbeats) else grid.times[:1]
    bar = bars * 60 / max(bpm, 1e-3)  # BeatGrid names a tempo that is out of range
    # The circular mean of the downbeats' places in a bar of the new length.
    place = np.mean(np.exp(2j * np.pi * marks / bar))
    first = float(np.angle(place) / (2 * np.pi) % 1.0 * bar) if abs(place) > 0.9 else marks[0] % bar
    steady = BeatGrid.from_bpm(bpm, float(first), duration, bars)
    return replace(steady, confidence=grid.confidence)  # where the bars begin was still heard


def checked(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The samples as float64 (sample, channel); UserError if nothing can be played to them."""
    song = np.asarray(samples, dtype=np.float64)
    song = song[:, None] if song.ndim == 1 else song
    if song.ndim != 2 or song.shape[1] < 1:
        raise UserError("Samples must be shaped (sample,) or (sample, channel).")
    if not 8000 <= sample_rate <= 192000:
        raise UserError(f"The sample rate must lie between 8 and 192 kHz, not {sample_rate} Hz.")
    if len(song) < song.shape[1]:
        raise UserError("Samples must be shaped (sample, channel); turn them with samples.T.")
    if len(song) < 0.1 * sample_rate:
        raise UserError("The song is shorter than 0.1 s; give a longer one.")
    if not all(np.isfinite(song[b]).all() for b in blocks(len(song))):
        raise UserError("The song holds samples that are not numbers (NaN or infinity); repair it.")
    return song


def drums_play(mono: np.ndarray, context_db: np.ndarray) -> bool:
    """Whether drums are heard in a song (sample,) at 44.1 kHz already, or in its log-mel.

    The log-mel tells soft ones in a band, the separator those that are recorded in another way
    than what the log-mel's judge was shown.
    """
    return drums_present(context_db) > DRUMS_HEARD or drums_share_db(mono) > DRUMS_SHARE_DB


def first_sound(song: np.ndarray, sample_rate: int) -> float:
    """The second, to a twentieth, at which a song (sample, channel) begins; 0 if it is silent."""
    size = max(sample_rate // 20, 1)
    power = np.array([np.square(song[s : s + size]).mean() for s in range(0, len(song), size)])
    return float(np.argmax(power >= power.max() * 10 ** (-BEGUN_DB / 10)) * size / sample_rate)


def drums_share_db(mono: np.ndarray) -> float:
    """How much of the loudest ten seconds of a song (sample,) at 44.1 kHz a separator takes for
    drums: their level beside all, in dB."""
    seconds = range(0, max(len(mono) - CHUNK, 0) + 1, SAMPLE_RATE)
    start = max(seconds, key=lambda s: float(mono[s : s + CHUNK] @ mono[s : s + CHUNK]))
    piece = mono[start : start + CHUNK]
    drums = DrumsSeparator().separate(np.stack([piece, piece], axis=1))["drums"][:, 0]
    return float(rms_db(drums) - rms_db(piece))


def _doubts(grid: BeatGrid, given_bpm: bool) -> list[str]:
    notices = []
    if grid.confidence < UNSURE and given_bpm:
        notices.append(
            "Where the bars begin is hard to hear in this song; if the stem comes in on the wrong "
            "beat, move it with --shift or give --beats."
        )
    elif grid.confidence < UNSURE:
        notices.append(
            "The beat is hard to hear in this song; check the tempo below, and give "
            "it with --bpm or --beats if it is wrong."
        )
    return notices
