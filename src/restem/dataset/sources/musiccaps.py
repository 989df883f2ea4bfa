"""The MusicCaps table and a folder of its clips in, songs with a musician's caption out."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path

from restem.dataset.record import AudioRef, Song
from restem.dataset.sources.protocol import audio_files, need_folder
from restem.dataset.sources.tables import read_table
from restem.errors import UserError

COLUMNS = ("ytid", "start_s", "end_s", "aspect_list", "caption", "is_audioset_eval")


class MusicCaps:
    """A folder with one csv of MusicCaps' columns, and audio whose names hold the ytid.

    `YTID.wav` or `[YTID]-[START-END].wav` are ten-second clips; a file that lasts past `end_s` is
    the whole recording, from which start_s to end_s is cut. AudioSet's evaluation clips are test.
    """

    kind = "musiccaps"
    licence = "Captions CC BY-SA 4.0; each recording under its owner's terms"
    citation = (
        'A. Agostinelli et al., "MusicLM: generating music from text", arXiv:2301.11325, 2023'
    )

    def __init__(self, path: Path) -> None:
        need_folder(path, self.kind)
        self.path = path
        self.missing: list[str] = []

    def songs(self) -> Iterator[Song]:
        rows = self._rows()
        by_name = {path.stem: path for path in audio_files(self.path)}
        self.missing = []
        seen: set[str] = set()
        for row in sorted(rows, key=lambda row: (row["ytid"], row["start_s"])):
            name = row["ytid"]
            if name in seen:
                continue
            seen.add(name)
            audio = by_name.get(name) or next(
                (by_name[n] for n in by_name if n.startswith(f"[{name}]")), None
            )
            if audio is None:
                self.missing.append(f"{name}: no audio")
                continue
            times = _times(row)
            if times is None:
                self.missing.append(f"{name}: no start_s before an end_s")
                continue
            split = "test" if row["is_audioset_eval"].strip().lower() == "true" else "train"
            yield Song(
                self.kind, name, split, name, mix=_cut(audio, *times),
                facts={"caption": row["caption"].strip(), "tags": _aspects(row["aspect_list"])},
            )  # fmt: skip

    def _rows(self) -> list[dict[str, str]]:
        tables = sorted(self.path.glob("*.csv"))
        if len(tables) != 1:
            raise UserError(f"{self.path} needs one csv of MusicCaps; it holds {len(tables)}.")
        return [row for row in read_table(tables[0], COLUMNS) if row["ytid"]]


def _times(row: dict[str, str]) -> tuple[float, float] | None:
    try:
        start, end = float(row["start_s"]), float(row["end_s"])
    except ValueError:
        return None
    return (start, end) if 0 <= start < end < math.inf else None


def _cut(audio: Path, start: float, end: float) -> AudioRef:
    import soundfile  # type: ignore[import-untyped]

    try:
        whole = soundfile.info(str(audio)).duration >= end + 1
    except soundfile.LibsndfileError:
        whole = False  # reading will say what is wrong with it
    return AudioRef(str(audio), start_s=start if whole else 0.0, seconds=end - start)


def _aspects(text: str) -> list[str]:
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return []
    return [str(value) for value in values] if isinstance(values, list) else []
