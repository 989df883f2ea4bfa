"""What a user asks to be played, apart from song and seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restem.errors import UserError
from restem.hearing import Removed
from restem.kits import Kit
from restem.manner import MOST, OVER_TIME, meant
from restem.region import Region

NAMES = {
    "drums": re.compile(
        r"drum|\bbeats?\b|percussion|\bkit\b|brush|cymbal|\b(hi-?)?hats?\b|snare|kick"
    ),
    "bass": re.compile(r"\bbass"),
    "guitar": re.compile(r"guitar|\bstrum"),
    "keys": re.compile(r"piano|\bkeys\b|keyboard|organ\b|rhodes|clavinet|synth"),
}
# One bass each; and what ends in a beat is of drums, but for "on the beat".
A_BASS = re.compile(r"\bbass (?:synth(?:esi[sz]er)?|keyboard|guitar)\b|\bdouble[- ]bass\b")
A_BEAT = re.compile(
    r"(?:^|(?<!\bon )\b(?:an?|some) )(?:(?!(?:on|in|at|to|off|back|down|each|every|per|an?|the|"
    r"one|two|three|four|eight)\b)[\w-]+ ){0,4}beats?\W*$"
)
# Of another stem's sentence: a chord "on every beat" is no wish for drums, "add a disco beat" is.
NAMES_OTHERS = NAMES | {
    "drums": re.compile(
        r"drum|percussion|\bkit\b|brush|cymbal|\b(hi-?)?hats?\b|snare|kick|"
        r"^\W*(?:please )?(?:add |give me |make |play |put in )?(?:an? |some )"
        r"(?:(?!(?:on|in|at|to|each|every|per|an?|the|two|three|four|eight)\b)[\w-]+ ){0,3}"
        r"beats?\b(?! of)"
    )
}
NEVER_MADE = re.compile(
    r"\b(trumpets?|trombones?|horns?|brass|sax\w*|violins?|cellos?|strings|flutes?|clarinets?|harps?|"
    r"accordions?|vocals?|voices?|singers?|singing|choirs?|banjos?|ukuleles?|mandolins?|marimbas?|"
    r"xylophones?|harmonicas?|celestas?|glockenspiels?|music[ -]box(?:es)?|mellotrons?|"
    r"harmoniums?)\b"
)
BASS_DRUM, BASS_GUITAR = re.compile(r"\bbass drums?\b|drum (and|&|n|'n'?) bass"), "bass guitar"
ALBERTI = "alberti bass"  # broken chords
# What a name follows that is not asked for, and what follows it.
_ALONG = re.compile(
    r"\b(?:follow|lock|doubl|support|complement|match|glu|answer)\w*(?: \w+){0,3} $|"
    r"\b(?:with|under|over|(?<!looking )(?<!asking )(?<!ask )for|behind|between|beneath|around|"
    r"against|beside|on top of|(?<!['’]d )(?<!would )(?<!i )like|my|"
    r"(?<!can )(?<!could )(?<!may )(?:i|we)(?: already)? have|"
    r"has|had|recorded|already|keep|leave|let|mute)(?: (?:the|an?|my|your|some|no))?"
    r"(?: (?!needs|lacks|wants|misses|is)[\w-]+(?:,(?= [\w-]+ and))?){0,2} (?:and (?:the )?)?$"
)
_PLAYS = re.compile(
    r"^\w*(?:['’]s)? (?:is|are|was|has|have|plays?|holds?|enters?|already|"
    r"players? (?:can|is|plays?|will))\b"
)
_ADDED_TO = re.compile(
    r"\bto (?:the|these|this|our|your) (?:(?!song|track|mix|tune|music)[\w-]+ )?(?:and (?:the )?)?$"
)
_PHRASE_END = re.compile(
    r"[,.;:!?&()]|\b(?:and|plus|or|with|on|in|to|that|which|who|playing|plays?|like)\b"
)
OF_A_GUITAR = re.compile(
    r"\b(?:nylon|steel|muted?|the|six|open|low|high) strings\b|\bsinging(?:,| lead| tone| solo)"
)
JOINED = re.compile(
    r"\b(?:and|plus|&) (?!(?:keep|follow|leave|let|lock|mute|support|double|turn|play along)\b).*"
)
LAST_NOUN = re.compile(
    r"\b(drums|bass|guitars?|piano|keys|keyboards?|organ)(?: (?:line|part|track))?$"
)
# "Bass and drums" wishes for both; a bass that only goes with what is said of the drums is none.
BOTH = re.compile(
    r"^(?:please )?(?:(?:add|give me|make|play|write|i (?:want|need)|i'd like) )?"
    r"(?:(?:a|an|some|the) )?"
    r"(?P<other>(?:[\w'-]+ ){0,2}?[\w-]+(?: (?:line|part|track))?),? (?:and|plus|&) "
    r"(?!(?:add|play|make|stay|keep|leave)\b)"
)
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
HAND_DRUMS = re.compile(
    r"\b(shakers?|congas?|bongos?|tambourines?|cowbells?|claves?|maracas?|tablas?|cajons?|djembes?|"
    r"timpani|hand ?claps?|claps?|toms?|ride cymbals?|cross-?sticks?|rim-? ?(shots?|clicks?))\b"
)
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
        own = NAMES[self.stem].search(words)
        if other := names_another(words, self.stem):
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
            return [f'"{changing[0][0]}" changes nothing: a stem is played alike throughout '
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
        never = [m for m in never if not own and not _is_of_the_song(m, words)]
        if found := next(iter(never), None):
            return [f"restem makes {', '.join(NAMES)}, no {found[0]}; this stem is {self.stem}."]
        return self._unheeded(words)

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
            asked = [m for m in meant(pattern, words) if not _is_of_the_song(m, words)]
            if asked:
                return [f'"{asked[0][0]}" may not be heeded: {why}']
        return []


def named_last(words: str) -> str | None:
    """The stem at the end of words in lower case, as in "a jazz piano"; that of styles such as
    synth-pop is none."""
    words = BASS_DRUM.sub("drum", words).replace(ALBERTI, "alberti").strip(" .!")
    noun = LAST_NOUN.search(words.replace(BASS_GUITAR, "bass"))
    return next((s for s, names in NAMES.items() if noun and names.search(noun[0])), None)


def asked_stem(instruction: str) -> str:
    """The stem that a sentence asks for: drums where it names them beside another or names none,
    else the one it names first; of such as "synth-pop bass" the last."""
    words = BASS_DRUM.sub("drum", instruction.lower()).replace(ALBERTI, "alberti")
    words = A_BASS.sub("bass", words)
    if meant(A_BEAT, words):
        return "drums"
    named = sorted(
        (found.start(), stem)
        for stem, names in NAMES_OTHERS.items()
        for found in meant(names, words)
        if not (_is_of_the_song(found, words) or _ADDED_TO.search(words[: found.start()]))
    )
    stems = [stem for _, stem in named]
    if not stems or "drums" in stems:
        return "drums"
    end = _PHRASE_END.search(words, named[0][0])
    return [stem for start, stem in named if not end or start < end.start()][-1]


def names_another(words: str, stem: str) -> str | None:
    """The first other stem that words in lower case ask for, besides or in place of this one."""
    spans = _beside(words, NAMES[stem]) if NAMES[stem].search(words) else [(0, len(words))]
    for other, names in NAMES_OTHERS.items():
        found = meant(names, words) if other != stem else []
        asked = [m for m in found if any(a <= m.start() < b for a, b in spans)]
        if any(not _is_of_the_song(m, words) for m in asked):
            return other
    return None


def _is_of_the_song(found: re.Match[str], words: str) -> bool:
    """Whether what a sentence names is what the song has, to be played along with."""
    before, after = words[: found.start()], words[found.end() :]
    return bool(_ALONG.search(before) or _PLAYS.search(after))


def _beside(words: str, own: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where words are joined to a sentence's own stem by "and"; "a synth bass" names no keys."""
    spans = [m.span() for m in JOINED.finditer(words)]
    both = BOTH.search(words)
    if both and LAST_NOUN.search(both["other"]) and not own.search(both["other"]):
        spans.append(both.span("other"))
    return spans
