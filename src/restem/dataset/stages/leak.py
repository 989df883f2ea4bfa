"""Clips on disk in, the same clips with their leak score out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

from restem.dataset.leak_probe import packaged_probe
from restem.dataset.record import Parcel, fingerprint
from restem.dataset.stages.pair import gone

VERSION = "leak 2"


def made_of(before: Parcel) -> str:
    """Fingerprint of the clips and of the probe."""
    probe = packaged_probe()
    weights = hashlib.sha256(np.ascontiguousarray(probe.weights).tobytes()).hexdigest()
    return fingerprint(VERSION, before.fingerprint, weights, probe.clean, probe.clean_share)


def leak_song(before: Parcel, made: str, folder: Path) -> Parcel:
    """The parcel with `leak`, and the probe's reading among the facts.

    `folder` holds the song's FLAC files. UserError if they are gone.
    """
    clips = []
    for clip in before.clips:
        mix, context = map(read_flac, clip.files(folder))
        found = packaged_probe().leak(context / 32768, (mix - context) / 32768)
        facts = {**clip.facts, "leak_probe": round(found.probe, 4)}
        clips.append(clip.but(leak=round(found.residual, 6), facts=facts))
    return Parcel(before.song, before.source, made, tuple(clips), before.failed)


def read_flac(path: Path) -> np.ndarray:
    """(sample,) int32 of one of our own files."""
    try:
        samples, _ = soundfile.read(str(path), dtype="int16")
    except (OSError, soundfile.LibsndfileError) as error:
        raise gone(path) from error
    return np.asarray(samples, np.int32)
