"""The endpoint for HARP, asked by Gradio's own client and by the raw calls that HARP makes."""

import json
import os
import subprocess
import sys

import httpx
import numpy as np
import pytest
import soundfile
from studio_server import ROOT, short_song

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
