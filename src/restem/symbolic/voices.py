"""A stem and the words for it in, the instrument of General MIDI that plays it out."""

from __future__ import annotations

import re

from restem.manner import meant
from restem.symbolic.rhythms import CLAUSE, HAS, names_others

# The first entry of whose words one stands in a sentence decides; the last ones are the rule.
# What an instrument is called goes before the styles in which it is usual.
_VOICES: dict[str, tuple[tuple[str, int], ...]] = {
    "bass": (
        (r"upright|stand-?up bass|string bass|double bass|contrabass|acoustic bass(?! guitar)", 32),
        (r"slap|popped", 36),
        (r"fretless", 35),
        (r"\bsynth\b|synth(esi[sz]er)? bass|\bsub\b|\b808s?\b|\b303\b", 38),
        (r"\breese\b|wobble|\bacid\b(?! jazz)", 38),
        (r"moog", 38),
        (r"\bpick(ed)?\b(?! up)|plectrum", 34),
        (r"electric|bass guitar|finger(?:ed|-?style)|fender", 33),
        (r"acoustic(?! (?:\w+ )?(?:guitar|song|ballad|track))", 32),
        (r"jazz|swing|bebop|hard bop|bolero|tango|walking", 32),
        (r"funk", 36),
        (r"electro|\bhouse\b(?!-of)|techno|disco|trance|dubstep|synth-?(pop|wave)", 38),
        (r"punk|metal|grunge", 34),
        ("", 33),
    ),
    "guitar": (
        (
            r"(?:electric guitar\b.* acoustic|acoustic\b.* electric (?:guitar|one))"
            r"(?<!not electric guitar)(?<!no electric guitar)(?<!of electric guitar)"
            r"(?<!than electric guitar)(?<!not an electric one)",
            27,
        ),
        (r"nylon|\bclassical(?! metal)\b|spanish|flamenco", 24),
        (r"steel[- ]string|twelve[- ]string|12[- ]string|acoustic", 25),
        (r"(?<!un)(?<!non-)distort(?!ion[ -](?:free|off))|fuzz|high[- ]gain", 30),
        (r"overdriv|crunch", 29),
        (r"\bmut(e|es|ed|ing)\b", 28),
        (r"\bclean", 27),
        (
            r"metal|(?<!post[- ])punk|hard[ -]?(rock|core)|"
            r"\bheavy\b(?! (?:on the |use of )?(?:reverb|delay|echo|chorus|tremolo|skank))",
            30,
        ),
        (r"(?<!bed)rock\b(?![ -]?steady)|grunge", 29),
        (r"jazz|swing|bebop|hard bop", 26),
        (r"bossa|samba|latin|bolero|tango|rumba", 24),
        (r"electric", 27),
        (r"folk|country|bluegrass|ballad|strum|finger-?[ -]?(?:pick|styl)|travis", 25),
        ("", 27),
    ),
    "keys": (
        (r"rhodes|wurl[iy]|elec(?:tric|tronic)?[ -](?:piano|keys|keyboard)", 4),
        (r"\be\.?[ -]?piano", 4),
        (r"\bclav(?:i|s?\b)", 7),
        (r"harpsi", 6),
        (r"(church|pipe) organ", 19),
        (r"\borgans?\b|hammond|\bb-?3\b|farfisa|\bleslie\b", 16),
        (r"vibraphone|(?<!good )(?<!chill )(?<!summer )(?<!christmas )\bvibes\b(?! on)", 11),
        (r"\bpads?\b", 89),
        (r"piano", 0),
        (r"\bsynth(esi[sz]er)?s?\b|synth-?(?:wave|pop)|moog|\bsaw|supersaw|chiptune", 81),
        (r"funk", 7),
        (r"\bsoul|r&b|\bneo[- ]?soul", 4),
        (r"gospel|reggae|\bska\b|\bdub\b", 16),
        ("", 0),
    ),
}


# Instruments that the song has already, and where a part is added to.
_THERE = re.compile(r"guitar|piano|organ|rhodes|\bpads?\b|synths?\b|drum|bass|\bkeys\b")
_PLACE = re.compile(
    r"\b(?:(?:to|for|with|alongside|to go with) (?:my|the|this|our)"
    r"(?! (?:song|track|mix) (?:an?|some|the) )|for an?|over|under|on top of) "
    r"[^,.;:]*"
)


def program_for(stem: str, words: str) -> int:
    """The program, from 0, for "bass", "guitar" or "keys" in a style or a sentence."""
    lower = words.lower()
    own = _PLACE.sub(lambda place: "" if _THERE.search(place[0]) else place[0], lower)
    clauses = [c for c in CLAUSE.split(own) if not names_others(c, stem)]
    clauses = [c for c in clauses if not (HAS.search(c) and _THERE.search(c))]
    own = ", ".join(clauses) if any(c.strip() for c in clauses) else lower
    return next(program for names, program in _VOICES[stem] if meant(re.compile(names), own))
