"""Strokes of any notes of a piano in; full chords of one size, each over its root, out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from restem.manner import meant
from restem.symbolic.cells import CHROMA
from restem.symbolic.rhythms import own_words, rhythm_of
from restem.symbolic.rolls import ONSET, SOUND
from restem.symbolic.voicing import (
    SIXTEENTH,
    TRIAD,
    Grip,
    harmony_at,
    position,
    root_of,
    sounded,
    triad,
    with_own,
)

_CHORDS = re.compile(r"\bchords?\b|\bvoicings?\b|\bsustained (?:organ|synth|piano|keys)\b")
_FULL = re.compile(
    r"\b(?:big|full|huge|massive|fat|thick|rich|lush|block)(?:,? [\w-]+)? (?:chords?|voicings?)\b"
)
HAND, LOWEST_ROOT = Grip(TRIAD, TRIAD, 55, 74), 40  # of the right hand; E2, of the left
SEVENTHS, LASTING = (10, 11, 9), 0.5  # semitones over the root; how long, of the longest tone


def is_full(words: str, stem: str) -> bool:
    """Whether the words ask keys for chords that are long or big."""
    if stem != "keys":
        return False
    own = own_words(words, stem)
    return bool(meant(_FULL, own) or (rhythm_of(words, stem).is_long and meant(_CHORDS, own)))


def in_full(planes: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray) -> np.ndarray:
    """Each stroke of planes (2, step, 128) as the root of its chord and three more notes in one
    position above: the triad, or of a seventh chord the other three.

    The chord is what the song `around` sounds longest until the next stroke or bar, so that notes
    in passing are left out; where it sounds too little, that of the nearest stroke.
    """
    struck = np.flatnonzero(planes[ONSET].any(axis=1))
    out, top = np.zeros_like(planes), -1
    roots, chords = _chords(planes, struck, around, bars)
    for i, start in enumerate(struck.tolist()):
        end = int(struck[i + 1]) if i + 1 < len(struck) else planes.shape[1]
        own = np.flatnonzero(planes[ONSET, start])
        sounds = np.asarray(planes[SOUND, start:end][:, own].any(axis=1))
        sounds[:SIXTEENTH] = True
        pitches = own
        if chords[i].any():
            pitches = position(chords[i], int(roots[i]), HAND, top)
            top = int(pitches[-1])
            pitches = np.append(LOWEST_ROOT + (roots[i] - LOWEST_ROOT) % CHROMA, pitches)
        out[ONSET, start, pitches] = True
        out[SOUND, start : start + int(np.append(sounds, False).argmin()), pitches] = True
    return out


def _chords(
    planes: np.ndarray, struck: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The root (stroke,) of the chord at each of the steps `struck`, and the pitch classes
    (stroke, 12) of the right hand; none where no chord is known."""
    steps = int(bars[-1, :2].sum())
    lines = np.append(bars[:, 0], steps)
    ends = lines[np.searchsorted(lines, struck, side="right").clip(max=len(bars))]
    ends = np.minimum(ends, np.append(struck[1:], steps))
    before = sounded(around, steps)
    # The first beat counts twice: a chord stands for its bar, though another may end it.
    song = before[ends] - before[struck] + harmony_at(struck, around, bars)
    usual = 1e-6 * song.sum(axis=0)  # decides on a third that does not sound
    roots, hands = np.zeros(len(struck), np.int64), np.zeros((len(struck), CHROMA), bool)
    for i, step in enumerate(struck.tolist()):
        own = np.bincount(np.flatnonzero(planes[ONSET, step]) % CHROMA, minlength=CHROMA) > 0
        lengths = with_own(song[i], own) + usual
        if (song[i] > 0).sum() > 1:
            root = root_of(lengths)
            roots[i], hands[i] = root, _hand(song[i], lengths, root)
    known = np.flatnonzero(hands.any(axis=1))
    for lone in np.flatnonzero(~hands.any(axis=1)) if len(known) else ():
        nearest = known[np.abs(struck[known] - struck[lone]).argmin()]
        roots[lone], hands[lone] = roots[nearest], hands[nearest]
    return roots, hands


def _hand(song: np.ndarray, lengths: np.ndarray, root: int) -> np.ndarray:
    """The pitch classes (12,) of a right hand over a root."""
    out = triad(lengths)
    others = [(root + over) % CHROMA for over in SEVENTHS]
    seventh = max(others, key=lambda name: song[name])
    if song[seventh] >= LASTING * song.max():
        out[root], out[seventh] = False, True
    return out
