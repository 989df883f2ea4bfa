"""A folder of song features in; records with memory-mapped mel steps out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restem.errors import UserError


@dataclass(frozen=True)
class Song:
    """One song's record and its memory-mapped mel steps.

    `context` is uint8 (stem, frame, column), `drums` uint8 (take, frame, column), `text` float16
    (take, sentence, 384). Where the takes are not of drums, the record says of which `stem`.
    """

    record: dict
    context: np.ndarray
    drums: np.ndarray
    text: np.ndarray

    @property
    def stems(self) -> int:
        return len(self.record["stems"])

    @property
    def stem(self) -> str:
        """What the takes are."""
        return str(self.record.get("stem", "drums"))


def read_record(path: Path, *keys: str) -> dict:
    """The record of a song; UserError if it is damaged or lacks one of `keys`."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict) or any(key not in record for key in keys):
        raise UserError(f"{path} is no whole record of a song; remove it and make the song again.")
    return record


def read_songs(folder: Path, split: str) -> list[Song]:
    """All songs of one split, in a fixed order; UserError if there are none or one is damaged."""
    _allow_open_files()
    songs = []
    for path in sorted(folder.glob("*.json")):
        record = read_record(path, "split", "stems", "takes")
        if record["split"] == split:
            songs.append(read_song(path, record))
    if not songs:
        raise UserError(
            f"{folder} holds no songs of the split {split!r}; run `restem dataset features`."
        )
    return songs


def read_song(path: Path, record: dict) -> Song:
    """The song of a record in the file `path`."""
    kinds = ("context", "drums", "text")
    return Song(record, *(np.load(path.with_suffix(f".{k}.npy"), mmap_mode="r") for k in kinds))


def _allow_open_files() -> None:
    """Each memory-mapped array holds a file open: use all that the system grants."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
