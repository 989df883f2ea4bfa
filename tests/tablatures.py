"""Guitar Pro scores, written with pyguitarpro, for the tests of the symbolic part."""

from __future__ import annotations

from pathlib import Path

import guitarpro as gp

VERSIONS = {"gp3": (3, 0, 0), "gp4": (4, 0, 6), "gp5": (5, 1, 0)}


def score(bars: int = 1) -> gp.Song:
    song = gp.Song(tempo=120)
    for _ in range(bars - 1):
        song.newMeasure()
    for track in song.tracks:
        for measure in track.measures:
            measure.voices[0].beats.clear()
    return song


def add_track(song: gp.Song, **settings: object) -> gp.Track:
    track = gp.Track(song, number=len(song.tracks) + 1, **settings)
    song.tracks.append(track)
    return track


def put(
    track: gp.Track,
    bar: int,
    value: int,
    notes: list[tuple],
    *,
    dotted: bool = False,
    tuplet: tuple[int, int] = (1, 1),
) -> gp.Beat:
    """Add a beat of length 1 / `value` with (string, fret[, type]); no notes make a rest."""
    voice = track.measures[bar].voices[0]
    status = gp.BeatStatus.normal if notes else gp.BeatStatus.rest
    duration = gp.Duration(value=value, isDotted=dotted, tuplet=gp.Tuplet(*tuplet))
    beat = gp.Beat(voice, duration=duration, status=status)
    for string, fret, *kind in notes:
        beat.notes.append(
            gp.Note(
                beat,
                value=fret,
                string=string,
                velocity=95,
                type=kind[0] if kind else gp.NoteType.normal,
            )
        )
    voice.beats.append(beat)
    return beat


def band_score(bars: int = 16, up: int = 0, seed: int = 0) -> gp.Song:
    """Drums in eighths, a bass in quarters and a guitar in halves, of which no two bars are
    alike, nor two seeds; `up` semitones higher."""
    song = score(bars)
    song.tracks[0].channel = gp.MidiChannel(channel=0, effectChannel=1, instrument=29)
    song.tracks[0].name = "Lead"
    bass = add_track(song, name="Low", channel=gp.MidiChannel(2, 3, instrument=33))
    bass.strings = [gp.GuitarString(n, v) for n, v in enumerate([43, 38, 33, 28], 1)]
    kit = gp.MidiChannel(channel=9, effectChannel=9, instrument=0)
    drums = add_track(song, name="Kit", channel=kit, isPercussionTrack=True)
    for track in (bass, drums):
        for measure in track.measures:
            measure.voices[0].beats.clear()
    for bar in range(bars):
        for beat in range(2):
            put(song.tracks[0], bar, 2, [(1, (bar * 7 + beat + seed) % 12 + up)])
        for beat in range(4):
            put(bass, bar, 4, [(4, (bar * 5 + beat * (seed + 1)) % 11 + up)])
        for half in range(8):
            put(drums, bar, 8, [(1, (36, 42, 38, 46)[(half + bar + seed) % 4])])
    return song


def write(song: gp.Song, path: Path) -> Path:
    """The score as a file of the version that the file's name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gp.write(song, str(path), version=VERSIONS[path.suffix[1:]])
    return path
