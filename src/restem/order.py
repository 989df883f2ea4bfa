"""What a user asks to be played, apart from song and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restem.errors import UserError
from restem.hearing import Removed
from restem.kits import Kit
from restem.manner import MOST, dynamics_of_words
from restem.notices import notices_of
from restem.region import Region

MOST_GUIDANCE, MOST_STEPS = 16.0, 1000
DYNAMICS_DB = 5.0  # a step of them


@dataclass(frozen=True)
class Order:
    """What is asked for, apart from song and seed; None leaves a choice to the model.

    `region` is start and end in seconds; elsewhere the stem is exactly silent. `density` (few or
    many notes) and `dynamics` (quiet or loud playing) go from -2 over 0, the usual, to 2; where
    they are None the sentence decides. `tight`, 0 to 1, is how far attacks are pulled to the beats'
    sixteenths or triplets. `like` is a kit to sound like, as of `restem.kits.kit_of`. `replaced` is
    what was taken out of the song: the new stem is as loud, and plays where it did.
    """

    instruction: str
    stem: str = "drums"
    steps: int | None = None
    guidance: float | None = None
    region: Region | None = None
    density: float | None = None
    dynamics: float | None = None
    tight: float = 0.0
    like: Kit | None = None
    replaced: Removed | None = None

    @property
    def harder(self) -> float:
        """The steps of dynamics that are asked for, by number or by words."""
        return dynamics_of_words(self.instruction) if self.dynamics is None else self.dynamics

    def check(self, stems: Sequence[str]) -> None:
        """UserError if a model that makes these `stems` cannot meet the order."""
        if not isinstance(self.instruction, str) or not self.instruction.strip():
            raise UserError(
                "The instruction is empty; write what to play, such as 'Add jazzy drums'."
            )
        if not stems:
            raise UserError(
                "This model makes whole mixes and no stem alone; choose one that was trained with "
                "--target stem, or that of the package."
            )
        if self.stem not in stems:
            raise UserError(
                f"This model makes {', '.join(stems)}, not {self.stem}; load one that does, in "
                f"Python with Inserter.load(stem={self.stem!r})."
            )
        if not all(abs(x) <= MOST for x in (self.density, self.dynamics) if x is not None):
            raise UserError(f"Density and dynamics lie between -{MOST:g} and {MOST:g}.")
        if not 0 <= self.tight <= 1:
            raise UserError("Tight lies between 0 and 1.")
        if self.steps is not None and not 1 <= self.steps <= MOST_STEPS:
            raise UserError(f"Steps are a number from 1 to {MOST_STEPS}.")
        if self.guidance is not None and not 0 <= self.guidance <= MOST_GUIDANCE:
            raise UserError(f"Guidance lies between 0 and {MOST_GUIDANCE:g}.")

    def settings(self, usual: Mapping[str, Any]) -> dict[str, Any]:
        """All of it but the kit, JSON-ready; steps and guidance left open are as `usual`."""
        said: dict[str, Any] = {
            "instruction": self.instruction,
            "stem": self.stem,
            "steps": self.steps or usual["steps"],
            "guidance": usual["guidance"] if self.guidance is None else self.guidance,
        }
        if self.region:
            said["region"] = list(self.region)
        asked = {"density": self.density, "dynamics": self.dynamics}
        said |= {name: value for name, value in asked.items() if value is not None}
        return said | ({"tight": self.tight} if self.tight else {})

    def doubts(self) -> list[str]:
        """Sentences for the user where the instruction names what is not going to be made."""
        return notices_of(self.instruction, self.stem)
