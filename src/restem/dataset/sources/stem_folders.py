"""A folder of song folders that hold stems in, songs with stems under our names out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from restem.dataset.record import SPLITS, AudioRef, Song, split_by_name
from restem.dataset.sources.protocol import audio_files, need_folder
from restem.errors import UserError

# Words of file and folder names, by our stem; the first that fits counts.
WORDS = {
    "drums": ("drum", "drums", "percussion", "kick", "snare", "hihat", "cymbals", "toms"),
    "bass": ("bass",),
    "vocals": ("vocals", "vocal", "voice", "vox", "singing"),
    "guitar": ("guitar", "guitars", "gtr"),
    "keys": ("keys", "piano", "organ", "keyboard"),
}
STEM_WORDS = {word for words in WORDS.values() for word in words}
MIX_WORDS = {"mix", "mixture", "mixdown", "master"}


class StemFolders:
    """Any folder of song folders: SONG/drums.wav, SONG/bass.wav, or SONG/drums/anything.wav.

    Folders named train, validation (or valid) and test above the songs decide the split. A file
    counts by the words in its name, or in its folder's; the rest is "other"; files called mix,
    mixture or master, and after no stem, are left out, since the mix is the sum.
    """

    kind = "stems"
    licence = "As given by the owner of the songs"
    citation = "The owner of the songs"

    def __init__(self, path: Path) -> None:
        need_folder(path, self.kind)
        self.path = path
        self.missing: list[str] = []

    def songs(self) -> Iterator[Song]:
        found = False
        for folder in self._song_folders():
            stems = self._stems(folder)
            if len(stems) < 2:  # one stem alone leaves no context
                self.missing.append(f"{folder.relative_to(self.path)}: fewer than two stems")
                continue
            found = True
            name = folder.relative_to(self.path).as_posix()
            yield Song(self.kind, name, self._split(folder), name, stems=stems,
                       facts=self._facts(folder))  # fmt: skip
        if not found:
            raise UserError(
                f"{self.path} holds no songs in the layout of {self.kind}; see docs/dataset.md."
            )

    def _song_folders(self) -> list[Path]:
        """Folders of files, or the folders above where those are called by stems and no more.

        A song may be called Piano Man, or Keys where it lies in a folder of a split.
        """
        self.missing = []
        folders = {path.parent for path in audio_files(self.path)}
        songs = {
            folder.parent
            for folder in folders
            if set(_words(folder.name)) <= STEM_WORDS
            and self.path in folder.parent.parents
            and _split_of(folder.parent.name) is None
        }
        above = {parent for folder in folders for parent in folder.parents}
        splits = {folder for folder in above if _split_of(folder.name)}  # stray files: no song
        return sorted(songs | {f for f in folders - splits if songs.isdisjoint(f.parents)})

    def _stems(self, folder: Path) -> dict[str, tuple[AudioRef, ...]]:
        stems: dict[str, list[AudioRef]] = {}
        for path in audio_files(folder):
            named = _stem_of(path.stem)
            if named is None and not MIX_WORDS.isdisjoint(_words(path.stem)):
                continue
            own = _stem_of(path.parent.name) if path.parent != folder else None
            stem = own or named or "other"
            stems.setdefault(stem, []).append(AudioRef(str(path)))
        return {stem: tuple(parts) for stem, parts in sorted(stems.items())}

    def _split(self, folder: Path) -> str:
        for part in folder.relative_to(self.path).parts:
            if split := _split_of(part):
                return split
        return split_by_name(folder.relative_to(self.path).as_posix())

    def _facts(self, folder: Path) -> dict[str, Any]:
        return {}


# Slakh's instrument classes under our names; all others are "other".
SLAKH_CLASSES = {
    "drums": "drums",
    "bass": "bass",
    "guitar": "guitar",
    "piano": "keys",
    "organ": "keys",
}


class Slakh2100(StemFolders):
    """`train|validation|test/TrackNNNNN/stems/SNN.wav|flac`, named by each metadata.yaml."""

    kind = "slakh2100"
    licence = "CC BY 4.0"
    citation = (
        "E. Manilow, G. Wichern, P. Seetharaman, J. Le Roux, "
        '"Cutting music source separation some Slakh", WASPAA 2019'
    )

    def _song_folders(self) -> list[Path]:
        """All but those that Slakh2100-redux sets aside: their MIDI occurs in another split too."""
        found = sorted(p.parent for p in self.path.rglob("metadata.yaml"))
        aside = [f for f in found if "omitted" in f.relative_to(self.path).parts]
        self.missing = [f"{f.relative_to(self.path).as_posix()} (set aside)" for f in aside]
        return [folder for folder in found if folder not in set(aside)]

    def _stems(self, folder: Path) -> dict[str, tuple[AudioRef, ...]]:
        stems: dict[str, list[AudioRef]] = {}
        kinds = _slakh_classes((folder / "metadata.yaml").read_text("utf-8", "replace"))
        for path in audio_files(folder / "stems"):
            stem = SLAKH_CLASSES.get(kinds.get(path.stem, ""), "other")
            stems.setdefault(stem, []).append(AudioRef(str(path)))
        return {stem: tuple(parts) for stem, parts in sorted(stems.items())}


class MoisesDB(StemFolders):
    """`moisesdb_v0.1/UUID/` with data.json and one folder a stem, each with wav files that sum."""

    kind = "moisesdb"
    licence = "CC BY-NC-SA 4.0, research only"
    citation = (
        "I. Pereira, F. Araújo, F. Korzeniowski, R. Vogl, "
        '"MoisesDB: a dataset for source separation beyond 4-stems", ISMIR 2023'
    )

    def _song_folders(self) -> list[Path]:
        self.missing = []
        return sorted(p.parent for p in self.path.rglob("data.json"))

    def _facts(self, folder: Path) -> dict[str, Any]:
        try:
            about = json.loads((folder / "data.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        genre = about.get("genre") if isinstance(about, dict) else None
        return {"genre": str(genre).replace("_", " ")} if genre else {}


def _slakh_classes(text: str) -> dict[str, str]:
    """Each stem's `inst_class` in lower case, or "drums" where `is_drum` is true.

    Reads the two keys of the indented block of each stem, which is all that is needed of YAML here.
    """
    kinds: dict[str, str] = {}
    stem = ""
    for line in text.splitlines():
        if match := re.match(r"\s+(S\d+):\s*$", line):
            stem = match[1]
        elif stem and (match := re.match(r"\s+inst_class:\s*(.+?)\s*$", line)):
            kinds.setdefault(stem, match[1].strip("'\"").lower())
        elif stem and re.match(r"\s+is_drum:\s*true\s*$", line):
            kinds[stem] = "drums"
    return kinds


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower()) or [""]


def _split_of(name: str) -> str | None:
    word = {"valid": "validation", "val": "validation"}.get(name.lower(), name.lower())
    return word if word in SPLITS else None


def _stem_of(name: str) -> str | None:
    words = _words(name)
    return next((stem for stem, known in WORDS.items() if set(words) & set(known)), None)
