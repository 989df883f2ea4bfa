"""Songs that use all sixteen channels: where a new part plays, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from known_networks import Known
from midi_builders import events_of, name, note, to_bytes
from mido import Message

from restem.errors import UserError
from restem.symbolic.channels import beside, choose_voices
from restem.symbolic.inserting import MidiInserter
from restem.symbolic.midi_files import song_from_bytes
from restem.symbolic.parts import find_parts
from restem.symbolic.performance import FEATURES, Touch
from restem.symbolic.song import Song
from restem.symbolic.wishes import Wishes

PLAIN = Touch((np.zeros((4, FEATURES), np.float32),), (np.array([0.5, -5, 0, -5], np.float32),))
BAR = 4 * 480


def full(bass: int | None = 34) -> Song:
    """Four bars on all channels, a bass (of this program) on the fourth and drums among them."""
    tracks = []
    for channel in range(16):
        program = bass if channel == 3 else 52
        sound = [(0, Message("program_change", channel=channel, program=program or 0))]
        notes = [e for bar in range(4) for e in note(channel, 36, bar * BAR, bar * BAR + 960)]
        tracks.append([name(f"part {channel + 1}"), *sound, *notes])
    return song_from_bytes(to_bytes(tracks), "full.mid")


class Eighths(Known):
    """A kick, or the C at which the song's own bass plays, on every eighth."""

    def log_odds(self, x: np.ndarray, *_: object) -> np.ndarray:
        out = np.full(x.shape, -9.0)
        out[..., 1 if self.stem == "drums" else 36 - 23] = 9.0
        return out


def inserter() -> MidiInserter:
    return MidiInserter({"drums": Eighths("drums"), "bass": Eighths("bass")}, PLAIN)


def test_a_part_shares_the_channel_and_the_sound_of_the_songs_own() -> None:
    song = full()
    made = inserter().insert(song, ["bass"], Wishes(steps=2), force=True)
    new = events_of(made.data)[-1]
    assert events_of(made.data)[:-1] == events_of(song.data)
    assert {m.channel for m in new if not m.is_meta} == {3}
    assert not [m for m in new if m.type == "program_change"]
    assert any("plays on channel 4 in the sound of track 4 (part 4)" in n for n in made.notices)
    # No end of a new note ends one of the song's, whose bass holds C from each bar line.
    ends, now = [], 0
    for message in new:
        now += message.time
        if message.type == "note_off":
            ends.append(now % BAR)
    assert ends and not any(0 <= end < 960 for end in ends)


def test_drums_are_added_to_the_channel_of_drums() -> None:
    made = inserter().insert(full(), ["drums"], Wishes(steps=2), bars=(2, 3))
    new = events_of(made.data)[-1]
    assert {m.channel for m in new if not m.is_meta} == {9} and len(made.notes["drums"]) == 16
    assert not [m for m in new if m.type == "program_change"]


def test_a_part_that_the_song_lacks_asks_for_a_sound_to_share() -> None:
    song = full(bass=81)
    with pytest.raises(UserError, match=r"none plays bass; .* ch5=bass --force") as info:
        inserter().insert(song, ["bass"], Wishes(steps=2))
    assert str(info.value).count(".") == 1
    told = {"ch5": "bass"}
    made = inserter().insert(song, ["bass"], Wishes(steps=2), track_map=told, force=True)
    assert {m.channel for m in events_of(made.data)[-1] if not m.is_meta} == {4}


def test_what_is_free_is_taken_first() -> None:
    song = full()
    song = song_from_bytes(
        to_bytes([t for i, t in enumerate(events_of_ticks(song)) if i != 12]), "s"
    )
    found = find_parts(song)
    voices = choose_voices(["bass", "guitar"], {**found, "guitar": found["other"]}, song, "")
    assert (voices["bass"].channel, voices["bass"].program) == (12, 34)
    assert voices["bass"].shared is None
    assert (
        voices["guitar"].channel == found["other"][0].channel and voices["guitar"].program is None
    )


def events_of_ticks(song: Song) -> list[list]:
    """The tracks of a song as (tick, message), as to_bytes takes them."""
    tracks = []
    for events in events_of(song.data):
        now, track = 0, []
        for message in events:
            now += message.time
            track.append((now, message))
        tracks.append(track[:-1])
    return tracks


def test_a_new_note_leaves_those_of_its_pitch_alone() -> None:
    song = full()  # C from each bar line for two beats
    new = [
        (0, 240, 36, 80),  # struck already
        (480, 1200, 36, 80),  # sounds
        (960, 1440, 36, 80),  # begins as the own one ends
        (1800, 2400, 36, 80),  # would run into the next
        (1919, 2000, 36, 80),  # has no room before it
        (480, 720, 38, 80),  # of another pitch
    ]
    assert beside(np.array(new), song, 3).tolist() == [
        [960, 1440, 36, 80],
        [1800, 1919, 36, 80],
        [480, 720, 38, 80],
    ]
