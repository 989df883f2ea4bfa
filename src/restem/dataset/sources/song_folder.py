"""A folder of any songs in, each of them as a mix to be separated out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from restem.dataset.record import AudioRef, Song, split_by_name
from restem.dataset.sources.protocol import audio_files, need_folder
from restem.errors import UserError


class SongFolder:
    """Every audio file under a folder; the split is drawn from its name."""

    kind = "songs"
    licence = "As given by the owner of the songs"
    citation = "The owner of the songs"

    def __init__(self, path: Path) -> None:
        need_folder(path, self.kind)
        self.path = path
        self.missing: list[str] = []

    def songs(self) -> Iterator[Song]:
        files = audio_files(self.path)
        if not files:
            raise UserError(f"{self.path} holds no audio files; give a folder of songs.")
        seen = set[Path]()
        for path in files:
            if path.exists() and path.resolve() in seen:
                continue  # linked to a second time
            seen.add(path.resolve())
            name = path.relative_to(self.path).as_posix()
            group = path.relative_to(self.path).with_suffix("").as_posix()  # FLAC and MP3 are one
            yield Song(self.kind, name, split_by_name(group), group, mix=AudioRef(str(path)))
