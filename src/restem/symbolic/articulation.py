"""Words that name a way to play notes and chords, and a part of notes, in; that part so out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from restem.manner import meant
from restem.naming import ALBERTI
from restem.symbolic.cells import chroma
from restem.symbolic.chugs import is_chugged
from restem.symbolic.downbeats import has_downbeats, with_downbeats
from restem.symbolic.full_chords import in_full, is_full
from restem.symbolic.lines import (
    has_octaves,
    in_octaves,
    in_register,
    is_short,
    is_single,
    lowest,
    shortened,
    single_line,
    with_line,
)
from restem.symbolic.rhythms import own_words, rhythm_of
from restem.symbolic.rolls import ONSET, SOUND, STEPS_PER_QUARTER
from restem.symbolic.voicing import grip_of, gripped, harmony_at, root_of, together, with_own

_BROKEN = re.compile(
    r"arpeggi|\barps?\b|\b(broken|picked|plucked) chords?\b|\bfinger-?[ -]?(pick|styl)|"
    r"\btravis\b|\balberti\b"
)
_POWER = re.compile(r"\bpower[ -]chords?\b")
_UP_AND_DOWN = {2: (0, 1), 3: (0, 1, 2, 1), 4: (0, 1, 2, 3, 2, 1)}
MOST_BROKEN = 4  # notes of a chord
HIGHEST_BASS, HIGHEST_MEDIAN, LOWEST_BASS = 55, 47, 28  # G3; B2; E1
LOWEST_STRING = 40  # E2, of a guitar
STRINGS, CHORD = 6, 3  # of a guitar; notes of a stroke for which the hand leaves what it held


def as_worded(
    planes: np.ndarray,
    around: Sequence[np.ndarray],
    bars: np.ndarray,
    words: str,
    stem: str,
    own: np.ndarray | None = None,
) -> np.ndarray:
    """The planes (2, step, 128) of a part with notes as long, and chords of a guitar or keys
    gripped, broken or thinned to fifths or to a line, in octaves and in the register that the words
    ask for; a bass is one line, a guitar has six strings.
    `around` are the planes of the song's other tones, `own` those of such a part that the song has
    in other bars."""
    rhythm = rhythm_of(words, stem)
    broken, single = is_broken(words, stem), is_single(words, stem)
    full = is_full(words, stem)
    grip, power = grip_of(words, stem), stem == "guitar" and is_of_fifths(words)
    if (power or single or grip or full) and not broken:
        planes = together(planes)
    if power:
        planes = fifths(planes, around, bars)
    if stem == "bass":
        planes = one_line(planes, own)
        if rhythm.walking:
            planes = walked(planes, around, bars)
        elif has_downbeats(words, stem):
            planes = with_downbeats(planes, around, bars)
    elif single and not broken:
        struck = np.flatnonzero(planes[ONSET].any(axis=1))
        planes = single_line(planes, stem, harmony_at(struck, around, bars))
    elif grip and not broken and not power:
        planes = gripped(planes, around, bars, grip)
    elif full and not broken:
        planes = held(in_full(planes, around, bars), bars)
    planes = in_register(planes, words, stem)
    if has_octaves(words, stem) and not broken:
        planes = in_octaves(planes, stem)
    if broken:
        sixteenths = rhythm.value == STEPS_PER_QUARTER // 4
        planes = arpeggios(planes, bars, STEPS_PER_QUARTER // (4 if sixteenths else 2))
    elif stem == "guitar":
        planes = on_strings(planes)
    if rhythm.value is not None and (rhythm.value <= 0 or rhythm.value >= STEPS_PER_QUARTER):
        return planes if broken else held(planes, bars)
    return shortened(planes) if is_short(words, stem) else planes


def is_broken(words: str, stem: str) -> bool:
    """Whether the words ask for the chords of this stem as single notes."""
    own = own_words(words.lower().replace(ALBERTI, "alberti"), stem)
    return stem in ("guitar", "keys") and bool(meant(_BROKEN, own))


def is_of_fifths(words: str) -> bool:
    """Whether the words ask a guitar for power chords, by name or as chugs."""
    return bool(meant(_POWER, words.lower())) or is_chugged(own_words(words, "guitar"))


def one_line(planes: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """A bass's lowest note of each stroke, to the next stroke at most, in its register or, if there
    is one, in that of the song's `own`: some of those trained on double their notes, and one that
    is told to strike where it would not thinks of other instruments."""
    struck, line = lowest(planes)
    pitches = line.copy()
    if not len(struck):
        return np.zeros_like(planes)
    median = float(np.median(line))  # the whole line is moved, so that it stays one
    if own is not None and own[ONSET].any():
        pitches -= 12 * round((median - float(np.median(lowest(own)[1]))) / 12)
        low, high = 0, planes.shape[2] - 1
    else:
        pitches -= 12 * max(int(np.ceil((median - HIGHEST_MEDIAN) / 12)), 0)
        low, high = LOWEST_BASS, HIGHEST_BASS
    pitches -= 12 * np.maximum(-((high - pitches) // 12), 0)
    pitches += 12 * np.maximum(-((pitches - low) // 12), 0)
    return with_line(planes, struck, line, pitches)


def on_strings(planes: np.ndarray) -> np.ndarray:
    """The planes with at most six notes sounding at once, as of a guitar: what was struck before
    ends where a chord is struck or no string is left, the oldest first."""
    out, ringing = np.zeros_like(planes), list[tuple[int, int]]()  # pitch and end, oldest first
    for start in np.flatnonzero(planes[ONSET].any(axis=1)).tolist():
        chord = _fingered(np.flatnonzero(planes[ONSET, start]))
        ringing = [note for note in ringing if note[1] > start]
        left = STRINGS - len(chord) if len(chord) < CHORD else 0
        let_go = max(len(ringing) - left, 0)
        for pitch, end in ringing[:let_go]:
            out[SOUND, start:end, pitch] = False
        ringing = ringing[let_go:]
        for pitch in chord.tolist():
            on = planes[SOUND, start + 1 :, pitch] & ~planes[ONSET, start + 1 :, pitch]
            end = start + 1 + int(np.append(on, False).argmin())
            out[ONSET, start, pitch] = True
            out[SOUND, start:end, pitch] = True
            ringing.append((pitch, end))
    return out


def _fingered(chord: np.ndarray) -> np.ndarray:
    """At most six of a chord's pitches: its lowest, then from above one of each name, then more."""
    kept = chord[:1].tolist()
    above = chord[:0:-1].tolist()
    for pitch in above:
        if pitch % 12 not in {other % 12 for other in kept}:
            kept.append(pitch)
    kept += [pitch for pitch in above if pitch not in kept]
    return np.array(sorted(kept[:STRINGS]), dtype=np.int64)


def walked(planes: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray) -> np.ndarray:
    """A line whose notes never stand still but over a bar line: one that would goes to a tone that
    sounds in the song around it, near by; before a bar line, if it can, to a neighbour of the next
    bar's note. Where nothing around has tones it stays as it is."""
    struck, own = lowest(planes)
    if not any(part[SOUND].any() for part in around):
        return planes
    sounding = np.asarray(np.sum([chroma(part[SOUND]) for part in around], axis=0))
    usual = sounding.sum(axis=0)
    pitches, ends = own.copy(), np.append(struck, len(planes[ONSET]))[1:]
    downbeat, last = np.isin(struck, bars[:, 0]), len(struck) - 1
    for i in range(1, len(struck)):
        before, following = int(pitches[i - 1]), int(pitches[i + 1]) if i < last else -1
        to_bar = i < last and bool(downbeat[i + 1])
        if downbeat[i] or (pitches[i] != before and not (to_bar and pitches[i] == following)):
            continue
        weight = sounding[struck[i] : ends[i]].sum(axis=0)
        weight = weight if weight.any() else usual
        low, high = max(before - 7, LOWEST_BASS), min(before + 7, HIGHEST_BASS)
        near = np.arange(min(low, before), max(high, before) + 1)  # the song's own may lie beyond
        near = near[(near != before) & (near != following)]
        merit = weight[near % 12] / weight.max() - 0.03 * abs(near - before)
        merit += 0.3 * (usual[near % 12] > 0)
        if to_bar:
            merit += 1.5 * (abs(near - following) <= 2)
        pitches[i] = near[merit.argmax()]
    return with_line(planes, struck, own, pitches)


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


def fifths(planes: np.ndarray, around: Sequence[np.ndarray], bars: np.ndarray) -> np.ndarray:
    """Each chord as its root, the fifth and the octave, low on a guitar.

    The root is that of the triad which the chord and all `around` it sound longest.
    """
    out, playing = np.zeros_like(planes), planes[SOUND] | planes[ONSET]
    struck = np.flatnonzero(planes[ONSET].any(axis=1))
    own, song = chroma(planes[ONSET, struck]), harmony_at(struck, around, bars)
    for i, (start, following) in enumerate(pairwise([*struck.tolist(), len(playing)])):
        chord = np.flatnonzero(planes[ONSET, start])
        end = start + int(np.append(playing[start:following][:, chord].any(axis=1), False).argmin())
        root = LOWEST_STRING + (root_of(with_own(song[i], own[i])) - LOWEST_STRING) % 12
        for pitch in (root, root + 7, root + 12):
            out[ONSET, start, pitch] = True
            out[SOUND, start:end, pitch] = True
    return out


def _moments(planes: np.ndarray, bars: np.ndarray) -> list[tuple[int, int]]:
    """Each step that is struck, and the next one or the end of its bar."""
    struck = np.flatnonzero(planes[ONSET].any(axis=1))
    lines = np.append(bars[:, 0], bars[-1, 0] + bars[-1, 1])
    ends = lines[np.searchsorted(lines, struck, side="right")]
    ends = np.minimum(ends, np.append(struck[1:], len(planes[ONSET])))
    return list(zip(struck.tolist(), ends.tolist(), strict=True))
