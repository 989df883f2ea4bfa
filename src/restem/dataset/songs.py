"""A folder of song features in; records with memory-mapped mel steps out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restem.errors import UserError


@dataclass(frozen=True)
class Song:
    """One song's record and its memory-mapped mel steps.

    `context` is uint8 (stem, frame, column), `drums` uint8 (take, frame, column), `text` float16
    (take, sentence, 384). Where the takes are not of drums, the record says of which `stem`. It is
    called `name`, as its files are.
    """

    name: str
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

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of its record and sizes, the same wherever its files lie."""
        about = json.dumps([self.record, self.context.shape, self.drums.shape], sort_keys=True)
        return hashlib.sha256(about.encode()).hexdigest()[:8]


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
        if "targets" in record:
            raise UserError(
                f"{folder} holds features of stems with a pitch; train on them with --pitched."
            )
        if record["split"] == split:
            songs.append(read_song(path, record))
    if not songs:
        raise UserError(
            f"{folder} holds no songs of the split {split!r}; run `restem dataset features`."
        )
    return songs


def read_song(path: Path, record: dict) -> Song:
    """The song of a record in the file `path`; UserError if its features are damaged."""
    rows = {"context": len(record["stems"]), "drums": len(record["takes"])}
    context, drums = (read_steps(path.with_suffix(f".{k}.npy"), n) for k, n in rows.items())
    text = read_text(path.with_suffix(".text.npy"), rows["drums"])
    if context.shape[1:] != drums.shape[1:]:
        raise damaged(path.with_suffix(".drums.npy"))
    return Song(path.stem, record, context, drums, text)


def read_steps(path: Path, rows: int) -> np.ndarray:
    """Memory-mapped mel steps uint8 (row, frame, column); UserError if they are damaged."""
    steps = _read_array(path, mapped=True)
    if steps.dtype != np.uint8 or steps.ndim != 3 or len(steps) != rows:
        raise damaged(path)
    return steps


def read_text(path: Path, rows: int) -> np.ndarray:
    """Sentences float16 (row, sentence, 384); UserError if they are damaged."""
    text = _read_array(path)
    fits = text.dtype == np.float16 and text.ndim == 3 and len(text) == rows
    if not fits or not np.isfinite(text).all():
        raise damaged(path)
    return text


def _read_array(path: Path, mapped: bool = False) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r" if mapped else None)
    except (FileNotFoundError, EOFError, ValueError):
        raise damaged(path) from None
    if not isinstance(array, np.ndarray):  # an archive of several
        raise damaged(path)
    return array


def damaged(path: Path) -> UserError:
    """The error for features `NNNNN.kind.npy` that are not there or not as they were written."""
    record = path.with_name(f"{path.name.split('.')[0]}.json")
    return UserError(
        f"{path} is missing or damaged; remove {record} and make the song's features again with "
        "`restem dataset features`."
    )


def _allow_open_files() -> None:
    """Each memory-mapped array holds a file open: use all that the system grants."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
