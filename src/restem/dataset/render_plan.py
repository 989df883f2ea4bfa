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
        """What all songs of a folder have in common; the material by its names."""
        split = self.split or "any"
        folders = {
            "mma": self.mma_library,
            "lead sheets": self.leadsheets,
            "grooves": self.groove_midi,
            "hydrogen": self.hydrogen,
            "drum kits": self.drumkits,
        }
        named = [f"{name} {path.resolve().name}" for name, path in folders.items() if path]
        fonts = [f"{path.name} ({path.stat().st_size} bytes)" for path in self.soundfonts]
        numbers = f"seed {self.seed}, {self.seconds:g} s, takes {self.takes}, split {split}"
        return "\n".join([numbers, ", ".join(named), ", ".join(fonts)])


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
    path = plan.out / PLAN
    kept = path.read_text().splitlines() if path.exists() else []
    # Before 0.16.0 the numbers alone were written down.
    if kept != plan.same.splitlines()[: len(kept)]:
        raise UserError(
            f"{plan.out} holds songs of another plan ({'; '.join(kept)}); name another folder "
            "with -o."
        )
