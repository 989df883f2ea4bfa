"""A song and a sentence in, the missing stem out.

A ladder of three rungs: `generate` works on tokens, `Inserter.stem_mel` on a mel spectrogram,
`Inserter.insert` on a song's samples, in three steps: listen, play, finish. The command line adds
files on top.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from restem import __version__
from restem.audio.audible_notes import audible, peaks
from restem.audio.beats import BeatGrid
from restem.audio.pitch_notes import PitchNotes
from restem.audio.room import room
from restem.audio.stereo import like_channels
from restem.audio.waveform import resampled, rms_db
from restem.balance import balance_to
from restem.composing import FOLDER as PARTS
from restem.composing import Composer, Take
from restem.errors import UserError
from restem.following import follow
from restem.generation import Preview, Progress, generate
from restem.hearing import Heard, Removed, checked, hear
from restem.kits import Kit, Kits, as_loud
from restem.manner import level_to, naming, wish, without_loudness
from restem.networks.onnx_model import EMBEDDED, OnnxModel
from restem.order import Order
from restem.region import Region, checked_region, frames_around, only_inside, only_while
from restem.sounding import sound
from restem.text import TextEncoder
from restem.tokens import (
    PHASES,
    context_level_db,
    denormalise,
    mel_from_tokens,
    normalise,
    padded_mel,
    phase_features,
    tokens_from_mel,
)

STEMS = ("drums", "bass", "guitar", "keys")  # with a model in the package
FLOOR_STEP_DB = 0.25  # half a step of the training features


@dataclass(frozen=True)
class Insertion:
    """A stem for a song.

    `stem` has the shape of the samples it was made for, float64. `settings` is JSON-ready and says
    all that was decided; `notices` are sentences for the user.
    """

    stem: np.ndarray
    sample_rate: int
    beats: BeatGrid
    settings: dict[str, Any]
    notices: list[str] = field(default_factory=list)
    notes: PitchNotes | None = None  # what it plays, where that is known


@dataclass(frozen=True)
class Inserter:
    """Puts stems into songs with one loaded model, which draws spectrograms or writes notes."""

    model: OnnxModel | Composer
    text: TextEncoder
    kits: Kits | None = None

    @classmethod
    def load(cls, model: str | Path = EMBEDDED, threads: int = 0, stem: str = "drums") -> Inserter:
        """The embedded model for a stem, or a folder that `restem train export` or `restem midi
        export` wrote.

        A network that draws spectrograms works on `threads` cores; 0 means all. Raises UserError
        where there is no such model.
        """
        if model == EMBEDDED and stem not in STEMS:
            raise UserError(f"There is no model for {stem!r}; choose from {', '.join(STEMS)}.")
        if Composer.is_in(folder := PARTS if model == EMBEDDED else Path(model), stem):
            return cls(Composer.load(stem, folder), TextEncoder.load())
        loaded = OnnxModel.load(model, threads)
        kits = Kits.load(loaded.folder, loaded.tokens.silence)
        return cls(loaded, TextEncoder.load(), kits)

    @property
    def drawing(self) -> OnnxModel:
        """The model, if it draws spectrograms; UserError if it writes notes."""
        if isinstance(self.model, Composer):
            raise UserError("This model writes notes; load one that draws spectrograms.")
        return self.model

    def stem_mel(
        self,
        context_db: np.ndarray,
        instruction: str,
        grid: BeatGrid | None,
        *,
        stem: str = "drums",
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        density: float | None = None,
        dynamics: float | None = None,
        part: slice | None = None,
        kit: Kit | None = None,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> np.ndarray:
        """Stem rows (frame, column) in dB for a context's log-mel (frame, mel) in dB.

        `grid` None leaves the beat to the model's ear. `density` and `dynamics` are those of
        `Order`. `part` makes those rows alone, at the loudness of the whole; it begins with a
        whole token. `kit` None lets sentence and seed choose. UserError if the model writes notes.
        """
        model, config = self.drawing, self.drawing.tokens
        level = context_level_db(context_db)
        part = part or slice(0, len(context_db))
        context_db = context_db[part]
        # What lies at the floor is silence, here as in training, however loud the song.
        floor = config.spectrogram.floor_db + FLOOR_STEP_DB
        padded = padded_mel(context_db, config)
        padded[padded <= floor] = -120.0
        tokens = tokens_from_mel(normalise(padded, level, config), config)
        del padded
        times = config.token_times(part.start, len(tokens))
        phase = (
            np.zeros((len(tokens), PHASES), np.float32)
            if grid is None
            else phase_features(grid, times)
        )
        instruction = naming(stem, instruction)
        (words,) = self.text.encode([instruction])
        # How loud such drums are is asked without "soft" and "loud", which are told as dynamics.
        (calm,) = self.text.encode([without_loudness(instruction)])
        usual = self.kits.usual(calm) if self.kits else model.usual(stem)
        asked = wish(self.text, instruction, density, dynamics, usual)
        if self.kits and asked.loudness is not None:
            like = kit and as_loud(kit, asked.loudness, config.silence)
            kit = like or self.kits.choose(words, seed, asked.loudness)

        def glimpse(first: int, made: np.ndarray) -> None:
            if preview:
                rows = denormalise(mel_from_tokens(made, config), level, config)
                frame = part.start + first * config.frames_per_token
                preview(frame / config.spectrogram.frame_rate, rows[:, : config.spectrogram.mels])

        made = generate(
            model,
            tokens,
            phase,
            asked,
            stem=stem,
            seed=seed,
            steps=steps or model.description["steps"],
            guidance=model.description["guidance"] if guidance is None else guidance,
            kit=kit,
            progress=progress,
            glimpse=glimpse,
        )
        sounding = made[: -(-len(context_db) // config.frames_per_token)]  # the rest fills a window
        balance_to(sounding, kit, config)
        if asked.level is not None:
            level_to(sounding, asked.level, config)
        return denormalise(mel_from_tokens(made, config), level, config)[: len(context_db)]

    def insert(
        self,
        samples: np.ndarray,
        sample_rate: int,
        instruction: str,
        *,
        stem: str | None = None,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        beats: BeatGrid | None = None,
        bpm: float | None = None,
        region: Region | None = None,
        density: float | None = None,
        dynamics: float | None = None,
        tight: float = 0.0,
        like: Kit | None = None,
        replaced: Removed | None = None,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> Insertion:
        """Make `stem` for a song given as (sample,) or (sample, channel) at any rate from 8 kHz.

        Without a `stem` it is the first that the model makes. The samples are only read. Beats are
        tracked unless `beats` gives them; `bpm` alone fixes the tempo and leaves the downbeat to
        the tracker. `region` (start and end in seconds) makes the stem there alone; elsewhere it is
        exactly silent. `density`, `dynamics`, `tight`, `like` and `replaced` are those of
        `Order`. `progress` gets the share done and words for it; `preview` the second at which a
        picture of what is being made begins, and its rows (frame, mel) in dB.
        Raises UserError for unusable input.
        """
        if not 0 <= seed < 1 << 63:
            raise UserError("A seed is a whole number from 0 on.")
        stem = stem or str([*self.model.description["stems"], "drums"][0])
        order = Order(
            instruction, stem, steps, guidance, region, density, dynamics, tight, like, replaced
        )
        say: Progress = progress or (lambda fraction, words: None)
        heard, order = self.listen(samples, sample_rate, order, beats, bpm, say)
        take = self.play(heard, order, seed, lambda f, words: say(0.1 + 0.8 * f, words), preview)
        made = self.finish(heard, order, seed, take)
        return made if np.ndim(samples) == 2 else replace(made, stem=made.stem[:, 0])

    def listen(
        self,
        samples: np.ndarray,
        sample_rate: int,
        order: Order,
        beats: BeatGrid | None,
        bpm: float | None,
        say: Progress,
    ) -> tuple[Heard, Order]:
        """The song as heard, and the order as it can be met; UserError where it cannot."""
        order.check(self.model.description["stems"])
        order = self.model.met(order) if isinstance(self.model, Composer) else order
        song = checked(samples, sample_rate)
        if order.region:
            region = checked_region(order.region, len(song) / sample_rate)
            order = replace(order, region=region)
        say(0.02, "listening for the beat")
        config = self.model.tokens.context_spectrogram
        return hear(song, sample_rate, order.stem, config, beats, bpm), order

    def play(
        self, heard: Heard, order: Order, seed: int, say: Progress, preview: Preview | None = None
    ) -> Take:
        """One take, as long as `heard.mono`; only what its region needs is worked on."""
        if heard.context_db is None:
            return Take(room((len(heard.mono),), np.float32))
        play = self.model.play if isinstance(self.model, Composer) else self._drawn
        take, rate = play(heard, order, seed, say, preview), heard.mono_rate
        before = peaks(take.wave, rate)
        follow(take.wave, rate, heard, order)
        return replace(take, notes=take.notes and audible(take.notes, before, take.wave, rate))

    def _drawn(
        self, heard: Heard, order: Order, seed: int, say: Progress, preview: Preview | None
    ) -> Take:
        assert heard.context_db is not None  # nothing is played to a silent song
        wave, config = room((len(heard.mono),), np.float32), self.drawing.tokens
        frames = len(heard.context_db)
        part = frames_around(order.region, frames, config) if order.region else slice(0, frames)
        rows = self.stem_mel(
            heard.context_db,
            order.instruction,
            heard.beats,
            stem=order.stem,
            seed=seed,
            steps=order.steps,
            guidance=order.guidance,
            density=order.density,
            dynamics=order.dynamics,
            part=part,
            kit=order.like,
            progress=lambda f, words: say(0.88 * f, words),
            preview=preview,
        )
        say(0.9, "turning the picture into sound")
        hop = config.spectrogram.hop
        piece = slice(part.start * hop, min(part.stop * hop, len(wave)))
        sound(rows, wave[piece], config.spectrogram, heard, order, seed, piece.start)
        if not order.region:
            only_while(wave, heard.sounding, config.spectrogram.sample_rate)
        return Take(wave)

    def finish(self, heard: Heard, order: Order, seed: int, take: Take) -> Insertion:
        """A take with the song's channels and rate, and with all that made it."""
        wave, rate, words = take.wave, heard.mono_rate, self.model.description
        inside = slice(*(round(edge * rate) for edge in order.region or (0, len(wave))))
        settings = order.settings(words) | {
            "seed": seed,
            "model": words["name"],
            "model_sha256": self.model.sha256,
            "version": __version__,
        }
        if isinstance(self.model, Composer):
            settings["program"] = self.model.program(order)
        level = None
        if heard.context_db is not None and wave[inside].any():
            level = round(rms_db(wave[inside]) - heard.level_db, 2)
        settings |= heard.beats.summary() | {"stem_level_db": level}
        samples = resampled(wave, rate, heard.sample_rate, len(heard.song))
        samples = like_channels(samples, heard.song, heard.sample_rate, order.stem != "bass")
        if order.region:  # last, since the sides ring on for some milliseconds
            only_inside(samples, order.region, heard.sample_rate)
        notices = [*heard.notices, *order.doubts(), *take.notices]
        return Insertion(samples, heard.sample_rate, heard.beats, settings, notices, take.notes)
