"""Mel spectrograms and beat grids in, the network's tokens and phase features out, and back.

One definition for training and for use, so that both see the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from restem.audio.beats import BeatGrid
from restem.audio.room import blocks
from restem.audio.spectrogram import SpectrogramConfig

PHASES = 15
BLOCK_FRAMES = 4096  # turned at once, so that an hour needs little memory beside itself
MARKS = 2  # given, and anchor: see `mark_features`
CONTROLS = 6  # see `control_features`
GUIDANCE_RATE = 0.3
RISE = 0.15  # 3 dB from a token to the next, in the mean of its numbers: a hit
# What words, song and beats decide is settled near the noise (Kynkäänniemi et al. 2024,
# arXiv 2404.07724): there alone a model is guided.
GUIDED_ABOVE = 0.8


@dataclass(frozen=True)
class TokenConfig:
    """How frames become tokens, and decibels numbers near -1 to 1."""

    spectrogram: SpectrogramConfig = field(default_factory=SpectrogramConfig)
    frames_per_token: int = 4
    window: int = 128  # tokens: 5.12 s
    quiet_db: float = -70.0  # relative to the context's level; all below counts as silence
    centre_db: float = -45.0
    scale_db: float = 20.0
    stem_level_range: tuple[float, float] = (-15.0, 1.0)
    # Drums of SoundFonts sit low under a rendered band; mixed records have them so much higher.
    lift_db: float = 3.0
    phase_dropout: float = 0.1
    anchor: int = 32  # tokens (1.28 s) from elsewhere in the song that show its kit
    stems: tuple[str, ...] = ()  # among which a model of several must be told which to make

    @property
    def stem_values(self) -> int:
        """Numbers in a token of the stem: mel bands and the fine envelope of its frames."""
        return self.frames_per_token * self.spectrogram.columns

    @property
    def context_values(self) -> int:
        """Numbers in a token of the context: mel bands only."""
        return self.frames_per_token * self.spectrogram.mels

    @property
    def context_spectrogram(self) -> SpectrogramConfig:
        """The same bands without the fine envelope, which only a stem needs."""
        return replace(self.spectrogram, fine_per_frame=0)

    @property
    def phases(self) -> int:
        """Features of a token's place: its beat phase, whether its stem is given, which it is."""
        return PHASES + MARKS + len(self.stems)

    @property
    def silence(self) -> float:
        """The number that silence has."""
        return (self.quiet_db - self.centre_db) / self.scale_db

    @property
    def window_frames(self) -> int:
        return self.window * self.frames_per_token

    def token_times(self, first_frame: int = 0, tokens: int | None = None) -> np.ndarray:
        """Seconds at the middle of each token."""
        count = self.window if tokens is None else tokens
        frame = first_frame + self.frames_per_token * (np.arange(count) + 0.5) - 0.5
        return frame * self.spectrogram.hop / self.spectrogram.sample_rate

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TokenConfig:
        rest = {k: v for k, v in values.items() if k != "spectrogram"}
        for name in {"stem_level_range", "stems"} & rest.keys():
            rest[name] = tuple(rest[name])
        return cls(SpectrogramConfig.from_dict(values["spectrogram"]), **rest)


# The picture that keeps pitch, for stems of tones and for the contexts they must fit.
PITCHED = TokenConfig(
    SpectrogramConfig(
        n_fft=5040,
        mels=133,
        high_hz=16000.0,
        fine_n_fft=512,
        fine_per_frame=3,
        scale="tonal",
    ),
    stem_level_range=(-20.0, 3.0),
    lift_db=0.0,
    stems=("bass", "guitar", "keys"),
)


def context_level_db(mel_db: np.ndarray) -> float:
    """Mean power of the sounding frames of a log-mel (frame, mel), in decibels.

    Frames 40 dB below the loudest are pauses and do not count.
    """
    power = np.sum(10 ** (mel_db / 10), axis=1)
    if not len(power) or power.max() <= 1e-11 * mel_db.shape[1]:
        return -120.0
    return float(10 * np.log10(power[power > 1e-4 * power.max()].mean()))


def normalise(mel_db: np.ndarray, level_db: float, config: TokenConfig) -> np.ndarray:
    """Decibels to network numbers, relative to the context's level."""
    values = np.empty(mel_db.shape, np.float32)
    for b in blocks(len(mel_db), BLOCK_FRAMES):
        relative = np.maximum(mel_db[b] - level_db, config.quiet_db)
        values[b] = (relative - config.centre_db) / config.scale_db
    return values


def denormalise(values: np.ndarray, level_db: float, config: TokenConfig) -> np.ndarray:
    """The way back; what lies at the quiet floor becomes silence (-120 dB)."""
    mel_db = np.empty(values.shape, np.float32)
    for b in blocks(len(values), BLOCK_FRAMES):
        relative = values[b] * config.scale_db + config.centre_db
        mel_db[b] = np.where(relative <= config.quiet_db + 3, -120.0, relative + level_db)
    return mel_db


def padded_mel(mel_db: np.ndarray, config: TokenConfig) -> np.ndarray:
    """At least a window, and whole tokens: silence after the end."""
    size = config.frames_per_token
    frames = max(config.window_frames, -(-len(mel_db) // size) * size)
    missing = np.full((frames - len(mel_db), mel_db.shape[1]), -120.0, np.float32)
    return np.concatenate([mel_db, missing], dtype=np.float32)


def tokens_from_mel(mel: np.ndarray, config: TokenConfig) -> np.ndarray:
    """(frame, column) to (token, value); frames must be a multiple of frames_per_token."""
    return np.ascontiguousarray(mel.reshape(len(mel) // config.frames_per_token, -1))


def mel_from_tokens(tokens: np.ndarray, config: TokenConfig) -> np.ndarray:
    """(token, value) to (frame, column)."""
    return tokens.reshape(len(tokens) * config.frames_per_token, -1)


def phase_features(grid: BeatGrid, times: np.ndarray) -> np.ndarray:
    """(token, PHASES) float32: turns of the beat (x1, 2, 3, 4) and bar (x1, 2), metre, 'known'.

    Triplet and sixteenth turns tell swing from straight; the metre is one of 2, 3 and 4 beats.
    """
    beat, bar = grid.phases(times)
    turns = [beat, 2 * beat, 3 * beat, 4 * beat, bar, 2 * bar]
    columns = [f(2 * np.pi * turn) for turn in turns for f in (np.sin, np.cos)]
    columns += [np.full(len(times), float(grid.beats_per_bar == n)) for n in (2, 3)]
    columns.append(np.ones(len(times)))
    return np.stack(columns, axis=1).astype(np.float32)


def mark_features(given: np.ndarray, anchor: int = 0) -> np.ndarray:
    """(token, MARKS) float32: whether the clean stem is given at a token, and if it is an anchor.

    The first `anchor` tokens come from elsewhere in the song, to show the kit; `given` is (token,).
    """
    marks = np.zeros((len(given), MARKS), np.float32)
    marks[:, 0] = given
    marks[:anchor, 1] = 1.0
    return marks


def density_value(hits_per_second: Any, log2: Callable[[Any], Any] = np.log2) -> Any:
    """Hits a second as the number that a model is told: about -1 to 1, an octave is 0.5."""
    return 0.5 * log2(hits_per_second + 0.5) - 1.0


def loudness_value(power: Any, log2: Callable[[Any], Any] = np.log2) -> Any:
    """Mean power of a stem beside its context's as the number that a model is told: 10 dB are 1."""
    return 0.30103 * log2(power + 1e-7) + 0.6


def control_features(
    density: float | None = None, loudness: float | None = None, guidance: float | None = None
) -> np.ndarray:
    """(CONTROLS,) float32: for each of the three whether it is told, and its value.

    `density` is a `density_value`, `loudness` a `loudness_value`, `guidance` a scale of 1 or more
    that a network which has learned guided answers is to answer with.
    """
    controls = np.zeros(CONTROLS, np.float32)
    scale = None if guidance is None else GUIDANCE_RATE * float(np.log2(max(guidance, 1.0)))
    for i, value in enumerate((density, loudness, scale)):
        if value is not None:
            controls[2 * i : 2 * i + 2] = 1.0, value
    return controls


def stem_features(stem: str, tokens: int, config: TokenConfig) -> np.ndarray:
    """(token, stem) float32: 1 for the stem that is asked for; no columns for a model of one."""
    asked = np.array([name == stem for name in config.stems], np.float32)
    return np.repeat(asked[None], tokens, axis=0)
