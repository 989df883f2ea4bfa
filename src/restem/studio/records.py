"""What the studio knows about songs and jobs: the same records in memory, on disk and outside."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from restem.region import SHORTEST_SECONDS

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22}$")]
Control = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
MOST_TAKES = 9


def new_id() -> str:
    """128 random bits in 22 letters: an id that cannot be guessed and that is a safe file name."""
    return secrets.token_urlsafe(16)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Limits(BaseModel):
    """What the studio accepts; sizes in bytes, times in seconds."""

    upload_bytes: int = 300 << 20
    song_seconds: float = 15 * 60
    prepare_seconds: float = 180.0
    worker_bytes: int = 10 << 30  # address space, of which ONNX and BLAS reserve much unused
    disk_bytes: int = 10 << 30
    waiting_jobs: int = 100
    waiting_songs: int = 200
    records: int = 2000


class Grid(BaseModel):
    """A beat grid: `times` in seconds, `positions` in the bar with 1 for a downbeat."""

    times: list[float]
    positions: list[int]
    beats_per_bar: int
    bpm: float
    confidence: float


class Correction(_Strict):
    """How the beats that were heard are corrected; a `bpm` takes the place of their tempo."""

    doublings: Annotated[int, Field(ge=-2, le=2)] = 0  # of the tempo; negative: halvings
    shift: Annotated[float, Field(ge=-64, le=64, allow_inf_nan=False)] = 0.0
    bpm: Annotated[float, Field(ge=20, le=400, allow_inf_nan=False)] | None = None
    first_downbeat: Seconds | None = None
    beats_per_bar: Annotated[int, Field(ge=1, le=16)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Correction:
        if self.bpm is None and (self.first_downbeat is not None or self.beats_per_bar):
            raise ValueError("give a bpm with first_downbeat and beats_per_bar")
        return self


class Part(BaseModel):
    """A track of a MIDI song; `number` counts the file's tracks from 1, `channel` from 0."""

    number: int
    name: str
    kind: Literal["drums", "bass", "guitar", "other"]
    channel: int
    program: int | None
    notes: int


class Song(BaseModel):
    """An uploaded song. `tracked` is the grid that was heard, `grid` the one in use.

    A song of `kind` "notes" (MIDI, Guitar Pro) has `tracks` instead of samples; `missing` are the
    stems that it lacks.
    """

    id: Identifier
    name: str
    suffix: str = ""
    kind: Literal["audio", "notes"] = "audio"
    state: Literal["preparing", "ready", "failed"] = "preparing"
    error: str | None = None
    notices: list[str] = Field(default_factory=list)
    created: float
    bytes: int = 0
    sha256: str = ""
    seconds: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    samples: int = 0
    container: str = ""
    subtype: str = ""
    tracks: list[Part] = Field(default_factory=list)
    missing: list[str] = Field(default_factory=list)
    tracked: Grid | None = None
    grid: Grid | None = None
    correction: Correction = Field(default_factory=Correction)


class Region(_Strict):
    """From `start` to `end`, in seconds of the song."""

    start: Seconds
    end: Seconds

    @model_validator(mode="after")
    def _rises(self) -> Region:
        if self.is_too_late(self.end):
            raise ValueError("a region lasts 0.1 s or more")
        return self

    def is_too_late(self, seconds: float) -> bool:
        """Whether too little of it lies within the first `seconds`."""
        return min(self.end, seconds) - self.start < SHORTEST_SECONDS


class Base(_Strict):
    """An earlier take, counted from 1, that goes on outside the region."""

    job: Identifier
    take: Annotated[int, Field(ge=1, le=MOST_TAKES)]


class JobRequest(_Strict):
    """What to make: `takes` versions, with the seeds `seed`, `seed` + 1, ...

    Audio has `density`, `dynamics` (-2 to 2; left out, the sentence decides) and `tight` (0 to 1)
    as of `restem insert`. A MIDI song gets drums, bass or guitar, in the bars that the region
    covers; its `instruction` is a style such as "bossa nova", its density a word.
    """

    song: Identifier
    instruction: Annotated[str, Field(max_length=1000)]
    stem: Literal["drums", "bass", "guitar", "keys"] = "drums"
    seed: Annotated[int, Field(ge=0, le=2**53 - 16)] = 0  # what JavaScript's numbers hold exactly
    takes: Annotated[int, Field(ge=1, le=MOST_TAKES)] = 1
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance: Annotated[float, Field(ge=0, le=16, allow_inf_nan=False)] | None = None
    density: Control | Literal["sparse", "medium", "busy"] | None = None
    dynamics: Control | None = None
    tight: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    region: Region | None = None
    base: Base | None = None

    @model_validator(mode="after")
    def _whole(self) -> JobRequest:
        if not self.instruction.strip():
            raise ValueError("say in `instruction` what to play, such as 'Add jazzy drums'")
        if self.base and not self.region:
            raise ValueError("a base take needs a region to be filled")
        return self


class Take(BaseModel):
    """One finished version; its files are named by the job's id and `number`, from 1."""

    number: int
    seed: int
    notices: list[str]
    stem_level_db: float | None = None
    subtype: str = ""
    bpm: float | None = None
    notes: int | None = None


class Job(BaseModel):
    """A request, how far it is, and what it made. `grid` is the song's at the time of asking."""

    id: Identifier
    request: JobRequest
    state: Literal["queued", "running", "done", "failed", "cancelled"] = "queued"
    error: str | None = None
    created: float
    finished: float | None = None
    starts: int = 0
    fraction: float = 0.0
    words: str = "waiting"
    seconds_left: float | None = None
    takes: list[Take] = Field(default_factory=list)
    grid: Grid | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "cancelled")
