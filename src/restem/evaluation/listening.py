"""A clip's file comes in; its level, onsets, beats and embeddings, once computed, go out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restem.audio.files import AudioFile, read_audio
from restem.errors import UserError
from restem.evaluation.beats import librosa_beats
from restem.evaluation.cache import Arrays, Cache
from restem.evaluation.embeddings import Embedded, Embedding
from restem.evaluation.fit import chroma_fit, spectral_leak, waveform_leak_db
from restem.evaluation.loudness import loudness_relation, rms_db
from restem.evaluation.onsets import onset_envelope
from restem.evaluation.signals import mono, resampled

# Raise this number whenever a formula of this room or the reading of files (audio.files) changes,
# so that no cache goes stale.
FORMULAS = "2"
SILENT_DB = -70.0
# Clipped: four neighbours within two steps of the peak, and beside them a fall of sixteen. The
# crest of a slow wave has such neighbours too, but falls slowly. A step is one of 16 bits, even
# for finer samples, which may have been coarser before.
CLIPPED_RUN, FLAT_STEPS, FALL_STEPS = 4, 2, 16
LOUDEST = 1e6  # full scale is 1, so a sample beyond this is damage
CONTEXT_SCORES = ("chroma_fit", "loudness_relation", "waveform_leak_db", "spectral_leak")


@dataclass(frozen=True, eq=False)
class Heard:
    """What one file tells, or the part of it that is compared.

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


class Source:
    """A file, or its first `seconds`, hashed at once and decoded only if the cache lacks something.

    Raises UserError if it cannot be opened.
    """

    def __init__(self, path: Path, seconds: float | None = None) -> None:
        self.path, self._seconds = path, seconds
        try:
            with path.open("rb") as file:
                self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"{path.name} cannot be read ({reason}); make it readable.") from error
        # a whole file goes by its hash alone
        self.key = (self.sha256,) if seconds is None else (self.sha256, f"first {seconds!r} s")

    @cached_property
    def audio(self) -> AudioFile:
        """The samples. Raises UserError if they cannot be read."""
        audio = read_audio(self.path)
        if self._seconds is None:
            return audio
        return replace(audio, samples=audio.samples[: round(self._seconds * audio.sample_rate)])


def seconds_of(source: Source, kept: Cache) -> float:
    """How long it lasts. Raises UserError if it cannot be read or has absurd samples."""
    return float(_extremes_of(source, kept)["seconds"])


def hear(
    path: Path, embeddings: Sequence[Embedding], kept: Cache, seconds: float | None = None
) -> Heard:
    """Everything that the scores need of one file, or of its first `seconds`.

    Raises UserError if it cannot be read or if what is heard in it is no number.
    """
    source = Source(path, seconds)
    extremes = _extremes_of(source, kept)  # first: absurd samples would break what follows
    basics = kept.arrays(_key("basics", *source.key), lambda: _basics(source.audio))
    embedded = {}
    for embedding in embeddings:
        key = _key("embedding", embedding.name, embedding.weights_sha256, *source.key)
        # the lambda runs before the next turn of the loop, if at all
        arrays = kept.arrays(key, lambda: _embedded(source.audio, embedding))  # noqa: B023
        _check_finite(path, *arrays.values())
        embedded[embedding.name] = Embedded(arrays["features"], arrays.get("logits"))
    _check_finite(path, basics["envelope"])
    return Heard(
        seconds=float(extremes["seconds"]),
        sample_rate=int(basics["sample_rate"]),
        rms_db=float(basics["rms_db"]),
        clipped=int(extremes["clipped"]),
        envelope=basics["envelope"],
        beats=basics["beats"],
        embedded=embedded,
        sha256=source.sha256,
    )


def hear_with_context(stem: Source, context: Source, kept: Cache) -> dict[str, float]:
    """The scores of `CONTEXT_SCORES` for one stem; NaN where a side is silent.

    The longer file is cut to the shorter one. Raises UserError if a file cannot be read.
    """
    key = _key("context", *stem.key, *context.key)
    values = kept.arrays(key, lambda: _with_context(stem.audio, context.audio))["values"]
    return {name: float(value) for name, value in zip(CONTEXT_SCORES, values, strict=True)}


def _key(*parts: str) -> tuple[str, ...]:
    return (FORMULAS, *_packages(), *parts)


@cache
def _packages() -> tuple[str, ...]:
    names = ("numpy", "scipy", "soundfile", "soxr", "librosa", "torch")
    return tuple(f"{name} {version(name)}" for name in names)


def _basics(audio: AudioFile) -> Arrays:
    return {
        "sample_rate": np.array(audio.sample_rate),
        "rms_db": np.array(rms_db(audio.samples)),
        "envelope": onset_envelope(audio.samples, audio.sample_rate),
        "beats": librosa_beats(audio.samples, audio.sample_rate),
    }


def _extremes_of(source: Source, kept: Cache) -> Arrays:
    """Length, peak and flat tops, kept apart from the basics: all that is asked of a context."""
    extremes = kept.arrays(_key("extremes", *source.key), lambda: _extremes(source.audio))
    if extremes["peak"] > LOUDEST:
        raise UserError(
            f"{source.path.name} has a sample of {float(extremes['peak']):.3g}, where full scale "
            "is 1; repair it."
        )
    return extremes


def _extremes(audio: AudioFile) -> Arrays:
    return {
        "seconds": np.array(len(audio.samples) / audio.sample_rate),
        "peak": np.array(np.abs(audio.samples).max()),
        "clipped": np.array(_flat_tops(audio)),
    }


def _flat_tops(audio: AudioFile) -> int:
    """Samples in flat tops at each channel's own peak, above and below."""
    bits = 8 if audio.subtype in ("PCM_U8", "PCM_S8") else 16
    return sum(_flat_top_samples(channel, 2.0 ** (1 - bits)) for channel in audio.samples.T)


def _flat_top_samples(channel: NDArray[np.float64], step: float) -> int:
    count, top = 0, float(np.abs(channel).max())
    step *= max(1.0, top)  # floats may reach beyond full scale
    for side in (channel, -channel):
        near = side >= top - FLAT_STEPS * step
        edges = np.flatnonzero(np.diff(near, prepend=False, append=False))
        starts, stops = edges[::2], edges[1::2]
        # two samples beyond each end, because the first may still be on the crest's edge
        beside = side[np.maximum(starts - 2, 0)], side[np.minimum(stops + 1, len(side) - 1)]
        sharp = np.maximum(*beside) <= top - FALL_STEPS * step
        count += int((stops - starts)[(stops - starts >= CLIPPED_RUN) & sharp].sum())
    return count


def _check_finite(path: Path, *arrays: NDArray) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise UserError(f"{path.name} cannot be measured, its scores are no numbers; replace it.")


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
