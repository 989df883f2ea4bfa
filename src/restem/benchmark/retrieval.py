"""Training songs come in; for a clip, the real stem among them that fits tempo and words best."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from restem import __version__
from restem.benchmark.clips import RATE, Clip
from restem.errors import UserError
from restem.text import TextEncoder

NEAR = 0.03  # share by which a stem's tempo may be changed, half a semitone of pitch


@dataclass(frozen=True, eq=False)
class TrainingStem:
    """One stem that a model was trained on: where it lies, its tempo, metre and words."""

    path: Path
    take: int
    bpm: float
    beats_per_bar: int
    words: np.ndarray  # unit vector (384,)


class Retrieval:
    """Finds stems by tempo, then by their words, and lays them on a clip's beats."""

    def __init__(self, folder: Path, text: TextEncoder) -> None:
        self.text = text
        self.stems = _training_stems(folder, text)
        self.digest = _digest(self.stems)

    def stem(self, clip: Clip) -> np.ndarray:
        """A real stem (sample,) on the clip's beats, as loud to the context as to its own band.

        Of the stems in the clip's metre whose tempo lies within 3 % (or, if there are none, the
        20 of the nearest tempo) the one whose words are nearest to the instruction.
        """
        bpm, metre = clip.beats.bpm, clip.beats.beats_per_bar
        pool = [s for s in self.stems if s.beats_per_bar == metre] or self.stems
        away = np.array([abs(np.log(s.bpm / bpm)) for s in pool])
        near = np.flatnonzero(away < np.log(1 + NEAR))
        near = near if len(near) else np.argsort(away)[:20]
        wanted = self.text.encode([clip.instruction])[0]
        chosen = pool[max(near, key=lambda i: float(pool[i].words @ wanted))]
        return self._laid(chosen, clip)

    def _laid(self, stem: TrainingStem, clip: Clip) -> np.ndarray:
        """The stem from a bar line of its own at the clip's first bar line, repeated as needed."""
        take = np.load(stem.path.with_suffix(".drums.npy"), mmap_mode="r")[stem.take]
        context = np.load(stem.path.with_suffix(".context.npy"), mmap_mode="r")
        wave = take.astype(np.float32) / 32768
        band = context.astype(np.float32).sum(axis=0) / 32768
        speed = clip.beats.bpm / stem.bpm
        bar = 60 / stem.bpm * stem.beats_per_bar
        bars = max(1, int(len(wave) / RATE / bar + 1e-6))
        loop = wave[: round(bars * bar * RATE)]
        if abs(speed - 1) > 1e-6:
            loop = soxr.resample(loop, RATE * speed, RATE, quality="HQ")
        downbeats = clip.beats.downbeats if len(clip.beats.downbeats) else clip.beats.times
        first = round(float(downbeats[0]) * RATE) % max(1, len(loop))
        length = len(clip.context)
        laid = np.tile(loop, length // len(loop) + 2)[len(loop) - first :][:length]
        return np.asarray(laid * (_rms(clip.context) / _rms(band)), dtype=np.float32)


def _digest(stems: list[TrainingStem]) -> str:
    """A hash of what the stems are: records, sounds by their size and time, and this version."""
    digest = hashlib.sha256(__version__.encode())
    for stem in stems:
        digest.update(stem.path.read_bytes())
        for kind in ("drums", "context"):
            file = stem.path.with_suffix(f".{kind}.npy").stat()
            digest.update(f"{stem.take} {file.st_size} {file.st_mtime_ns}".encode())
    return digest.hexdigest()


def _training_stems(folder: Path, text: TextEncoder) -> list[TrainingStem]:
    found: list[tuple[Path, int, float, int]] = []
    words: list[str] = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if record.get("split") != "train":
            continue
        for number, take in enumerate(record["takes"]):
            labels = take["labels"]
            if take["source"] == "silence":
                continue
            told = [labels["loudness"], labels["kit"], labels["feel"], labels["style"], "drums"]
            words.append(" ".join(word for word in told if word))
            found.append((path, number, record["bpm"], record["beats_per_bar"]))
    if not found:
        raise UserError(f"{folder} holds no rendered songs to train on; name their folder.")
    vectors = {word: text.encode([word])[0] for word in sorted(set(words))}
    return [TrainingStem(*place, vectors[word]) for place, word in zip(found, words, strict=True)]


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))) + 1e-6)
