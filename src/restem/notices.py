"""A sentence and a stem in, what of the sentence is not going to be made out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from restem.manner import OVER_TIME, meant
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
    spelled,
    wish_upon,
)

MOST_NOTICES = 3
# More than the one stem that is made.
WHOLE_BAND = re.compile(
    r"\beverything (?:but|except)\b|\b(?:full|whole|entire) band\b|\brhythm section\b|"
    r"\ball (?:the |of the )?(?:instruments|stems)\b|\bfull arrangement\b"
)
# What a drummer may be told, and this model cannot.
_DRUM = r"(?:hi-?hats?|hats?|cymbals?|rides?|snares?|kicks?(?!-)|toms?)"
_ALONE = rf"(?:{_DRUM}|bass drums?)"
_COUNTABLE = rf"(?:(?:cymbal )?crash(?:es)?|{_ALONE})"
ONE_DRUM = re.compile(
    r"\b(?:(?:no|without|only|just)\b(?: \w+)?|(?:leave out|skip|just add|only want)(?: an?| the)?|"
    r"(?:don['’]?t|do not|never) (?:use|play|hit)(?: the| any)?) "
    rf"{_ALONE}\b|\b{_ALONE} only\b|"
    rf"\b(?:fewer|few|less|more|many|lots of) {_COUNTABLE}(?! (?:rolls?|fills?))\b|"
    rf"\b{_ALONE} (?:instead of|rather than|in place of) (?:the )?{_ALONE}\b|"
    rf"\b(?:swap|replac|trad|switch|exchang|chang)\w* (?:the )?{_ALONE} (?:for|with|to|by) "
    rf"(?:the |an? )?{_ALONE}\b"
)
# Nor what is struck beside the kit, or in place of it.
BESIDE_THE_KIT = re.compile(
    rf"{HAND_DRUMS.pattern}|\b(?:click ?tracks?|metronomes?|percussion only|"
    r"(?:only|just)(?: \w+)? percussion)\b"
)
# Nor where or how one of them strikes.
DRUM_STROKES = re.compile(
    rf"\b(?:{_DRUM}|crash(?:es)?)(?: (?:hits?|cymbals?|drums?))? (?:only )?on "
    r"(?:the |each |every |all )?(?:beats? )?(?:one|two|three|four|[1-4]|and|"
    rf"(?:down-?|back-?|off-?)?beats?)\b|\b(?:open|closed|half-open|rolling|skittering) {_DRUM}\b|"
    r"\bghost(?:ed)?[- ](?:notes?|snares?|strokes?)(?: on the snare)?\b|"
    rf"\b{_DRUM} rolls?\b|\bdouble[- ](?:kicks?|bass (?:drums?|pedals?))\b"
)
# House and disco drums do so when they are told; rock drums do not.
FOUR_ON_THE_FLOOR = re.compile(r"\bfour[- ](?:on|to)[- ]the[- ]floor\b")
ON_THE_FLOOR = re.compile(r"\b(?:house|disco)\b")
# Patterns that have names; those of restem.dataset.styles, such as "breakbeat", were learnt from.
PATTERNS = re.compile(
    r"\btrain beats?\b|\bbo diddley(?: beat)?\b|\bone[- ]drop\b|\bblast[- ]?beats?\b|"
    r"\bd-?beats?\b|\bamen(?: breaks?)?\b|\b(?:(?:son|rumba|bossa) clave|"
    r"clave (?:pattern|rhythm|beat|groove))\b|\bpurdie(?: shuffle)?\b|"
    r"(?:(?<=half-time )|(?<=half time )|(?<=halftime ))shuffle\b"
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
    r"\b(?:leave out|skip|drop|not in|only|except|stop (?:for|before)|rest for) the (?:first|last) "
    rf"(?:{_NUMBER} )?(?:seconds?|bars?|measures?|minutes?)\b|"
    r"\b(?:in|during|before|after|until|stop(?:s|ping)? (?:for|at)) the bridge\b|"
    r"\bskip the (?:intro|verse|chorus|bridge)\b|"
    r"(?<!\d )\b(?:bars?|measures?|minutes?|seconds?) \d+\b(?!/)|"
    r"\b(?:comes?|coming|enters?|starts?|begins?) (?:in )?later\b"
)
# Or where one stroke goes.
_STROKE = r"(?:fills?|crash(?:es)?|hits?|rolls?|stops?|flams?|breaks?)"
PLACED = re.compile(
    rf"\b(?:drum |big |cymbal )?{_STROKE} (?:at|near|before|on) the (?:very )?(?:end|start|"
    r"beginning)\b|"
    r"\b(?:end|finish|start|begin|clos|open)(?:s|e|es|ing)? (?:it |the song )?(?:with|on) an? "
    rf"(?:[\w-]+ ){{0,2}}{_STROKE}\b|"
    rf"\b{_STROKE} (?:in |at the end of )?(?:each|every) {_NUMBER} (?:bars|measures)\b"
)
# What is the song's, and not the sentence's.
TEMPO = re.compile(
    r"\b\d{2,3} ?(?:bpm|beats per minute)\b|\btempo (?:of )?\d{2,3}\b|"
    r"\bslow(?:s|ing)?(?: (?:it|this|that|them|things|the [\w-]+))? down\b|"
    r"\bspeed(?:s|ing)?(?: (?:it|this|that|them|things|the [\w-]+))? up\b|"
    r"\b(?:chang|rais|lower|increas|decreas|doubl|halv)\w* the (?:tempo|speed|bpm)\b|"
    r"\b(?:half|double|twice) (?:the )?(?:speed|tempo)\b|"
    r"\b(?:faster|slower)\b(?! (?:attack|release|decay|vibrato|tremolo|leslie|rotary|strum\w*|"
    r"notes|fills?|picking|arpeggios?|runs?|licks?|hi-?hats?|hats?|rolls?)\b)"
)
METRE = re.compile(r"\b(5|7|9|10|11|13)/(4|8|16)\b(?<!\b9/8)")

Find = Callable[[re.Pattern[str], str], list[re.Match[str]]]


def _anywhere(pattern: re.Pattern[str], words: str) -> list[re.Match[str]]:
    return list(pattern.finditer(words))


def _wished(pattern: re.Pattern[str], words: str) -> list[re.Match[str]]:
    """Where it is `meant`, and neither what the song has nor what is to be replaced."""
    wish = wish_upon(words)
    return [m for m in meant(pattern, wish) if not is_of_the_song(m, wish)]


def _wished_of_others(pattern: re.Pattern[str], words: str) -> list[re.Match[str]]:
    """Where it is `_wished` of drums that do not kick on each beat."""
    return [] if meant(ON_THE_FLOOR, words) else _wished(pattern, words)


@dataclass(frozen=True)
class Unmet:
    """Words that the models of these `stems` cannot meet, where they count, and why."""

    pattern: re.Pattern[str]
    find: Find
    why: str
    stems: tuple[str, ...] = tuple(NAMES)


_HEEDED, _NOTHING = '"{0}" may not be heeded: ', '"{0}" changes nothing: '
_PITCHED = ("bass", "guitar", "keys")
# The most important first.
UNMET = (
    Unmet(ONE_DRUM, _anywhere, _HEEDED + "single drums cannot be chosen or left out.", ("drums",)),
    Unmet(COUNTED, meant,
        _HEEDED + "the drums keep the song's beats (--half and --double count them otherwise).",
        ("drums",)),
    Unmet(PATTERNS, meant,
        '"{0}" is not known as a pattern: such drums follow the style words, and swing as the '
        "song does.", ("drums",)),
    Unmet(BESIDE_THE_KIT, _anywhere,
        _HEEDED + "what plays is a drum kit, of which single drums cannot be chosen.", ("drums",)),
    Unmet(WHEN, _anywhere,
        _NOTHING + "the stem plays wherever the song does (--bars or --region makes it in one "
        "place)."),
    Unmet(OVER_TIME, meant,
        _NOTHING + "the stem follows the song's own level (--dynamics and --density with --region "
        "say it place by place)."),
    Unmet(TEMPO, meant,
        _NOTHING + "the tempo is the song's (--bpm, --half and --double correct what is heard)."),
    Unmet(METRE, _anywhere, _NOTHING + "the metre is the song's (--beats corrects it)."),
    Unmet(PLACED, meant, _HEEDED + "fills, crashes and ends cannot be placed.", ("drums",)),
    Unmet(SOLO, _wished, _HEEDED + "a stem accompanies the song, and has no solo part."),
    Unmet(DRUM_STROKES, _wished,
        _HEEDED + "where and how single drums strike cannot be chosen.", ("drums",)),
    Unmet(FOUR_ON_THE_FLOOR, _wished_of_others,
        _HEEDED + "where and how single drums strike cannot be chosen.", ("drums",)),
    Unmet(PEDAL, _wished, _HEEDED + "the notes follow the song's chords.", _PITCHED),
    Unmet(HIGH_BASS, _wished, _HEEDED + "a bass stays low.", ("bass",)),
)  # fmt: skip


def notices_of(instruction: str, stem: str) -> list[str]:
    """Sentences for the user, at most MOST_NOTICES, the most important first."""
    said = spelled(instruction)
    notices = _of_stems(said, stem)
    quoted: list[str] = []
    for row in UNMET:
        found = row.find(row.pattern, said) if stem in row.stems else []
        new = [m[0] for m in found if not any(m[0] in q or q in m[0] for q in quoted)]
        if new:
            quoted.append(new[0])
            notices.append(row.why.format(new[0]))
    return notices[:MOST_NOTICES]


def _of_stems(said: str, stem: str) -> list[str]:
    """What is said where the words name another stem, more than one, or none that is made."""
    words = BASS_DRUM.sub("drum", said)
    words = words.replace(BASS_GUITAR, "guitar" if stem == "guitar" else "bass")
    words = words.replace(ALBERTI, "alberti")
    wish = wish_upon(words)
    if other := names_another(wish, stem):
        return [f"The sentence names {other}, but this stem is {stem}: choose {other} "
                "as the stem (--stem) for that."]  # fmt: skip
    if found := next(iter(_wished(WHOLE_BAND, words)), None):
        return [f'"{found[0]}" is more than is made: one stem at a time, and this one is {stem} '
                "(--stem chooses)."]  # fmt: skip
    if re.search(rf"^\W*(please )?(no|without)( any)? {stem}\W*(please)?\W*$", words):
        return [f"The sentence asks for no {stem}, and makes some all the same."]
    if NAMES[stem].search(wish) or (stem == "guitar" and OF_A_GUITAR.search(words)):
        return []
    never = [m for m in NEVER_MADE.finditer(words) if not is_of_the_song(m, words)]
    if never:
        return [f"restem makes {', '.join(NAMES)}, no {never[0][0]}; this stem is {stem}."]
    return []
