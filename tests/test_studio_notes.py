"""MIDI and Guitar Pro songs through the studio's HTTP API, with the shipped models."""

import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from midi_builders import band, events_of, name, note, to_bytes
from studio_server import ROOT, short_song, studio

from restem.symbolic.midi_files import song_from_bytes

pytest.importorskip("fastapi")
STEPS = 4  # denoising steps: what is tested here is not the music
BARS = 4  # of two seconds each


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with studio(tmp_path_factory.mktemp("studio") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def song(server):
    return server.ready(server.upload(content=band(BARS), name="my band.mid"))


@pytest.fixture(scope="module")
def job(server, song):
    asked = {"instruction": "bossa nova", "seed": 3, "steps": STEPS, "density": "busy"}
    return server.over(server.ask(song, **asked))


def take(server, job, what):
    return server.file(f"/api/jobs/{job['id']}/takes/1/{what}")


def test_a_song_of_notes_is_prepared(server, song):
    assert (song["kind"], song["state"], song["container"]) == ("notes", "ready", "MIDI")
    assert song["seconds"] == 2.0 * BARS and song["missing"] == ["drums"]
    told = [(t["name"], t["kind"], t["program"], t["notes"]) for t in song["tracks"]]
    assert told == [("Bass", "bass", 33, 16), ("Guitar", "guitar", 27, 16),
                    ("Piano", "other", None, 16)]  # fmt: skip
    assert song["grid"]["times"] == [0.5 * beat for beat in range(4 * BARS)]
    assert song["grid"]["positions"] == [1, 2, 3, 4] * BARS and song["grid"]["bpm"] == 120
    notes = json.loads(server.file(f"/api/songs/{song['id']}/notes"))["tracks"][1]["notes"]
    assert notes[:2] == [[0.25, 0.5, 64, 80], [0.75, 1.0, 64, 80]]


def test_the_result_is_that_of_the_command_line(server, job, tmp_path):
    assert job["state"] == "done", job["error"]
    (tmp_path / "my band.mid").write_bytes(band(BARS))
    words = [sys.executable, "-m", "restem", "midi", "insert", str(tmp_path / "my band.mid"),
             "--stem", "drums", "--style", "bossa nova", "--density", "busy", "--seed", "3",
             "--steps", str(STEPS), "-o", str(tmp_path / "out.mid")]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run(words, check=True, capture_output=True, env=environment)
    midi = take(server, job, "midi")
    assert midi == (tmp_path / "out.mid").read_bytes()
    assert events_of(midi)[:4] == events_of(band(BARS))  # every track that was there
    drums = song_from_bytes(midi, "out").tracks[-1]
    shown = json.loads(take(server, job, "notes"))
    assert len(drums.notes) == len(shown["notes"]) == job["takes"][0]["notes"] > 20
    seconds = drums.notes[:, 0] / 480 * 0.5
    assert np.allclose([row[0] for row in shown["notes"]], seconds, atol=1e-4)
    assert (shown["channel"], shown["stem"]) == (9, "drums")


def test_the_pack_and_the_names(server, job):
    with zipfile.ZipFile(io.BytesIO(take(server, job, "pack"))) as pack:
        assert sorted(pack.namelist()) == ["my band.drums.json", "my band.drums.mid", "my band.png"]
        record = json.loads(pack.read("my band.drums.json"))
    assert record["song"]["file"] == "my band.mid" and record["density"] == "busy"


def test_a_region_fills_the_bars_it_touches(server, song):
    region = {"start": 2.3, "end": 5.9}
    made = server.over(
        server.ask(song, stem="bass", instruction="funk", region=region, steps=STEPS)
    )
    assert made["state"] == "done", made["error"]
    notes = json.loads(take(server, made, "notes"))["notes"]
    assert notes and notes[0][0] >= 2.0 and notes[-1][1] <= 6.0
    assert json.loads(take(server, made, "record"))["bars"] == [2, 3]


def test_drums_on_another_channel_are_taken_for_drums(server):
    hidden = [name("Loop")]
    for beat in range(16):
        hidden += note(3, 36 if beat % 2 else 38, beat * 480, beat * 480 + 100)
        hidden += note(3, 42, beat * 480, beat * 480 + 100)
    kept = server.ready(server.upload(content=to_bytes([hidden]), name="loop.mid"))
    assert kept["tracks"][0]["kind"] == "drums" and "drums" not in kept["missing"]
    assert any("taken for them" in words for words in kept["notices"])
    tune = [event for beat in range(16) for event in note(0, 60, beat * 480, beat * 480 + 400)]
    content = to_bytes([[*hidden, *tune]], kind=0)  # one track of the file, two channels
    kept = server.ready(server.upload(content=content, name="loop.mid"))
    assert [track["kind"] for track in kept["tracks"]] == ["other", "drums"]


def test_notices_have_the_name_that_the_owner_knows(server):
    kept = server.ready(server.upload(content=to_bytes([note(0, 60, 0, 960)]), name="my song.mid"))
    assert kept["notices"] == ["my song.mid has no tempo; 120 quarter notes a minute are assumed."]


def test_guitar_pro_songs_are_read(server, tmp_path):
    guitarpro = pytest.importorskip("guitarpro")
    score = guitarpro.Song()
    voice = score.tracks[0].measures[0].voices[0]
    for fret in (0, 2, 3, 5):
        beat = guitarpro.Beat(voice, status=guitarpro.BeatStatus.normal)
        beat.notes = [guitarpro.Note(beat, fret, string=1, type=guitarpro.NoteType.normal)]
        voice.beats.append(beat)
    guitarpro.write(score, str(tmp_path / "riff.gp5"))
    read = server.ready(server.upload(tmp_path / "riff.gp5"))
    assert (read["kind"], read["container"]) == ("notes", "Guitar Pro"), read["error"]
    assert read["tracks"][0]["kind"] == "guitar" and read["tracks"][0]["notes"] == 4


@pytest.mark.parametrize(
    ("content", "file", "sentence"),
    [
        (b"this is no music" * 9, "no.mid", "no.mid is not a MIDI file"),
        (b"BCFZ" + b"\0" * 60, "new.gpx", "Guitar Pro 6 or later"),
        (to_bytes([[]]), "tune", "tune holds no notes; give a song with at least one part."),
        (to_bytes([note(0, 60, 0, 480 * 4000)]), "long.mid", "33.3 minutes"),
    ],
    ids=["no", "new", "empty", "long"],
)
def test_what_is_no_song_of_notes_is_refused_in_a_sentence(server, content, file, sentence):
    failed = server.ready(server.upload(content=content, name=file))
    assert failed["state"] == "failed" and sentence in failed["error"], failed


def test_sound_and_notes_are_not_mixed_up(server, song, job, tmp_path):
    wav = server.ready(server.upload(short_song(tmp_path / "song.wav", seconds=1.0)))

    def code(song, **more):
        body = {"song": song["id"], "instruction": "Add drums"} | more
        return server.client.post("/api/jobs", json=body).status_code

    assert code(song, stem="keys") == code(wav, density="busy") == 422
    assert code(song, density=1) == code(song, dynamics=1) == code(song, tight=0.5) == 422
    base = {"job": job["id"], "take": 1}
    assert code(song, region={"start": 0, "end": 2}, base=base) == 422
    assert code(song, stem="flute") == 422
    put = server.client.put(f"/api/songs/{song['id']}/beats", json={"doublings": 1})
    assert put.status_code == 409
    for path in (f"/api/songs/{song['id']}/audio", f"/api/songs/{wav['id']}/notes",
                 f"/api/jobs/{job['id']}/takes/1/mix"):  # fmt: skip
        assert server.client.get(path).status_code == 404
