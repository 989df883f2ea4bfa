"""A song as heard in; bass, guitar or keys for it out, composed as notes and played with samples.

A network that draws spectrograms blurs tones. So what is heard of the song is written down as notes
(Basic Pitch), a piano-roll diffusion model of the kind that fills in MIDI songs adds the part that
is missing, and sampled instruments play it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from restem.audio.beats import BeatGrid
from restem.audio.pitch_notes import PitchNotes
from restem.audio.room import blocks
from restem.audio.sampler import play_notes
from restem.audio.spectrogram import log_mel
from restem.audio.waveform import sounding_db
from restem.generation import Preview, Progress
from restem.hearing import Heard
from restem.manner import density_of_words
from restem.order import DYNAMICS_DB, Order
from restem.region import Region
from restem.symbolic import shared
from restem.symbolic.arrange import fill
from restem.symbolic.articulation import LOWEST_STRING
from restem.symbolic.blips import without_blips, without_doubles
from restem.symbolic.lines import is_short
from restem.symbolic.model import RollModel, is_model
from restem.symbolic.on_beats import bars_of, notes_in_seconds, planes_heard
from restem.symbolic.performance import accents
from restem.symbolic.rhythms import rhythm_of
from restem.symbolic.rolls import STEPS_PER_QUARTER
from restem.symbolic.strumming import string_delays
from restem.symbolic.voices import program_for
from restem.symbolic.wishes import Wishes
from restem.tokens import TokenConfig

FOLDER = Path(__file__).parent / "models" / "parts"
# How loud a stem is while it sounds beside all of its song: the median of songs trained on.
USUAL_DB = {"bass": -4.0, "guitar": -7.0, "keys": -7.0}
PAUSE_DB = 40.0  # under a song's loudest moments, where it rests
LOOSE_S, LOOSE_VELOCITY = 0.005, 4.0  # how far a hand is off, as standard deviations

# Below 1, as what is heard of a song is less sure than its notes; chosen on validation songs.
TEMPERATURES = {"bass": 0.7, "guitar": 0.45, "keys": 0.6}
EARLY_S = 0.03  # before the song's first sample
LEAST_S = 0.05  # that a note has before the song or the region ends
SHORT_S = 0.13  # of notes that shall not ring
HELD_S = 0.25  # that a note begun before the region must still have
PICKUP_S = 0.05  # what of a song before its first beat is no upbeat
NO_NOTES = "The stem has no notes there; try another seed, or a region in which the song plays."
ALONE_S = 1.0  # for how long a part plays on alone
FADE_S = 0.03  # in which it ends with the song, without a click


@dataclass(frozen=True, eq=False)
class Take:
    """A stem (sample,) at the model's rate, and its notes where a model wrote them."""

    wave: np.ndarray
    notes: PitchNotes | None = None
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Composer:
    """The model of one stem, which an `Inserter` asks in place of a network for spectrograms."""

    model: RollModel

    @classmethod
    def load(cls, stem: str, folder: Path = FOLDER) -> Composer:
        """That of a folder with `STEM.onnx` or `pitched.onnx`; UserError if it has neither."""
        return cls(RollModel.load(stem, folder, heard=True))

    @classmethod
    def is_in(cls, folder: Path, stem: str) -> bool:
        """Whether a folder holds such a model of a stem."""
        return stem in USUAL_DB and (is_model(folder, stem) or is_model(folder, shared.FILE))

    @cached_property
    def description(self) -> dict[str, Any]:
        """What a network's `model.json` would say."""
        usual = Wishes()
        return {
            **self.model.description,
            "stems": [self.model.stem],
            "steps": usual.steps,
            "guidance": usual.guidance,
        }

    @property
    def sha256(self) -> str:
        return self.model.sha256

    @property
    def tokens(self) -> TokenConfig:
        """How songs are heard, and the rate of what is played."""
        return TokenConfig()

    def met(self, order: Order) -> Order:
        """The order with no more steps than this kind of model knows."""
        return replace(order, steps=order.steps and min(order.steps, self.model.noise.steps))

    def program(self, order: Order) -> int:
        """The instrument of General MIDI, from 0, on which an order is played."""
        return program_for(self.model.stem, order.instruction)

    def play(
        self, heard: Heard, order: Order, seed: int, say: Progress, preview: Preview | None = None
    ) -> Take:
        """One take, as long as `heard.mono`; `preview` gets its picture when it is done."""
        say(0.0, "listening for the notes")
        rate = heard.mono_rate
        seconds = len(heard.mono) / rate
        # A song that begins a moment before its first beat has no bar before it.
        grid = heard.beats.extended(min(PICKUP_S, seconds), seconds)
        bars = bars_of(grid)
        planes = fill(
            self.model,
            {"other": planes_heard(heard.pitches, grid)},
            bars,
            self._wishes(order, seed),
            _bars_within(order.region, bars, grid) if order.region else None,
            lambda share: say(0.3 + 0.6 * share, "composing"),
        )
        rows, times = notes_in_seconds(planes, grid)
        if self.model.stem == "guitar":
            rows, times = _above_lowest_string(rows, times)
        region = order.region or (0.0, seconds)
        inside = times[:, 0] > region[0] - EARLY_S
        rhythm = rhythm_of(order.instruction, order.stem)
        if rhythm.is_long:
            inside |= times[:, 1] > region[0] + HELD_S  # what sounds on when the region begins
            _begin_with(heard, times)
        kept = _song_plays(heard, times[:, 0])
        kept &= inside & (times[:, 0] < region[1] - LEAST_S)
        rows, times = rows[kept], times[kept].clip(*region)
        if is_short(order.instruction, order.stem) and not rhythm.is_long:
            times[:, 1] = np.minimum(times[:, 1], times[:, 0] + SHORT_S)
        else:
            rows, times = without_blips(rows, times, region[1])
        late = string_delays(rows, times, bars, seed) if self.model.stem == "guitar" else 0.0
        hard = accents(rows[:, 0], bars)
        notes = _played(rows, times, hard, seed, order.tight, region, late)
        say(0.9, "playing the notes")
        whole = play_notes(notes, self.program(order), len(heard.mono) + rate, rate)
        # Where the song rests says nothing of how loud it is.
        level = sounding_db(heard.mono, rate, PAUSE_DB)
        wanted = level + USUAL_DB[self.model.stem] + DYNAMICS_DB * order.harder
        # Measured beyond the song's end, which may cut all but the attack of an only note.
        gain = np.float32(10 ** ((wanted - sounding_db(whole, rate)) / 20)) if len(rows) else 0.0
        wave = whole[: len(heard.mono)]
        for b in blocks(len(wave)):
            wave[b] *= gain
        end = wave[-round(FADE_S * rate) :]  # what rings on beyond the song's last sample
        end *= np.linspace(1, 0, len(end), dtype=np.float32)
        if preview:
            config = self.tokens.spectrogram
            preview(0.0, log_mel(wave, config, float(heard.gain))[:, : config.mels])
        return Take(wave, notes, [] if len(rows) else [NO_NOTES])

    def _wishes(self, order: Order, seed: int) -> Wishes:
        density = order.density
        if density is None:
            density = density_of_words(order.instruction)
        wishes = Wishes(
            order.instruction,
            temperature=TEMPERATURES[self.model.stem],
            seed=seed,
            second_look=True,  # so that chords of notes that were heard are found more surely
        ).fuller(density)
        if order.steps:
            wishes = replace(wishes, steps=order.steps)
        return wishes if order.guidance is None else replace(wishes, guidance=order.guidance)


def _song_plays(heard: Heard, starts: np.ndarray) -> np.ndarray:
    """Which moments in seconds have something of the song in the ALONE_S before, or at once."""
    rate = TokenConfig().context_spectrogram.frame_rate
    before = np.append(0, np.cumsum(heard.sounding))  # frames that sound before each
    frames = np.round(starts * rate).astype(int)
    first, end = frames - round(ALONE_S * rate), frames + round(EARLY_S * rate) + 1
    count = len(heard.sounding)
    return np.asarray(before[end.clip(0, count)] > before[first.clip(0, count)])


def _begin_with(heard: Heard, times: np.ndarray) -> None:
    """Let notes that last from and to `times` (note, 2), if the song rests when they begin, begin
    in place when it does, where enough of them is left."""
    rate = TokenConfig().context_spectrogram.frame_rate
    sounding = np.flatnonzero(heard.sounding) / rate
    at = np.searchsorted(sounding, times[:, 0])
    next_s = np.append(sounding, np.inf)[at]
    late = ~_song_plays(heard, times[:, 0]) & (next_s < times[:, 1] - HELD_S)
    times[late, 0] = next_s[late]


def _bars_within(region: Region, bars: np.ndarray, grid: BeatGrid) -> tuple[int, int]:
    """The first bar that a region touches and the one after the last."""
    lines = np.append(grid.times[bars[:, 0] // STEPS_PER_QUARTER], np.inf)
    first = int(np.searchsorted(lines, region[0], side="right")) - 1
    return max(first, 0), max(int(np.searchsorted(lines, region[1])), 1)


def _played(
    rows: np.ndarray,
    times: np.ndarray,
    hard: np.ndarray,
    seed: int,
    tight: float,
    region: Region,
    late: np.ndarray | float = 0.0,
) -> PitchNotes:
    """Notes (note, 3) that sound from and to `times` (note, 2), as a hand would play them: notes
    of one moment together or so many seconds `late`, a little off unless it is to be `tight`, not
    all alike. Of one pitch each ends before the next begins."""
    rng = np.random.default_rng([seed, 1])
    moments, which = np.unique(rows[:, 0], return_inverse=True)
    off = rng.normal(0.0, LOOSE_S, len(moments)).clip(-2 * LOOSE_S, 2 * LOOSE_S)
    starts = (times[:, 0] + (1 - tight) * (off[which] + late)).clip(*region)
    ends = times[:, 1].copy()
    for pitch in np.unique(rows[:, 2]):
        same = np.flatnonzero(rows[:, 2] == pitch)
        same = same[np.argsort(starts[same], kind="stable")]
        ends[same[:-1]] = np.minimum(ends[same[:-1]], starts[same[1:]])
    ends = np.maximum(ends, starts)
    velocities = np.rint(hard + rng.normal(0.0, LOOSE_VELOCITY, len(rows))).clip(1, 127).astype(int)
    order = np.lexsort((rows[:, 2], starts))
    return PitchNotes(starts[order], ends[order], rows[order, 2], velocities[order])


def _above_lowest_string(rows: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A guitar's notes (note, 3) and times (note, 2), those below its lowest string an octave up;
    of two that are one then, the longer one."""
    rows = rows.copy()
    rows[:, 2] += 12 * np.maximum(np.ceil((LOWEST_STRING - rows[:, 2]) / 12).astype(int), 0)
    return without_doubles(rows, times)
