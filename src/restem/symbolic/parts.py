"""A song in; which of its tracks are drums, bass and guitar out, by channel, program and name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from restem.errors import UserError
from restem.symbolic.rolls import notes_in_steps, planes_from_notes
from restem.symbolic.song import Song, Track

STEMS = ("drums", "bass", "guitar")
KINDS = (*STEMS, "other")
DRUM_CHANNEL = 9
PERCUSSIVE = range(112, 120)  # programs: bells, wood block, taiko, synth drum
_NAMES = (
    (
        "drums",
        re.compile(
            r"(?<!steel[ -])\bdrum|percussion|\bperc\b|schlagzeug|batter|bater[ií]a|\bkit\b", re.I
        ),
    ),
    (
        "bass",
        re.compile(
            r"\bbass(?!oon|et\b|[ -](?:clar|tromb|flute|drum|sax|tuba|recorder|harmonica|oboe))|"
            r"\b[ck]ontrabass(?!oon)|"
            r"\bbajo\b|\bbasse\b|\bbaixo\b",
            re.I,
        ),
    ),
    ("guitar", re.compile(r"guitar|gitarre|\bgtr\b|\bguit\b|\bgit\b", re.I)),
)
# Kick, snare, hi-hats, toms, crash and ride: what a drum part on a wrong channel is made of.
_KIT = (35, 36, 38, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51)


def find_parts(song: Song, track_map: Mapping[str, str] | None = None) -> dict[str, list[Track]]:
    """The song's tracks by kind: "drums", "bass", "guitar" and "other".

    `track_map` overrules what is found: "3" names the third track of the file, "ch10" a channel as
    musicians count them (1 to 16), any other key a track's name. Raises UserError if a key names
    nothing, or if a track looks like drums on a channel that is not for drums.
    """
    wanted = {key.strip().lower(): kind for key, kind in (track_map or {}).items()}
    used: set[str] = set()
    found: dict[str, list[Track]] = {kind: [] for kind in KINDS}
    for track in song.tracks:
        keys = (str(track.number), f"ch{track.channel + 1}", track.name.lower())
        named = [key for key in keys if key in wanted]
        used.update(named)
        kind = wanted[named[0]] if named else kind_of(track)
        if not named and kind == "other" and looks_like_drums(track):
            key = key_of(track, song)
            raise UserError(
                f"Track {track.number} looks like drums, but plays on channel {track.channel + 1}; "
                f"say --track-map {key}=drums, or {key}=other if it is not."
            )
        found[kind].append(track)
    lost = [key for key in wanted if key not in used]
    if lost:
        raise UserError(f"{song.name} has no notes in track {lost[0]!r}; it has {_listing(song)}.")
    return found


def key_of(track: Track, song: Song) -> str:
    """What names a track, and no other of its song's, in a track map: a track of the file that
    plays several channels needs the channel."""
    alone = sum(other.number == track.number for other in song.tracks) == 1
    return str(track.number) if alone else f"ch{track.channel + 1}"


def kind_of(track: Track) -> str:
    """What a track plays: its channel decides, then the program it chooses, then its name."""
    if track.channel == DRUM_CHANNEL or track.bank_drums:
        return "drums"
    if track.program is not None and 32 <= track.program <= 39:
        return "bass"
    if track.program is not None and 24 <= track.program <= 31:
        return "guitar"
    if not track.program:  # none, or the piano of files that choose nothing
        for kind, words in _NAMES:
            if words.search(track.name):
                return kind
    return "other"


def planes_of(tracks: Iterable[Track], song: Song, steps: int) -> np.ndarray:
    """The planes (2, steps, 128) of some of a song's tracks together."""
    notes = [notes_in_steps(track.notes, song.ticks_per_quarter) for track in tracks]
    return planes_from_notes(np.concatenate(notes), steps)


def parse_track_map(texts: list[str]) -> dict[str, str]:
    """`--track-map` as the user writes it: "2=drums,ch3=bass,Lead=guitar"; UserError if wrong."""
    mapping = {}
    for pair in (pair for text in texts for pair in text.split(",") if pair.strip()):
        key, _, kind = pair.rpartition("=")
        if not key.strip() or kind.strip().lower() not in KINDS:
            raise UserError(
                f"--track-map {pair.strip()!r} is not of the form 2=drums; a track's "
                f"number, chN or name, then one of {', '.join(KINDS)}."
            )
        mapping[key.strip()] = kind.strip().lower()
    return mapping


def looks_like_drums(track: Track) -> bool:
    """Mostly a kit's pitches, kick and snare among them, and few of them: no tune does that. A
    track that has chosen an instrument of tones looks so only if it is called drums."""
    pitches = track.notes[:, 2]
    called = _NAMES[0][1].search(track.name) or track.program in PERCUSSIVE
    if (track.program and not called) or len(pitches) < 16:
        return False
    kicks, snares = np.isin(pitches, (35, 36)).mean(), np.isin(pitches, (38, 40)).mean()
    hats = np.isin(pitches, (42, 44, 46, 51)).mean()
    return bool(np.isin(pitches, _KIT).mean() > 0.95 and min(kicks, snares, hats) > 0.04)


def _listing(song: Song) -> str:
    names = [
        f"{t.number} ({t.name or 'no name'}, channel {t.channel + 1})" for t in song.tracks[:8]
    ]
    return "tracks " + ", ".join(names) + (" ..." if len(song.tracks) > 8 else "")
