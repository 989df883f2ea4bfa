"""What songs to render and of what, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restem.errors import UserError

PLAN = "plan.txt"  # in the folder of the songs


@dataclass(frozen=True)
class RenderPlan:
    """Where the material lies and how much to make of it."""

    mma_library: Path
    soundfonts: tuple[Path, ...]
    out: Path
    songs: int
    seed: int = 0
    seconds: float = 18.0
    takes: int = 4
    split: str | None = None  # make songs of one split only, as for a test set
    leadsheets: Path | None = None
    groove_midi: Path | None = None
    hydrogen: Path | None = None
    drumkits: Path | None = None  # sampled kits beside those of the SoundFonts

    @property
    def same(self) -> str:
        """What all songs of a folder have in common, beside the material."""
        split = self.split or "any"
        return f"seed {self.seed}, {self.seconds:g} s, takes {self.takes}, split {split}"


def check_plan(plan: RenderPlan) -> None:
    """UserError for what is not there, and for a folder that holds songs of another plan."""
    if min(plan.songs, plan.takes) < 1 or plan.seconds < 1:
        raise UserError("Songs, takes and seconds must be at least 1.")
    for path in plan.soundfonts:
        if not path.is_file():
            raise UserError(f"No SoundFont at {path}.")
        with path.open("rb") as file:
            if file.read(12)[8:] != b"sfbk":
                raise UserError(f"{path} is no SoundFont (sf2); name one.")
    folders = (plan.mma_library, plan.leadsheets, plan.groove_midi, plan.hydrogen, plan.drumkits)
    for folder in folders:
        if folder is not None and not folder.is_dir():
            raise UserError(f"There is no folder {folder}.")
    kept = plan.out / PLAN
    if kept.exists() and kept.read_text() != plan.same:
        raise UserError(
            f"{plan.out} holds songs of another plan ({kept.read_text()}); name another "
            "folder with -o."
        )
