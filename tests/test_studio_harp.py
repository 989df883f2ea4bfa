"""The endpoint for HARP, asked by Gradio's own client and by the raw calls that HARP makes."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from studio_server import ROOT, short_song

from restem.errors import UserError
from restem.studio.harp import Bench
from restem.studio.records import Limits
from restem.studio.worker_process import WorkerProcess

gradio_client = pytest.importorskip(
    "gradio_client", reason="NOT TESTED: HARP; pip install 'restem[harp]'"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("harp") / ".local"  # as the usual data folder is
    command = [sys.executable, "-m", "restem", "studio", "--harp", "--port", "17861"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        [*command, "--data", str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            line = server.stdout.readline()
            assert "http://" in line, line
            yield next(word for word in line.split() if word.startswith("http"))
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def client(address):
    return gradio_client.Client(address, verbose=False)


def test_the_controls_are_described_as_harp_reads_them(address, client):
    told = client.predict(api_name="/controls")
    assert set(told) == {"card", "inputs", "outputs"}
    assert set(told["card"]) == {"name", "description", "author", "tags"}
    range_of = {"minimum", "maximum", "step", "value"}
    kinds = {"audio_track": {"required"}, "text_box": {"value"}}
    kinds |= {"number_box": range_of, "slider": range_of}
    for one in told["inputs"] + told["outputs"]:
        assert set(one) == {"type", "label", "info"} | kinds[one["type"]]
    # HARP itself posts to gradio_api/call and reads the answer as an event.
    call = f"{address.rstrip('/')}/gradio_api/call/controls"
    event = httpx.post(call, json={"data": []}, trust_env=False).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", trust_env=False).text
    data = next(line[6:] for line in answer.splitlines() if line.startswith("data: "))
    assert json.loads(data)[0] == told


def test_a_song_is_processed(client, tmp_path):
    song = short_song(tmp_path / "song.wav", seconds=4.0)
    handle = gradio_client.handle_file(str(song))
    stem, mix = client.predict(handle, "Add funk drums", 3, 100, 0, 2, api_name="/process")
    upload, stem, mix = (
        soundfile.read(path, dtype="int16")[0].astype(int) for path in (song, stem, mix)
    )
    assert np.abs(stem).max() > 300
    np.testing.assert_array_equal(mix - stem, upload)


def test_what_is_no_song_is_answered_in_a_sentence(client, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no music" * 99)
    with pytest.raises(Exception, match="cannot be read as audio"):
        client.predict(
            gradio_client.handle_file(str(bad)), "Add drums", 0, 0, 0, 1, api_name="/process"
        )


def test_cancel_stops_at_once(client, tmp_path):
    song = short_song(tmp_path / "song.wav", seconds=6.0)
    handle = gradio_client.handle_file(str(song))
    client.predict(handle, "Add drums", 0, 0, 0, 1, api_name="/process")  # the worker is warm
    job = client.submit(handle, "Add funk drums", 0, 0, 0, 200, api_name="/process")
    with pytest.raises(TimeoutError):
        job.result(timeout=3)
    client.predict(api_name="/cancel")
    with pytest.raises(Exception):  # noqa: B017 - Gradio's client names it as it likes
        job.result(timeout=10)
    stem, _ = client.predict(handle, "Add drums", 0, 0, 0, 1, api_name="/process")
    assert soundfile.info(stem).frames == 6 * 44100


def test_strangers_are_refused(address, client):
    port = address.rstrip("/").rsplit(":")[-1]
    call = f"{address.rstrip('/')}/gradio_api/call/controls"

    def code(**headers):
        posted = httpx.post(call, json={"data": []}, headers=headers, trust_env=False)
        return posted.status_code

    assert code() == code(Host=f"localhost:{port}") == 200
    assert code(Origin=f"http://127.0.0.1:{port}") == 200
    for host in ("evil.example", f"127.0.0.1.evil.example:{port}"):  # DNS rebinding
        assert code(Host=host) == code(Host=host, Origin=f"http://{host}") == 400
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://localhost:3000"):
        assert code(Origin=origin) == 403
    assert code(**{"Sec-Fetch-Site": "cross-site"}) == 403
    page = httpx.get(address, headers={"Host": "evil.example"}, trust_env=False)
    assert page.status_code == 400
    assert set(client.predict(api_name="/controls")) == {"card", "inputs", "outputs"}


class Worker:
    """In place of a process: writes two small files."""

    async def messages(self, task):
        if task["task"] == "prepare":
            grid = {"times": [0.0, 0.5], "positions": [1, 2], "beats_per_bar": 4}
            tracked = grid | {"bpm": 120, "confidence": 1}
            yield {"done": {"seconds": 1.0, "tracked": tracked}}
            return
        folder = Path(task["folder"])
        folder.mkdir()
        for name in ("song.drums.wav", "song.mix.wav"):
            (folder / name).write_bytes(b"sound")
        yield {"done": {"seed": task["seed"]}}


def test_results_lie_where_nobody_can_guess_and_old_ones_go(tmp_path):
    song = tmp_path / "song.wav"
    song.write_bytes(b"song")
    bench = Bench(tmp_path / "work", Limits(), Worker())
    values = (str(song), "Add drums", 0, 0, 0, 0)
    first, second = (Path(asyncio.run(bench.process(*values))[0]) for _ in range(2))
    assert second.is_file() and not first.exists()
    places = [path.relative_to(tmp_path / "work").parts[0] for path in (first, second)]
    assert places[0] != places[1] and all(len(place) == 22 for place in places)
    assert [path.name for path in (tmp_path / "work").iterdir()] == [places[1]]


def test_a_song_that_takes_too_long_to_prepare_is_given_up(tmp_path):
    async def scenario():
        worker = WorkerProcess(10 << 30, tmp_path / "temporary")
        bench = Bench(tmp_path / "work", Limits(prepare_seconds=0.01), worker)
        song = short_song(tmp_path / "song.wav", seconds=4.0)
        with pytest.raises(UserError, match="too long to decode"):
            await bench.process(str(song), "Add drums", 0, 0, 0, 1)
        assert worker.pid is None

    asyncio.run(scenario())
