"""A song and its clips in, the clips with a caption of the ten seconds around each out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from restem.audio.waveform import resampled
from restem.dataset.record import Clip, Parcel, Song, fingerprint
from restem.dataset.sources.reading import SAMPLE_RATE, read_mix
from restem.dataset.stages.pair import CLIP_SAMPLES
from restem.errors import UserError

VERSION = "caption 2"
SECONDS = 10.0
NAMES = "offline, source, lp-music-caps=CHECKPOINT:BART, audio-llm=MODEL"


@dataclass(frozen=True)
class Caption:
    """Sentences about ten seconds of music, and the single facts that were heard."""

    text: str
    facts: dict[str, Any] = field(default_factory=dict)


class Captioner(Protocol):
    """Something that puts music into words."""

    @property
    def name(self) -> str:
        """Who wrote, for the record, with a hash of the weights where there are any."""

    @property
    def sample_rate(self) -> int:
        """Rate in Hz at which `caption` wants its waveform."""

    def caption(self, waveform: np.ndarray, facts: dict[str, Any]) -> Caption:
        """Words for a mono float32 waveform (sample,) of ten seconds.

        `facts` is what the source knows already and need not be heard ("genre", "bpm", "tags").
        """


def open_captioner(text: str) -> Captioner | None:
    """The captioner of a name as the command line takes it; None for "source".

    Raises UserError for an unknown name, a missing package and missing weights.
    """
    kind, _, path = text.partition("=")
    try:
        if kind == "source":
            return None
        if kind == "offline":
            from restem.dataset.stages.caption_offline import OfflineCaptioner

            return OfflineCaptioner()
        if kind == "lp-music-caps" and path:
            from restem.dataset.stages.caption_lp import LPMusicCaps

            checkpoint, _, bart = path.rpartition(":")
            return LPMusicCaps(
                Path(checkpoint or path), bart if checkpoint else "facebook/bart-base"
            )
        if kind == "audio-llm" and path:
            from restem.dataset.stages.caption_llm import AudioLLM

            return AudioLLM(path)
    except ModuleNotFoundError as error:
        raise UserError(
            f"The captioner {kind} needs the package {error.name}; "
            "install it with pip install 'restem[evaluation,captions]'."
        ) from None
    raise UserError(f"There is no captioner {text!r}; choose from {NAMES}.")


@lru_cache(maxsize=1)
def _captioner(text: str) -> Captioner | None:
    return open_captioner(text)


def caption_name(text: str) -> str:
    """The captioner's full name, with its weights' hash where it has one."""
    captioner = _captioner(text)
    return captioner.name if captioner else "source"


def made_of(before: Parcel, captioner: str, samples: int) -> str:
    """Fingerprint of the clips, of who captions them and of a clip's length."""
    return fingerprint(VERSION, before.fingerprint, captioner, samples)


def caption_song(
    song: Song, before: Parcel, made: str, name: str, samples: int = CLIP_SAMPLES
) -> Parcel:
    """The parcel with captions; a caption that the source brings along stays.

    `samples` is the length of a clip at 44.1 kHz.
    """
    own = song.facts.get("caption")
    captioner = None if own else _captioner(name)
    clips: list[Clip] = []
    if not before.clips or captioner is None:
        text = str(own or "")
        clips = [clip.but(caption=text, caption_by="source") for clip in before.clips]
        return Parcel(song.id, song.source, made, tuple(clips), before.failed)
    try:
        wave = read_mix(song).mean(axis=1)
    except UserError as error:  # it could be read a stage ago
        return Parcel(song.id, song.source, made, failed=str(error))
    heard: dict[float, Caption] = {}  # clips of two stems share their music
    for clip in before.clips:
        if clip.start_s not in heard:
            piece = around(wave, clip.start_s + samples / SAMPLE_RATE / 2)
            at_rate = resampled(piece, SAMPLE_RATE, captioner.sample_rate)
            heard[clip.start_s] = captioner.caption(at_rate, song.facts)
        said = heard[clip.start_s]
        facts = {**clip.facts, "heard": said.facts}
        clips.append(clip.but(caption=said.text, caption_by=captioner.name, facts=facts))
    return Parcel(song.id, song.source, made, tuple(clips), before.failed)


def around(wave: np.ndarray, middle_s: float) -> np.ndarray:
    """The ten seconds of `wave` (44.1 kHz) nearest to a moment; shorter songs are given whole."""
    length = round(SECONDS * SAMPLE_RATE)
    start = round((middle_s - SECONDS / 2) * SAMPLE_RATE)
    start = max(0, min(start, len(wave) - length))
    return wave[start : start + length]
