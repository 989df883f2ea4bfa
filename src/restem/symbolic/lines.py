"""Words that name a single line, octaves, a register or short notes in; a part so out."""

from __future__ import annotations

import re

import numpy as np

from restem.manner import meant
from restem.symbolic.rhythms import BUBBLE, own_words
from restem.symbolic.rolls import ONSET, PITCHES, SOUND, notes_from_roll, planes_from_notes

_SINGLE = re.compile(
    r"\bsingle[- ](?:notes?|strings?|line)\b|\bone note at a time\b|\bmonophonic\b|"
    r"\blead (?:lines?|guitar|part|synth|piano|melod(?:y|ies)|riffs?|licks?|notes?)\b|"
    r"\b(?:guitar|synth|moog|piano|organ) leads?\b(?! (?:to|in|into|up|us|me|the))|"
    r"\ba lead\b(?! (?:vocal|voice|singer|sheet))|"
    r"\bmelod(?:y|ies)\b|\bmelodic lines?\b|"
    r"\bsolo(?:s|ing)?\b(?! (?:[\w-]+ )?(?:guitar|piano|keys|organ|section|artist)\b)"
)
_WHOSE = re.compile(r"\b(?:the|my|our|this|your|vocal|sung|vocals?['’]s?)(?: [\w-]+)? $")
_CHORDS = re.compile(r"\bchord|\bcomp(?:s|ing)?\b|\bstrum|\bskank|\bpads?\b|\bleft[- ]hand\b")
_OCTAVES = re.compile(
    r"(?<!two )(?<!three )(?<!four )(?<!few )(?<!several )(?<!across )(?<!over )(?<!through )"
    r"(?<!upper )(?<!high )(?<!higher )(?<!lower )(?<!low )(?<!top )"
    r"\boctaves\b(?! (?:higher|lower|up|down|above|below|apart|deeper))"
)
_OCTAVE = r"\b(?:two octaves|octave) "
_HIGHER = re.compile(_OCTAVE + r"(?:higher|up|above)\b")
_LOWER = re.compile(_OCTAVE + r"(?:lower|down|below|deeper)\b")
_PLACE = r"(?:register|range|notes|octaves?|(?:part|end) of the (?:keyboard|neck))\b"
HIGH = re.compile(
    rf"\b(?:high|higher|upper|top) {_PLACE}|\b(?:high|higher|far) up the (?:neck|keyboard)\b"
)
LOW = re.compile(
    rf"\b(?:low|lower|bottom|deep) {_PLACE}|\blow (?:down )?on the (?:neck|keyboard)\b"
)
_SHORT = re.compile(
    rf"{BUBBLE}|"
    r"\bskank|\bstaccato|\bchop(?:s|py)\b|\bstabs?\b|\bshort(?: [\w-]+)? (?:notes|chords|strums|"
    r"strokes|hits)\b|\b(?:notes|chords|them|it) (?:be |are |kept |all |very )*short\b"
)
_MUTED = re.compile(r"\bmuted\b|\bpalm[- ]?mut|\bchugs?\b|\bchugging\b")  # of strings
REACH = {"bass": (28, 67), "guitar": (40, 88), "keys": (21, 108)}  # MIDI pitches
LINE = {"guitar": (45, 81), "keys": (52, 88)}  # in which single notes lie
# Semitones from the middle to either end of that, at least; and what a note of a single line costs,
# in semitones that it leaps: for each from the part's middle, and for one that is not the highest.
FROM_END, OFF_MIDDLE, NOT_TOP = 12, 0.3, 3.5
FIFTH, FAR = 7, 6.0  # and what it costs to leap farther
HEARD, FOREIGN = 0.3, 6.0  # of the song's longest tone; what a note costs that sounds less
HIGH_MEDIAN, LOW_MEDIAN = {"guitar": 67.5, "keys": 72}, {"guitar": 52, "keys": 50}
SHORT = 3  # steps: a sixteenth


def is_single(words: str, stem: str) -> bool:
    """Whether the words ask a guitar or keys for one note at a time."""
    own = own_words(words, stem)
    named = [m for m in meant(_SINGLE, own) if not _WHOSE.search(own[: m.start()])]
    octaves = stem == "guitar" and has_octaves(words, stem)
    return stem in ("guitar", "keys") and bool(named or octaves) and not meant(_CHORDS, own)


def has_octaves(words: str, stem: str) -> bool:
    """Whether the words ask for notes doubled in octaves."""
    return stem in REACH and bool(meant(_OCTAVES, own_words(words, stem)))


def is_short(words: str, stem: str) -> bool:
    """Whether the words ask for notes that do not ring: a skank, chops, stabs, muted strings."""
    own = own_words(words, stem)
    muted = stem != "keys" and meant(_MUTED, own)
    return stem in REACH and bool(meant(_SHORT, own) or muted)


def lowest(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps that are struck, and the lowest pitch of each."""
    struck = np.flatnonzero(planes[ONSET].any(axis=1))
    return struck, planes[ONSET, struck].argmax(axis=1)


def with_line(
    planes: np.ndarray, struck: np.ndarray, own: np.ndarray, pitches: np.ndarray
) -> np.ndarray:
    """The planes with their `own` notes alone, at other pitches, none beyond the next stroke."""
    out, ends = np.zeros_like(planes), np.append(struck, len(planes[ONSET]))[1:]
    for start, end, pitch, new in zip(struck, ends, own, pitches, strict=True):
        sounds = np.append(planes[SOUND, start:end, pitch], False)
        out[ONSET, start, new] = True
        out[SOUND, start : start + max(int(sounds.argmin()), 1), new] = True
    return out


def single_line(planes: np.ndarray, stem: str, song: np.ndarray) -> np.ndarray:
    """One note of each stroke, to the next stroke at most: its highest by name, or another that
    leaps less or sounds in the `song` (stroke, 12), how long each pitch class does; in the octave
    that is nearest to the note before and to where the part lies."""
    struck = np.flatnonzero(planes[ONSET].any(axis=1))
    highest = PITCHES - 1 - planes[ONSET, struck][:, ::-1].argmax(axis=1)
    if not len(struck):
        return np.zeros_like(planes)
    low, high = LINE[stem]
    middle = float(np.median(highest).clip(low + FROM_END, high - FROM_END))
    own, pitches, last = highest.copy(), highest.copy(), middle
    near = np.arange(low, high + 1)
    for i, step in enumerate(struck.tolist()):
        names = np.flatnonzero(planes[ONSET, step])
        tones = near[np.isin(near % 12, names % 12)]
        cost = abs(tones - last) + OFF_MIDDLE * abs(tones - middle)
        cost += NOT_TOP * (tones % 12 != highest[i] % 12) + FAR * (abs(tones - last) > FIFTH)
        cost += FOREIGN * (song[i, tones % 12] <= HEARD * song[i].max())
        pitches[i] = last = tones[cost.argmin()]
        own[i] = names[names % 12 == pitches[i] % 12][-1]
    return with_line(planes, struck, own, pitches)


def in_octaves(planes: np.ndarray, stem: str) -> np.ndarray:
    """The planes with the lowest note of each stroke doubled: an octave lower or, of a bass and at
    the instrument's end, an octave higher."""
    struck, own = lowest(planes)
    up = (own - 12 < REACH[stem][0]) | (stem == "bass")
    return planes | with_line(planes, struck, own, own + np.where(up, 12, -12))


def in_register(planes: np.ndarray, words: str, stem: str) -> np.ndarray:
    """The planes moved by octaves, as one, into the register that the words name; those beyond the
    instrument's reach by octaves more."""
    own = own_words(words, stem)
    notes = notes_from_roll(planes[None])
    if stem not in HIGH_MEDIAN or not len(notes):
        return planes
    median = float(np.median(notes[:, 2]))
    moved = [(1, m) for m in meant(_HIGHER, own)] + [(-1, m) for m in meant(_LOWER, own)]
    octaves = sum(way * (2 if m[0].startswith("two") else 1) for way, m in moved[:1])
    if meant(HIGH, own):
        octaves = max(int(np.ceil((HIGH_MEDIAN[stem] - median) / 12)), 0)
    elif meant(LOW, own):
        octaves = min(int(np.floor((LOW_MEDIAN[stem] - median) / 12)), 0)
    if not octaves:
        return planes
    low, high = REACH[stem]
    notes[:, 2] += 12 * octaves
    notes[:, 2] += 12 * np.maximum(-((notes[:, 2] - low) // 12), 0)
    notes[:, 2] -= 12 * np.maximum(-((high - notes[:, 2]) // 12), 0)
    return planes_from_notes(notes, planes.shape[1])


def shortened(planes: np.ndarray) -> np.ndarray:
    """Each note a sixteenth long at most, and at most half as long as it is to the next stroke."""
    out, struck = planes.copy(), np.flatnonzero(planes[ONSET].any(axis=1))
    out[SOUND] = False
    gaps = np.diff(struck, append=planes.shape[1])
    for start, gap in zip(struck.tolist(), gaps.tolist(), strict=True):
        sounds = planes[ONSET, start].copy()
        for step in range(start, start + min(SHORT, max(gap // 2, 1))):
            sounds &= planes[SOUND, step]
            out[SOUND, step] = sounds
    return out
