"""An instruction in, the rule that it breaks, or None, out.

The rules are those that the paper gave its language model (section 3.1): one sentence of at most
seven words with the action word that was drawn, true to the caption, about the stem, never
"{stem}-less", never "energetic", never to take something away.
"""

from __future__ import annotations

import re

MOST_WORDS = 7
STEM_WORDS = {
    "drums": ("drum", "drums", "drumming", "percussion", "beat", "beats", "groove", "drumbeat"),
    "bass": ("bass", "bassline"),
    "vocals": ("vocals", "vocal", "voice", "singing", "singer"),
    "guitar": ("guitar", "guitars"),
    "keys": ("keys", "piano", "keyboard", "organ"),
    "other": ("other", "melody", "accompaniment", "instruments"),
}
TAKING_AWAY = frozenset([
    "remove", "removing", "delete", "mute", "muting", "eliminate", "erase", "exclude", "omit",
    "without", "silence", "drop", "strip", "no", "not",
])  # fmt: skip
# Words that claim nothing about the music beyond the stem itself.
NEUTRAL = frozenset([
    "a", "an", "the", "to", "in", "into", "on", "of", "for", "with", "and", "some", "this",
    "that", "it", "its", "song", "track", "mix", "music", "piece", "tune", "part", "line",
    "pattern", "patterns", "section", "rhythm", "rhythms", "style", "feel", "sound", "sounds",
    "loop", "layer", "set", "kit", "fitting", "matching", "suitable", "more", "new", "full",
    "please", "here",
])  # fmt: skip
ENDINGS = ("ing", "ish", "ly", "ed", "es", "y", "s", "e")


def broken_rule(
    sentence: str, action: str, stem: str, known: str | None = None, most: int = MOST_WORDS
) -> str | None:
    """Why an instruction must not be used, in a few words; None if it keeps all rules.

    `known` is all text that the instruction may draw on (the caption and the source's tags); None
    skips that rule, for sentences made from labels.
    """
    text = sentence.strip()
    words = re.findall(r"[a-z0-9&'-]+", text.lower())
    if not words:
        return "it is empty"
    if "\n" in text or len(re.findall(r"[.!?](?:\s|$)", text.rstrip(".!?"))) > 0:
        return "it is more than one sentence"
    if len(words) > most:
        return f"it has more than {most} words"
    if words[0] != action.lower():
        return "it does not begin with the action word"
    lacks = ("-less", f"{stem}less", f"{stem.removesuffix('s')}less")
    if any(word.endswith(lacks) for word in words):
        return f'it says "{stem}-less"'
    if any(word.startswith("energetic") for word in words):
        return 'it says "energetic"'
    if TAKING_AWAY & set(words):
        return "it asks to take something away"
    nouns = STEM_WORDS.get(stem, (stem,))
    if not set(words) & {*nouns, stem}:
        return "it does not name the stem"
    if known is not None:
        free = NEUTRAL | set(nouns) | {stem, action.lower()}
        told = {_root(word) for word in re.findall(r"[a-z0-9&'-]+", known.lower())}
        told |= {part for word in list(told) for part in word.split("-")}
        strange = [w for w in words if w not in free and _root(w) not in told]
        if strange:
            return f'"{strange[0]}" is not in the caption'
        if all(word in free for word in words):
            return "it says nothing about the style"
    return None


def _root(word: str) -> str:
    """A word without its ending, so that "jazzy" and "jazz", "brushed" and "brushes" agree."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
