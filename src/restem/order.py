"""What a user asks to be played, apart from song and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from restem.errors import UserError
from restem.kits import Kit
from restem.manner import MOST
from restem.region import Region


@dataclass(frozen=True)
class Order:
    """What is asked for, apart from song and seed; None leaves a choice to the model.

    `region` is start and end in seconds; elsewhere the stem is exactly silent. `density` (few or
    many notes) and `dynamics` (quiet or loud playing) go from -2 to 2; 0 is what the sentence says.
    `tight`, 0 to 1, is how far attacks are pulled to the beats' sixteenths or triplets. `like` is a
    kit to sound like, as of `restem.kits.kit_of`.
    """

    instruction: str
    stem: str = "drums"
    steps: int | None = None
    guidance: float | None = None
    region: Region | None = None
    density: float = 0.0
    dynamics: float = 0.0
    tight: float = 0.0
    like: Kit | None = None

    def check(self, stems: Sequence[str]) -> None:
        """UserError if a model that makes these `stems` cannot meet the order."""
        if not self.instruction.strip():
            raise UserError(
                "The instruction is empty; write what to play, such as 'Add jazzy drums'."
            )
        if self.stem not in stems:
            raise UserError(f"This model makes {', '.join(stems)}, not {self.stem}.")
        if not (abs(self.density) <= MOST and abs(self.dynamics) <= MOST):
            raise UserError(f"Density and dynamics lie between -{MOST:g} and {MOST:g}.")
        if not 0 <= self.tight <= 1:
            raise UserError("Tight lies between 0 and 1.")
