"""A clip's file comes in; its level, onsets, beats and embeddings, once computed, go out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restem.audio.files import AudioFile, read_audio
from restem.evaluation.beats import librosa_beats
from restem.evaluation.cache import Arrays, Cache
from restem.evaluation.embeddings import Embedded, Embedding
from restem.evaluation.fit import chroma_fit, spectral_leak, waveform_leak_db
from restem.evaluation.loudness import loudness_relation, rms_db
from restem.evaluation.onsets import onset_envelope
from restem.evaluation.signals import mono, resampled

# Raise this number whenever a formula of this room changes, so that no cache goes stale.
FORMULAS = "1"
SILENT_DB = -70.0
CLIPPED_LEVEL, CLIPPED_RUN = 0.999, 4
CONTEXT_SCORES = ("chroma_fit", "loudness_relation", "waveform_leak_db", "spectral_leak")


@dataclass(frozen=True, eq=False)
class Heard:
    """What one file tells.

    `envelope`: (frame,), see `onset_envelope`; `beats`: (beat,) in seconds by librosa;
    `embedded`: by embedding name; `clipped`: samples of flat tops; `sha256`: of the file.
    """

    seconds: float
    sample_rate: int
    rms_db: float
    clipped: int
    envelope: NDArray[np.float64]
    beats: NDArray[np.float64]
    embedded: dict[str, Embedded]
    sha256: str

    @property
    def silent(self) -> bool:
        """Whether its level is under -70 dB re full scale."""
        return self.rms_db < SILENT_DB


class _Source:
    """A file that is hashed at once and decoded only if something was not in the cache."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def audio(self) -> AudioFile:
        return read_audio(self.path)


def hear(path: Path, embeddings: Sequence[Embedding], kept: Cache) -> Heard:
    """Everything that the scores need of one file. Raises UserError if it cannot be read."""
    source = _Source(path)
    basics = kept.arrays(_key("basics", source.sha256), lambda: _basics(source.audio))
    embedded = {}
    for embedding in embeddings:
        key = _key("embedding", embedding.name, embedding.weights_sha256, source.sha256)
        # the lambda runs before the next turn of the loop, if at all
        arrays = kept.arrays(key, lambda: _embedded(source.audio, embedding))  # noqa: B023
        embedded[embedding.name] = Embedded(arrays["features"], arrays.get("logits"))
    return Heard(
        seconds=float(basics["seconds"]),
        sample_rate=int(basics["sample_rate"]),
        rms_db=float(basics["rms_db"]),
        clipped=int(basics["clipped"]),
        envelope=basics["envelope"],
        beats=basics["beats"],
        embedded=embedded,
        sha256=source.sha256,
    )


def hear_with_context(stem: Path, context: Path, kept: Cache) -> dict[str, float]:
    """The scores of `CONTEXT_SCORES` for one stem; NaN where a side is silent.

    The longer file is cut to the shorter one. Raises UserError if a file cannot be read.
    """
    sources = _Source(stem), _Source(context)
    key = _key("context", sources[0].sha256, sources[1].sha256)
    values = kept.arrays(key, lambda: _with_context(sources[0].audio, sources[1].audio))["values"]
    return {name: float(value) for name, value in zip(CONTEXT_SCORES, values, strict=True)}


def _key(*parts: str) -> tuple[str, ...]:
    return (FORMULAS, *_packages(), *parts)


@cache
def _packages() -> tuple[str, ...]:
    names = ("numpy", "scipy", "soundfile", "soxr", "librosa", "torch")
    return tuple(f"{name} {version(name)}" for name in names)


def _basics(audio: AudioFile) -> Arrays:
    return {
        "seconds": np.array(len(audio.samples) / audio.sample_rate),
        "sample_rate": np.array(audio.sample_rate),
        "rms_db": np.array(rms_db(audio.samples)),
        "clipped": np.array(_flat_top_samples(audio.samples)),
        "envelope": onset_envelope(audio.samples, audio.sample_rate),
        "beats": librosa_beats(audio.samples, audio.sample_rate),
    }


def _flat_top_samples(samples: NDArray[np.float64]) -> int:
    """Samples in runs of at least four at full scale; a single peak there is no clipping."""
    full = np.abs(samples) >= CLIPPED_LEVEL
    starts = np.lib.stride_tricks.sliding_window_view(full, CLIPPED_RUN, axis=0).all(axis=-1)
    return int(np.count_nonzero(starts))


def _embedded(audio: AudioFile, embedding: Embedding) -> Arrays:
    waveform = resampled(mono(audio.samples), audio.sample_rate, embedding.sample_rate)
    heard = embedding.embed(waveform)
    arrays: Arrays = {"features": heard.features}
    return arrays if heard.logits is None else arrays | {"logits": heard.logits}


def _with_context(stem: AudioFile, context: AudioFile) -> Arrays:
    rate = stem.sample_rate
    ours, behind = mono(stem.samples), mono(context.samples)
    behind = np.asarray(resampled(behind, context.sample_rate, rate), np.float64)
    length = min(len(ours), len(behind))
    ours, behind = ours[:length], behind[:length]
    values = [
        chroma_fit(ours, behind, rate),
        loudness_relation(ours, behind, rate),
        waveform_leak_db(ours, behind, rate),
        spectral_leak(ours, behind, rate),
    ]
    return {"values": np.array(values)}
