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
    path: Path
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
    return sorted(path for path in _files(folder) if path.suffix.lower() in AUDIO_ENDINGS)


def _files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files that are not hidden, those of linked folders too, unless a link leads back."""
    real = folder.resolve()
    try:
        paths = [] if real in above else list(folder.iterdir())
    except OSError:  # gone, or not for us to read
        paths = []
    for path in paths:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path, (*above, real))
        else:
            yield path


def need_folder(path: Path, kind: str) -> None:
    """UserError unless `path` is a folder."""
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give the folder of the {kind} collection.")
