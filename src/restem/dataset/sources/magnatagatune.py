"""MagnaTagATune's archive parts or folders and its tables in, songs with their tags out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from restem.dataset.record import AudioRef, Song
from restem.dataset.sources.protocol import need_folder
from restem.dataset.sources.reading import archive_names
from restem.dataset.sources.tables import read_table
from restem.errors import UserError

PARTS = "mp3.zip.001"
TRAIN, VALIDATION = "0123456789ab", "c"  # the customary split by folder; d, e and f are test


class MagnaTagATune:
    """A folder with annotations_final.csv and either `mp3.zip.001` to `.003` or folders 0 to f.

    Clips are 29 s of mono MP3 at 16 kHz, several of one track: a track's clips share a split, that
    of the first of their folders.
    """

    kind = "magnatagatune"
    licence = "CC BY-NC-SA 3.0 (audio of Magnatune), tags for research"
    citation = (
        "E. Law, K. West, M. Mandel, M. Bay, J. S. Downie, "
        '"Evaluation of algorithms using games: the case of music tagging", ISMIR 2009'
    )

    def __init__(self, path: Path) -> None:
        need_folder(path, self.kind)
        self.path = path
        self.missing: list[str] = []

    def songs(self) -> Iterator[Song]:
        rows = self._rows()
        info = self._tracks()
        parts = self.path / PARTS
        inside = set(archive_names(parts)) if parts.exists() else set()
        self.missing = []
        rows.sort(key=lambda row: row["mp3_path"])
        splits: dict[str, str] = {}
        for row in rows:
            path = row["mp3_path"]
            splits.setdefault(_track(path, info), _split(path))
        for row in rows:
            path = row["mp3_path"]
            if path in inside:
                audio = AudioRef(str(parts), member=path)
            elif (self.path / path).is_file():
                audio = AudioRef(str(self.path / path))
            else:
                self.missing.append(f"{path}: no audio")
                continue
            tags = [k for k, v in row.items() if v == "1" and k not in ("clip_id", "mp3_path")]
            track = _track(path, info)
            yield Song(self.kind, path, splits[track], track, mix=audio, facts={"tags": tags})

    def _rows(self) -> list[dict[str, str]]:
        table = self.path / "annotations_final.csv"
        if not table.is_file():
            raise UserError(f"{self.path} lacks annotations_final.csv; download it beside the mp3.")
        return [row for row in read_table(table, ("clip_id", "mp3_path"), "\t") if row["mp3_path"]]

    def _tracks(self) -> dict[str, str]:
        """The track of each mp3 path after clip_info_final.csv, where that table is there."""
        table = self.path / "clip_info_final.csv"
        if not table.is_file():
            return {}
        names = ("artist", "album", "title")
        return {
            row["mp3_path"]: " - ".join(row[name] for name in names)
            for row in read_table(table, ("mp3_path", *names), "\t")
            if row["mp3_path"] and row["title"]
        }


def _track(path: str, info: dict[str, str]) -> str:
    """The table's track, or the path without the seconds at its end ("...-30-59.mp3")."""
    return info.get(path) or re.sub(r"-\d+-\d+\.mp3$", "", path.rsplit("/", maxsplit=1)[-1])


def _split(path: str) -> str:
    folder = path[:1].lower()
    return "train" if folder in TRAIN else "validation" if folder in VALIDATION else "test"
