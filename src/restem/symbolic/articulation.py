"""Words that name a rhythm or a way to play chords in; the steps to strike, and the notes, out.

A network hears in a sentence which style is meant. How long the notes shall be it was never told,
and what the words say plainly is done here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from restem.audio.beats import MOST_IN_A_BAR
from restem.manner import meant
from restem.order import NAMES, NAMES_OTHERS
from restem.symbolic.cells import chroma
from restem.symbolic.rolls import ONSET, SOUND, STEPS_PER_QUARTER

A_BEAT, HALF_A_BAR, A_BAR = 0, -2, -1  # in place of steps between strokes
_IN_A_BAR = r"(?:notes? |chords? |strokes? )?(?:to the|in a|in each|to a|a|an|per|each|every) bar\b"
_NOTE_VALUES = (
    (
        STEPS_PER_QUARTER // 4,
        r"\b(sixteenths|16ths|(sixteenth|16th|1/16)[ -]notes?|semiquavers?)\b",
    ),
    (
        STEPS_PER_QUARTER // 2,
        rf"\b(eighths|8ths|(eighth|8th|1/8)[ -]notes?|quavers?)\b|\beight {_IN_A_BAR}",
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
        r"\bwhole[ -]notes?\b|\bsemibreves?\b|\bonce (a|per) bar\b|\bdrones?\b|\bpads?\b|"
        rf"\b(one|a single) {_IN_A_BAR}|\ba (note |chord )?(per|in each|each|every) bar\b|"
        r"\b(long|held|sustained)( \w+)? (notes?|chords?|tones?)\b|"
        r"\bsustain(ed bass|s? (the|each|every|all) (\w+ )?(notes?|chords?))\b",
    ),
)
_WALKING = r"\bwalking\b(?! (pace|tempo|speed|on|in|along|through))"
_CLAUSE = re.compile(
    r"[,.;:!?()]| (?:and|but|while|with|under|over|for|behind|beneath|above|against|following|"
    r"follows?|supports?|supporting) "
)
_OTHERWISE = re.compile(r"dotted|triplet|off-?[ -]?beat|syncopat|swung")
_OFF_BEAT = re.compile(r"\boff-?[ -]?beats?\b|\bup-?[ -]?(?:beats|strokes)\b|\bskank")
_COUNT = {"one": 0, "two": 1, "three": 2, "four": 3, "1": 0, "2": 1, "3": 2, "4": 3}
_NUMBER = r"(?:one|two|three|four|[1-4])"
_LISTED = re.compile(rf"\b({_NUMBER})(?:,? (?:and|&)|,) (?:the )?(?={_NUMBER}\b)")
_ON_BEATS = re.compile(
    rf"\b(?:beats? ({_NUMBER}(?:\+{_NUMBER})*)|on (?:the )?({_NUMBER}(?:\+{_NUMBER})+))\b"
    r"(?! (?:notes?|chords?|bars?|beats?|strokes?))"
)
_DOWN = re.compile(
    r"\b(?:notes?|chords?|hits?|strokes?|stabs?|only|just)(?: \w+)? on (?:the |each |every )?"
    r"(?:down-?[ -]?beats?|first beat)\b"
)
_BACK = re.compile(r"\bon (?:the |each |every )?back-?[ -]?beats?\b")
_EMPHASIS = re.compile(r"accent|emphas|stress|strong|start|begin|heav|lock|push|anticipat")
_BROKEN = re.compile(
    r"arpeggi|\b(broken|picked|plucked) chords?\b|\bfinger-?[ -]?(pick|styl)|\btravis\b|\balberti\b"
)
_POWER = re.compile(r"\bpower[ -]chords?\b")
_UP_AND_DOWN = {2: (0, 1), 3: (0, 1, 2, 1), 4: (0, 1, 2, 3, 2, 1)}
MOST_BROKEN = 4  # notes of a chord
HIGHEST_BASS, HIGHEST_MEDIAN, LOWEST_BASS = 55, 47, 28  # G3; B2; E1
LOWEST_STRING = 40  # E2, of a guitar


def note_value(words: str, stem: str) -> int | None:
    """Steps from stroke to stroke, or `A_BEAT`, `HALF_A_BAR` or `A_BAR`, if the words name a note
    value for this stem; the first that they name. None for drums and where they name none."""
    rhythm = _rhythm(words, stem)
    return rhythm if isinstance(rhythm, int) else None


def _rhythm(words: str, stem: str) -> int | tuple[float, ...] | None:
    """A `note_value`, or the beats of each bar to strike at, from 0; whichever comes first."""
    values = _NOTE_VALUES + (((A_BEAT, _WALKING),) if stem == "bass" else ())
    listed = _LISTED.sub(r"\1+", words.lower())  # so that "one and three" is no two clauses
    for clause in [] if stem == "drums" else _CLAUSE.split(listed):
        others = any(names.search(clause) for other, names in NAMES_OTHERS.items() if other != stem)
        if others and not NAMES[stem].search(clause):
            continue
        if beats := _beats(clause):
            return beats
        if _OTHERWISE.search(clause):
            continue
        found = [(m[0].start(), v) for v, p in values if (m := meant(re.compile(p), clause))]
        if found:
            return min(found)[1]
    return None


def _beats(clause: str) -> tuple[float, ...]:
    """The beats of a bar, from 0, that a clause says to strike at."""
    if meant(_OFF_BEAT, clause):
        return tuple(beat + 0.5 for beat in range(MOST_IN_A_BAR))
    if _EMPHASIS.search(clause):
        return ()
    if listed := meant(_ON_BEATS, clause):
        said = next(group for group in listed[0].groups() if group)
        return tuple(sorted({_COUNT[word] for word in re.findall(r"\w+", said) if word in _COUNT}))
    return (0,) if meant(_DOWN, clause) else (1, 3) if meant(_BACK, clause) else ()


def steps_to_strike(bars: np.ndarray, words: str, stem: str) -> np.ndarray | None:
    """Whether each step (step,) of bars (bar, 4) is struck, where the words say how far apart.

    None where they do not; what they say of broken chords is not how often a chord comes.
    """
    rhythm = _rhythm(words, stem)
    if rhythm is None or _broken(words, stem):
        return None
    struck = np.zeros(int(bars[-1, 0] + bars[-1, 1]), bool)
    for start, length, above, below in bars.tolist():
        if isinstance(rhythm, int):
            struck[start : start + length : _apart(rhythm, length, above, below)] = True
        else:
            beat = _apart(A_BEAT, length, above, below)
            struck[[start + int(b * beat) for b in rhythm if b * beat < length]] = True
    return struck if struck.any() else None


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
    if stem == "bass":
        planes = one_line(planes)
        if value == A_BEAT and meant(re.compile(_WALKING), words.lower()):
            planes = walked(planes, around, bars)
    long = value is not None and (value <= 0 or value >= STEPS_PER_QUARTER)
    return held(planes, bars) if long else planes


def is_held(words: str, stem: str) -> bool:
    """Whether the words ask for notes of half a bar or a bar."""
    return note_value(words, stem) in (HALF_A_BAR, A_BAR, 2 * STEPS_PER_QUARTER)


def _broken(words: str, stem: str) -> bool:
    return stem in ("guitar", "keys") and bool(meant(_BROKEN, words.lower()))


def one_line(planes: np.ndarray) -> np.ndarray:
    """A bass's lowest note of each stroke, to the next stroke at most, in its register: some of
    those trained on double their notes, and one that is told to strike where it would not thinks
    of other instruments."""
    struck, lowest = _line(planes)
    pitches = lowest.copy()
    if len(struck):  # the whole line first, so that it stays one
        pitches -= 12 * max(int(np.ceil((np.median(lowest) - HIGHEST_MEDIAN) / 12)), 0)
    pitches -= 12 * np.maximum(-((HIGHEST_BASS - pitches) // 12), 0)
    pitches += 12 * np.maximum(-((pitches - LOWEST_BASS) // 12), 0)
    return _with_line(planes, struck, lowest, pitches)


def walked(planes: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray) -> np.ndarray:
    """A line whose notes never stand still but over a bar line: one that would goes to a tone that
    sounds in the song around it, near by; before a bar line, if it can, to a neighbour of the next
    bar's note."""
    struck, own = _line(planes)
    if not len(around) or not len(struck):
        return planes
    sounding = np.asarray(np.sum([chroma(part[SOUND]) for part in around], axis=0))
    pitches, ends = own.copy(), np.append(struck, len(planes[ONSET]))[1:]
    downbeat = np.append(np.isin(struck, bars[:, 0]), True)
    for i in np.flatnonzero(~downbeat[:-1]).tolist():
        before, following = pitches[max(i - 1, 0)], pitches[min(i + 1, len(pitches) - 1)]
        if pitches[i] != before and not (downbeat[i + 1] and pitches[i] == following):
            continue
        weight = sounding[struck[i] : ends[i]].sum(axis=0).astype(float)
        near = np.arange(max(before - 7, LOWEST_BASS), min(before + 7, HIGHEST_BASS) + 1)
        near = near[(near != before) & (near != following)]
        merit = weight[near % 12] / max(weight.max(), 1) - 0.03 * abs(near - before)
        merit += 0.3 * (sounding[:, near % 12].any(axis=0))
        merit += 1.5 * (downbeat[i + 1] & (abs(near - following) <= 2))
        pitches[i] = near[merit.argmax()]
    return _with_line(planes, struck, own, pitches)


def _line(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps that are struck, and the lowest pitch of each."""
    struck = np.flatnonzero(planes[ONSET].any(axis=1))
    return struck, planes[ONSET, struck].argmax(axis=1)


def _with_line(
    planes: np.ndarray, struck: np.ndarray, own: np.ndarray, pitches: np.ndarray
) -> np.ndarray:
    """The planes with their `own` notes alone, at other pitches, none beyond the next stroke."""
    out, ends = np.zeros_like(planes), np.append(struck, len(planes[ONSET]))[1:]
    for start, end, pitch, new in zip(struck, ends, own, pitches, strict=True):
        sounds = np.append(planes[SOUND, start:end, pitch], False)
        out[ONSET, start, new] = True
        out[SOUND, start : start + max(int(sounds.argmin()), 1), new] = True
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
