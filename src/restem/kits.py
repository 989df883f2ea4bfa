"""A sentence in, a kit out: a second of drums, not to be heard, that tells a model how to sound.

Left alone, a model decides on a kit from almost pure noise, and decides on a blend. It is trained
to keep to the kit of an anchor, clean tokens from elsewhere in the song, so a song begins with an
anchor out of the training music whose own sentence is near to the one asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from restem.audio.spectrogram import log_mel
from restem.audio.waveform import mono_from_channels, resampled, rms_db
from restem.errors import UserError
from restem.hearing import SILENCE_DB, WORKING_DB, drums_play
from restem.tokens import (
    PHASES,
    RISE,
    TokenConfig,
    context_level_db,
    density_value,
    loudness_value,
    normalise,
    tokens_from_mel,
)

FILE = "kits.npz"
BESIDE_DB = 6.0  # a band is about so much louder than its drums in training
CHOICE = 3  # a seed chooses among so many nearest kits
POOL = 24  # and so many tell what is usual
_STEP = 1 / 40  # of the stored numbers: half a decibel, as of training features


@dataclass(frozen=True, eq=False)
class Kit:
    """An anchor: stem tokens (token, value) as a model sees them, and the beat phase of each."""

    stem: np.ndarray
    phase: np.ndarray


@dataclass(frozen=True, eq=False)
class Kits:
    """Anchors of training songs: `stem` uint8 (kit, token, value) in steps above silence, `phase`
    (kit, token, feature), `text` (kit, 384) the mean vector of each one's sentences."""

    stem: np.ndarray = field(repr=False)
    phase: np.ndarray = field(repr=False)
    text: np.ndarray = field(repr=False)
    silence: float

    @classmethod
    def load(cls, folder: Path, silence: float) -> Kits | None:
        """Those of a model folder, if it has any; UserError if they are damaged."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with np.load(path) as arrays:
                return cls(arrays["stem"], arrays["phase"], arrays["text"], silence)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise UserError(f"{path} is damaged: {error}.") from None

    def save(self, folder: Path) -> None:
        """Write `kits.npz`, under a temporary name until it is whole."""
        partial = folder / (FILE + ".part")
        with partial.open("wb") as file:
            np.savez_compressed(file, stem=self.stem, phase=self.phase, text=self.text)
        partial.replace(folder / FILE)

    def choose(self, text: np.ndarray, seed: int, loudness: float) -> Kit:
        """One of the kits whose sentences are nearest to a sentence vector (384,), by the seed.

        It is made as loud as `loudness` (`tokens.loudness_value`): a model goes on as it begins.
        """
        near = self._near(text, CHOICE)
        pick = int(near[np.random.default_rng((seed, 1)).integers(len(near))])
        kit = Kit(self._tokens(pick), self.phase[pick].astype(np.float32))
        return as_loud(kit, loudness, self.silence)

    def usual(self, text: np.ndarray) -> tuple[float, float]:
        """The median density and loudness (`tokens.density_value`, `loudness_value`) of the kits
        whose sentences are near."""
        found = [_manner(self._tokens(int(k))) for k in self._near(text, POOL)]
        density, loudness = np.median(found, axis=0)
        return float(density), float(loudness)

    def _near(self, text: np.ndarray, count: int) -> np.ndarray:
        return np.argsort(-(self.text.astype(np.float32) @ text), kind="stable")[:count]

    def _tokens(self, kit: int) -> np.ndarray:
        stem: np.ndarray = self.silence + self.stem[kit].astype(np.float32) * np.float32(_STEP)
        return stem


def as_loud(kit: Kit, loudness: float, silence: float) -> Kit:
    """The same kit at another loudness (`tokens.loudness_value`)."""
    louder_db = 10 * (loudness - _manner(kit.stem)[1])
    louder = np.where(kit.stem > silence, np.float32(louder_db / TokenConfig().scale_db), 0)
    return Kit(np.maximum(kit.stem + louder, silence), kit.phase)


def _manner(stem: np.ndarray) -> tuple[float, float]:
    """Density and loudness of an anchor (token, value), as training measures them."""
    config = TokenConfig()
    seconds = len(stem) * config.frames_per_token / config.spectrogram.frame_rate
    hits = np.sum(np.diff(stem.mean(axis=1)) > RISE) / seconds
    cells = stem.reshape(len(stem) * config.frames_per_token, -1)[:, : config.spectrogram.mels]
    power = 10 ** ((cells * config.scale_db + config.centre_db) / 10)
    return density_value(hits), loudness_value(power.sum(axis=1).mean())


def stored(stem: np.ndarray, silence: float) -> np.ndarray:
    """Stem tokens as `Kits.stem` holds them."""
    return np.clip(np.rint((stem - silence) / _STEP), 0, 255).astype(np.uint8)


def kit_of(
    samples: np.ndarray,
    sample_rate: int,
    config: TokenConfig,
    name: str = "the recording to sound like",
) -> Kit:
    """The kit of a recording of drums alone, (sample,) or (sample, channel): its loudest second.

    Its beats are not known to the model. Raises UserError if it is silent, if it is shorter than
    1.28 s, and if no drums are heard in it.
    """
    spectrogram = config.spectrogram
    samples = samples[:, None] if samples.ndim == 1 else samples
    mono = resampled(mono_from_channels(samples), sample_rate, spectrogram.sample_rate)
    level = rms_db(mono)
    frames = config.anchor * config.frames_per_token
    if level < SILENCE_DB or len(mono) < frames * spectrogram.hop:
        raise UserError(
            "The recording to sound like is silent or shorter than 1.3 s; give another."
        )
    gain = np.float32(10 ** ((WORKING_DB - level) / 20))
    if not drums_play(mono, log_mel(mono, config.context_spectrogram, float(gain))):
        raise UserError(f"No drums are heard in {name}; give a recording of drums alone.")
    mel = log_mel(mono * gain, spectrogram)
    loudness = np.convolve(np.maximum(mel, WORKING_DB - 60).mean(axis=1), np.ones(frames), "valid")
    first = int(np.argmax(loudness))
    level_db = context_level_db(mel[:, : spectrogram.mels]) + BESIDE_DB
    stem = normalise(mel[first : first + frames], level_db, config)
    return Kit(tokens_from_mel(stem, config), np.zeros((config.anchor, PHASES), np.float32))
