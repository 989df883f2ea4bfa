"""Words that name a rhythm or a way to play chords in; the steps to strike, and the notes, out.

A network hears in a sentence which style is meant. How long the notes shall be it was never told,
and what the words say plainly is done here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from restem.manner import meant
from restem.order import NAMES
from restem.symbolic.cells import chroma
from restem.symbolic.rolls import ONSET, SOUND, STEPS_PER_QUARTER

A_BEAT, HALF_A_BAR, A_BAR = 0, -2, -1  # in place of steps between strokes
_NOTE_VALUES = (
    (STEPS_PER_QUARTER // 4, r"\b(sixteenths|16ths|(sixteenth|16th)[ -]notes?|semiquavers?)\b"),
    (STEPS_PER_QUARTER // 2, r"\b(eighths|8ths|(eighth|8th)[ -]notes?|quavers?)\b"),
    (
        STEPS_PER_QUARTER,
        r"\b(?<!three )(?<!close )quarters\b(?! of)|\b(quarter|4th)[ -]notes?\b|\bcrotchets?\b",
    ),
    (2 * STEPS_PER_QUARTER, r"\bhalf[ -]notes?\b|\bminims?\b"),
    (A_BEAT, r"\b(every|each) beat\b|\bfour (notes |chords )?(to|in) (the|a) bar\b"),
    (HALF_A_BAR, r"\btwo (notes |chords )?(to the|in a|a|per) bar\b"),
    (
        A_BAR,
        r"\bwhole[ -]notes?\b|\bsemibreves?\b|\bonce (a|per) bar\b|\bdrones?\b|\bpads?\b|"
        r"\b(one|a) (note |chord )?(per|in each|each|every) bar\b|"
        r"\b(long|held|sustained)( \w+)? (notes?|chords?|tones?)\b",
    ),
)
_WALKING = r"\bwalking\b(?! (pace|tempo|speed|on|in|along|through))"
_CLAUSE = re.compile(
    r"[,.;:!?()]| (?:and|but|while|with|under|over|for|behind|beneath|above|against|following|"
    r"follows?|supports?|supporting) "
)
_OTHERWISE = re.compile(r"dotted|triplet|off-?[ -]?beat|syncopat|swung")
_NAMED = NAMES | {"drums": re.compile(r"\bdrum")}  # "on every beat" names no drums
_BROKEN = re.compile(r"arpeggi|\b(broken|picked|plucked) chords?\b|\bfinger-?[ -]?pick|\balberti\b")
_POWER = re.compile(r"\bpower[ -]chords?\b")
_UP_AND_DOWN = {2: (0, 1), 3: (0, 1, 2, 1), 4: (0, 1, 2, 3, 2, 1)}
MOST_BROKEN = 4  # notes of a chord
HIGHEST_BASS = 55  # G3
LOWEST_STRING = 40  # E2, of a guitar


def note_value(words: str, stem: str) -> int | None:
    """Steps from stroke to stroke, or `A_BEAT`, `HALF_A_BAR` or `A_BAR`, if the words name a note
    value for this stem; the first that they name. None for drums and where they name none."""
    values = _NOTE_VALUES + (((A_BEAT, _WALKING),) if stem == "bass" else ())
    for clause in [] if stem == "drums" else _CLAUSE.split(words.lower()):
        others = any(names.search(clause) for other, names in _NAMED.items() if other != stem)
        if _OTHERWISE.search(clause) or (others and not _NAMED[stem].search(clause)):
            continue
        found = [(m[0].start(), v) for v, p in values if (m := meant(re.compile(p), clause))]
        if found:
            return min(found)[1]
    return None


def steps_to_strike(bars: np.ndarray, words: str, stem: str) -> np.ndarray | None:
    """Whether each step (step,) of bars (bar, 4) is struck, where the words say how far apart.

    None where they do not; what they say of broken chords is not how often a chord comes.
    """
    value = note_value(words, stem)
    if value is None or _broken(words, stem):
        return None
    struck = np.zeros(int(bars[-1, 0] + bars[-1, 1]), bool)
    for start, length, above, below in bars.tolist():
        struck[start : start + length : _apart(value, length, above, below)] = True
    return struck


def _apart(value: int, length: int, above: int, below: int) -> int:
    """Steps between strokes in a bar of so many steps and of a metre such as 6 above 8."""
    if value == A_BEAT:
        compound = below == 8 and above > 3 and above % 3 == 0
        return STEPS_PER_QUARTER * 3 // 2 if compound else STEPS_PER_QUARTER
    return length if value == A_BAR else max(length // 2, 1) if value == HALF_A_BAR else value


def as_worded(
    planes: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray, words: str, stem: str
) -> np.ndarray:
    """The planes (2, step, 128) of a part with notes as long, and chords of a guitar or keys broken
    or thinned to fifths, as the words ask for; `around` are those of the song's other tones."""
    value = note_value(words, stem)
    if stem == "guitar" and meant(_POWER, words.lower()):
        planes = fifths(planes, around)
    if _broken(words, stem):
        sixteenths = value == STEPS_PER_QUARTER // 4
        return arpeggios(planes, bars, STEPS_PER_QUARTER // (4 if sixteenths else 2))
    if stem == "bass" and value is not None:
        planes = lowered(planes)
    long = value is not None and (value <= 0 or value >= STEPS_PER_QUARTER)
    return held(planes, bars) if long else planes


def is_held(words: str, stem: str) -> bool:
    """Whether the words ask for notes of half a bar or a bar."""
    return note_value(words, stem) in (HALF_A_BAR, A_BAR, 2 * STEPS_PER_QUARTER)


def _broken(words: str, stem: str) -> bool:
    return stem in ("guitar", "keys") and bool(meant(_BROKEN, words.lower()))


def lowered(planes: np.ndarray) -> np.ndarray:
    """What lies too high for a bass some octaves lower: where a network is told to strike and would
    not, it thinks of other instruments."""
    out = planes.copy()
    for pitch in range(127, HIGHEST_BASS, -1):
        out[:, :, pitch - 12] |= out[:, :, pitch]
        out[:, :, pitch] = False
    return out


def held(planes: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Each note on to the next stroke, or to its bar's end."""
    out = planes.copy()
    out[SOUND] = False
    for start, following in _moments(planes, bars):
        out[SOUND, start:following] = planes[ONSET, start]
    return out


def arpeggios(planes: np.ndarray, bars: np.ndarray, every: int) -> np.ndarray:
    """Chords as single notes, up and down, `every` so many steps; they ring on to the next chord.

    Strokes of a bar that share a tone are one chord.
    """
    out, groups = np.zeros_like(planes), list[tuple[int, int, set[int]]]()
    for start, following in _moments(planes, bars):
        chord = set(np.flatnonzero(planes[ONSET, start]).tolist())
        if groups and groups[-1][1] == start and start not in bars[:, 0] and groups[-1][2] & chord:
            groups[-1] = (groups[-1][0], following, groups[-1][2] | chord)
        else:
            groups.append((start, following, chord))
    for start, end, chord in groups:
        tones = np.array(sorted(chord))
        order = tones[np.linspace(0, len(tones) - 1, min(len(tones), MOST_BROKEN)).astype(int)]
        turn = _UP_AND_DOWN.get(len(order), (0,))
        for count, at in enumerate(range(start, end, every)):
            pitch = order[turn[count % len(turn)]]
            out[ONSET, at, pitch] = True
            out[SOUND, at:end, pitch] = True
    return out


def fifths(planes: np.ndarray, around: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Each chord as its root, the fifth and the octave, low on a guitar.

    The root is that of the triad which the chord and all `around` it sound longest.
    """
    out, playing = np.zeros_like(planes), planes[SOUND] | planes[ONSET]
    tones = [playing, *(part[SOUND, : len(playing)] for part in around)]
    sounding = np.sum([chroma(part) for part in tones], axis=0)
    moments = np.flatnonzero(planes[ONSET].any(axis=1)).tolist()
    for start, following in zip(moments, [*moments[1:], len(playing)], strict=True):
        chord = np.flatnonzero(planes[ONSET, start])
        end = start + int(np.append(playing[start:following][:, chord].any(axis=1), False).argmin())
        root = LOWEST_STRING + (_root(sounding[start:end].sum(axis=0)) - LOWEST_STRING) % 12
        for pitch in (root, root + 7, root + 12):
            out[ONSET, start, pitch] = True
            out[SOUND, start:end, pitch] = True
    return out


def _root(lengths: np.ndarray) -> int:
    """The pitch class whose triad holds most of what sounds, as long as `lengths` (12,)."""
    minor, major, fifth = (np.roll(lengths, -interval) for interval in (3, 4, 7))
    return int(np.argmax(lengths + fifth + 0.5 * np.maximum(minor, major)))


def _moments(planes: np.ndarray, bars: np.ndarray) -> list[tuple[int, int]]:
    """Each step that is struck, and the next one or the end of its bar."""
    struck = np.flatnonzero(planes[ONSET].any(axis=1))
    lines = np.append(bars[:, 0], bars[-1, 0] + bars[-1, 1])
    ends = lines[np.searchsorted(lines, struck, side="right")]
    ends = np.minimum(ends, np.append(struck[1:], len(planes[ONSET])))
    return list(zip(struck.tolist(), ends.tolist(), strict=True))
