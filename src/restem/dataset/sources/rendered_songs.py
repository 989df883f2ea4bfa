"""A folder of `restem dataset render` in, songs with exact stems and labels out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from restem.dataset.record import AudioRef, Song
from restem.dataset.sources.protocol import need_folder
from restem.errors import UserError

# The kinds of rendered parts under our names; all others (strings, leads ...) are "other".
NAMES = {"bass": "bass", "guitar": "guitar", "keys": "keys"}


class RenderedSongs:
    """Songs that the package rendered itself. Splits go by style file, so groups do too."""

    kind = "rendered"
    licence = (
        "Made with MMA styles (GPL-2+), SoundFonts and drum performances of the Groove MIDI "
        "Dataset (CC BY 4.0); see docs/model-card.md"
    )
    citation = "restem, `restem dataset render`"

    def __init__(self, path: Path) -> None:
        need_folder(path, self.kind)
        self.path = path
        self.missing: list[str] = []

    def songs(self) -> Iterator[Song]:
        records = sorted(self.path.glob("*.json"))
        if not records:
            raise UserError(
                f"{self.path} holds no rendered songs; make some with `restem dataset render`."
            )
        self.missing = []
        for path in records:
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                yield self._song(path, record)
            except (ValueError, KeyError, TypeError):
                self.missing.append(f"{path.name}: not the record of a rendered song")

    def _song(self, path: Path, record: dict) -> Song:
        stems: dict[str, list[AudioRef]] = {}
        context = str(path.with_suffix(".context.npy"))
        for row, part in enumerate(record["stems"]):
            name = NAMES.get(part["kind"], "other")
            stems.setdefault(name, []).append(AudioRef(context, row=row))
        labels = record["takes"][0].get("labels")  # songs from MIDI files have none
        facts = {"genre": record["style"], "bpm": record["bpm"], "metre": record["metre"],
                 "labels": {"drums": labels} if labels else None}  # fmt: skip
        stems["drums"] = [AudioRef(str(path.with_suffix(".drums.npy")), row=0)]
        return Song(
            self.kind, path.stem, record["split"], record["style_file"],
            stems={name: tuple(parts) for name, parts in sorted(stems.items())},
            facts={name: fact for name, fact in facts.items() if fact},
        )  # fmt: skip
