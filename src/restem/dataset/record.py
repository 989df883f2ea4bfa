"""What the stages of a build hand to one another: a song of a source, a clip, a song left out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

SPLITS = ("train", "validation", "test")
STEMS = ("drums", "bass", "vocals", "guitar", "keys", "other")


@dataclass(frozen=True)
class AudioRef:
    """Where audio lies; `restem.dataset.sources.reading` turns it into samples.

    `path` is a file, or the first of several parts of a zip archive if `member` names a file in it.
    `stream` counts the audio streams of a container (.stem.mp4), `row` the rows of an int16 .npy
    array (row, sample) at 44.1 kHz. `start_s` and `seconds` cut a piece out.
    """

    path: str
    member: str | None = None
    stream: int | None = None
    row: int | None = None
    start_s: float = 0.0
    seconds: float | None = None

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.member or Path(self.path).name


@dataclass(frozen=True)
class Song:
    """One recording as a source offers it, without any audio yet.

    `stems` maps a stem's name to the parts that sum to it; the full mix of a song with stems is the
    sum of all. A song without stems has `mix`. `group` names what must not be split apart (two
    excerpts of one track share it). `facts` holds what the source knows: "caption", "tags",
    "genre", "bpm", and "labels" by stem (see `restem.dataset.sentences.Labels`).
    """

    source: str
    id: str
    split: str
    group: str
    mix: AudioRef | None = None
    stems: dict[str, tuple[AudioRef, ...]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"{self.id}: a split is one of {', '.join(SPLITS)}, not {self.split}")
        if (self.mix is None) == (not self.stems):
            raise ValueError(f"{self.id}: a song has either a mix or stems")

    @property
    def key(self) -> str:
        """A short name that is safe for files and the same on every run."""
        return hashlib.sha256(f"{self.source}/{self.id}".encode()).hexdigest()[:16]

    @property
    def references(self) -> list[AudioRef]:
        """All audio of the song."""
        return [*([self.mix] if self.mix else []), *(r for s in self.stems.values() for r in s)]


@dataclass(frozen=True)
class Clip:
    """One example: a stretch of a song with and without one stem, and what is said about it.

    The audio lies in FLAC files beside the record, mono int16: the mix and the context, whose
    difference is the stem, sample by sample. `gain_db` was applied to both so that nothing clips.
    `made_by` is "stems" or the separator's name, `caption_by` and `instruction_by` name who wrote
    the words ("template" where a model's answers broke the rules; `attempts` counts them). `leak`
    is how much of the stem is still heard in the context, in units of the leak meter, or None.
    """

    id: str
    source: str
    song: str
    group: str
    split: str
    stem: str
    index: int
    start_s: float
    made_by: str
    gain_db: float
    mix_sha256: str
    context_sha256: str
    mix_db: float
    stem_db: float
    clipped: int
    facts: dict[str, Any] = field(default_factory=dict)
    caption: str = ""
    caption_by: str = ""
    action: str = ""
    instruction: str = ""
    instruction_by: str = ""
    short_caption: str = ""
    attempts: int = 0
    leak: float | None = None
    dropped: str | None = None

    def files(self, folder: Path) -> tuple[Path, Path]:
        """Its mix and its context in `folder`, which holds the FLAC files of its song."""
        mix, context = (f"{self.stem}-{self.index:04d}.{kind}.flac" for kind in ("mix", "context"))
        return folder / mix, folder / context

    def but(self, **changes: Any) -> Clip:
        """The same clip with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Parcel:
    """What one stage made of one song: its clips, or the reason why there are none.

    `made_of` is the fingerprint of the stage's settings and input: as long as it is the same, the
    stage has nothing to do.
    """

    song: str
    source: str
    made_of: str
    clips: tuple[Clip, ...] = ()
    failed: str | None = None

    def to_json(self) -> str:
        """One line of JSON; equal parcels give equal text."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Parcel:
        """The parcel of `to_json`; ValueError or TypeError if the text is not one."""
        data = json.loads(text)
        data["clips"] = tuple(Clip(**clip) for clip in data["clips"])
        return cls(**data)

    @property
    def fingerprint(self) -> str:
        """Hash of all of it, for the next stage."""
        return fingerprint(self.to_json())


def fingerprint(*parts: object) -> str:
    """A short hash of the parts' text."""
    text = "\n".join(
        part if isinstance(part, str) else json.dumps(part, sort_keys=True, default=str)
        for part in parts
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def split_by_name(group: str, validation: float = 0.05, test: float = 0.05) -> str:
    """A split for a source that has none: the same for the same name, on every machine."""
    draw = int(hashlib.sha256(group.encode()).hexdigest()[:12], 16) / 16**12
    return "test" if draw < test else "validation" if draw < test + validation else "train"
