"""A stem and the words for it in, the instrument of General MIDI that plays it out."""

from __future__ import annotations

import re

# The first entry of whose words one stands in a sentence decides; the last ones are the rule.
# What an instrument is called goes before the styles in which it is usual.
_VOICES: dict[str, tuple[tuple[str, int], ...]] = {
    "bass": (
        (r"upright|double bass|contrabass|acoustic", 32),
        (r"slap|popped", 36),
        (r"fretless", 35),
        (r"synth|sub\b|808|acid", 38),
        (r"pick(ed)?\b|plectrum", 34),
        (r"jazz|swing|bebop|bolero|tango|walking", 32),
        (r"funk", 36),
        (r"electro|house|techno|disco|trance|dubstep", 38),
        (r"punk|metal|grunge", 34),
        ("", 33),
    ),
    "guitar": (
        (r"nylon|classical|spanish|flamenco", 24),
        (r"steel|acoustic|twelve|12[- ]string", 25),
        (r"distort|fuzz|high[- ]gain", 30),
        (r"overdriv|crunch", 29),
        (r"mute", 28),
        (r"clean|electric", 27),
        (r"metal|punk|hard", 30),
        (r"rock|grunge", 29),
        (r"jazz|swing", 26),
        (r"bossa|samba|latin|bolero|tango|rumba", 24),
        (r"folk|country|bluegrass|ballad|strum", 25),
        ("", 27),
    ),
    "keys": (
        (r"rhodes|wurli|electric piano|e-piano", 4),
        (r"clavi", 7),
        (r"harpsi", 6),
        (r"church|pipe", 19),
        (r"organ|hammond", 16),
        (r"vibra", 11),
        (r"pads?\b|warm synth", 89),
        (r"synth", 81),
        (r"piano", 0),
        (r"funk", 7),
        (r"soul|r&b|neo", 4),
        (r"gospel|reggae|ska|dub\b", 16),
        ("", 0),
    ),
}


def program_for(stem: str, words: str) -> int:
    """The program, from 0, for "bass", "guitar" or "keys" in a style or a sentence."""
    lower = words.lower()
    return next(program for names, program in _VOICES[stem] if re.search(names, lower))
