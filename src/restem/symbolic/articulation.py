"""Words that name a rhythm or a way to play chords in; the steps to strike, and the notes, out.

A network hears in a sentence which style is meant. How long the notes shall be it was never told,
and what the words say plainly is done here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from restem.manner import meant
from restem.symbolic.cells import chroma
from restem.symbolic.rolls import ONSET, SOUND, STEPS_PER_QUARTER

A_BAR = 0.0  # in place of beats between strokes: one stroke a bar
_NOTE_VALUES = (
    (0.25, r"\b(sixteenths?|16ths?|semiquavers?)\b"),
    (0.5, r"\b(eighths?|8ths?|quavers?)\b"),
    (
        1.0,
        r"\bwalking\b|\bquarter[ -]notes?\b|\bcrotchets?\b|\b(every|each) beat\b|"
        r"\bfour (notes? |chords? )?(to|in) (the|a) bar\b",
    ),
    (2.0, r"\bhalf[ -]notes?\b|\bminims?\b|\btwo (notes |chords )?(to the|in a|a|per) bar\b"),
    (
        A_BAR,
        r"\bwhole[ -]notes?\b|\bsemibreves?\b|\bonce (a|per) bar\b|"
        r"\b(one|a) (note |chord )?(per|in each|each|every) bar\b|"
        r"\b(long|held)([ ,]+\w+)? (notes?|chords?|tones?)\b|\bsustained\b|\bdrones?\b|\bpads?\b",
    ),
)
_BROKEN = re.compile(r"arpeggi|\b(broken|picked|plucked) chords?\b|\bfinger-?[ -]?pick|\balberti\b")
_POWER = re.compile(r"\bpower[ -]chords?\b|\bfifths\b")
_UP_AND_DOWN = {2: (0, 1), 3: (0, 1, 2, 1), 4: (0, 1, 2, 3, 2, 1)}
MOST_BROKEN = 4  # notes of a chord
HIGHEST_BASS = 55  # G3
LOWEST_POWER = 40  # E2, the lowest string of a guitar


def beats_between(words: str) -> float | None:
    """Beats from stroke to stroke, counted from each bar line, if the words name a note value:
    "walking" 1, "eighth notes" 0.5, "one chord per bar" `A_BAR`; None if they name none."""
    lower = words.lower()
    found = (beats for beats, names in _NOTE_VALUES if meant(re.compile(names), lower))
    return next(found, None)


def steps_to_strike(bars: np.ndarray, words: str, stem: str) -> np.ndarray | None:
    """Whether each step (step,) of bars (bar, 4) is struck, where the words say how far apart.

    None where they do not; what they say of broken chords is not how often a chord comes.
    """
    beats = beats_between(words)
    if stem == "drums" or beats is None or _broken(words, stem):
        return None
    every = round(beats * STEPS_PER_QUARTER)
    struck = np.zeros(int(bars[-1, 0] + bars[-1, 1]), bool)
    for start, length in bars[:, :2].tolist():
        struck[start : start + length : every or length] = True
    return struck


def as_worded(
    planes: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray, words: str, stem: str
) -> np.ndarray:
    """The planes (2, step, 128) of a part with notes as long, and chords of a guitar or keys broken
    or thinned to fifths, as the words ask for; `around` are those of the song's other tones."""
    beats = beats_between(words)
    if stem == "guitar" and meant(_POWER, words.lower()):
        planes = fifths(planes, around)
    if _broken(words, stem):
        return arpeggios(planes, 0.25 if beats == 0.25 else 0.5)
    if stem == "bass" and beats is not None:
        planes = lowered(planes)
    if stem != "drums" and beats in (A_BAR, 1.0, 2.0):
        planes = held(planes, bars, beats)
    return planes


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


def held(planes: np.ndarray, bars: np.ndarray, beats: float) -> np.ndarray:
    """Each note on to the next stroke, at most so many beats, or to its bar's end."""
    out = planes.copy()
    moments = np.flatnonzero(planes[ONSET].any(axis=1))
    lines = np.append(bars[:, 0], bars[-1, 0] + bars[-1, 1])
    ends = lines[np.searchsorted(lines, moments, side="right")]
    if beats:
        ends = np.minimum(ends, moments + round(beats * STEPS_PER_QUARTER))
    ends = np.minimum(ends, np.append(moments[1:], len(planes[ONSET])))
    for start, end in zip(moments.tolist(), ends.tolist(), strict=True):
        out[SOUND, start:end] = planes[ONSET, start]
    return out


def arpeggios(planes: np.ndarray, beats: float) -> np.ndarray:
    """Each chord's notes one after another, up and down, until the next chord or its end; they ring
    on as long as the chord."""
    out, every = np.zeros_like(planes), round(beats * STEPS_PER_QUARTER)
    moments = np.flatnonzero(planes[ONSET].any(axis=1)).tolist()
    for start, following in zip(moments, [*moments[1:], len(planes[ONSET])], strict=True):
        chord = np.flatnonzero(planes[ONSET, start])
        end = _ends(planes, chord, start, following)
        order = chord[np.linspace(0, len(chord) - 1, min(len(chord), MOST_BROKEN)).astype(int)]
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
    out = np.zeros_like(planes)
    sounding = np.sum(
        [chroma(part[SOUND, : len(out[SOUND])]) for part in (planes, *around)], axis=0
    )
    moments = np.flatnonzero(planes[ONSET].any(axis=1)).tolist()
    for start, following in zip(moments, [*moments[1:], len(planes[ONSET])], strict=True):
        chord = np.flatnonzero(planes[ONSET, start])
        end = _ends(planes, chord, start, following)
        root = LOWEST_POWER + (_root(sounding[start:end].sum(axis=0)) - LOWEST_POWER) % 12
        for pitch in (root, root + 7, root + 12):
            out[ONSET, start, pitch] = True
            out[SOUND, start:end, pitch] = True
    return out


def _root(lengths: np.ndarray) -> int:
    """The pitch class whose triad holds most of what sounds, as long as `lengths` (12,)."""
    up = [np.roll(lengths, -interval) for interval in (3, 4, 7)]
    return int(np.argmax(lengths + up[2] + 0.5 * np.maximum(up[0], up[1])))


def _ends(planes: np.ndarray, chord: np.ndarray, start: int, following: int) -> int:
    """The step at which a chord is silent, at the latest that of the following one."""
    sounding = planes[SOUND, start:following][:, chord].any(axis=1)
    return int(start + np.append(sounding, False).argmin())
