"""A song and a sentence in, the missing stem out.

A ladder of three rungs: `generate` works on tokens, `Inserter.stem_mel` on a mel spectrogram,
`Inserter.insert` on a song's samples. The command line adds files on top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from restem import __version__
from restem.audio.beats import BeatGrid
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.presence import drums_present
from restem.audio.spectrogram import log_mel
from restem.audio.stereo import like_channels
from restem.audio.tracking import track_beats
from restem.audio.waveform import mono_from_channels, resampled, rms_db
from restem.errors import UserError
from restem.generation import Progress, generate
from restem.networks.onnx_model import EMBEDDED, OnnxModel
from restem.text import TextEncoder
from restem.tokens import (
    PHASES,
    TokenConfig,
    context_level_db,
    denormalise,
    mel_from_tokens,
    normalise,
    phase_features,
    tokens_from_mel,
)

Preview = Callable[[float, np.ndarray], None]

WORKING_DB = -20.0  # the song is brought to this level before its mel, so that the floor is far
FLOOR_STEP_DB = 0.25  # half a step of the training features
SILENCE_DB = -75.0
DRUMS_HEARD = 0.9  # probability from which a song counts as having drums
DRUMS_ALREADY = "This song seems to have drums already; the new ones are added to them."
UNSURE = 0.6  # expected beat F below which the tracked beats may mislead more than they help


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


@dataclass(frozen=True)
class Inserter:
    """Puts stems into songs with one loaded model."""

    model: OnnxModel
    text: TextEncoder

    @classmethod
    def load(cls, model: str | Path = EMBEDDED) -> Inserter:
        """The embedded model, or a folder that `restem train export` wrote."""
        return cls(OnnxModel.load(model), TextEncoder.load())

    def stem_mel(
        self,
        context_db: np.ndarray,
        instruction: str,
        grid: BeatGrid | None,
        *,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> np.ndarray:
        """Stem rows (frame, column) in dB for a context's log-mel (frame, mel) in dB.

        `grid` None leaves the beat to the model's ear.
        """
        config = self.model.tokens
        frames = len(context_db)
        level = context_level_db(context_db)
        # What lies at the floor is silence, here as in training, however loud the song.
        floor = config.spectrogram.floor_db + FLOOR_STEP_DB
        context_db = np.where(context_db <= floor, -120.0, context_db).astype(np.float32)
        padded = _padded(context_db, config)
        tokens = tokens_from_mel(normalise(padded, level, config), config)
        times = config.token_times(0, len(tokens))
        phase = (
            np.zeros((len(tokens), PHASES), np.float32)
            if grid is None
            else phase_features(grid, times)
        )
        vectors = self.text.encode([instruction, ""])

        def glimpse(first: int, made: np.ndarray) -> None:
            if preview:
                rows = denormalise(mel_from_tokens(made, config), level, config)
                seconds = first * config.frames_per_token / config.spectrogram.frame_rate
                preview(seconds, rows[:, : config.spectrogram.mels])

        stem = generate(
            self.model,
            tokens,
            phase,
            vectors[:1],
            vectors[1:],
            seed=seed,
            steps=steps or self.model.description["steps"],
            guidance=self.model.description["guidance"] if guidance is None else guidance,
            progress=progress,
            glimpse=glimpse,
        )
        return denormalise(mel_from_tokens(stem, config), level, config)[:frames]

    def insert(
        self,
        samples: np.ndarray,
        sample_rate: int,
        instruction: str,
        *,
        stem: str = "drums",
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        beats: BeatGrid | None = None,
        bpm: float | None = None,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> Insertion:
        """Make `stem` for a song given as (sample,) or (sample, channel) at any rate from 8 kHz.

        The samples are only read. Beats are tracked unless `beats` gives them; `bpm` alone fixes
        the tempo and leaves the downbeat to the tracker. `progress` gets the share done and words
        for it; `preview`, after each step, the second at which a picture of what is being made
        begins, and its rows (frame, mel) in dB. Raises UserError for unusable input.
        """
        song = _checked(samples, sample_rate, instruction, stem, self.model)
        words = self.model.description
        settings: dict[str, Any] = {
            "instruction": instruction,
            "stem": stem,
            "seed": seed,
            "steps": steps or words["steps"],
            "guidance": words["guidance"] if guidance is None else guidance,
            "model": words["name"],
            "model_sha256": self.model.sha256,
            "version": __version__,
        }
        say: Progress = progress or (lambda fraction, words: None)
        rate = self.model.tokens.spectrogram.sample_rate
        mono = resampled(mono_from_channels(song), sample_rate, rate)
        level = rms_db(mono)
        if level < SILENCE_DB:
            grid = beats or BeatGrid.from_bpm(bpm or 120.0, 0.0, max(len(mono) / rate, 1.0))
            notices = ["The song is silent, so the stem is silent too."]
            settings |= _beat_settings(grid) | {"stem_level_db": None}
            return Insertion(np.zeros(np.shape(samples)), sample_rate, grid, settings, notices)
        say(0.02, "listening for the beat")
        grid = beats if beats is not None else track_beats(mono)
        if beats is None and bpm is not None:
            grid = at_tempo(grid, bpm, len(mono) / rate)
        gain = np.float32(10 ** ((WORKING_DB - level) / 20))
        context_db = log_mel(mono * gain, self.model.tokens.context_spectrogram)
        notices = _doubts(stem, grid, context_db)
        rows = self.stem_mel(
            context_db,
            instruction,
            grid,
            seed=seed,
            steps=steps,
            guidance=guidance,
            progress=lambda f, words: say(0.1 + 0.7 * f, words),
            preview=preview,
        )
        say(0.82, "turning the picture into sound")
        made = waveform_from_log_mel(rows, self.model.tokens.spectrogram, len(mono), seed) / gain
        settings |= _beat_settings(grid) | {"stem_level_db": round(rms_db(made) - level, 2)}
        wave = resampled(made, rate, sample_rate, len(song)).astype(np.float64)
        if np.ndim(samples) == 2:
            wave = like_channels(wave, song, sample_rate)
        return Insertion(wave, sample_rate, grid, settings, notices)


def _doubts(stem: str, grid: BeatGrid, context_db: np.ndarray) -> list[str]:
    notices = []
    if grid.confidence < UNSURE:
        notices.append(
            "The beat is hard to hear in this song; check the tempo below, and give "
            "it with --bpm or --beats if it is wrong."
        )
    if stem == "drums" and drums_present(context_db) > DRUMS_HEARD:
        notices.append(DRUMS_ALREADY)
    return notices


def _beat_settings(grid: BeatGrid) -> dict[str, Any]:
    downbeats = grid.downbeats
    return {
        "bpm": round(grid.bpm, 3),
        "beats_per_bar": grid.beats_per_bar,
        "first_downbeat_s": round(float(downbeats[0]), 4) if len(downbeats) else None,
        "confidence": round(grid.confidence, 3),
    }


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
    return BeatGrid.from_bpm(bpm, float(first), duration, bars)


def _checked(
    samples: np.ndarray, sample_rate: int, instruction: str, stem: str, model: OnnxModel
) -> np.ndarray:
    song = np.asarray(samples, dtype=np.float64)
    song = song[:, None] if song.ndim == 1 else song
    if song.ndim != 2 or song.shape[1] < 1:
        raise UserError("Samples must be shaped (sample,) or (sample, channel).")
    if not 8000 <= sample_rate <= 192000:
        raise UserError(f"The sample rate must lie between 8 and 192 kHz, not {sample_rate} Hz.")
    if len(song) < 0.1 * sample_rate:
        raise UserError("The song is shorter than 0.1 s; give a longer one.")
    if not np.isfinite(song).all():
        raise UserError("The song holds samples that are not numbers (NaN or infinity); repair it.")
    if not instruction.strip():
        raise UserError("The instruction is empty; write what to play, such as 'Add jazzy drums'.")
    stems = model.description["stems"]
    if stem not in stems:
        raise UserError(f"This model makes {', '.join(stems)}, not {stem}.")
    return song


def _padded(mel_db: np.ndarray, config: TokenConfig) -> np.ndarray:
    """At least a window, and whole tokens: silence after the end."""
    size = config.frames_per_token
    frames = max(config.window_frames, -(-len(mel_db) // size) * size)
    missing = np.full((frames - len(mel_db), mel_db.shape[1]), -120.0, mel_db.dtype)
    return np.concatenate([mel_db, missing])
