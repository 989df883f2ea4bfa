"""The studio against strangers, floods, crashes and its own end: real servers, killed for real."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from studio_server import short_song, studio

from restem.cli import main
from restem.errors import UserError

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    return short_song(tmp_path_factory.mktemp("song") / "song.wav", seconds=4.0)


def status(server, **headers):
    return server.client.get("/api/status", headers=headers).status_code


def test_strangers_are_refused_and_the_headers_are_strict(tmp_path):
    with studio(tmp_path / "data") as server:
        port = server.url.rsplit(":")[-1].strip("/")
        assert status(server) == 200
        assert status(server, Host="evil.example") == 400  # DNS rebinding
        assert status(server, Host=f"127.0.0.1.evil.example:{port}") == 400
        assert status(server, Host=f"localhost:{port}") == 200
        assert status(server, Origin=f"http://127.0.0.1:{port}") == 200
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "file://"):
            assert status(server, Origin=origin) == 403
        assert status(server, **{"Sec-Fetch-Site": "cross-site"}) == 403
        post = server.client.post("/api/songs?name=x", content=b"x", headers={"Origin": "http://a"})
        assert post.status_code == 403 and "access-control-allow-origin" not in post.headers
        page = server.client.get("/")
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy and "script-src 'self';" in policy
        assert "default-src 'none'" in policy and "<script>" not in page.text
        assert page.headers["x-content-type-options"] == "nosniff"
        other = server.client.get("/").headers["content-security-policy"]
        assert other != policy  # the nonce is used once
        for path in ("/page/../api.py", "/page/%2e%2e/api.py", "/page/..%2fapi.py", "/docs"):
            assert server.client.get(path).status_code == 404
        big = server.client.post("/api/jobs", content=b"[" * 100_000)
        assert big.status_code == 413
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_token_is_asked_for_elsewhere(tmp_path):
    with studio(tmp_path / "data", "--host", "0.0.0.0") as server:
        token = server.url.split("token=")[1]
        port = server.url.split(":")[2].split("/")[0]
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        assert client.get("/api/status").status_code == 401
        assert client.get("/").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        word = {"Authorization": f"Bearer {token}"}
        assert client.get("/api/status", headers=word).status_code == 200
        assert client.get("/api/status", headers=word | {"Host": "evil.example"}).status_code == 400
        answer = client.get(f"/?token={token}")
        cookie = answer.headers["set-cookie"].lower()
        assert answer.status_code == 303 and "httponly" in cookie and "samesite=strict" in cookie
        assert client.get("/api/status").status_code == 200  # the client kept the cookie
        client.close()


def test_api_only_has_no_page(tmp_path):
    with studio(tmp_path / "data", "--api-only") as server:
        assert server.client.get("/").status_code == 404
        assert server.client.get("/page/app.js").status_code == 404
        assert server.client.get("/api/openapi.json").json()["info"]["title"] == "restem studio"


def test_uploads_have_limits(tmp_path, wav):
    limits = {"upload_bytes": 1 << 20, "song_seconds": 5, "waiting_jobs": 2}
    with studio(tmp_path / "data", limits=limits) as server:
        told = server.client.post("/api/songs?name=x.wav", content=b"x" * (1 << 20) + b"x")
        assert told.status_code == 413 and "1 MB" in told.json()["detail"]
        untold = server.client.post(
            "/api/songs?name=x.wav", content=(b"x" * 65536 for _ in range(20))
        )
        assert untold.status_code == 413
        assert list((tmp_path / "data" / "songs").iterdir()) == []
        # A small file that unpacks into ten minutes is refused by what its header says.
        long = tmp_path / "long.flac"
        soundfile.write(long, np.zeros(8000 * 600, np.int16), 8000)
        assert long.stat().st_size < 200_000
        failed = server.ready(server.upload(long))
        assert failed["state"] == "failed" and "10.0 minutes" in failed["error"]
        song = server.ready(server.upload(wav))
        body = {"song": song["id"], "instruction": "Add drums", "takes": 9, "steps": 200}
        codes = [server.client.post("/api/jobs", json=body).status_code for _ in range(3)]
        assert codes == [202, 202, 429]


def test_a_decoder_without_memory_or_time_fails_alone(tmp_path, wav):
    with studio(tmp_path / "a", limits={"worker_bytes": 600 << 20}) as server:
        bomb = tmp_path / "bomb.flac"  # 100 kB that want a gigabyte
        soundfile.write(bomb, np.zeros(48000 * 840, np.int16), 48000)
        failed = server.ready(server.upload(bomb))
        assert failed["state"] == "failed" and "memory" in failed["error"]
        assert status(server) == 200
    with studio(tmp_path / "b", limits={"prepare_seconds": 0.01}) as server:
        failed = server.ready(server.upload(wav))
        assert failed["state"] == "failed" and "too long" in failed["error"]
        assert status(server) == 200


def test_the_quota_evicts_the_oldest(tmp_path, wav):
    with studio(tmp_path / "data", limits={"disk_bytes": 5_500_000}) as server:
        first = server.ready(
            server.upload(wav)
        )  # about 1.5 MB each: the upload and the decoded song
        job = server.over(server.ask(first, steps=1))  # and about 2 MB for a take
        assert job["state"] == "done"
        second = server.ready(server.upload(wav))
        third = server.ready(server.upload(wav))
        used = sum(p.stat().st_size for p in (tmp_path / "data").rglob("*") if p.is_file())
        assert used <= 5_500_000
        there = {song["id"] for song in server.client.get("/api/songs").json()}
        assert third["id"] in there and second["id"] in there
        assert server.client.get(f"/api/jobs/{job['id']}").status_code == 404
        full = server.client.post("/api/songs?name=x.wav", content=b"x" * 5_600_000)
        assert full.status_code == 507


def test_a_restart_loses_nothing_finished_and_resumes_what_ran(tmp_path, wav):
    data = tmp_path / "data"
    with studio(data, kill=True) as server:  # kill -9, as by a power cut
        song = server.ready(server.upload(wav))
        done = server.over(server.ask(song, steps=1))
        stem = server.file(f"/api/jobs/{done['id']}/takes/1/stem")
        running = server.ask(song, takes=2, steps=6)
        queued = server.ask(song, steps=1, seed=5)
        server._wait("jobs", running["id"], lambda j: j["fraction"] > 0.05, 60)
    with studio(data) as server:
        assert server.client.get(f"/api/songs/{song['id']}").json() == song
        assert server.file(f"/api/jobs/{done['id']}/takes/1/stem") == stem
        assert server.over(running)["state"] == "done"
        assert server.over(queued)["state"] == "done"
        assert not list(data.rglob("*.part"))


def test_what_ran_at_two_crashes_is_given_up(tmp_path, wav):
    data = tmp_path / "data"
    for _ in range(2):
        with studio(data, kill=True) as server:
            if not server.client.get("/api/jobs").json():
                server.ask(server.ready(server.upload(wav)), takes=9, steps=200)
            job = server.client.get("/api/jobs").json()[0]
            server._wait("jobs", job["id"], lambda j: j["fraction"] > 0.005, 60)
    with studio(data) as server:
        job = server.client.get("/api/jobs").json()[0]
        assert job["state"] == "failed" and "twice" in job["error"]


def test_a_killed_worker_fails_its_job_only(tmp_path, wav):
    with studio(tmp_path / "data") as server:
        song = server.ready(server.upload(wav))
        job = server.ask(song, takes=9, steps=100)
        server._wait("jobs", job["id"], lambda j: j["fraction"] > 0.005, 60)
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)
        assert server.over(job)["state"] == "failed"
        assert server.over(server.ask(song, steps=1))["state"] == "done"


def test_workers_end_with_the_server_and_two_never_share_a_folder(tmp_path, wav):
    from restem.studio.records import Limits
    from restem.studio.store import Store

    with studio(tmp_path / "data", kill=True) as server:
        server.ready(server.upload(wav))
        with pytest.raises(UserError, match="Another studio"):
            Store(tmp_path / "data", Limits())
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        pids = children.read_text().split()
        assert pids
    time.sleep(0.3)
    for line in (Path(f"/proc/{pid}/cmdline") for pid in pids):
        assert not line.exists() or b"studio.worker" not in line.read_bytes()


def test_ctrl_c_is_clean_although_somebody_listens(tmp_path, wav):
    with studio(tmp_path / "data", stderr=subprocess.PIPE) as server:
        song = server.ready(server.upload(wav))
        job = server.ask(song, takes=9, steps=100)
        with server.client.stream("GET", "/api/events") as answer:
            next(answer.iter_lines())
            server._wait("jobs", job["id"], lambda j: j["state"] == "running", 60)
            server.process.send_signal(signal.SIGINT)
            began = time.monotonic()
            assert server.process.wait(10) == 0
            assert time.monotonic() - began < 3
        assert server.process.stderr.read().strip() == "restem: the studio is closed."


def test_what_cannot_be_served_is_said_in_a_sentence(tmp_path, monkeypatch, capsys):
    import uvicorn

    monkeypatch.delattr(uvicorn.Server, "run")  # what is served all the same must not go on
    taken = socket.create_server(("127.0.0.1", 0))
    port = str(taken.getsockname()[1])

    def said(*words):
        assert main(["studio", *words, "--data", str(tmp_path)]) == 2
        return capsys.readouterr().err

    assert "choose another with --port" in said("--port", port)
    assert "16 or more" in said("--port", "0", "--token", "short")
    assert "between 0 and 65535" in said("--port", "70000")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'restem[studio]'" in said()
    taken.close()


def test_damaged_records_are_passed_over(tmp_path, wav):
    data = tmp_path / "data"
    with studio(data) as server:
        kept = server.ready(server.upload(wav))
        spoilt = server.ready(server.upload(wav))
    (data / "songs" / spoilt["id"] / "song.json").write_text('{"id": "../../x"')
    (data / "jobs" / "stray").mkdir()
    with studio(data) as server:
        assert [song["id"] for song in server.client.get("/api/songs").json()] == [kept["id"]]


def test_schemathesis_finds_no_server_error(tmp_path, wav):
    """Random requests made from the OpenAPI document, some with the ids of a real song and job."""
    pytest.importorskip("schemathesis")
    config = tmp_path / "schemathesis.toml"
    with studio(tmp_path / "data", "--api-only") as server:
        song = server.ready(server.upload(wav))
        job = server.over(server.ask(song, steps=1))
        config.write_text(
            f'[parameters]\n"path.song_id" = "{song["id"]}"\n"path.job_id" = "{job["id"]}"\n'
        )
        checks = "not_a_server_error,response_schema_conformance,status_code_conformance"
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
        command += [server.url + "api/openapi.json", "--max-examples", "10", "--checks", checks]
        command += ["--phases", "fuzzing", "--exclude-path-regex", "events"]  # which never end
        command += ["--exclude-method", "DELETE", "--seed", "1", "--no-color"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        assert "12 passed" in done.stdout, done.stdout[-3000:]
        assert server.client.get(f"/api/songs/{song['id']}").status_code == 200
