"""A sentence in, the metre that it says the song is in out."""

from __future__ import annotations

import re

from restem.manner import meant
from restem.notices import WHEN

# Those that a sentence sets; to tell 12/8 from triplets in 4/4 takes an option.
_BEATS = {"2/4": 2, "3/4": 3, "4/4": 4, "6/8": 2}
_METRE = r"(?<![\d/])(?:[234]/4|6/8|9/8|12/8)(?![\d/])"
# "3/4 of the way", "3/4 as loud", "snare on 2/4": a share, or the beats of a bar.
_SHARE = (
    r"(?! ?(?:of|the|as|through|into|speed|tempo|notes?|seconds?|bars|length|size|volume|full)\b)"
)
_PLACE = r"(?<!\bon )(?<!\bon the )(?<!\bbeats )(?<!\bbeat )(?<!\bbars )(?<!\bbar )(?<!\bat )"
NAMED = re.compile(rf"{_PLACE}{_METRE}{_SHARE}")
# Said so plainly that the song is counted by it.
PLAIN = re.compile(
    rf"\b(?:in|is) (?:an? )?(?:(?!(?:bars?|beats?|measures?|takes?|at|after|by|for|around|about)\b)"
    rf"[\w-]+ )?{_METRE}{_SHARE}|"
    rf"{_PLACE}{_METRE} (?:[\w-]+ )?(?:time|met(?:re|er)|signature|feel|groove|beat|rhythm|drums?|"
    r"bass|guitar|piano|keys|organ|waltz|march|polka|ballad|blues|song|tune|track)\b|"
    rf"(?:^|[,;:(] ?){_METRE}(?= ?(?:$|[,.;:!)]|please))"
)
# That of a part of the song, which says nothing of the rest.
_PART = (
    r"(?:chorus(?:es)?|verses?|bridge|intro|outro|coda|ending|breakdown|refrain|interlude|"
    r"middle (?:part|section|eight|8)|(?:first|last|second|third|final) (?:part|section|half))"
)
_OF_A_PART = re.compile(
    rf"\b{_PART}(?: [\w'’-]+){{0,3}} {_METRE}|"
    rf"{_METRE}(?: (?:time|feel|groove))?(?: (?:in|on|at|for|during))?(?: (?:the|an?))? {_PART}\b|"
    rf"\b(?:start|begin|open|end|finish|clos)(?:s|e|es|ing)? (?:out )?(?:it |the song )?in {_METRE}"
)
WALTZ = re.compile(r"\bwaltz(?:es)?\b")


def said_metre(instruction: str) -> str | None:
    """The metre that the sentence plainly names, of 2/4, 3/4, 4/4 and 6/8; None if it names none,
    more than one, or one of a part of the song."""
    words = _in_figures(instruction)
    plain = [_metre_in(m) for m in meant(PLAIN, words)]
    named = {*plain, *(_metre_in(m) for m in meant(NAMED, words))}
    of_a_part = WHEN.search(words) or _OF_A_PART.search(words)
    certain = plain and len(named) == 1 and not of_a_part
    return plain[0] if certain and plain[0] in _BEATS else None


def metre_notices(instruction: str, beats_per_bar: int) -> list[str]:
    """What is to be told of a metre in the sentence by which the song is not counted."""
    words = _in_figures(instruction)
    for metre in (_metre_in(m) for m in meant(NAMED, words)):
        if beats_per_bar != _BEATS.get(metre):
            return [f'"{metre}" changes nothing: the song has {beats_per_bar} beats in a bar '
                    f"(--metre {metre} counts it so)."]  # fmt: skip
    if beats_per_bar != 3 and meant(WALTZ, words):
        return [f'"waltz" changes no metre: the song has {beats_per_bar} beats in a bar (--metre '
                "3/4 counts it in three)."]  # fmt: skip
    return []


def _in_figures(instruction: str) -> str:
    words = re.sub(r"\bsix[- ]eight\b", "6/8", instruction.lower())
    return re.sub(r"\bthree[- ]four(?= (?:time|met(?:re|er))\b)", "3/4", words)


def _metre_in(found: re.Match[str]) -> str:
    return str(re.findall(_METRE, found[0])[0])
