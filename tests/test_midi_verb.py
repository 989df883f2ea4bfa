"""`restem midi insert` from the file to the exit code: what is refused, and what is taken."""

from __future__ import annotations

import shutil
from pathlib import Path

import guitarpro as gp
import mido
import pytest
import soundfile
from midi_builders import band, day_long, events_of, many_tracks, name, note, save, to_bytes
from mido import MetaMessage

from restem import cli
from restem.errors import UserError
from restem.symbolic.model import RollModel
from restem.symbolic.sound import check_synth

QUICK = ("--stem", "drums", "--steps", "2")


def insert(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setitem(cli.OTHER_VERBS, "midi", ("restem.symbolic.commands", "parts for MIDI"))
    return cli.main(["midi", "insert", *map(str, words)])


def packaged() -> None:
    try:
        RollModel.load("drums")
    except UserError as error:
        pytest.skip(f"NOT CHECKED with trained models: {error}")


def tablature(folder: Path, file_name: str) -> Path:
    """Two bars of a guitar, the second one played three times."""
    song = gp.Song(tempo=90)
    song.newMeasure()
    song.measureHeaders[1].isRepeatOpen, song.measureHeaders[1].repeatClose = True, 2
    for fret, measure in enumerate(song.tracks[0].measures):
        voice = measure.voices[0]
        voice.beats.clear()
        for _ in range(4):
            beat = gp.Beat(voice, duration=gp.Duration(value=4), status=gp.BeatStatus.normal)
            beat.notes.append(gp.Note(beat, value=fret, string=1, type=gp.NoteType.normal))
            voice.beats.append(beat)
    version = {"gp3": (3, 0, 0), "gp4": (4, 0, 6), "gp5": (5, 1, 0)}[file_name[-3:]]
    gp.write(song, str(folder / file_name), version=version)
    return folder / file_name


def test_only_a_soundfont_is_played_with(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    wave = b"RIFF\x24\0\0\0WAVEfmt "
    for file, data in (("song.wav", wave), ("song.mid", band()), ("no.sf2", b"")):
        (tmp_path / file).write_bytes(data)
        with pytest.raises(UserError, match=f"{file} is no SoundFont"):
            check_synth(tmp_path / file)
    (tmp_path / "yes.sf2").write_bytes(b"RIFF\x24\0\0\0sfbkLIST")
    assert check_synth(tmp_path / "yes.sf2") == tmp_path / "yes.sf2"


def kit_on_channel_3(*first) -> bytes:
    events = list(first)
    for beat in range(16):
        events += note(2, 36 if beat % 2 == 0 else 38, beat * 480, beat * 480 + 60)
        events += note(2, 42, beat * 480 + 240, beat * 480 + 300)
    return to_bytes([events])


@pytest.mark.parametrize(
    ("file_name", "data", "words"),
    [
        ("song.mid", b"", "not a MIDI file"),
        ("song.mid", b"OggS" + bytes(200), "not a MIDI file"),
        ("song.mid", band()[:-40], "cut short"),
        ("song.mid", to_bytes([[name("empty")]]), "no notes"),
        ("song.mid", to_bytes([note(0, 60, 0, 9)], kind=2), "type 2"),
        ("song.mid", many_tracks(), "10000 tracks"),
        ("song.mid", day_long(), "24.0 hours"),
        ("song.mid", kit_on_channel_3(), "--track-map 1=drums"),
        ("song.gpx", b"BCFZ" + bytes(100), "export it as MIDI"),
        ("song.gp", b"PK\3\4" + bytes(100), "export it as MIDI"),
        ("song.gp7", b"PK\3\4" + bytes(100), "export it as MIDI"),
        ("song.gp5", b"\x18FICHIER GUITAR PRO v5.00" + bytes(9), "damaged Guitar Pro"),
    ],
)
def test_bad_files_end_in_one_sentence_code_2_and_no_output(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    file_name: str,
    data: bytes,
    words: str,
) -> None:
    song = save(tmp_path, data, file_name)
    assert insert(monkeypatch, song, "-o", tmp_path / "new" / "out.mid", *QUICK) == 2
    said = capsys.readouterr()
    errors = said.err.strip().splitlines()
    assert len(errors) == 1 and words in errors[0] and errors[0].endswith(".")
    assert not said.out and [p.name for p in tmp_path.iterdir()] == [file_name]


def test_a_missing_tempo_is_said_and_type_0_files_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    packaged()
    melody = [event for beat in range(16) for event in note(0, 60, beat * 480, beat * 480 + 400)]
    data, out = to_bytes([melody], kind=0), tmp_path / "out.mid"
    assert insert(monkeypatch, save(tmp_path, data), "-o", out, *QUICK) == 0
    assert "no tempo; 120" in capsys.readouterr().err
    made = out.read_bytes()
    assert mido.MidiFile(out).type == 1 and events_of(made)[:-1] == events_of(data)


def test_metres_that_change_each_bar_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged()
    head, chords, at = [(0, MetaMessage("set_tempo", tempo=500_000))], [], 0
    for numerator, denominator in [(4, 4), (7, 8), (3, 4), (5, 16), (6, 8), (11, 8), (2, 4)] * 2:
        head.append(
            (at, MetaMessage("time_signature", numerator=numerator, denominator=denominator))
        )
        length = 1920 * numerator // denominator
        chords += note(0, 60, at, at + length - 10)
        at += length
    data, out = to_bytes([head, chords]), tmp_path / "out.mid"
    assert insert(monkeypatch, save(tmp_path, data), "-o", out, *QUICK) == 0
    *before, new = events_of(out.read_bytes())
    assert before == events_of(data)
    assert 0 < sum(message.time for message in new) <= at


@pytest.mark.parametrize("kind", ["gp3", "gp4", "gp5"])
def test_guitar_pro_comes_out_as_midi_with_its_repeats_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    packaged()
    song, out = tablature(tmp_path, f"song.{kind}"), tmp_path / "out.mid"
    assert insert(monkeypatch, song, "-o", out, *QUICK) == 0
    _, guitar, drums = mido.MidiFile(out).tracks
    pitches = [m.note for m in guitar if m.type == "note_on" and m.velocity]
    assert pitches == [64] * 4 + [65] * 12
    assert {m.channel for m in drums if m.type == "note_on"} == {9}


def test_drums_on_an_odd_channel_may_have_chosen_a_program(tmp_path, monkeypatch, capsys):
    organ = (0, mido.Message("program_change", channel=2, program=16))
    taiko = (0, mido.Message("program_change", channel=2, program=116))
    for events in ((name("Drums"), organ), (taiko,)):
        song = save(tmp_path, kit_on_channel_3(*events))
        out = tmp_path / "out.mid"
        assert insert(monkeypatch, song, "-o", out, "--stem", "bass", *QUICK) == 2
        assert "looks like drums" in capsys.readouterr().err and not out.exists()
    tones = save(tmp_path, kit_on_channel_3(organ))
    assert insert(monkeypatch, tones, "-o", tmp_path / "tones.mid", "--stem", "bass", *QUICK) == 0


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="NOT CHECKED: needs fluidsynth")
def test_a_damaged_soundfont_is_not_replaced_by_another_and_nothing_clips(
    tmp_path, monkeypatch, capsys
):
    packaged()
    junk = tmp_path / "junk.sf2"
    junk.write_bytes(b"RIFF\x10\0\0\0sfbkLIST\0\0\0\0junk")
    loud = [name("Organ"), (0, mido.Message("program_change", channel=0, program=16))]
    for pitch in range(24, 104):
        loud += note(0, pitch, 0, 1920, 127)
    song, out = save(tmp_path, to_bytes([loud])), tmp_path / "out.mid"
    words = [song, "-o", out, *QUICK, "--render"]
    assert insert(monkeypatch, *words, "--soundfont", junk) == 2
    assert "cannot read" in capsys.readouterr().err and not out.exists()
    assert not out.with_suffix(".wav").exists()
    assert insert(monkeypatch, *words) == 0
    sound, _ = soundfile.read(out.with_suffix(".wav"))
    assert 0.9 < abs(sound).max() < 0.99


def test_render_makes_sound_or_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    packaged()
    song, out = save(tmp_path, band(4)), tmp_path / "out.mid"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda _: None)
        assert insert(patch, song, "-o", out, *QUICK, "--render") == 2
        assert "apt install fluidsynth" in capsys.readouterr().err and not out.exists()
    if shutil.which("fluidsynth") is None:
        pytest.skip("NOT CHECKED: fluidsynth is not installed")
    assert insert(monkeypatch, song, "-o", out, *QUICK, "--render") == 0
    sound, rate = soundfile.read(out.with_suffix(".wav"))
    assert rate == 44_100 and abs(sound).max() > 0.01
    assert 8 <= len(sound) / rate < 20  # four bars at 120 BPM, then what rings on
