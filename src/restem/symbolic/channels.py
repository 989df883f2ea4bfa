"""A song and the parts to add in, the MIDI channel and the sound of each new part out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from restem.errors import UserError
from restem.symbolic.parts import DRUM_CHANNEL
from restem.symbolic.song import Song, Track
from restem.symbolic.voices import program_for


@dataclass(frozen=True)
class Voice:
    """Where a new part plays: `program` is None where the channel has its sound already, and
    `shared` the song's own track on it, if there is one."""

    channel: int
    program: int | None
    shared: Track | None = None


def choose_voices(
    wanted: list[str], found: Mapping[str, list[Track]], song: Song, style: str
) -> dict[str, Voice]:
    """Channel and program of each new part.

    Channels of which the song says nothing come first, then those on which nothing plays: some
    files set all sixteen at their beginning. Where all play, a part shares the channel and the
    sound of the song's own part of its kind; UserError if the song has none.
    """
    playing = {track.channel for track in song.tracks}
    order = sorted(set(range(16)) - playing - {DRUM_CHANNEL}, key=lambda c: (c in song.channels, c))
    voices: dict[str, Voice] = {}
    for stem in wanted:
        own = found[stem][0] if found[stem] else None
        if stem == "drums":
            # On a channel that is in use a program change would alter the user's own kit.
            voices[stem] = Voice(DRUM_CHANNEL, None if DRUM_CHANNEL in song.channels else 0)
        elif order:
            given = own is not None and own.program is not None
            program = own.program if own is not None and given else program_for(stem, style)
            voices[stem] = Voice(order.pop(0), program)
        elif own is not None:
            voices[stem] = Voice(own.channel, None, own)
        else:
            raise UserError(
                f"All 16 MIDI channels of the song are in use and none plays {stem}; name one "
                f"whose sound the new part may share, as in --track-map ch5={stem} --force."
            )
    return voices


def beside(notes: np.ndarray, song: Song, channel: int) -> np.ndarray:
    """The new notes (note, 4) that can be played on a channel of the song's.

    A channel has one switch for each pitch: the end of a note ends all that sound at its pitch. So
    a new note ends before an own one of its pitch begins, and where one sounds there is no other.
    """
    own = np.concatenate([track.notes for track in song.tracks if track.channel == channel])
    kept = []
    for start, end, pitch, velocity in notes.tolist():
        same = own[own[:, 2] == pitch]
        sounding = (same[:, 0] <= start) & (start < same[:, 1])
        later = same[(same[:, 0] > start) & (same[:, 0] <= end), 0]
        stop = min(end, int(later.min()) - 1) if len(later) else end
        if not sounding.any() and stop > start:
            kept.append((start, stop, pitch, velocity))
    return np.array(kept, dtype=np.int64).reshape(-1, 4)


def said_of(voices: Mapping[str, Voice]) -> list[str]:
    """A notice for each part that shares a channel."""
    return [
        f"No MIDI channel is free: the new {stem} part plays on channel {voice.channel + 1} in the "
        f"sound of track {voice.shared.number} ({voice.shared.name or 'no name'})."
        for stem, voice in voices.items()
        if voice.shared is not None
    ]
