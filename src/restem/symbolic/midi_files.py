"""MIDI files in, songs out; and the same bytes with one more track out again.

The user's tracks are never parsed and written anew: their bytes are copied, so whatever they hold
stays, event for event. Only the header changes (one more track, type 1), and the new track is
appended.
"""

from __future__ import annotations

import io
import struct
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import numpy as np

from restem.errors import UserError
from restem.symbolic.song import MOST_TRACKS, NO_NOTES, Song, Track, by_tick, checked

MOST_BYTES = 64 * 2**20
DEFAULT_TEMPO = 500_000  # microseconds a quarter, by the standard
DRUM_BANKS = (120, 127)  # bank select (controller 0) of drum kits in General MIDI 2 and in XG
_SAVE_AGAIN = "save it again as a MIDI file of type 1 from a sequencer"


def read_midi(path: str | Path, name: str | None = None) -> Song:
    """The song of a MIDI file of type 0 or 1; UserError says what is wrong with any other, under
    the file's name or another that its owner knows."""
    path = Path(path)
    name = name or path.name
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{name} is larger than 64 MB, which no song in MIDI is.")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"Could not read {name}: {error.strerror or error}; check the name of the file."
        ) from None
    return song_from_bytes(data, name)


def song_from_bytes(data: bytes, name: str) -> Song:
    """The song in the bytes of a MIDI file; `name` is for messages."""
    division, chunks = _header(data, name)
    try:
        tracks = [_events(data[start:end]) for start, end in chunks]
    except Exception as error:  # mido tells damage by a dozen kinds of exception
        raise UserError(f"{name} is a damaged MIDI file ({error}); {_SAVE_AGAIN}.") from None
    tempos: list[tuple[int, ...]] = []
    metres: list[tuple[int, ...]] = []
    for events in tracks:
        for tick, event in events:
            if event.type == "set_tempo" and event.tempo > 0:
                tempos.append((tick, event.tempo))
            elif (
                event.type == "time_signature" and event.numerator > 0 and event.denominator <= 128
            ):
                metres.append((tick, event.numerator, event.denominator))
    notices = () if tempos else (f"{name} has no tempo; 120 quarter notes a minute are assumed.",)
    parts = [part for number, events in enumerate(tracks, 1) for part in _parts(events, number)]
    if len(parts) > 1 and len({part.number for part in parts}) == 1:
        # The name of a track that holds the whole song is its title, and names no instrument.
        parts = [replace(part, name="") for part in parts]
    channels = frozenset(
        event.channel
        for events in tracks
        for _, event in events
        if hasattr(event, "channel") and not event.is_meta
    )
    return checked(
        Song(
            name,
            division,
            tuple(parts),
            by_tick(tempos, (0, DEFAULT_TEMPO)),
            by_tick(metres, (0, 4, 4)),
            channels,
            data,
            notices,
        )
    )


def with_track(data: bytes, track: bytes) -> bytes:
    """The MIDI file `data` as type 1 with the chunk `track` after its last track."""
    _, chunks = _header(data, "The file")
    count, length = len(chunks), struct.unpack(">I", data[4:8])[0]
    head = data[:8] + struct.pack(">HH", 1, count + 1) + data[12 : 8 + length]
    last = chunks[-1][1]
    return head + data[8 + length : last] + track + data[last:]


def track_bytes(
    name: str, channel: int, program: int | None, notes: np.ndarray, text: str = ""
) -> bytes:
    """The chunk of a new track; `notes` as in Track, of which equal pitches must not overlap.

    `text` (Latin letters) is kept in the track as a remark.
    """
    events: list[tuple[int, int, Any]] = []
    for start, end, pitch, velocity in np.asarray(notes, dtype=np.int64).tolist():
        on = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        off = mido.Message("note_off", channel=channel, note=pitch, velocity=64)
        # At one tick old notes end before new ones begin, so that a repeated note is struck again.
        events += [(start, 1, on), (max(end, start + 1), 0, off)]
    first = (
        []
        if program is None
        else [(0, 0, mido.Message("program_change", channel=channel, program=program))]
    )
    if text:
        first.append((0, 0, mido.MetaMessage("text", text=text)))
    return chunk_of(
        [
            (0, 0, mido.MetaMessage("track_name", name=as_stored(name))),
            *first,
            *sorted(events, key=lambda event: event[:2]),
        ]
    )


def chunk_of(events: Iterable[tuple[int, int, Any]]) -> bytes:
    """A track chunk of (tick, order, message), which must come in order of time."""
    track, now = mido.MidiTrack(), 0
    for tick, _, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    buffer = io.BytesIO()
    mido.MidiFile(type=1, tracks=[track]).save(file=buffer)
    return buffer.getvalue()[14:]


def as_stored(name: str) -> str:
    """A name in the letters that mido writes, whose bytes are its UTF-8."""
    return name.encode("utf-8", "replace").decode("latin-1")


def _as_meant(name: str) -> str:
    """A name that mido read: UTF-8, as most programs write it, or else Latin 1."""
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return name


def file_of(chunks: list[bytes], ticks_per_quarter: int) -> bytes:
    """A MIDI file of type 1 of finished track chunks."""
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(chunks), ticks_per_quarter) + b"".join(chunks)


def _header(data: bytes, name: str) -> tuple[int, list[tuple[int, int]]]:
    """Ticks a quarter, and where the track chunks lie; UserError if the file's frame is bad."""
    if data[:4] != b"MThd" or len(data) < 14:
        raise UserError(f"{name} is not a MIDI file; give a .mid or a Guitar Pro 3 to 5 file.")
    length, kind, count, division = struct.unpack(">IHHH", data[4:14])
    if kind not in (0, 1):
        raise UserError(
            f"{name} is a MIDI file of type {kind}, a set of separate patterns; {_SAVE_AGAIN}."
        )
    if division == 0 or division & 0x8000:
        raise UserError(f"{name} counts time in film frames, not in quarter notes; {_SAVE_AGAIN}.")
    if count > MOST_TRACKS:
        raise UserError(
            f"{name} has {count} tracks; merge or remove some, at most {MOST_TRACKS} are read."
        )
    chunks: list[tuple[int, int]] = []
    here = 8 + length
    while len(chunks) < count and here + 8 <= len(data):
        end = here + 8 + struct.unpack(">I", data[here + 4 : here + 8])[0]
        if data[here : here + 4] == b"MTrk" and end <= len(data):
            chunks.append((here, end))
        here = end
    if len(chunks) < count:
        raise UserError(
            f"{name} is cut short: {len(chunks)} of its {count} tracks are whole; "
            "get a complete copy."
        )
    if not chunks:
        raise UserError(f"{name} holds no tracks; give a song with at least one part.")
    return division, chunks


def _events(chunk: bytes) -> list[tuple[int, Any]]:
    """(tick, message) of one track chunk."""
    framed = io.BytesIO(b"MThd" + struct.pack(">IHHH", 6, 1, 1, 480) + chunk)
    now, events = 0, []
    for message in mido.MidiFile(file=framed, clip=True).tracks[0]:
        now += message.time
        events.append((now, message))
    return events


def _parts(events: list[tuple[int, Any]], number: int) -> list[Track]:
    """One Track for each channel on which a track of the file plays notes."""
    sounding: dict[tuple[int, int], deque[tuple[int, int]]] = defaultdict(deque)
    notes: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    programs: dict[int, int] = {}
    banks: set[int] = set()
    name = ""
    for tick, event in events:
        if event.type in ("track_name", "instrument_name") and not name:
            name = _as_meant(event.name).strip().strip("\0")
        elif event.type == "program_change" and event.channel not in notes:
            programs[event.channel] = event.program
        elif event.type == "control_change" and event.control == 0:
            if event.value in DRUM_BANKS and event.channel not in notes:
                banks.add(event.channel)
        elif event.type in ("note_on", "note_off"):
            key = event.channel, event.note
            if event.type == "note_on" and event.velocity:
                sounding[key].append((tick, event.velocity))
            elif sounding[key]:  # the oldest of equal notes ends first
                start, velocity = sounding[key].popleft()
                notes[event.channel].append((start, tick, event.note, velocity))
    last = events[-1][0] if events else 0
    for (channel, pitch), hanging in sounding.items():
        notes[channel] += [
            (start, max(last, start), pitch, velocity) for start, velocity in hanging
        ]
    return [
        Track(
            number,
            channel,
            name,
            programs.get(channel),
            np.array(sorted(found), dtype=np.int64).reshape(-1, 4) if found else NO_NOTES,
            channel in banks,
        )
        for channel, found in sorted(notes.items())
    ]
