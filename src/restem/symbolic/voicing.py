"""Strokes of any notes in; chords in one position, as a hand grips them, out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restem.manner import meant
from restem.symbolic.cells import CHROMA, chroma
from restem.symbolic.rhythms import BUBBLE, own_words
from restem.symbolic.rolls import (
    ONSET,
    SOUND,
    STEPS_PER_QUARTER,
    notes_from_roll,
    planes_from_notes,
)

_STABS = re.compile(r"\bskank|\bchop(?:s|py)\b|\bstabs?\b")
_BUBBLE = re.compile(BUBBLE)
_PADS = re.compile(r"\bpads?\b")
_STRUMMED = re.compile(r"\bstrum")
SIXTEENTH = STEPS_PER_QUARTER // 4  # in steps: the least length
TRIAD, MOST = 3, 4  # names of the notes of a chord
HEARD, OWN = 0.3, 0.25  # of the longest tone: what sounds, and what a stroke's own note counts
OF_BAR = 0.15  # what a bar counts beside a moment of it, of which not all notes are heard
# What a position costs, in semitones that its highest note moves: for each semitone from the middle
# of the register, for a lowest note that is not the root, for each string that is left out.
OFF_MIDDLE, NOT_ROOT, LEFT_OUT = 0.25, 7.0, 3.0


@dataclass(frozen=True)
class Grip:
    """How many notes a chord has and between which pitches, and whether it stands on its root."""

    least: int
    most: int
    low: int
    high: int
    on_root: bool = False


STABS, PADS = Grip(3, 4, 55, 76), Grip(3, 4, 52, 74)
BUBBLING = Grip(3, 4, 52, 69)
STRUMMED = Grip(4, 6, 43, 72, on_root=True)


def grip_of(words: str, stem: str) -> Grip | None:
    """How the words ask a guitar or keys to grip chords; None where they say nothing of it."""
    own = own_words(words, stem)
    if stem == "guitar" and meant(_STRUMMED, own):
        return STRUMMED
    if stem not in ("guitar", "keys"):
        return None
    if stem == "keys" and meant(_BUBBLE, own):
        return BUBBLING
    return STABS if meant(_STABS, own) else PADS if meant(_PADS, own) else None


def gripped(
    planes: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray, grip: Grip
) -> np.ndarray:
    """Each stroke of planes (2, step, 128) as a chord in one position of the grip.

    It has those of the stroke's notes, by name, that sound `around` it too, if they are three or
    four, and else those of the triad that is sounded longest; where there is none, those of the
    nearest stroke that has one. The highest note moves as little as it can.
    """
    struck = np.flatnonzero(planes[ONSET].any(axis=1))
    if not len(struck):
        return planes
    spans = list(zip(struck.tolist(), [*struck[1:].tolist(), len(planes[ONSET])], strict=True))
    own, song = chroma(planes[ONSET, struck]), harmony_at(struck, around, bars)
    chords = _chords(own, song, struck)
    out, top = np.zeros_like(planes), -1
    for i, (start, end) in enumerate(spans):
        pitches = np.flatnonzero(planes[ONSET, start])
        sounds = np.asarray(planes[SOUND, start:end][:, pitches].any(axis=1))
        sounds[:SIXTEENTH] = True
        if chords[i].sum() >= TRIAD:
            root = root_of(with_own(song[i], own[i]) * chords[i])
            pitches = position(chords[i], root, grip, top)
            top = int(pitches[-1])
        out[ONSET, start, pitches] = True
        out[SOUND, start : start + int(np.append(sounds, False).argmin()), pitches] = True
    return out


def together(planes: np.ndarray) -> np.ndarray:
    """The planes with strokes that lie one step apart, which nobody hears as two, made one."""
    notes = notes_from_roll(planes[None])
    struck = np.unique(notes[:, 0]).tolist()
    joined = dict[int, int]()
    for step in struck:
        if step - 1 in struck and step - 1 not in joined:
            joined[step] = step - 1
    notes[:, 0] = [joined.get(step, step) for step in notes[:, 0].tolist()]
    return planes_from_notes(notes, planes.shape[1])


def harmony_at(struck: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray) -> np.ndarray:
    """How many steps each pitch class sounds in all parts `around`, from each of the steps struck
    to the next or the next beat, and a little what its whole bar sounds: (stroke, 12)."""
    steps = int(bars[-1, :2].sum())
    before = sounded(around, steps)
    lines = np.append(bars[:, 0], steps)
    bar = np.searchsorted(bars[:, 0], struck, side="right")
    into = (struck - lines[bar - 1]) % STEPS_PER_QUARTER  # the beat; chords change on beats
    ends = np.minimum(np.append(struck[1:], steps), struck + STEPS_PER_QUARTER - into)
    ends = np.minimum(ends, lines[bar])
    whole = before[lines[bar]] - before[lines[bar - 1]]
    return np.asarray(before[ends] - before[struck] + OF_BAR * whole)


def sounded(around: Sequence[np.ndarray], steps: int) -> np.ndarray:
    """For how many steps each pitch class has sounded, in all parts `around`, before each step and
    before the end: (steps + 1, 12)."""
    sounding = np.zeros((steps, CHROMA))
    for part in around:
        sounding += chroma(part[SOUND, :steps])
    return np.concatenate([np.zeros((1, CHROMA)), sounding.cumsum(axis=0)])


def with_own(song: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Lengths (12,) as `harmony_at` has them with those that a stroke's own classes count for."""
    return np.asarray(song + OWN * own * max(float(song.max()), 1.0))


def root_of(lengths: np.ndarray) -> int:
    """The pitch class whose triad holds most of what sounds, as long as `lengths` (12,)."""
    minor, major, fifth = (np.roll(lengths, -interval) for interval in (3, 4, 7))
    return int(np.argmax(lengths + fifth + 0.5 * np.maximum(minor, major)))


def _chords(own: np.ndarray, song: np.ndarray, struck: np.ndarray) -> np.ndarray:
    """The pitch classes (stroke, 12) of the chord of each of the strokes at the steps `struck`,
    whose `own` are given, and how long the `song` sounds each; or else its own."""
    usual = 1e-6 * song.sum(axis=0)  # decides on a third that does not sound
    out = own.copy()
    for i, lengths in enumerate(song):
        sounding = lengths > HEARD * lengths.max()
        if sounding.sum() >= TRIAD:
            out[i] &= sounding
        known = sounding.sum() > 1 or own[i].sum() > MOST  # two notes tell of their third
        if known and not TRIAD <= out[i].sum() <= MOST:
            out[i] = triad(with_own(lengths, own[i]) + usual)
    full = np.flatnonzero(out.sum(axis=1) >= TRIAD)
    for lone in np.flatnonzero(out.sum(axis=1) < TRIAD) if len(full) else ():
        out[lone] = out[full[np.abs(struck[full] - struck[lone]).argmin()]]
    return out


def triad(lengths: np.ndarray) -> np.ndarray:
    """The pitch classes (12,) of the triad that holds most of what sounds, as `root_of` has it."""
    root = root_of(lengths)
    out = np.zeros(CHROMA, bool)
    third = 3 if lengths[(root + 3) % CHROMA] > lengths[(root + 4) % CHROMA] else 4
    out[[root, (root + third) % CHROMA, (root + 7) % CHROMA]] = True
    return out


def position(chord: np.ndarray, root: int, grip: Grip, top: int) -> np.ndarray:
    """The pitches of a chord that lie next to one another and cost least."""
    near = np.arange(grip.low, grip.high + 1)
    near = near[chord[near % CHROMA]]
    most = grip.most if grip.on_root else int(chord.sum())  # else each name once
    options = [
        near[first : first + count]
        for count in range(grip.least, most + 1)
        for first in range(len(near) - count + 1)
    ]

    def cost(pitches: np.ndarray) -> float:
        moved = 0 if top < 0 else abs(int(pitches[-1]) - top)
        middle = abs(float(pitches[0] + pitches[-1]) - grip.low - grip.high) / 2
        wrong = NOT_ROOT * (grip.on_root and pitches[0] % CHROMA != root)
        return moved + OFF_MIDDLE * middle + wrong + LEFT_OUT * (most - len(pitches))

    return min(options, key=cost)
