"""Song features in, endless training batches out: (stem, context, phase, text) windows.

The mixes are made here: a random non-empty subset of a song's stems, each at a random level, is
summed in mel power and coloured, so that one song gives many contexts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from restem.audio.beats import BeatGrid
from restem.dataset.features import FLOOR_DB, STEP_DB
from restem.errors import UserError
from restem.tokens import (
    PHASES,
    TokenConfig,
    context_level_db,
    mark_features,
    normalise,
    phase_features,
    tokens_from_mel,
)

# Drums of SoundFonts sit low under a rendered band; mixed records have them about this much higher.
LIFT_DB = 3.0


Target = Literal["stem", "mix"]


@dataclass(frozen=True)
class Song:
    """One song's record and its memory-mapped mel steps.

    `context` is uint8 (stem, frame, mel), `drums` uint8 (take, frame, column), `text` float16
    (take, sentence, 384).
    """

    record: dict
    context: np.ndarray
    drums: np.ndarray
    text: np.ndarray

    @property
    def stems(self) -> int:
        return len(self.record["stems"])


@dataclass(frozen=True)
class Batch:
    """One batch: stem and context (window, token, value), phase (window, token, feature),
    text (window, 384), given (window, token): True where the network is shown the clean stem."""

    stem: np.ndarray
    context: np.ndarray
    phase: np.ndarray
    text: np.ndarray
    given: np.ndarray


def read_songs(folder: Path, split: str) -> list[Song]:
    """All songs of one split, in a fixed order."""
    _allow_open_files()
    songs = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if record["split"] == split:
            arrays = [
                np.load(path.with_suffix(f".{kind}.npy"), mmap_mode="r")
                for kind in ("context", "drums", "text")
            ]
            songs.append(Song(record, *arrays))
    if not songs:
        raise UserError(
            f"{folder} holds no songs of the split {split!r}; run `restem dataset features`."
        )
    return songs


def _allow_open_files() -> None:
    """Each memory-mapped array holds a file open: use all that the system grants."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class BatchMaker:
    """Draws batches; the same seed and step give the same batch, so training can resume.

    The target is the "stem", or the "mix" of context and stem for a base model that hears no
    context: then `Batch.stem` is the mix in the context's bands, and `Batch.context` silence.
    """

    def __init__(
        self,
        songs: list[Song],
        config: TokenConfig,
        seed: int,
        augment: bool = True,
        target: Target = "stem",
    ) -> None:
        self.songs, self.config, self.seed, self.augment = songs, config, seed, augment
        self.target = target
        self._power = (10 ** ((np.arange(256) * STEP_DB + FLOOR_DB) / 10)).astype(np.float32)
        self._power[0] = 0.0

    def batch(self, step: int, size: int) -> Batch:
        rng = np.random.default_rng((self.seed, step))
        rows = [
            self.window(self.songs[int(rng.integers(len(self.songs)))], rng) for _ in range(size)
        ]
        return Batch(*(np.stack(column) for column in zip(*rows, strict=True)))

    def window(self, song: Song, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """One window of one song with one of its takes: the fields of `Batch`, unbatched."""
        config, takes = self.config, song.record["takes"]
        # Half of the windows pair a context with its own drums: those alone can teach listening.
        take = 0 if len(takes) == 1 or rng.random() < 0.5 else int(rng.integers(1, len(takes)))
        given, anchor = self._given(rng)
        rows = self._rows(song, take, anchor, rng)
        kept = self._subset(song, rng)
        gains = rng.uniform(-6, 6, song.stems) if self.augment else np.zeros(song.stems)
        power = self._mix(song, kept, gains, rows) * self._colour(rng)
        whole = self._level(song, kept, gains)
        stem_db = self._stem(song, take, rows, rng) + whole - self._band(song)
        context_db = 10 * np.log10(power + 1e-12)
        if self.augment and rng.random() < 0.3:  # a noise floor, as of tape or a room
            context_db = np.maximum(context_db, whole + rng.uniform(-75, -45))
        if self.target == "mix":
            mels = context_db.shape[1]
            stem_db = 10 * np.log10(10 ** (context_db / 10) + 10 ** (stem_db[:, :mels] / 10))
            context_db = np.full_like(context_db, -120.0)
        phase = self._phase(song.record, rows, rng)
        if self.augment and anchor:
            # A kit may come without its song, and without its beats.
            until = anchor * config.frames_per_token
            context_db[:until] = -120.0 if rng.random() < 0.6 else context_db[:until]
            phase[:anchor] *= float(rng.random() >= 0.15)
        place = [phase, mark_features(given, anchor)]
        sentence = song.text[take, int(rng.integers(song.text.shape[1]))].astype(np.float32)
        return (
            tokens_from_mel(normalise(stem_db, whole, config), config),
            tokens_from_mel(normalise(context_db, whole, config), config),
            np.concatenate(place, axis=1),
            sentence,
            given,
        )

    def anchor(
        self, song: Song, take: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Stem tokens (token, value) of an anchor of this take beside the whole band, and the
        phase of each."""
        config = self.config
        rows = self._rows(song, take, config.anchor, rng)[: config.anchor * config.frames_per_token]
        stem = normalise(self._stem(song, take, rows, rng), self._band(song), config)
        return tokens_from_mel(stem, config), self._phase(song.record, rows, rng)

    def _stem(
        self, song: Song, take: int, rows: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """A take (frame, column) in dB, as loud as it is to stand beside the whole band."""
        steps = self._at(song.drums[take], rows)
        recorded = song.record["takes"][take]["level_db"]
        jitter = rng.normal(0, 1) if self.augment else 0.0
        level = np.clip(recorded + LIFT_DB + jitter, *self.config.stem_level_range)
        return np.where(steps > 0, 10 * np.log10(steps + 1e-12) + level - recorded, -200.0)

    def _given(self, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Which tokens (token,) are given, as in a song's first or later windows or in a repair,
        and how many of the first ones are an anchor."""
        given = np.zeros(self.config.window, dtype=bool)
        if self.target == "mix" or not self.augment or rng.random() < 0.25:
            return given, 0
        anchor = self.config.anchor if rng.random() < 0.85 else 0
        begins = anchor and rng.random() < 0.5  # a song with a kit, nothing of it made yet
        given[: anchor + (0 if begins else int(rng.integers(0, 65)))] = True
        if rng.random() < 0.15:
            given[len(given) - int(rng.integers(1, 33)) :] = True
        return given, anchor

    def _rows(self, song: Song, take: int, anchor: int, rng: np.random.Generator) -> np.ndarray:
        """Frames (frame,) of a random window; its anchor is the louder of two random places."""
        size, length = self.config.frames_per_token, song.context.shape[1]
        frames = self.config.window_frames
        rows = int(rng.integers(max(1, length - frames + 1))) + np.arange(frames)
        if anchor:
            places = rng.integers(max(1, length - anchor * size + 1), size=2)
            sound = [song.drums[take, p : p + anchor * size : 4].mean() for p in places]
            rows[: anchor * size] = places[int(np.argmax(sound))] + np.arange(anchor * size)
        return rows

    def _at(self, steps: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Powers (frame, column) at frames of memory-mapped steps; silence after their end."""
        inside = rows < len(steps)
        power = np.zeros((len(rows), steps.shape[1]), np.float32)
        power[inside] = self._power[steps[rows[inside]]]
        return power

    def _subset(self, song: Song, rng: np.random.Generator) -> np.ndarray:
        if rng.random() < 0.35:
            return np.arange(song.stems)
        count = int(rng.integers(1, song.stems + 1))
        return rng.permutation(song.stems)[:count]

    def _mix(self, song: Song, kept: np.ndarray, gains: np.ndarray, rows: np.ndarray) -> np.ndarray:
        parts = (self._at(song.context[i], rows) * np.float32(10 ** (gains[i] / 10)) for i in kept)
        return np.asarray(sum(parts))

    def _level(self, song: Song, kept: np.ndarray, gains: np.ndarray) -> float:
        """Level of the mix over the whole song, from every 16th frame."""
        power = sum(self._power[song.context[i, ::16]] * 10 ** (gains[i] / 10) for i in kept)
        return context_level_db(10 * np.log10(np.asarray(power) + 1e-12))

    def _band(self, song: Song) -> float:
        return self._level(song, np.arange(song.stems), np.zeros(song.stems))

    def _colour(self, rng: np.random.Generator) -> np.ndarray:
        """Gain in power for each mel band: a smooth random curve and sometimes a dull top."""
        mels = self.config.spectrogram.mels
        if not self.augment:
            return np.ones(mels, np.float32)
        points = rng.normal(0, 3, 6)
        curve = np.interp(np.linspace(0, 5, mels), np.arange(6), points)
        if rng.random() < 0.25:
            cut = int(rng.integers(mels // 2, mels))
            curve[cut:] -= np.linspace(0, rng.uniform(10, 60), mels - cut)
        return (10 ** (curve / 10)).astype(np.float32)

    def _phase(self, record: dict, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        config = self.config
        if self.augment and rng.random() < config.phase_dropout:
            return np.zeros((len(rows) // config.frames_per_token, PHASES), np.float32)
        grid = BeatGrid(
            np.array(record["beats"]), np.array(record["positions"]), record["beats_per_bar"], 1.0
        )
        frames = rows[:: config.frames_per_token] + (config.frames_per_token - 1) / 2
        times = frames * config.spectrogram.hop / config.spectrogram.sample_rate
        # A tracker is a few milliseconds off: so is the phase in training.
        late = rng.normal(0, 0.004) if self.augment else 0.0
        return phase_features(grid, times + late)
