"""Training songs come in; for a clip, the real stem among them that fits tempo and words best."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from restem import __version__
from restem.audio.beats import BeatGrid
from restem.benchmark.clips import RATE, Clip
from restem.errors import UserError
from restem.text import TextEncoder

NEAR = 0.03  # share by which a stem's tempo may be changed, half a semitone of pitch


@dataclass(frozen=True, eq=False)
class TrainingStem:
    """One stem that a model was trained on: where it lies, its tempo, metre and words.

    `take` is its row in the song's drums, or in its context for another stem.
    """

    path: Path
    take: int
    bpm: float
    beats_per_bar: int
    words: np.ndarray  # unit vector (384,)


class Retrieval:
    """Finds stems of a kind by tempo, then by their words, and lays them on a clip's beats."""

    def __init__(self, folder: Path, text: TextEncoder, kind: str = "drums") -> None:
        self.text, self.kind = text, kind
        self.stems = _training_stems(folder, text, kind)
        self.digest = _digest(self.stems)

    def stem(self, clip: Clip) -> np.ndarray:
        """A real stem (sample,) on the clip's beats; see `beside`."""
        return self.beside(clip.context, clip.beats, clip.instruction)

    def beside(self, context: np.ndarray, beats: BeatGrid, instruction: str) -> np.ndarray:
        """A real stem (sample,) on these beats, as loud to the context as to its own band.

        Of the stems in this metre whose tempo lies within 3 % (or, if there are none, the 20 of
        the nearest tempo) the one whose words are nearest to the instruction.
        """
        bpm, metre = beats.bpm, beats.beats_per_bar
        pool = [s for s in self.stems if s.beats_per_bar == metre] or self.stems
        away = np.array([abs(np.log(s.bpm / bpm)) for s in pool])
        near = np.flatnonzero(away < np.log(1 + NEAR))
        near = near if len(near) else np.argsort(away)[:20]
        wanted = self.text.encode([instruction])[0]
        chosen = pool[max(near, key=lambda i: float(pool[i].words @ wanted))]
        return self._laid(chosen, context, beats)

    def _laid(self, stem: TrainingStem, context: np.ndarray, beats: BeatGrid) -> np.ndarray:
        """The stem from a bar line of its own at the first bar line here, repeated as needed."""
        drums = np.load(stem.path.with_suffix(".drums.npy"), mmap_mode="r")
        others = np.load(stem.path.with_suffix(".context.npy"), mmap_mode="r")
        take = (drums if self.kind == "drums" else others)[stem.take]
        wave = take.astype(np.float32) / 32768
        band = others.astype(np.float32).sum(axis=0) / 32768
        if self.kind != "drums":
            band += drums[0].astype(np.float32) / 32768 - wave
        speed = beats.bpm / stem.bpm
        bar = 60 / stem.bpm * stem.beats_per_bar
        bars = max(1, int(len(wave) / RATE / bar + 1e-6))
        loop = wave[: round(bars * bar * RATE)]
        if abs(speed - 1) > 1e-6:
            loop = soxr.resample(loop, RATE * speed, RATE, quality="HQ")
        downbeats = beats.downbeats if len(beats.downbeats) else beats.times
        first = round(float(downbeats[0]) * RATE) % max(1, len(loop))
        length = len(context)
        laid = np.tile(loop, length // len(loop) + 2)[len(loop) - first :][:length]
        return np.asarray(laid * (_rms(context) / _rms(band)), dtype=np.float32)


def _digest(stems: list[TrainingStem]) -> str:
    """A hash of what the stems are: records, sounds by their size and time, and this version."""
    digest = hashlib.sha256(__version__.encode())
    for stem in stems:
        digest.update(stem.path.read_bytes())
        for kind in ("drums", "context"):
            file = stem.path.with_suffix(f".{kind}.npy").stat()
            digest.update(f"{stem.take} {file.st_size} {file.st_mtime_ns}".encode())
    return digest.hexdigest()


def _training_stems(folder: Path, text: TextEncoder, kind: str) -> list[TrainingStem]:
    found: list[tuple[Path, int, float, int]] = []
    words: list[str] = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if record.get("split") != "train":
            continue
        for number, told in _described(record, kind):
            words.append(told)
            found.append((path, number, record["bpm"], record["beats_per_bar"]))
    if not found:
        raise UserError(f"{folder} holds no rendered songs to train on; name their folder.")
    vectors = {word: text.encode([word])[0] for word in sorted(set(words))}
    return [TrainingStem(*place, vectors[word]) for place, word in zip(found, words, strict=True)]


def _described(record: dict[str, Any], kind: str) -> list[tuple[int, str]]:
    """Rows of a song's stems of this kind that can be heard, with words for each."""
    if kind != "drums":
        rows = [number for number, stem in enumerate(record["stems"]) if stem["kind"] == kind]
        return [(number, f"{record['style']} {kind}") for number in rows]
    found = []
    for number, take in enumerate(record["takes"]):
        labels = take["labels"]
        told = [labels["loudness"], labels["kit"], labels["feel"], labels["style"], "drums"]
        if take["source"] != "silence":
            found.append((number, " ".join(word for word in told if word)))
    return found


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))) + 1e-6)
