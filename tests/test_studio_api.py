"""The studio's HTTP API with a real client, a real server, the shipped model and a real song."""

import asyncio
import io
import json
import os
import subprocess
import sys
import zipfile

import mido
import numpy as np
import pytest
import soundfile
from studio_server import ROOT, short_song, studio

pytest.importorskip("fastapi")
CONTROLS = {"density": -1.0, "dynamics": 1.0, "tight": 0.5}
STEPS = 2  # denoising steps: what is tested here is not the music


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with studio(tmp_path_factory.mktemp("studio") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    return short_song(tmp_path_factory.mktemp("song") / "my song.wav")


@pytest.fixture(scope="module")
def song(server, wav):
    return server.ready(server.upload(wav))


@pytest.fixture(scope="module")
def job(server, song):
    return server.over(server.ask(song, takes=2, seed=7, steps=STEPS, **CONTROLS))


def samples(content, dtype="int16"):
    return soundfile.read(io.BytesIO(content), dtype=dtype)[0].astype(np.int64)


def take(server, job, what, number=1):
    return server.file(f"/api/jobs/{job['id']}/takes/{number}/{what}")


def test_a_song_is_prepared(server, song):
    assert song["state"] == "ready" and song["name"] == "my song.wav"
    assert (song["samples"], song["channels"], song["sample_rate"]) == (6 * 44100, 2, 44100)
    assert abs(song["grid"]["bpm"] - 98) < 2  # the tempo of the example
    outline = np.frombuffer(server.file(f"/api/songs/{song['id']}/outline"), "<i2").reshape(2, -1)
    decoded = samples(server.file(f"/api/songs/{song['id']}/audio"))
    assert outline.shape[1] == 6 * 200
    assert abs(int(outline.max()) - decoded.max()) <= 1 and (outline[0] >= outline[1]).all()


def test_mix_minus_stem_is_the_upload(server, wav, song, job):
    assert job["state"] == "done" and [t["seed"] for t in job["takes"]] == [7, 8]
    upload = soundfile.read(wav, dtype="int16")[0].astype(np.int64)
    np.testing.assert_array_equal(samples(server.file(f"/api/songs/{song['id']}/audio")), upload)
    stems = []
    for number in (1, 2):
        stem = samples(take(server, job, "stem", number))
        mix = samples(take(server, job, "mix", number))
        np.testing.assert_array_equal(mix - stem, upload)
        assert np.abs(stem).max() > 300
        stems.append(stem)
    assert np.abs(stems[0] - stems[1]).max() > 300  # another seed, another take


def test_a_song_of_sound_gets_a_bass(server, wav, song):
    """The mix minus it is the upload; its notes are heard and in the zip."""
    assert server.client.get("/api/status").json()["stems"] == ["drums", "bass", "guitar", "keys"]
    words = {"instruction": "Add a funky bass line", "stem": "bass", "steps": STEPS}
    job = server.over(server.ask(song, **words))
    assert job["state"] == "done"
    upload = soundfile.read(wav, dtype="int16")[0].astype(np.int64)
    stem = samples(take(server, job, "stem"))
    np.testing.assert_array_equal(samples(take(server, job, "mix")) - stem, upload)
    assert np.abs(stem).max() > 300 and np.array_equal(stem[:, 0], stem[:, 1])  # in the middle
    notes = take(server, job, "midi")
    assert notes[:4] == b"MThd"  # with two steps there may be no note to hear
    with zipfile.ZipFile(io.BytesIO(take(server, job, "pack"))) as pack:
        assert pack.read("my song.bass.mid") == notes and "my song.bass.wav" in pack.namelist()


def test_the_files_are_those_of_the_command_line(server, wav, job, tmp_path):
    words = [sys.executable, "-m", "restem", "insert", str(wav), "Add funk drums", "--seed", "7",
             "--steps", str(STEPS), "-o", str(tmp_path)]  # fmt: skip
    words += [f"--{name}={value}" for name, value in CONTROLS.items()]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run(words, check=True, capture_output=True, env=environment)
    for what, name in (("stem", "my song.drums.wav"), ("mix", "my song.mix.wav")):
        assert (tmp_path / name).read_bytes() == take(server, job, what)
    ours = json.loads(take(server, job, "record"))
    theirs = json.loads((tmp_path / "my song.drums.json").read_text())
    assert CONTROLS.items() <= ours.items()
    for record in (ours, theirs):
        record.pop("request")
    assert ours == theirs


def test_the_pack_holds_all_under_the_song_s_name(server, job):
    with zipfile.ZipFile(io.BytesIO(take(server, job, "pack"))) as pack:
        ends = ("drums.json", "drums.mid", "drums.wav", "mix.wav", "png", "tempo.mid")
        assert sorted(pack.namelist()) == [f"my song.{end}" for end in ends]
        assert pack.read("my song.mix.wav") == take(server, job, "mix")
        assert pack.read("my song.drums.mid") == take(server, job, "midi")
        tempo = mido.MidiFile(file=io.BytesIO(pack.read("my song.tempo.mid")))
    drums = mido.MidiFile(file=io.BytesIO(take(server, job, "midi")))
    notes = [m for m in drums.tracks[-1] if m.type == "note_on" and m.velocity]
    assert notes and {m.channel for m in notes} == {9}
    assert [m.tempo for m in tempo.tracks[0] if m.type == "set_tempo"]
    head = server.client.get(f"/api/jobs/{job['id']}/takes/1/mix").headers
    assert "my%20song.mix.wav" in head["content-disposition"]


def test_a_region_is_silent_outside(server, wav, song):
    region = {"start": 2.0, "end": 3.5}
    made = server.over(server.ask(song, steps=STEPS, region=region))
    stem, mix = (samples(take(server, made, what)) for what in ("stem", "mix"))
    inside = slice(2 * 44100, round(3.5 * 44100))
    assert np.abs(stem[inside]).max() > 300
    stem[inside] = 0
    assert not stem.any()
    upload = soundfile.read(wav, dtype="int16")[0].astype(np.int64)
    np.testing.assert_array_equal(
        np.delete(mix, np.r_[inside], 0), np.delete(upload, np.r_[inside], 0)
    )


def test_a_region_goes_into_an_earlier_take(server, song, job):
    region = {"start": 2.0, "end": 3.5}
    request = {"region": region, "base": {"job": job["id"], "take": 2}, "seed": 99, "steps": STEPS}
    made = server.over(server.ask(song, **request))
    assert made["state"] == "done", made["error"]
    before, after = samples(take(server, job, "stem", 2)), samples(take(server, made, "stem"))
    outside = np.delete(np.arange(len(before)), np.arange(2 * 44100, round(3.5 * 44100)))
    np.testing.assert_array_equal(after[outside], before[outside])
    assert np.abs(after - before).max() > 300
    record = json.loads(take(server, made, "record"))
    assert record["request"]["region"] == region


def test_beats_are_corrected_and_used(server, song):
    address = f"/api/songs/{song['id']}/beats"
    heard = song["tracked"]
    half = server.client.put(address, json={"doublings": -1}).json()
    assert half["grid"]["bpm"] == pytest.approx(heard["bpm"] / 2, rel=0.02)
    late = server.client.put(address, json={"shift": 0.5}).json()["grid"]["times"]
    assert late[0] == pytest.approx((heard["times"][0] + heard["times"][1]) / 2)
    waltz = {"bpm": heard["bpm"], "beats_per_bar": 3}
    assert max(server.client.put(address, json=waltz).json()["grid"]["positions"]) == 3
    tapped = {"bpm": 120, "first_downbeat": 0.25, "beats_per_bar": 3}
    grid = server.client.put(address, json=tapped).json()["grid"]
    downs = [t for t, p in zip(grid["times"], grid["positions"], strict=True) if p == 1]
    assert downs[:2] == pytest.approx([0.25, 1.75])
    made = server.over(server.ask(song, steps=1))
    assert made["takes"][0]["bpm"] == 120.0
    beats = json.loads(take(server, made, "record"))["beats"]
    assert [float(line.split()[0]) for line in beats] == grid["times"]
    assert server.client.put(address, json={}).json()["grid"] == heard
    assert server.client.put(address, json={"bpm": 390, "doublings": 1}).status_code == 400


def test_events_tell_progress_and_show_the_picture(server, song):
    made = server.ask(song, steps=6)
    kinds, words = set(), []
    with server.client.stream("GET", f"/api/jobs/{made['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            kinds |= {line[7:]} if line.startswith("event: ") else set()
            if line.startswith("data: "):
                data = json.loads(line[6:])
                if "png" in data:
                    assert data["window"][1] > data["window"][0] and len(data["png"]) > 500
                    continue
                words.append((data["fraction"], data["words"]))
                if data["state"] == "done":
                    break
    assert kinds == {"job", "preview"}
    fractions = [fraction for fraction, _ in words]
    assert fractions == sorted(fractions) and "denoising" in {word for _, word in words}


def test_cancel_stops_at_once_and_keeps_what_is_finished(server, song):
    first = server.ask(song, takes=9, steps=100)
    second = server.ask(song, steps=STEPS)
    server._wait("jobs", first["id"], lambda j: j["fraction"] > 0.01, 60)
    answer = server.client.post(f"/api/jobs/{first['id']}/cancel")
    assert answer.json()["state"] == "cancelled"
    assert answer.elapsed.total_seconds() < 1.5
    assert server.over(second)["state"] == "done"  # a new worker goes on
    assert server.client.get(f"/api/jobs/{first['id']}").json()["state"] == "cancelled"


def test_a_lossy_song(server, tmp_path):
    made_of = server.ready(server.upload(short_song(tmp_path / "song.ogg", 3.0, subtype="VORBIS")))
    assert made_of["subtype"] == "VORBIS" and made_of["state"] == "ready"
    made = server.over(server.ask(made_of, steps=1))
    decoded = samples(server.file(f"/api/songs/{made_of['id']}/audio"), "int32") >> 8
    stem, mix = (samples(take(server, made, what), "int32") >> 8 for what in ("stem", "mix"))
    np.testing.assert_array_equal(mix - stem, decoded)


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"this is no music" * 100, "../../etc/passwd.wav", "cannot be read as audio"),
        (b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0", "cut.wav", "cut.wav"),
        (b"\0\0\0\x18ftypM4A " + b"\0" * 64, "no.m4a", "ffmpeg"),
    ],
)
def test_what_is_no_song_is_refused_in_a_sentence(server, content, name, sentence):
    failed = server.ready(server.upload(content=content, name=name))
    assert failed["state"] == "failed" and sentence in failed["error"]
    assert "/" not in failed["name"] and "/songs/" not in failed["error"]


def test_requests_that_make_no_sense(server, song, job):
    ask = lambda **body: server.client.post("/api/jobs", json=body)  # noqa: E731
    good = {"song": song["id"], "instruction": "Add drums"}
    assert ask(**good | {"song": "A" * 22}).status_code == 404
    assert ask(**good | {"song": "../../../../etc/passwd"}).status_code == 422
    assert ask(**good | {"instruction": " \n"}).status_code == 422
    assert ask(**good | {"region": {"start": 3, "end": 3}}).status_code == 422
    assert ask(**good | {"region": {"start": 100, "end": 103}}).status_code == 422
    late = {"start": song["seconds"] - 0.05, "end": song["seconds"] + 1}
    assert ask(**good | {"region": late}).status_code == 422
    assert ask(**good | {"base": {"job": job["id"], "take": 1}}).status_code == 422
    region, base = {"start": 1, "end": 3}, {"job": job["id"], "take": 1}
    other = ask(**good | {"region": region, "base": base, "stem": "bass"})
    assert other.status_code == 422 and "stem" in other.json()["detail"]
    assert ask(**good | {"command": "rm"}).status_code == 422
    assert server.client.post("/api/songs", params={"name": "x.wav"}).status_code == 400
    lone = server.client.post(
        "/api/jobs", content=json.dumps(good | {"instruction": "\ud800"}),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert lone.status_code == 422 and "instruction" in lone.json()["detail"]


def test_deleting_a_song_deletes_what_was_made_for_it(server, wav):
    extra = server.ready(server.upload(wav))
    running = server.ask(extra, takes=9, steps=100)
    assert server.client.delete(f"/api/songs/{extra['id']}").status_code == 204
    assert server.client.get(f"/api/songs/{extra['id']}").status_code == 404
    assert server.client.get(f"/api/jobs/{running['id']}").status_code == 404


def test_no_news_falls_between_a_request_and_its_stream():
    from restem.studio.events import Hub

    async def scenario():
        hub, job = Hub(), {"state": "running"}
        stream = hub.stream(lambda: [("job", dict(job))], lambda data: True)
        job["state"] = "done"  # after the request, before anybody listens
        hub.publish("job", dict(job))
        assert '"done"' in await anext(stream)
        hub.publish("job", {"state": "next"})
        assert '"next"' in await anext(stream)
        await stream.aclose()

    asyncio.run(scenario())
