"""What a user may ask of a part of notes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from restem.errors import UserError

DENSITIES = {"sparse": 0, "medium": 1, "busy": 2}
STEP_OCTAVES = 0.5  # of density, in numbers of notes


@dataclass(frozen=True)
class Wishes:
    """What a user may ask of a part.

    `style`: words such as "bossa nova", or "" for none. `density`: "sparse", "medium" or "busy", as
    a fifth, the middle and four fifths of the songs trained on stand to one another; or onsets a
    quarter note in a song like the middle one. None and "medium" leave it to the song.
    `temperature`: below 1 keeps nearer to the likeliest cells. `guidance`: above 1 exaggerates what
    context and style suggest, which each step then asks of the network twice. `fullness`: so many
    times the notes that there would be else. `second_look`: where the rhythm of some bars becomes
    that of others, all pitches of the window are painted anew, knowing it.
    """

    style: str = ""
    density: str | float | None = None
    temperature: float = 1.0
    guidance: float = 2.0
    steps: int = 32
    seed: int = 0
    fullness: float = 1.0
    second_look: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.density, str) and self.density not in DENSITIES:
            raise UserError(f"The density is {', '.join(DENSITIES)}, not {self.density!r}.")
        if not 0.05 <= self.temperature <= 20:
            raise UserError("The temperature must lie between 0.05 and 20; 1 is usual.")
        if not 0 <= self.guidance <= 20:
            raise UserError("The guidance must lie between 0 and 20; 2 is usual.")

    def fuller(self, steps: float) -> Wishes:
        """The same with more notes by so many steps of density, or with fewer."""
        return replace(self, fullness=self.fullness * 2 ** (STEP_OCTAVES * steps))
