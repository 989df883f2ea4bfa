"""What a user asks to be played, apart from song and seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restem.errors import UserError
from restem.hearing import Removed
from restem.kits import Kit
from restem.manner import MOST, OVER_TIME, dynamics_of_words, meant
from restem.naming import (
    ALBERTI,
    BASS_DRUM,
    BASS_GUITAR,
    HAND_DRUMS,
    NAMES,
    NEVER_MADE,
    OF_A_GUITAR,
    is_of_the_song,
    names_another,
    wish_upon,
)
from restem.region import Region

# What a drummer may be told, and this model cannot.
_DRUM = r"(?:hi-?hats?|hats?|cymbals?|rides?|snares?|kicks?(?!-)|toms?)"
ONE_DRUM = re.compile(
    r"\b(?:(?:no|without|only|just)\b(?: \w+)?|(?:leave out|skip|just add|only want)(?: an?| the)?|"
    r"(?:don['’]?t|do not|never) (?:use|play|hit)(?: the| any)?) "
    rf"{_DRUM}\b|\b{_DRUM} only\b"
)
# Nor where or how one of them strikes.
DRUM_STROKES = re.compile(
    rf"\b(?:{_DRUM}|crash(?:es)?)(?: (?:hits?|cymbals?|drums?))? (?:only )?on "
    r"(?:the |each |every |all )?(?:beats? )?(?:one|two|three|four|[1-4]|and|"
    rf"(?:down-?|back-?|off-?)?beats?)\b|\b(?:open|closed|half-open|rolling|skittering) {_DRUM}\b|"
    r"\bghost(?:ed)?[- ](?:notes?|snares?|strokes?)(?: on the snare)?\b|"
    rf"\b{_DRUM} rolls?\b|\bdouble[- ]kicks?\b|"
    r"\bfour[- ](?:on|to)[- ]the[- ]floor\b"
)
# What no part of notes is told: tones that stay while the chords change, and to stand out.
PEDAL = re.compile(r"\bpedal (?:tones?|points?|notes?|bass)\b|\bdron(?:e|es|ing)\b")
SOLO = re.compile(
    r"\bsolo(?:s|ing)?\b(?! (?:[\w-]+ )?(?:guitar|piano|keys|organ|bass|drums|section|artist)\b)"
)
HIGH_BASS = re.compile(
    r"\bhigh(?:er)? (?:register|range|notes)\b|\b(?:high|higher|far) up the neck\b|"
    r"\b(?:an? |one )?octave (?:higher|up)\b"
)
# Nor that the beats shall be counted otherwise.
COUNTED = re.compile(r"\b(half|double)[- ]?time\b")
# Nor does a sentence say when: the song's form is not known.
_NUMBER = r"(?:\d+|one|two|three|four|eight|sixteen|a few|some)"
_FORM = (
    r"(?:chorus(?:es)?|verses?|intro|outro|breakdown|refrain)\b(?!-| (?:effect|pedal|reverb|tone))"
)
WHEN = re.compile(
    r"\b(?:at|in|on|for|during|from|until|till|after|before|only|louder|quieter|softer|busier|"
    rf"bigger) (?:the |each |every |a )?(?:(?:first|second|third|last|final) )?{_FORM}|"
    rf"\b(?:after|until|till|wait(?: for)?|for the first|in the last) {_NUMBER} "
    rf"(?:seconds?|secs?|s|bars?|measures?|minutes?)\b|"
    r"\b(?:in|during) the bridge\b|\bskip the (?:intro|verse|chorus|bridge)\b|"
    r"(?<!\d )\b(?:bars?|measures?|minutes?|seconds?) \d+\b(?!/)|"
    r"\b(?:comes?|coming|enters?|starts?|begins?) (?:in )?later\b"
)
# What is the song's, and not the sentence's.
TEMPO = re.compile(r"\b\d{2,3} ?(?:bpm|beats per minute)\b|\btempo (?:of )?\d{2,3}\b")
METRE = re.compile(r"\b(5|7|9|10|11|13)/(4|8|16)\b")
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
        """A sentence for the user where the instruction names what is not going to be made."""
        words = BASS_DRUM.sub("drum", self.instruction.lower())
        words = words.replace(BASS_GUITAR, "guitar" if self.stem == "guitar" else "bass")
        words = words.replace(ALBERTI, "alberti")
        wish = wish_upon(words)
        own = NAMES[self.stem].search(wish)
        if other := names_another(wish, self.stem):
            return [f"The sentence names {other}, but this stem is {self.stem}: choose {other} "
                    "as the stem (--stem) for that."]  # fmt: skip
        if self.stem == "drums" and (found := ONE_DRUM.search(words) or HAND_DRUMS.search(words)):
            return [f'"{found[0]}" may not be heeded: single drums cannot be chosen or left out.']
        if self.stem == "drums" and (counted := meant(COUNTED, words)):
            return [f'"{counted[0][0]}" may not be heeded: the drums keep the song\'s beats ('
                    "--half and --double count them otherwise)."]  # fmt: skip
        if found := WHEN.search(words):
            return [f'"{found[0]}" changes nothing: the stem plays wherever the song does '
                    "(--region makes it in one place)."]  # fmt: skip
        if changing := meant(OVER_TIME, words):
            return [f'"{changing[0][0]}" changes nothing: the stem follows the song\'s own level '
                    "(--dynamics and --density with --region say it place by place)."]  # fmt: skip
        if found := TEMPO.search(words):
            return [f'"{found[0]}" changes nothing: the tempo is the song\'s (--bpm, --half and '
                    "--double correct what is heard)."]  # fmt: skip
        if found := METRE.search(words):
            return [
                f'"{found[0]}" changes nothing: the metre is the song\'s (--beats corrects it).'
            ]
        if re.search(rf"^\W*(please )?(no|without)( any)? {self.stem}\W*(please)?\W*$", words):
            return [f"The sentence asks for no {self.stem}, and makes some all the same."]
        strung = self.stem == "guitar" and OF_A_GUITAR.search(words)
        never = [] if strung else list(NEVER_MADE.finditer(words))
        never = [m for m in never if not own and not is_of_the_song(m, words)]
        if found := next(iter(never), None):
            return [f"restem makes {', '.join(NAMES)}, no {found[0]}; this stem is {self.stem}."]
        return self._unheeded(wish)

    def _unheeded(self, words: str) -> list[str]:
        """The notice of what no words of the sentence can tell this stem's model."""
        rows = [(SOLO, "a stem accompanies the song, and has no solo part.")]
        if self.stem == "drums":
            rows.append((DRUM_STROKES, "where and how single drums strike cannot be chosen."))
        else:
            rows.append((PEDAL, "the notes follow the song's chords."))
        if self.stem == "bass":
            rows.append((HIGH_BASS, "a bass stays low."))
        for pattern, why in rows:
            asked = [m for m in meant(pattern, words) if not is_of_the_song(m, words)]
            if asked:
                return [f'"{asked[0][0]}" may not be heeded: {why}']
        return []
