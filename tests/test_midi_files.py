"""The user's MIDI files: read rightly or refused in one sentence, and given back untouched."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path

import mido
import numpy as np
import pytest
from midi_builders import band, day_long, events_of, many_tracks, name, note, save, to_bytes
from mido import Message, MetaMessage

from restem.errors import UserError
from restem.symbolic.midi_files import read_midi, song_from_bytes, track_bytes, with_track
from restem.symbolic.parts import find_parts, parse_track_map
from restem.symbolic.rolls import bars_in_steps
from restem.symbolic.scores import read_song

NOTES = np.array([[0, 240, 36, 100], [480, 720, 38, 90], [720, 960, 38, 91]])


def odd_file() -> bytes:
    """Running status, a system exclusive message, lyrics, an unknown meta event, pitch bends."""
    body = bytes.fromhex(
        "00ff030452696666"  # track name "Riff"
        "00f0057e7f0901f7"  # GM on
        "00ff7f0400004142"  # sequencer specific
        "00ff600112"  # a meta event that nobody knows
        "00c019"  # program 25
        "00903c40"
        "603c00"  # note on, then note on with velocity 0 in running status
        "00e00048"
        "30e00040"  # pitch bends
        "00ff0503c3a461"  # a lyric in UTF-8
        "00ff2f00"
    )
    return (
        b"MThd"
        + bytes([0, 0, 0, 6, 0, 1, 0, 1, 0, 96])
        + b"MTrk"
        + len(body).to_bytes(4, "big")
        + body
    )


@pytest.mark.parametrize("data", [band(), odd_file()], ids=["band", "odd"])
def test_other_tracks_keep_every_byte_and_event(data: bytes) -> None:
    made = with_track(data, track_bytes("restem drums", 9, None, NOTES))
    count = int.from_bytes(data[10:12], "big")
    assert made[14 : len(data)] == data[14:]
    assert int.from_bytes(made[10:12], "big") == count + 1
    before, after = events_of(data), events_of(made)
    assert after[:-1] == before
    assert [m.note for m in after[-1] if m.type == "note_on"] == [36, 38, 38]


def test_type_0_becomes_type_1_with_the_same_events() -> None:
    events = [name("All"), *note(0, 60, 0, 480), *note(9, 36, 0, 100), *note(3, 40, 480, 960)]
    data = to_bytes([events], kind=0)
    made = with_track(data, track_bytes("restem bass", 4, 33, NOTES))
    assert data[9] == 0 and made[9] == 1
    assert events_of(made)[0] == events_of(data)[0]
    song = song_from_bytes(data, "song")
    assert [(t.number, t.channel) for t in song.tracks] == [(1, 0), (1, 3), (1, 9)]


def test_real_songs_keep_every_event() -> None:
    folder = os.environ.get("RESTEM_TEST_MIDI")
    if not folder:
        pytest.skip("RESTEM_TEST_MIDI names no folder of MIDI files: NOT CHECKED on real songs")
    paths = sorted(Path(folder).glob("*.mid"))[::15]
    assert paths
    for path in paths:
        data = path.read_bytes()
        made = with_track(data, track_bytes("restem drums", 9, None, NOTES))
        first, second = (
            mido.MidiFile(path, clip=True),
            mido.MidiFile(file=io.BytesIO(made), clip=True),
        )
        assert [list(t) for t in second.tracks[:-1]] == [list(t) for t in first.tracks], path.name


def test_the_new_track_reads_back_note_for_note() -> None:
    song = song_from_bytes(with_track(band(), track_bytes("new", 9, None, NOTES)), "song")
    assert np.array_equal(song.tracks[-1].notes, NOTES)
    assert song.tracks[-1].name == "new" and song.tracks[-1].program is None


def test_equal_notes_that_overlap_end_in_order_and_hanging_notes_end_with_the_track() -> None:
    events = [
        *note(0, 60, 0, 300),
        *note(0, 60, 100, 500),
        (600, Message("note_on", note=62, velocity=1)),
        (960, MetaMessage("marker", text="end")),
    ]
    song = song_from_bytes(to_bytes([events]), "song")
    assert song.tracks[0].notes[:, :3].tolist() == [[0, 300, 60], [100, 500, 60], [600, 960, 62]]


def test_the_tempo_map_agrees_with_mido() -> None:
    head = [
        (0, MetaMessage("set_tempo", tempo=600_000)),
        (960, MetaMessage("set_tempo", tempo=250_000)),
        (1500, MetaMessage("set_tempo", tempo=1_000_000)),
    ]
    data = to_bytes([head, note(0, 60, 100, 2000)])
    song = song_from_bytes(data, "song")
    assert float(song.seconds(2000)) == pytest.approx(mido.MidiFile(file=io.BytesIO(data)).length)
    assert song.seconds(np.array([0, 480])).tolist() == pytest.approx([0, 0.6])


def test_bars_follow_metres_that_change_each_bar_and_in_mid_bar() -> None:
    metres = [(0, 3, 4), (1440, 7, 8), (3120, 5, 16), (3720, 4, 4), (4000, 6, 8)]
    head = [
        (tick, MetaMessage("time_signature", numerator=n, denominator=d)) for tick, n, d in metres
    ]
    song = song_from_bytes(to_bytes([head, note(0, 60, 0, 6000)]), "song")
    assert song.bars().tolist() == [
        [0, 1440, 3, 4],
        [1440, 1680, 7, 8],
        [3120, 600, 5, 16],
        [3720, 280, 4, 4],
        [4000, 1440, 6, 8],
        [5440, 1440, 6, 8],
    ]


def test_what_is_shorter_than_a_step_is_no_bar() -> None:
    """A metre that comes some ticks late; before, a table of steps had a bar less than this one."""
    metres = [(0, 4, 4), (1924, 2, 4)]
    head = [
        (tick, MetaMessage("time_signature", numerator=n, denominator=d)) for tick, n, d in metres
    ]
    song = song_from_bytes(to_bytes([head, note(0, 60, 0, 3840)]), "song")
    assert song.bars()[:, 0].tolist() == [0, 1924, 2884]
    assert len(bars_in_steps(song.bars(), 480)) == 3
    tiny = song_from_bytes(to_bytes([[], note(0, 60, 0, 3)], ticks=30000), "song")
    assert len(tiny.bars()) == len(bars_in_steps(tiny.bars(), 30000)) == 1


def test_no_tempo_means_120_and_says_so() -> None:
    song = song_from_bytes(to_bytes([note(0, 60, 0, 960)]), "song")
    assert float(song.seconds(960)) == pytest.approx(1.0) and "120" in song.notices[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a MIDI file"),
        (b"RIFF1234WAVEfmt 12345678901234567890", "not a MIDI file"),
        (to_bytes([note(0, 60, 0, 9)], kind=2), "type 2"),
        (to_bytes([[name("empty")]]), "no notes"),
        (band()[:-40], "cut short"),
        (band()[:12] + b"\xe7\x28" + band()[14:], "film frames"),
        (many_tracks(), "10000 tracks"),
        (day_long(), "24.0 hours"),
        (odd_file().replace(b"\0\xff\x03\4Riff", b"\0\x41\x03\4Riff"), "damaged"),
    ],
    ids=["empty", "wave", "type 2", "no notes", "cut", "smpte", "tracks", "day", "damaged"],
)
def test_bad_files_get_one_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        read_song(save(tmp_path, data))
    assert str(caught.value).count("\n") == 0 and str(caught.value).endswith(".")


def test_every_truncation_is_refused() -> None:
    data = band(1)
    for length in range(len(data)):
        with pytest.raises(UserError):
            song_from_bytes(data[:length], "song")


def test_random_damage_never_escapes() -> None:
    rng, data, read = np.random.default_rng(0), odd_file(), 0
    for _ in range(300):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            broken[place] = rng.integers(256)
        with suppress(UserError):
            song_from_bytes(bytes(broken), "song").bars()
            read += 1
    assert 0 < read < 300  # some damage is refused in a sentence, some leaves a readable song


@pytest.mark.parametrize("file_name", ["song.gpx", "song.gp"])
def test_newer_guitar_pro_says_how_to_export(tmp_path: Path, file_name: str) -> None:
    with pytest.raises(UserError, match="export it as MIDI"):
        read_song(save(tmp_path, b"PK\3\4" + bytes(100), file_name))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_song(tmp_path / "none.mid")
    with pytest.raises(UserError, match="folder"):
        read_song(tmp_path)
    with pytest.raises(UserError, match="No such file"):
        read_midi(tmp_path / "none.mid")


def test_parts_by_channel_program_name_and_bank() -> None:
    tracks = [
        [*note(9, 36, 0, 10)],
        [(0, Message("program_change", channel=1, program=38)), *note(1, 40, 0, 10)],
        [(0, Message("program_change", channel=2, program=30)), *note(2, 50, 0, 10)],
        [name("Slap Bass"), *note(3, 40, 0, 10)],
        [name("E-Gitarre 2"), *note(4, 50, 0, 10)],
        [name("Bass drum"), *note(5, 36, 0, 10)],
        [name("Bassoon"), *note(6, 50, 0, 10)],
        [
            name("Guitar"),
            (0, Message("program_change", channel=7, program=73)),
            *note(7, 80, 0, 10),
        ],
        [(0, Message("control_change", channel=8, control=0, value=127)), *note(8, 36, 0, 10)],
        [name("Bass Clarinet"), *note(10, 50, 0, 10)],
        [name("Steel Drums"), *note(11, 70, 0, 10)],
        [name("Kontrabass"), *note(12, 40, 0, 10)],
        [name("Batería".encode().decode("latin-1")), *note(13, 36, 0, 10)],  # as written in UTF-8
        [name("Batería"), *note(14, 36, 0, 10)],
    ]
    found = find_parts(song_from_bytes(to_bytes(tracks), "song"))
    assert {kind: [t.number for t in tracks] for kind, tracks in found.items()} == {
        "drums": [1, 6, 9, 13, 14],
        "bass": [2, 4, 12],
        "guitar": [3, 5],
        "other": [7, 8, 10, 11],
    }
    assert {t.name for t in found["drums"]} >= {"Batería"}


def test_track_map_overrules_and_names_are_checked() -> None:
    song = song_from_bytes(band(), "song")
    mapped = find_parts(song, parse_track_map(["4=guitar,ch2=other", "Guitar=bass"]))
    assert [t.name for t in mapped["guitar"]] == ["Piano"]
    assert [t.name for t in mapped["bass"]] == ["Guitar"] and mapped["other"][0].name == "Bass"
    with pytest.raises(UserError, match="no notes in track '9'"):
        find_parts(song, {"9": "bass"})
    for wrong in ("2", "2=piano", "=bass"):
        with pytest.raises(UserError, match="2=drums"):
            parse_track_map([wrong])


def test_drums_on_an_odd_channel_are_asked_about() -> None:
    events = []
    for beat in range(16):
        events += note(2, 36 if beat % 2 == 0 else 38, beat * 480, beat * 480 + 60)
        events += note(2, 42, beat * 480 + 240, beat * 480 + 300)
    song = song_from_bytes(to_bytes([events]), "song")
    with pytest.raises(UserError, match="--track-map 1=drums"):
        find_parts(song)
    assert find_parts(song, {"1": "drums"})["drums"] and find_parts(song, {"1": "other"})["other"]


def hidden_kit(channel: int) -> list:
    events = []
    for beat in range(16):
        events += note(channel, 36 if beat % 2 == 0 else 38, beat * 480, beat * 480 + 60)
        events += note(channel, 42, beat * 480 + 240, beat * 480 + 300)
    return events


def test_a_track_that_plays_several_channels_is_mapped_by_channel() -> None:
    """In a file of type 0 "1=drums" would make drums of the whole band."""
    data = to_bytes([[*hidden_kit(2), *note(0, 60, 0, 480)]], kind=0)
    song = song_from_bytes(data, "song")
    with pytest.raises(UserError, match="--track-map ch3=drums"):
        find_parts(song)
    found = find_parts(song, {"ch3": "drums"})
    assert [t.channel for t in found["drums"]] == [2]
    assert [t.channel for t in found["other"]] == [0]


@pytest.mark.parametrize("kind", [0, 1])
def test_the_title_of_a_whole_song_names_no_instrument(kind: int) -> None:
    piano = [name("All About That Bass"), *note(0, 60, 0, 480), *note(1, 72, 0, 480)]
    found = find_parts(song_from_bytes(to_bytes([piano], kind=kind), "song"))
    assert not found["bass"] and len(found["other"]) == 2
    alone = [name("Bass"), *note(0, 40, 0, 480)]
    assert find_parts(song_from_bytes(to_bytes([alone], kind=kind), "song"))["bass"]
