"""A finished stem and its beats in; a folder to drag into a sequencer out: WAV, MIDI, tempo map."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mido
import numpy as np

from restem import __version__
from restem.audio.beats import BeatGrid
from restem.audio.drum_notes import CONFIG, DrumNotes, hear_drums
from restem.audio.files import AudioFile, write_wav
from restem.audio.pitch_notes import PitchNotes, hear_pitches
from restem.audio.room import blocks, room
from restem.audio.waveform import resampled
from restem.mixing import Mixdown
from restem.symbolic.midi_files import chunk_of, file_of, track_bytes
from restem.symbolic.voices import program_for

if TYPE_CHECKING:
    from restem.insertion import Insertion

TICKS = 960  # a quarter note, which stands for a beat
DRUM_CHANNEL = 9  # counted from 0: General MIDI's channel 10
STROKE_SECONDS = 0.025  # length of a drum note; strokes of one drum are further apart
DRIFT_SECONDS = 0.0005  # as far as the map may be off before the tempo is set anew


def pack_names(song: Path, stem: str) -> list[str]:
    """The files of a pack, relative to the results' folder."""
    endings = [f".{stem}.wav", f".{stem}.mid", ".tempo.mid", ".pack.json"]
    return [f"{song.stem}.pack/{song.stem}{end}" for end in endings]


def write_pack(
    stage: Path, song: Path, audio: AudioFile, mixdown: Mixdown, insertion: Insertion
) -> None:
    """Write the files of `pack_names` below `stage`, of the stem as `mixdown` has it.

    Everything begins at the song's first sample; a song with a time stamp of its own hands it on.
    """
    settings, beats, stem = insertion.settings, insertion.beats, mixdown.stem
    stem_name = str(settings["stem"])
    folder, rate = stage / f"{song.stem}.pack", audio.sample_rate
    folder.mkdir(exist_ok=True)
    start = time_reference(song)
    description = f"{stem_name} for {song.name}: {settings['instruction']}"
    wav = folder / f"{song.stem}.{stem_name}.wav"
    write_wav(wav, stem, rate, mixdown.subtype, bext_chunk(description, start))
    write_notes(folder, song.stem, mixdown, rate, insertion)
    manifest = {
        "restem": __version__,
        "song": song.name,
        "stem": stem_name,
        "instruction": settings["instruction"],
        "bpm": round(beats.bpm, 3),
        "beats_per_bar": beats.beats_per_bar,
        "sample_rate": rate,
        "samples": len(stem),
        "time_reference": start,
        "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())
                  if path.stat().st_size},
    }  # fmt: skip
    text = json.dumps(manifest, indent=2) + "\n"
    (folder / f"{song.stem}.pack.json").write_text(text, encoding="utf-8")


def write_notes(folder: Path, name: str, mixdown: Mixdown, rate: int, insertion: Insertion) -> None:
    """Write the tempo map as `name`.tempo.mid and the notes as `name`.STEM.mid: those that are
    known, or else those that are heard in the stem."""
    stem, kind = mixdown.stem, str(insertion.settings["stem"])
    region = insertion.settings.get("region") or (0.0, len(stem) / rate)
    ticks, seconds, tempo = tempo_track(insertion.beats, len(stem) / rate)
    (folder / f"{name}.tempo.mid").write_bytes(file_of([tempo], TICKS))
    mono = room((len(stem),), np.float64)
    for b in blocks(len(stem)):
        mono[b] = stem[b].mean(axis=1)
    if kind == "drums":
        strokes = hear_drums(resampled(mono, rate, CONFIG.sample_rate))
        part = drum_track(_strokes_in(region, strokes), ticks, seconds)
    else:
        heard = insertion.notes or hear_pitches(mono, rate, one_at_a_time=kind == "bass")
        program = program_for(kind, str(insertion.settings["instruction"]))
        part = pitched_track(kind, program, _notes_in(region, heard), ticks, seconds)
    (folder / f"{name}.{kind}.mid").write_bytes(file_of([tempo, part], TICKS))


def _strokes_in(region: tuple[float, float], notes: DrumNotes) -> DrumNotes:
    """Those of a region's sound, in which the ear may place the first a little too early."""
    start, end = region
    kept = notes.times < end
    times = np.maximum(notes.times[kept], start)
    return DrumNotes(times, notes.pitches[kept], notes.velocities[kept])


def _notes_in(region: tuple[float, float], notes: PitchNotes) -> PitchNotes:
    """The same of notes with a pitch, which also end with the region."""
    start, end = region
    kept = (notes.starts < end) & (notes.ends > start)
    starts, ends = np.maximum(notes.starts[kept], start), np.minimum(notes.ends[kept], end)
    return PitchNotes(starts, ends, notes.pitches[kept], notes.velocities[kept])


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- the time stamp ----


def bext_chunk(description: str, time_reference: int) -> bytes:
    """The broadcast extension of EBU Tech 3285, version 1; no date, so equal input, equal bytes.

    `time_reference`: samples since midnight at which the sound begins.
    """
    head = description.encode("ascii", "replace")[:256], f"restem {__version__}".encode()
    body = struct.pack("<256s32s32s10s8sQH", *head, b"", b"", b"", time_reference, 1)
    body += bytes(602 - len(body))  # no UMID, no loudness, reserved bytes, no coding history
    return struct.pack("<4sI", b"bext", len(body)) + body


def time_reference(path: Path) -> int:
    """The time stamp of a WAV or RF64 file in samples; 0 for files without one."""
    with open(path, "rb") as file:
        if file.read(12)[8:] != b"WAVE":
            return 0
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"bext":
                body = file.read(346)
                return int(struct.unpack("<Q", body[338:346])[0]) if len(body) == 346 else 0
            if name == b"data":
                return 0
            file.seek(size + size % 2, 1)
    return 0


# ---- MIDI ----


def tempo_track(beats: BeatGrid, duration: float) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Ticks and seconds (point,) that correspond, and the track of tempi and metres that says so.

    Tick 0 is the song's first sample, which is the downbeat if that lies within half a sixteenth of
    it. What comes before the first downbeat is a short bar of
    sixteenths, so that every later beat lies on a quarter and every downbeat on a bar line.
    """
    whole_bar = int(beats.positions.max()) * float(np.diff(beats.times).max())
    grid = beats.extended(0.0, duration + 2 * whole_bar)  # so that a downbeat is there
    nearly = -float(np.median(np.diff(grid.times))) / 8
    first = int(np.argmax((grid.positions == 1) & (grid.times > nearly)))
    times, positions = grid.times[first:], grid.positions[first:]
    sixteenths = round(float(times[0]) / float(np.median(np.diff(grid.times))) * 4)
    start = sixteenths * TICKS // 4
    ticks = start + TICKS * np.arange(len(times))
    if sixteenths:
        ticks, times = np.append(0, ticks), np.append(0.0, times)
    else:
        times = np.append(0.0, times[1:])  # the first downbeat is the first sample, or nearly
    events, seconds = _tempi(ticks, times)
    if sixteenths:
        events.append((0, 1, _metre(sixteenths, 16)))
    events += _metres(positions, start, grid.beats_per_bar)
    name = [(0, 0, mido.MetaMessage("track_name", name="tempo"))]
    return ticks, seconds, chunk_of(name + sorted(events, key=lambda event: event[:2]))


def _tempi(ticks: np.ndarray, times: np.ndarray) -> tuple[list[tuple[int, int, Any]], np.ndarray]:
    """Tempo events that pass through (tick, seconds) points, and the seconds that they give.

    A tempo stays as long as it leads to within DRIFT_SECONDS of the next point, so that a steady
    song has one. Errors do not add up.
    """
    events: list[tuple[int, int, Any]] = []
    reached, tempo = [0.0], 0
    for step, aim, tick in zip(np.diff(ticks), times[1:], ticks[:-1], strict=True):
        quarters = float(step) / TICKS
        if abs(reached[-1] + quarters * tempo / 1e6 - aim) > DRIFT_SECONDS:
            tempo = int(np.clip(round((aim - reached[-1]) / quarters * 1e6), 1, 0xFFFFFF))
            events.append((int(tick), 2, mido.MetaMessage("set_tempo", tempo=tempo)))
        reached.append(reached[-1] + quarters * tempo / 1e6)
    return events, np.array(reached)


def _metres(positions: np.ndarray, start: int, usual: int) -> list[tuple[int, int, Any]]:
    """A metre at each bar whose length differs from that of the bar before; the last is usual."""
    bars = np.flatnonzero(positions == 1)
    lengths = np.append(np.diff(bars), usual)
    changes = np.flatnonzero(np.diff(lengths, prepend=0))
    return [(start + int(bars[k]) * TICKS, 1, _metre(int(lengths[k]), 4)) for k in changes]


def _metre(numerator: int, denominator: int) -> Any:
    return mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)


def drum_track(notes: DrumNotes, ticks: np.ndarray, seconds: np.ndarray) -> bytes:
    """The track of heard notes by a map of (point,) ticks and seconds."""
    ends = np.minimum(notes.times + STROKE_SECONDS, seconds[-1])
    starts, stops = (np.rint(np.interp(t, seconds, ticks)) for t in (notes.times, ends))
    rows = np.stack([starts, stops, notes.pitches, notes.velocities], axis=1)
    return track_bytes("drums", DRUM_CHANNEL, None, rows.astype(np.int64))


def pitched_track(
    stem: str, program: int, notes: PitchNotes, ticks: np.ndarray, seconds: np.ndarray
) -> bytes:
    """The same of notes with a pitch; equal pitches do not overlap."""
    starts, stops = (np.rint(np.interp(t, seconds, ticks)) for t in (notes.starts, notes.ends))
    rows = np.stack([starts, stops, notes.pitches, notes.velocities], axis=1)
    return track_bytes(stem, 0, program, rows.astype(np.int64))
