"""A sparse bass line in; the same with a note at the beginning of each bar that had none, out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from restem.manner import density_of_words
from restem.symbolic.cells import CHROMA
from restem.symbolic.lines import REACH, lowest
from restem.symbolic.rhythms import Rhythm, own_words, rhythm_of
from restem.symbolic.rolls import ONSET, SOUND, STEPS_PER_QUARTER
from restem.symbolic.voicing import harmony_at, root_of

_RESTS = re.compile(
    r"\brests?\b|\bpauses?\b|\bgaps?\b|\bspac(?:e|es|ey|ious)\b|\bsilen|\bleav|\bdrops?\b|"
    r"\bsyncopat|\boff-?[ -]?beats?\b|\bbreath|\boccasional|\bnow and then\b"
)
PUSH = STEPS_PER_QUARTER // 2  # steps before a bar line: a note struck there belongs to the bar


def has_downbeats(words: str, stem: str) -> bool:
    """Whether the words ask a bass to be simple, with neither another rhythm nor rests."""
    own = own_words(words, stem)
    plain = rhythm_of(words, stem) == Rhythm() and not _RESTS.search(own)
    return stem == "bass" and density_of_words(own) < 0 and plain


def with_downbeats(
    planes: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray
) -> np.ndarray:
    """The line of planes (2, step, 128) with the chord's root at each bar line at which the song
    `around` plays and no note of the line begins, or sounds that began in the half beat before.

    The root is as high as that note is where the line plays it nearest by, and lasts until the next
    stroke or bar. Before the line's first bar and after its last one it stays silent.
    """
    struck, line = lowest(planes)
    if not len(struck) or not around:
        return planes
    out, ends = planes.copy(), bars[:, 0] + bars[:, 1]
    song = harmony_at(bars[:, 0], around, bars)
    playing = np.any([part[SOUND].any(axis=1) for part in around], axis=0)
    for i, (start, end) in enumerate(zip(bars[:, 0].tolist(), ends.tolist(), strict=True)):
        pushed = np.any((struck >= start - PUSH) & (struck < start)) and planes[SOUND, start].any()
        begun = pushed or np.any(struck == start)
        if begun or end <= struck[0] or start > struck[-1]:
            continue
        if not playing[start : start + STEPS_PER_QUARTER].any():
            continue
        pitch = _nearest(root_of(song[i]), start, struck, line)
        following = min([*struck[struck > start].tolist(), planes.shape[1]])
        out[SOUND, start:following] = False  # of a note that was held over the bar line
        out[ONSET, start, pitch] = True
        out[SOUND, start : min(end, following), pitch] = True
    return out


def _nearest(root: int, step: int, struck: np.ndarray, line: np.ndarray) -> int:
    """The pitch of that name which the line plays nearest to a step, or else the one nearest to
    the middle of the line that a bass has."""
    same = np.flatnonzero(line % CHROMA == root)
    if len(same):
        return int(line[same[np.abs(struck[same] - step).argmin()]])
    middle = round(float(np.median(line)))
    pitch = middle + (root - middle + CHROMA // 2) % CHROMA - CHROMA // 2
    return pitch + CHROMA if pitch < min(REACH["bass"][0], int(line.min())) else pitch
