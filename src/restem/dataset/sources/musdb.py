"""A MUSDB18 or MUSDB18-HQ folder in, its songs as four stems out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from restem.dataset.record import AudioRef, Song
from restem.dataset.sources.protocol import need_folder
from restem.errors import UserError

# The audio streams of a .stem.mp4 file; stream 0 is an encoded mixture, which is not their sum.
STREAMS = {"drums": 1, "bass": 2, "other": 3, "vocals": 4}
# The validation songs of the musdb package, so that figures can be compared.
VALIDATION = (
    "Actions - One Minute Smile",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Johnny Lokke - Promises & Lies",
    "Patrick Talbot - A Reason To Leave",
    "Triviul - Angelsaint",
    "Alexander Ross - Goodbye Bolero",
    "Fergessen - Nos Palpitants",
    "Leaf - Summerghost",
    "Skelpolu - Human Mistakes",
    "Young Griffo - Pennies",
    "ANiMAL - Rockshow",
    "James May - On The Line",
    "Meaxic - Take A Step",
    "Traffic Experiment - Sirens",
)


class Musdb18:
    """`train/` and `test/` with `NAME.stem.mp4` files or with HQ folders `NAME/drums.wav` etc.

    The mix is the sum of the stems: the encoded mixture differs from it.
    """

    kind = "musdb18"
    licence = "For academic use only; each track under its own licence (CC BY-NC-SA and others)"
    citation = (
        "Z. Rafii, A. Liutkus, F.-R. Stöter, S. I. Mimilakis, R. Bittner, "
        '"The MUSDB18 corpus for music separation", 2017, doi:10.5281/zenodo.1117372'
    )

    def __init__(self, path: Path) -> None:
        need_folder(path, "MUSDB18")
        self.path = path
        self.missing: list[str] = []

    def songs(self) -> Iterator[Song]:
        found = False
        self.missing = []
        for part in ("train", "test"):
            for entry in sorted((self.path / part).glob("*")):
                stems = self._stems(entry)
                if not stems:
                    continue
                found = True
                name = entry.name.removesuffix(".stem.mp4")
                split = "validation" if part == "train" and name in VALIDATION else part
                yield Song(self.kind, f"{part}/{name}", split, name, stems=stems)
        if not found:
            raise UserError(
                f"{self.path} holds no MUSDB18; it needs train/ and test/ with .stem.mp4 files "
                "or with folders of drums.wav, bass.wav, other.wav and vocals.wav."
            )

    def _stems(self, entry: Path) -> dict[str, tuple[AudioRef, ...]]:
        if entry.name.endswith(".stem.mp4"):
            return {s: (AudioRef(str(entry), stream=n),) for s, n in STREAMS.items()}
        if not entry.is_dir():
            return {}
        files = {stem: entry / f"{stem}.wav" for stem in STREAMS}
        absent = [path.name for path in files.values() if not path.exists()]
        if absent:  # a sum without one stem would pass for a full mix
            self.missing.append(f"{entry.parent.name}/{entry.name}: no {', '.join(absent)}")
            return {}
        return {stem: (AudioRef(str(path)),) for stem, path in files.items()}
