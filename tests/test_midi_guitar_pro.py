"""Guitar Pro: files written with pyguitarpro, each against its known notes."""

from __future__ import annotations

from pathlib import Path

import guitarpro as gp
import numpy as np
import pytest
from tablatures import VERSIONS, add_track, put, score

from restem.errors import UserError
from restem.symbolic.guitar_pro import playing_order, song_from_score
from restem.symbolic.midi_files import song_from_bytes
from restem.symbolic.scores import read_song

QUARTER = 960


def played(tmp_path: Path, song: gp.Song, kind: str = "gp5", track: int = 0) -> list[tuple]:
    path = tmp_path / f"song.{kind}"
    gp.write(song, str(path), version=VERSIONS[kind])
    return [tuple(n[:3]) for n in read_song(path).tracks[track].notes.tolist()]


@pytest.mark.parametrize("kind", VERSIONS)
def test_plain_notes_ties_dead_notes_dots_and_tuplets(tmp_path: Path, kind: str) -> None:
    song = score(2)
    guitar = song.tracks[0]
    put(guitar, 0, 8, [(1, 0)], tuplet=(3, 2))
    put(guitar, 0, 8, [(1, 1)], tuplet=(3, 2))
    put(guitar, 0, 8, [(1, 2)], tuplet=(3, 2))
    put(guitar, 0, 4, [(2, 3)], dotted=True)
    put(guitar, 0, 8, [(2, 3, gp.NoteType.dead), (1, 5)])
    put(guitar, 0, 4, [(6, 0)])
    put(guitar, 1, 2, [(6, 0, gp.NoteType.tie)])
    put(guitar, 1, 2, [])
    # Standard tuning: string 1 is E4 (64), 2 is B3 (59), 6 is E2 (40).
    assert played(tmp_path, song, kind) == [
        (0, 320, 64),
        (320, 640, 65),
        (640, 960, 66),
        (960, 2400, 62),
        (2400, 2880, 69),
        (2880, 3840 + 1920, 40),
    ]


@pytest.mark.parametrize("kind", VERSIONS)
def test_tuning_and_capo(tmp_path: Path, kind: str) -> None:
    song = score()
    guitar = song.tracks[0]
    guitar.strings = [gp.GuitarString(n, v) for n, v in enumerate([62, 57, 53, 48, 43, 38], 1)]
    guitar.offset = 3
    put(guitar, 0, 1, [(6, 0), (1, 12)])
    assert played(tmp_path, song, kind) == [(0, 3840, 41), (0, 3840, 77)]


@pytest.mark.parametrize("kind", VERSIONS)
def test_repeats_and_endings_are_unrolled(tmp_path: Path, kind: str) -> None:
    song = score(5)
    for bar in range(5):
        put(song.tracks[0], bar, 1, [(1, bar)])
    headers = song.measureHeaders
    headers[1].isRepeatOpen = True
    headers[2].repeatAlternative, headers[2].repeatClose = 1, 1
    headers[3].repeatAlternative = 2
    frets = [pitch - 64 for _, _, pitch in played(tmp_path, song, kind)]
    assert frets == [0, 1, 2, 1, 3, 4]


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({0: "open", 1: "x2"}, [0, 1, 0, 1, 2, 3, 4, 5]),
        ({1: "x3"}, [0, 1, 0, 1, 0, 1, 2, 3, 4, 5]),
        ({1: "open", 2: "x2", 3: "open", 4: "x2"}, [0, 1, 2, 1, 2, 3, 4, 3, 4, 5]),
        ({1: "open x2"}, [0, 1, 1, 2, 3, 4, 5]),
        # A first ending of two bars, a second of one.
        ({0: "open", 1: "e1", 2: "x2", 3: "e2"}, [0, 1, 2, 0, 3, 4, 5]),
        # Passes 1 and 2 share an ending, pass 3 has its own.
        ({0: "open", 1: "e1e2 x3", 2: "e3"}, [0, 1, 0, 1, 0, 2, 3, 4, 5]),
        # The second ending carries no sign at all.
        ({0: "open", 1: "e1 x2"}, [0, 1, 0, 2, 3, 4, 5]),
        # Three endings, the last closed as well.
        ({0: "open", 1: "e1 x2", 2: "e2 x2", 3: "e3"}, [0, 1, 0, 2, 0, 3, 4, 5]),
        ({0: "open", 2: "open", 3: "x2"}, [0, 1, 2, 3, 2, 3, 4, 5]),
    ],
)
def test_playing_order(marks: dict[int, str], expected: list[int]) -> None:
    headers = [gp.MeasureHeader(number=n + 1) for n in range(6)]
    for bar, words in marks.items():
        headers[bar].isRepeatOpen = "open" in words
        if "x" in words:
            headers[bar].repeatClose = int(words.split("x")[1][0]) - 1
        headers[bar].repeatAlternative = sum(1 << (n - 1) for n in (1, 2, 3) if f"e{n}" in words)
    assert playing_order(headers) == expected


def test_a_tie_over_a_repeat_follows_the_playing_order(tmp_path: Path) -> None:
    song = score(2)
    put(song.tracks[0], 0, 1, [(1, 0)])
    put(song.tracks[0], 1, 1, [(1, 0, gp.NoteType.tie)])
    song.measureHeaders[1].isRepeatOpen, song.measureHeaders[1].repeatClose = True, 1
    assert played(tmp_path, song) == [(0, 3 * 3840, 64)]


def test_drums_keep_dead_notes_and_their_channel(tmp_path: Path) -> None:
    song = score()
    channel = gp.MidiChannel(channel=9, effectChannel=9, instrument=0)
    drums = add_track(song, channel=channel, isPercussionTrack=True, name="Kit")
    drums.measures[0].voices[0].beats.clear()
    put(song.tracks[0], 0, 1, [(1, 0)])
    put(drums, 0, 2, [(1, 36), (2, 42)])
    put(drums, 0, 2, [(1, 38, gp.NoteType.dead)])
    assert played(tmp_path, song, track=1) == [(0, 1920, 36), (0, 1920, 42), (1920, 3840, 38)]
    assert read_song(tmp_path / "song.gp5").tracks[1].channel == 9


def test_metres_and_tempo_changes_reach_the_midi_bytes(tmp_path: Path) -> None:
    song = score(2)
    song.measureHeaders[1].timeSignature = gp.TimeSignature(6, gp.Duration(8))
    put(song.tracks[0], 0, 1, [(1, 0)])
    beat = put(song.tracks[0], 1, 2, [(1, 1)], dotted=True)
    beat.effect.mixTableChange = gp.MixTableChange(tempo=gp.MixTableItem(value=60))
    gp.write(song, str(tmp_path / "song.gp5"))
    read = read_song(tmp_path / "song.gp5")
    assert read.metres.tolist() == [[0, 4, 4], [3840, 6, 8]]
    assert read.tempos.tolist() == [[0, 500_000], [3840, 1_000_000]]
    assert float(read.seconds(read.end)) == pytest.approx(2.0 + 3.0)
    (tmp_path / "again.mid").write_bytes(read.data)
    again = read_song(tmp_path / "again.mid")
    assert again.metres.tolist() == read.metres.tolist()
    assert again.tempos.tolist() == read.tempos.tolist()
    assert np.array_equal(again.tracks[0].notes, read.tracks[0].notes)
    # Tracks are numbered as Guitar Pro shows them; in the MIDI file a track of tempi comes first.
    assert read.tracks[0].number == 1 and again.tracks[0].number == 2


@pytest.mark.parametrize("kind", VERSIONS)
def test_eighth_triplet_feel_swings_pairs_of_eighths_and_nothing_else(
    tmp_path: Path, kind: str
) -> None:
    song = score(2)
    guitar, other = song.tracks[0], gp.TripletFeel.none if kind == "gp5" else gp.TripletFeel.eighth
    song.measureHeaders[0].tripletFeel = gp.TripletFeel.eighth
    song.measureHeaders[1].tripletFeel = other
    put(guitar, 0, 8, [(1, 0)])
    put(guitar, 0, 8, [(1, 1)])
    put(guitar, 0, 8, [])  # a rest is the first of a pair, too
    put(guitar, 0, 8, [(1, 2)])
    for fret in (3, 4, 5):
        put(guitar, 0, 8, [(1, fret)], tuplet=(3, 2))
    put(guitar, 0, 8, [(1, 6)])
    put(guitar, 0, 16, [(1, 7)])
    put(guitar, 0, 16, [(1, 8)])
    put(guitar, 1, 4, [(1, 0)], dotted=True)
    put(guitar, 1, 8, [(1, 1)])
    put(guitar, 1, 8, [(1, 2)])
    put(guitar, 1, 4, [(1, 3)])
    put(guitar, 1, 8, [(1, 4)])
    assert [(a, b, pitch - 64) for a, b, pitch in played(tmp_path, song, kind)] == [
        (0, 640, 0),
        (640, 960, 1),
        (1600, 1920, 2),
        (1920, 2240, 3),
        (2240, 2560, 4),
        (2560, 2880, 5),
        (2880, 3360, 6),
        (3360, 3600, 7),
        (3600, 3840, 8),
        (3840, 5280, 0),
        (5280, 5760, 1),
        (5760, 6240, 2),
        (6240, 7200, 3),
        (7200, 7680, 4),
    ]


def test_sixteenth_triplet_feel_is_that_of_its_bars(tmp_path: Path) -> None:
    song = score(2)
    song.measureHeaders[1].tripletFeel = gp.TripletFeel.sixteenth
    for bar in range(2):
        for fret in range(4):
            put(song.tracks[0], bar, 16, [(1, fret)])
        put(song.tracks[0], bar, 8, [(1, 4)])
        put(song.tracks[0], bar, 8, [(1, 4, gp.NoteType.tie)])
        put(song.tracks[0], bar, 2, [])
    starts = [(start, end) for start, end, _ in played(tmp_path, song)]
    assert starts[:5] == [(0, 240), (240, 480), (480, 720), (720, 960), (960, 1920)]
    assert [(a - 3840, b - 3840) for a, b in starts[5:]] == [
        (0, 320),
        (320, 480),
        (480, 800),
        (800, 960),
        (960, 1920),
    ]


@pytest.mark.parametrize(("above", "below"), [(0, 4), (-3, 4), (4, 3)])
def test_bars_of_no_metre_are_damage(above: int, below: int) -> None:
    song = score()
    put(song.tracks[0], 0, 1, [(1, 0)])
    song.measureHeaders[0].timeSignature = gp.TimeSignature(above, gp.Duration(below))
    with pytest.raises(UserError, match=f"damaged Guitar Pro file .a bar of {above}/{below}"):
        song_from_score(song, "song.gp5")


@pytest.mark.parametrize("length", [40, 200, 700])
def test_cut_files_are_refused(tmp_path: Path, length: int) -> None:
    song = score()
    put(song.tracks[0], 0, 1, [(1, 0)])
    path = tmp_path / "song.gp5"
    gp.write(song, str(path))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="damaged Guitar Pro"):
        read_song(path)


def test_names_that_no_midi_letter_spells_are_kept(tmp_path: Path) -> None:
    song = score()
    song.title, song.tracks[0].name = "L\u2019\u00e9t\u00e9", "Bob\u2019s Guitar \u20ac"
    put(song.tracks[0], 0, 1, [(1, 3)])
    gp.write(song, str(tmp_path / "song.gp5"), version=VERSIONS["gp5"])
    read = read_song(tmp_path / "song.gp5")
    assert read.tracks[0].name == "Bob\u2019s Guitar \u20ac"
    again = song_from_bytes(read.data, "song")
    assert [t.name for t in again.tracks] == [read.tracks[0].name]


def test_repeats_are_said_to_be_written_out(tmp_path: Path) -> None:
    song = score(3)
    song.measureHeaders[0].isRepeatOpen = True
    song.measureHeaders[0].repeatClose = 1
    put(song.tracks[0], 0, 1, [(1, 0)])
    gp.write(song, str(tmp_path / "song.gp5"))
    assert "3 bars of song.gp5 are 4 here" in read_song(tmp_path / "song.gp5").notices[0]
    plain = score(3)
    put(plain.tracks[0], 0, 1, [(1, 0)])
    gp.write(plain, str(tmp_path / "plain.gp5"))
    assert read_song(tmp_path / "plain.gp5").notices == ()


def test_a_newer_file_under_an_old_ending_is_told_how_to_export(tmp_path: Path) -> None:
    (tmp_path / "song.gp5").write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(UserError, match="Guitar Pro 6 or later"):
        read_song(tmp_path / "song.gp5")
