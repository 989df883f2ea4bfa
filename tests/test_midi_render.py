"""MIDI and Guitar Pro songs become rendered songs whose stems and beats are those of the notes."""

import json
from importlib.util import find_spec
from pathlib import Path

import guitarpro as gp
import midi_builders as midi
import numpy as np
import pytest
from mido import MetaMessage
from test_midi_guitar_pro import VERSIONS, add_track, put, score

from restem.cli import main
from restem.dataset.sources import open_source
from restem.dataset.sources.reading import read_mix, read_stems

FONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
pytestmark = pytest.mark.skipif(
    not (FONT.exists() and find_spec("fluidsynth")), reason="needs FluidSynth and TimGM6mb.sf2"
)


def with_kicks(bars=4):
    """Kicks on every beat, at 120 BPM and from the third bar on at 60; a bass note every bar."""
    kicks, bass = [midi.name("Kit")], [midi.name("Bass")]
    for beat in range(4 * bars):
        kicks += midi.note(9, 36, beat * 480, beat * 480 + 100, 120)
    for bar in range(bars):
        bass += midi.note(1, 40, bar * 1920, bar * 1920 + 1800)
    head = [
        (0, MetaMessage("set_tempo", tempo=500_000)),
        (3840, MetaMessage("set_tempo", tempo=1_000_000)),
        (0, MetaMessage("time_signature", numerator=4, denominator=4)),
    ]
    return midi.to_bytes([head, kicks, bass])


def guitar_pro(path):
    song = score(2)
    song.tracks.clear()
    guitar = add_track(song, name="Guitar")
    drums = add_track(song, name="Drums", isPercussionTrack=True)
    drums.channel.channel = drums.channel.effectChannel = 9
    for bar in range(2):
        put(guitar, bar, 1, [(1, 5)])
        for _ in range(4):
            put(drums, bar, 4, [(1, 36)])
    gp.write(song, str(path), version=VERSIONS["gp5"])


def render(*words):
    return main(["midi", "render", *map(str, words), "--soundfont", str(FONT)])


def test_songs_are_rendered_with_exact_stems_and_beats(tmp_path, capsys):
    (tmp_path / "in" / "rock").mkdir(parents=True)
    midi.save(tmp_path / "in" / "rock", with_kicks(), "kicks.mid")
    midi.save(tmp_path / "in", midi.band(), "no drums.mid")
    midi.save(tmp_path / "in", b"MThd nonsense", "broken.mid")
    guitar_pro(tmp_path / "in" / "tab.gp5")
    assert render(tmp_path / "in", "-o", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "no drums.mid has no drums" in said.err and "broken.mid" in said.err
    assert "2 songs in" in said.out
    songs = {song.group: song for song in open_source(f"rendered={tmp_path / 'out'}").songs()}
    assert set(songs) == {"kicks.mid", "tab.gp5"}
    kicks = songs["kicks.mid"]
    assert kicks.facts == {"genre": "rock", "bpm": 60.0, "metre": "4/4"}
    assert set(kicks.stems) == {"drums", "bass"} and set(songs["tab.gp5"].stems) > {"drums"}
    stems = read_stems(kicks)
    assert np.abs(stems["drums"] + stems["bass"] - read_mix(kicks)).max() < 1e-6
    drums = np.abs(stems["drums"][:, 0])
    for place in [0.5 * n for n in range(8)] + [4.0 + n for n in range(8)]:
        at = round(place * 44100)
        assert drums[at : at + 2000].max() > 4 * drums[max(0, at - 2000) : max(1, at - 100)].max()
    assert np.abs(stems["bass"]).max() > 0.01
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert render(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}


def test_a_stretch_is_cut_from_the_middle(tmp_path):
    (tmp_path / "in").mkdir()
    midi.save(tmp_path / "in", with_kicks(), "kicks.mid")
    assert render(tmp_path / "in", "--seconds", 5, "-o", tmp_path / "out") == 0
    (path,) = (tmp_path / "out").glob("*.json")
    record = json.loads(path.read_text())
    # the song lasts until its last note ends, at 11.75 s; so from 3.375 to 8.375
    assert record["samples"] == 5 * 44100
    assert record["beats"] == [0.125, 0.625, 1.625, 2.625, 3.625, 4.625]
    assert record["positions"] == [4, 1, 2, 3, 4, 1]


@pytest.mark.parametrize("files, says", [
    ({}, "holds no MIDI"), ({"a.mid": b"x"}, "No song of"),
])  # fmt: skip
def test_nothing_to_render_is_a_user_error(files, says, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name, data in files.items():
        midi.save(tmp_path / "in", data, name)
    assert render(tmp_path / "in", "-o", tmp_path / "out") == 2
    assert says in capsys.readouterr().err
