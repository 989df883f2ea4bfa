"""The stem that a sentence names or asks for."""

from __future__ import annotations

import re

from restem.manner import meant

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
HAND_DRUMS = re.compile(
    r"\b(shakers?|congas?|bongos?|tambourines?|cowbells?|claves?|maracas?|tablas?|cajons?|djembes?|"
    r"timpani|hand ?claps?|claps?|toms?|ride cymbals?|cross-?sticks?|rim-? ?(shots?|clicks?))\b"
)


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
        if not (is_of_the_song(found, words) or _ADDED_TO.search(words[: found.start()]))
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
        if any(not is_of_the_song(m, words) for m in asked):
            return other
    return None


def is_of_the_song(found: re.Match[str], words: str) -> bool:
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
