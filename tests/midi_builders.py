"""Small MIDI files, written with mido, and rolls for the tests of the symbolic part."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import numpy as np
from mido import Message, MetaMessage

from restem.symbolic.rolls import ONSET, SOUND


def to_bytes(tracks: list[list], kind: int = 1, ticks: int = 480) -> bytes:
    """A MIDI file of tracks of (tick, message)."""
    midi = mido.MidiFile(type=kind, ticks_per_beat=ticks)
    for events in tracks:
        now, track = 0, mido.MidiTrack()
        for tick, message in sorted(events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - now))
            now = tick
        midi.tracks.append(track)
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def note(channel: int, pitch: int, start: int, end: int, velocity: int = 80) -> list:
    return [
        (start, Message("note_on", channel=channel, note=pitch, velocity=velocity)),
        (end, Message("note_off", channel=channel, note=pitch, velocity=0)),
    ]


def name(text: str) -> tuple:
    return (0, MetaMessage("track_name", name=text))


def band(bars: int = 4, ticks: int = 480) -> bytes:
    """A song with a bass, a guitar and a piano, no drums."""
    bass, guitar, piano = [name("Bass")], [name("Guitar")], [name("Piano")]
    bass.append((0, Message("program_change", channel=1, program=33)))
    guitar.append((0, Message("program_change", channel=2, program=27)))
    for beat in range(4 * bars):
        at = beat * ticks
        bass += note(1, 40 + 5 * (beat // 4 % 2), at, at + ticks // 2)
        guitar += note(2, 64, at + ticks // 2, at + ticks)
        piano += note(0, 60 + beat % 3, at, at + ticks)
    head = [
        (0, MetaMessage("set_tempo", tempo=500_000)),
        (0, MetaMessage("time_signature", numerator=4, denominator=4)),
    ]
    return to_bytes([head, bass, guitar, piano], ticks=ticks)


def events_of(data: bytes) -> list[list]:
    return [list(track) for track in mido.MidiFile(file=io.BytesIO(data)).tracks]


def save(folder: Path, data: bytes, file_name: str = "song.mid") -> Path:
    path = folder / file_name
    path.write_bytes(data)
    return path


def day_long() -> bytes:
    """One note of 24 hours."""
    return to_bytes([note(0, 60, 0, 480 * 2 * 3600 * 24)])


def many_tracks() -> bytes:
    """A file of 10,000 empty tracks."""
    empty = b"MTrk" + bytes([0, 0, 0, 4, 0, 255, 47, 0])
    return (
        b"MThd"
        + bytes([0, 0, 0, 6, 0, 1])
        + (10_000).to_bytes(2, "big")
        + b"\1\xe0"
        + empty * 10_000
    )


def part(*notes: tuple[int, int, int], steps: int = 84) -> np.ndarray:
    """Planes of notes (first step, step after the last, pitch)."""
    planes = np.zeros((2, steps, 128), bool)
    for start, end, pitch in notes:
        planes[ONSET, start, pitch] = True
        planes[SOUND, start:end, pitch] = True
    return planes
