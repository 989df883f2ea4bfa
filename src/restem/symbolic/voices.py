"""A stem and the words for it in, the instrument of General MIDI that plays it out."""

from __future__ import annotations

import re

from restem.manner import meant

# The first entry of whose words one stands in a sentence decides; the last ones are the rule.
# What an instrument is called goes before the styles in which it is usual.
_VOICES: dict[str, tuple[tuple[str, int], ...]] = {
    "bass": (
        (r"upright|double bass|contrabass|acoustic bass", 32),
        (r"slap|popped", 36),
        (r"fretless", 35),
        (r"\bsynth\b|synth(esi[sz]er)? bass|\bsub\b|\b808\b|\bacid\b(?! jazz)", 38),
        (r"\bmoog", 38),
        (r"\bpick(ed)?\b|plectrum", 34),
        (r"electric", 33),
        (r"acoustic", 32),
        (r"jazz|swing|bebop|bolero|tango|walking", 32),
        (r"funk", 36),
        (r"electro|\bhouse|techno|disco|trance|dubstep|synth-?(pop|wave)", 38),
        (r"punk|metal|grunge", 34),
        ("", 33),
    ),
    "guitar": (
        (r"nylon|classical|spanish|flamenco", 24),
        (
            r"steel[- ]string|twelve[- ]string|12[- ]string|"
            r"acoustic(?! (?:\w+ )?(?:ballad|song|track|piece|tune|version)\b)",
            25,
        ),
        (r"distort|fuzz|high[- ]gain", 30),
        (r"overdriv|crunch", 29),
        (r"\bmut(e|es|ed|ing)\b", 28),
        (r"\bclean", 27),
        (r"metal|punk|hard[ -]?(rock|core)|\bheavy\b", 30),
        (r"rock\b|grunge", 29),
        (r"jazz|swing|bebop|hard bop", 26),
        (r"bossa|samba|latin|bolero|tango|rumba", 24),
        (r"electric", 27),
        (r"folk|country|bluegrass|ballad|strum|finger-?[ -]?(?:pick|styl)|travis", 25),
        ("", 27),
    ),
    "keys": (
        (r"rhodes|wurli|electr(ic|onic) (piano|keys)|e-piano", 4),
        (r"\bclav(?:i|s?\b)", 7),
        (r"harpsi", 6),
        (r"(church|pipe) organ", 19),
        (r"\borgans?\b|hammond", 16),
        (r"vibraphone|\bvibes\b", 11),
        (r"\bpads?\b", 89),
        (r"piano", 0),
        (r"\bsynth(esi[sz]er)?s?\b|synth-?wave|\bmoog", 81),
        (r"funk", 7),
        (r"\bsoul|r&b|\bneo[- ]?soul", 4),
        (r"gospel|reggae|\bska\b|\bdub\b", 16),
        ("", 0),
    ),
}


def program_for(stem: str, words: str) -> int:
    """The program, from 0, for "bass", "guitar" or "keys" in a style or a sentence."""
    lower = words.lower()
    return next(program for names, program in _VOICES[stem] if meant(re.compile(names), lower))
