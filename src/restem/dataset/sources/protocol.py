"""What every source offers: its name, its licence, whom to cite, and its songs in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from restem.dataset.record import Song
from restem.errors import UserError

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a", ".aac")


class Source(Protocol):
    """A collection of songs on disk. Opening it looks at file names only and reads no audio."""

    kind: str
    licence: str
    citation: str

    def songs(self) -> Iterator[Song]:
        """Every song, always in the same order, ids unique.

        Raises UserError if the folder does not have this source's layout.
        """

    @property
    def missing(self) -> list[str]:
        """What the collection lists but the disk does not hold; known after `songs` has ended."""


def audio_files(folder: Path) -> list[Path]:
    """Audio files under a folder by their ending, in order of name, hidden ones left out.

    A link to a file that is gone counts: its song is then named, not built without a stem.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_ENDINGS
        and not path.is_dir()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def need_folder(path: Path, kind: str) -> None:
    """UserError unless `path` is a folder."""
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give the folder of the {kind} collection.")
