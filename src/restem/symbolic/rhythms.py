"""Words that name a rhythm in; the steps at which a part strikes, and how long its notes are, out.

A network hears in a sentence which style is meant. How long the notes shall be it was never told,
and what the words say plainly is done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from restem.audio.beats import MOST_IN_A_BAR
from restem.manner import meant
from restem.naming import NAMES, NAMES_OTHERS
from restem.symbolic.chugs import is_chugged
from restem.symbolic.rolls import STEPS_PER_QUARTER

A_BEAT, HALF_A_BAR, A_BAR = 0, -2, -1  # in place of steps between strokes
_IN_A_BAR = (
    r"(?:notes? |chords? |strokes? |strums? |beats? |times )?"
    r"(?:to the|in a|in each|to a|a|an|per|each|every) bar\b"
)
_NOTE_VALUES = (
    (
        STEPS_PER_QUARTER // 4,
        r"\b(sixteenths|16ths|(sixteenth|16th|1/16)[ -]notes?|semiquavers?|straight 16s)\b",
    ),
    (
        STEPS_PER_QUARTER // 2,
        rf"\b(eighths|8ths|(eighth|8th|1/8)[ -]notes?|quavers?|straight 8s)\b|\beight {_IN_A_BAR}",
    ),
    (
        STEPS_PER_QUARTER,
        r"\b(?<!three )(?<!close )quarters\b(?! of)|\b(quarter|4th|1/4)[ -]notes?\b|"
        r"\bcrotchets?\b",
    ),
    (2 * STEPS_PER_QUARTER, r"\b(half|1/2)[ -]notes?\b|\bminims?\b"),
    (A_BEAT, rf"\b(every|each) beat\b|\bfour {_IN_A_BAR}"),
    (HALF_A_BAR, rf"\btwo {_IN_A_BAR}"),
    (
        A_BAR,
        r"\bwhole[ -]notes?\b|\bsemibreves?\b|\bonce (a|per) bar\b|"
        rf"\b(one|a single) {_IN_A_BAR}|\ba (note |chord )?(per|in each|each|every) bar\b|"
        r"\b(long|held|sustained)( \w+)? (notes?|chords?|tones?)\b|"
        r"\bsustained (bass|organ|synth|piano|keys)\b|"
        r"\b(hold|sustain)s? (the|each|every|all) (\w+ )?(notes?|chords?)\b(?! (short|back))|"
        r"\blet (the|each|every|all) (\w+ )?(notes?|chords?) (ring|sustain|last)\b",
    ),
)
_PAD = re.compile(r"\bdrones?\b|\bpads?\b")  # long notes, unless others are named
_WALKING = re.compile(r"\bwalking\b(?! (pace|tempo|speed|on|in|along|through))")
CLAUSE = re.compile(
    r"[,.;:!?()]| (?:and|but|while|with|under|over|for|behind|beneath|above|against|following|"
    r"follows?|supports?|supporting|so(?! (?:very )?(?:many|much|busy|busily|dense|densely)\b)|"
    r"to go with|to sit|on top of) "
)
# Another that a clause is about, and what there is: what those play is not asked for.
_OF_OTHERS = re.compile(
    r"^\W*(?:the|my|our|this|an?) (?:[\w-]+ )?"
    r"(?:melody|song|track|tune|mix|singer|vocal|voice|string|trumpet|horn|banjo|flute|violin)s? "
    r"(?:\w+ )?(?:is|are|has|have|plays?|holds?|enters?)\b"
)
HAS = re.compile(
    r"^\W*(?:there (?:is|are|['’]s)|i (?:already )?have|"
    r"(?:(?:the|my|our|this) )?(?:\w+ )?(?:song|track|mix|tune) (?:already )?(?:has|is|plays)) "
)
_OTHERWISE = re.compile(
    r"dotted|triplet|off-?[ -]?beat|syncopat|swung|delay|echo|tremolo|ghost|"
    r"(?<!no )(?<!without )\bfills?\b"
)

_ANY_OFF = r"off-?[ -]?beats?"
_OFF_BEAT = re.compile(
    rf"\b(?:on|hits?|hitting|plays?|playing|chops? on|only) (?:only )?(?:all |each |every )?"
    rf"(?:the )?{_ANY_OFF}\b|"
    rf"\b{_ANY_OFF} (?:\w+ )?"
    r"(?:chords?|chops?|stabs?|strums?|notes?|eighths?|guitars?|organ|piano|bass)\b"
)
OFF_BEATS = tuple(beat + 0.5 for beat in range(MOST_IN_A_BAR))
_STYLES = r"(?:organ|hammond|reggae|dub|ska|roots|rock-?[ -]?steady)"
# Of a reggae organ; no bubblegum, no bubbly arpeggios.
BUBBLE = (
    r"\bbubbles?\b(?![ -]?(?:gum|wrap))|"
    rf"\b{_STYLES} (?:[\w-]+ ){{0,2}}bubbling\b|\bbubbling (?:[\w-]+ ){{0,2}}{_STYLES}\b"
)
_SKANK = re.compile(rf"\bskank|{BUBBLE}")
_COUNT = {"one": 0, "two": 1, "three": 2, "four": 3, "five": 4, "six": 5, "seven": 6, "eight": 7}
_NUMBER = rf"(?:{'|'.join(_COUNT)}|1[0-6]|[1-9])"
# "Beats one and three" is not two clauses, nor "on beat 2 and on beat 4".
_LISTED = re.compile(
    rf"\b({_NUMBER})(?:,? (?:and|&) |, )(?:on )?(?:the )?(?:beats? )?"
    rf"(?={_NUMBER}\b(?! (?:notes?|chords?)))"
)
_ON_BEATS = re.compile(
    rf"\bbeats? ({_NUMBER}(?:\+{_NUMBER})*)\b(?![-–])|"
    r"\bon (?:the )?((?:one\+three|two\+four|1\+3|2\+4))\b(?!-| (?:notes?|chords?|bars?|beats?))"
)
_DOWN = re.compile(
    r"\b(?:notes?|chords?|hits?|strokes?|stabs?|only|just)(?: \w+)? on (?:the |each |every )?"
    r"(?:down-?[ -]?beats?|first beat)\b"
)
_BACK = re.compile(r"\bon (?:the |each |every )?back-?[ -]?beats?\b")
# What is said of a beat beside that the part strikes there alone.
_BESIDES = re.compile(
    r"accent|emphas|stress|strong|start|begin|heav(?:y|ier|ily) on|lock|push|anticipat|approach|"
    r"between|except|\brests?\b|\bskip|\bleav|\bdrop|omit|without|\bno\b|empty|silent|until|before|"
    r"after|\blead|\bfill"
)


@dataclass(frozen=True)
class Rhythm:
    """What words say of a rhythm: `value` steps from stroke to stroke, or how long notes are where
    `beats` of each bar, from 0, say when to strike; None and () where they say nothing."""

    value: int | None = None
    beats: tuple[float, ...] = ()
    walking: bool = False

    @property
    def is_long(self) -> bool:
        """Whether notes last for half a bar or a bar."""
        return self.value in (HALF_A_BAR, A_BAR, 2 * STEPS_PER_QUARTER)


def names_others(clause: str, stem: str) -> bool:
    """Whether a clause in lower case names another stem and not this one."""
    others = any(names.search(clause) for other, names in NAMES_OTHERS.items() if other != stem)
    others |= bool(stem != "keys" and _PAD.search(clause))
    return others and not NAMES[stem].search(clause)


def clauses_for(words: str, stem: str) -> Iterator[str]:
    """The clauses of words in lower case that say what this stem shall play."""
    for clause in CLAUSE.split(words):
        described = _OF_OTHERS.search(clause) or HAS.search(clause)
        if not names_others(clause, stem) and (not described or NAMES[stem].search(clause)):
            yield clause


def own_words(words: str, stem: str) -> str:
    """The same as one text; all words in lower case where no clause is left, as of "soft pad"."""
    return ", ".join(clauses_for(words.lower(), stem)) or words.lower()


def rhythm_of(words: str, stem: str) -> Rhythm:
    """The first rhythm that words name for this stem; none for drums."""
    listed = re.sub(r"\b(beats? \d)/(\d)", r"\1+\2", words.lower())
    listed = _LISTED.sub(r"\1+", listed)
    first = Rhythm()
    for clause in clauses_for(listed, stem) if stem != "drums" else ():
        if stem == "bass" and first == Rhythm() and meant(_WALKING, clause):
            return Rhythm(A_BEAT, walking=True)
        beats = _beats(clause, stem)
        found = [
            (match[0].start(), value)
            for value, pattern in _NOTE_VALUES
            if not _OTHERWISE.search(clause) and (match := meant(re.compile(pattern), clause))
        ]
        own = stem == "keys" or NAMES[stem].search(clause)
        if not found and own and meant(_PAD, clause):
            found = [(0, A_BAR)]
        rhythm = Rhythm(min(found)[1] if found else None, beats)
        if rhythm.value is not None and not rhythm.is_long and first == Rhythm():
            return Rhythm(rhythm.value)  # "eighth notes ... on beat two" are eighth notes
        first = first if first != Rhythm() else rhythm
        if first.beats and _ON_BEATS.search(clause):  # "the root on beat one, the fifth on three"
            first = replace(first, beats=tuple(sorted({*first.beats, *beats})))
    if stem == "guitar" and first == Rhythm():
        guitar = own_words(words, stem)
        if is_chugged(guitar) and not _OTHERWISE.search(guitar):
            return Rhythm(STEPS_PER_QUARTER // 2)
    return first


def _beats(clause: str, stem: str) -> tuple[float, ...]:
    """The beats of a bar, from 0, that a clause says to strike at, and at no others."""
    if _BESIDES.search(clause):
        return ()
    if meant(_OFF_BEAT, clause) or (stem != "bass" and meant(_SKANK, clause)):
        return OFF_BEATS
    if listed := meant(_ON_BEATS, clause):
        said = next(group for group in listed[0].groups() if group)
        numbers = (_COUNT[n] if n in _COUNT else int(n) - 1 for n in said.split("+"))
        return tuple(sorted(set(numbers)))
    return (0,) if meant(_DOWN, clause) else (1, 3) if meant(_BACK, clause) else ()


def steps_to_strike(bars: np.ndarray, rhythm: Rhythm) -> np.ndarray | None:
    """Whether each step (step,) of bars (bar, 4) is struck; None where the words do not say."""
    if rhythm == Rhythm():
        return None
    struck = np.zeros(int(bars[-1, 0] + bars[-1, 1]), bool)
    for index, (start, length, above, below) in enumerate(bars.tolist()):
        if rhythm.beats:
            # A short first bar is an upbeat, and its beats are the last of a whole one.
            missing = max(int(bars[1, 1]) - length, 0) if index == 0 and len(bars) > 1 else 0
            beat = _beat(above, below)
            if (
                rhythm.beats != OFF_BEATS and max(rhythm.beats) * beat >= length + missing
            ):  # "one and four" of six eighths
                beat = min(beat, STEPS_PER_QUARTER * 4 // below)
            steps = np.array([int(b * beat) - missing for b in rhythm.beats])
            struck[start + steps[(steps >= 0) & (steps < length)]] = True
        elif rhythm.value is not None:
            struck[start : start + length : _apart(rhythm.value, length, above, below)] = True
    return struck if struck.any() else None


def _beat(above: int, below: int) -> int:
    """Steps of a beat in a metre such as 6 above 8."""
    compound = below == 8 and above > 3 and above % 3 == 0
    return STEPS_PER_QUARTER * 3 // 2 if compound else STEPS_PER_QUARTER


def _apart(value: int, length: int, above: int, below: int) -> int:
    """Steps between strokes in a bar of so many steps."""
    if value == A_BEAT:
        return _beat(above, below)
    return length if value == A_BAR else max(length // 2, 1) if value == HALF_A_BAR else value
