"""The studio against strangers, floods, crashes and its own end: real servers, killed for real."""

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from midi_builders import band
from studio_server import short_song, studio

from restem.cli import main
from restem.errors import UserError

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    return short_song(tmp_path_factory.mktemp("song") / "song.wav", seconds=4.0)


class Maker:
    """In place of a worker: writes takes of `size` bytes, each in `seconds` if it is not killed."""

    def __init__(self, size=0, seconds=0.0):
        self.size, self.seconds = size, seconds
        self.busy, self.killed = False, asyncio.Event()

    async def messages(self, task):
        from restem.studio.worker_process import WorkerDiedError

        self.busy = True
        self.killed.clear()
        folder = Path(task["folder"])
        folder.mkdir(exist_ok=True)
        (folder / "song.drums.wav").write_bytes(bytes(self.size))
        yield {"progress": [0.5, "denoising"]}
        with suppress(TimeoutError):
            await asyncio.wait_for(self.killed.wait(), self.seconds)
            raise WorkerDiedError("The worker ended unexpectedly.")
        self.busy = False
        yield {"done": {"seed": task["seed"], "notices": []}}

    async def kill(self):
        if self.busy:  # a second kill, meanwhile, returns at once
            self.busy = False
            self.killed.set()
            await asyncio.sleep(0.2)


def store_of(folder, **limits):
    from restem.studio.records import Limits
    from restem.studio.store import Store

    return Store(folder, Limits(**limits))


def put_song(store, created=1.0, size=0):
    """A song that is ready, of `size` bytes and a short record."""
    from restem.studio.records import Grid, Song, new_id

    grid = Grid(times=[0.0, 0.5], positions=[1, 2], beats_per_bar=4, bpm=120, confidence=1)
    facts = {"state": "ready", "seconds": 4.0, "grid": grid, "tracked": grid}
    song = Song(id=new_id(), name="a.wav", suffix=".wav", created=created, **facts)
    store.save_song(song)
    store.upload(song.id).write_bytes(bytes(size))
    store.measure(song.id)
    return song


def job_of(song, created=2.0, **request):
    from restem.studio.records import Job, JobRequest, new_id

    asked = JobRequest(song=song.id, instruction="Add drums", **request)
    return Job(id=new_id(), request=asked, created=created, grid=song.grid)


def put_job(store, song, created=2.0, state="done", size=0, **request):
    job = job_of(song, created, **request)
    job.state = state
    store.save_job(job)
    (store.job_folder(job.id) / "take").write_bytes(bytes(size))
    store.measure(job.id)
    return job


def desk_of(store, maker):
    from restem.studio.events import Hub
    from restem.studio.jobs import Desk

    desk = Desk(store, Hub(), store.limits)
    desk._maker = maker
    return desk


async def until(what):
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


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
        # Cookies know no ports: another program's, malformed, must not lock the user out.
        for other in ('x={"a":1}', "a b=c,d", "=;;"):
            cookies = {"Cookie": f"{other}; restem-studio={token}"}
            address = f"http://127.0.0.1:{port}/api/status"
            assert httpx.get(address, headers=cookies, trust_env=False).status_code == 200


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


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_closed_terminal_or_an_end_asked_for_leaves_no_traceback(tmp_path, name):
    with studio(tmp_path / "data", stderr=subprocess.PIPE) as server:
        server.process.send_signal(getattr(signal, name))
        assert server.process.wait(10) == 128 + signal.SIGTERM
        assert server.process.stderr.read() == ""


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


def test_what_cannot_be_read_stays_on_the_disk(tmp_path):
    store = store_of(tmp_path)
    good, spoilt, unread = (put_song(store, size=10) for _ in range(3))
    newer, orphan = put_job(store, good), put_job(store, spoilt)
    store.close()
    record = tmp_path / "songs" / spoilt.id / "song.json"
    text = record.read_text()
    record.write_text(text[:-9])
    hidden = tmp_path / "songs" / unread.id / "song.json"
    hidden.unlink()
    hidden.mkdir()  # reading it is an error of the system's
    later = tmp_path / "jobs" / newer.id / "job.json"
    later.write_text(later.read_text().replace('"instruction"', '"swing":1,"instruction"'))
    cut = [tmp_path / "songs" / "cut", tmp_path / "jobs" / "cut"]
    for folder in cut:
        folder.mkdir()
        (folder / "song.wav").write_bytes(b"x")
    before = {path for path in tmp_path.rglob("*") if "cut" not in path.parts}
    store = store_of(tmp_path)
    assert set(store.songs) == {good.id} and not store.jobs
    assert set(tmp_path.rglob("*")) == before  # without what was cut off, nothing else
    store.close()
    record.write_text(text)
    store = store_of(tmp_path)
    assert set(store.songs) == {good.id, spoilt.id} and set(store.jobs) == {orphan.id}
    store.close()


def test_a_full_store_evicts_what_helps_or_nothing(tmp_path):
    from restem.studio.store import StoreFullError

    store = store_of(tmp_path, disk_bytes=10_100_000)
    song = put_song(store, size=1_000_000)
    put_job(store, song, 2, size=4_000_000)
    base = put_job(store, song, 3, size=4_000_000)
    region = {"start": 0, "end": 1}
    asked = {"region": region, "base": {"job": base.id, "take": 1}}
    waits = put_job(store, song, 4, state="queued", **asked)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(StoreFullError, match="delete songs"):
        store.reserve("upload", 6_000_000)  # 4 MB could go, which is not enough
    assert set(tmp_path.rglob("*")) == before
    store.arriving["upload"] = 2_000_000
    store.make_room(keep=(song.id,))  # keeps the song, and not its oldest finished job
    assert set(store.jobs) == {base.id, waits.id} and set(store.songs) == {song.id}
    waits.state = "done"
    store.make_room(keep=(song.id, base.id))
    assert set(store.jobs) == {base.id, waits.id}
    store.arriving["upload"] = 9_500_000  # all that is over goes, and then its song
    store.make_room()
    assert not store.jobs and not store.songs
    store.close()


def test_uploads_under_way_count(tmp_path):
    limits = {"disk_bytes": 5_000_000, "waiting_songs": 2}
    with studio(tmp_path / "data", limits=limits) as server:
        address = ("127.0.0.1", int(server.url.rsplit(":")[-1].strip("/")))

        def begin(length):
            sent = socket.create_connection(address)
            head = f"POST /api/songs?name=x.wav HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\n"
            sent.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
            return sent

        def used(count):
            for _ in range(200):
                if server.client.get("/api/status").json()["used_bytes"] == count:
                    return
                time.sleep(0.02)
            raise AssertionError(f"never {count} bytes")

        def code(content):
            return server.client.post("/api/songs?name=x.wav", content=content).status_code

        first = begin(3_000_000)
        used(3_000_000)
        assert code(bytes(3_000_000)) == 507
        assert code(bytes(65536) for _ in range(46)) == 507  # does not say how long it is
        used(3_000_000)
        second = begin(10)
        used(3_000_010)
        assert code(b"x") == 429
        first.close()
        second.close()
        used(0)
        assert code(bytes(3_000_000)) == 202


def test_a_job_ends_between_takes_when_the_disk_quota_is_full(tmp_path):
    async def scenario():
        store = store_of(tmp_path, disk_bytes=9_500_000)
        desk = desk_of(store, Maker(size=3_000_000))
        song = put_song(store, size=1_000_000)
        jobs = [job_of(song, created, takes=9) for created in (2, 3)]
        desk.start()
        desk.add_job(jobs[0])
        await until(lambda: jobs[0].over)
        assert jobs[0].state == "failed" and "no room" in jobs[0].error
        assert len(jobs[0].takes) == 3 and len(list(tmp_path.rglob("*.drums.wav"))) == 3
        desk.add_job(jobs[1])  # for which the first one goes
        await until(lambda: jobs[1].over)
        assert jobs[1].state == "failed" and len(jobs[1].takes) == 3
        assert set(store.jobs) == {jobs[1].id} and store.used_bytes < 12_500_000
        await desk.stop()
        store.close()

    asyncio.run(scenario())


def test_a_full_disk_fails_a_job_and_says_so(tmp_path, monkeypatch):
    async def scenario():
        store = store_of(tmp_path)
        desk = desk_of(store, Maker())
        song = put_song(store)
        jobs = [job_of(song, created) for created in (2, 3)]
        news = []
        monkeypatch.setattr(desk.hub, "publish", lambda kind, data: news.append(data))
        desk.start()
        desk.add_job(jobs[0])
        with monkeypatch.context() as patch:

            def full(job):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            patch.setattr(store, "save_job", full)
            await until(lambda: jobs[0].over)
        assert jobs[0].state == "failed" and "No space left" in jobs[0].error
        assert (news[-1]["id"], news[-1]["state"]) == (jobs[0].id, "failed")
        assert desk.waiting_jobs() == 0
        desk.add_job(jobs[1])
        await until(lambda: jobs[1].over)
        assert jobs[1].state == "done"
        await desk.stop()
        store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["audio", "notes"])
def test_a_take_that_was_not_written_down_is_made_again(tmp_path, wav, kind):
    data = tmp_path / "data"
    what = "stem" if kind == "audio" else "midi"
    content = band(4) if kind == "notes" else wav.read_bytes()
    with studio(data) as server:
        song = server.ready(server.upload(content=content, name="a.mid" if what == "midi" else "a"))
        job = server.over(server.ask(song, steps=1))
        assert job["state"] == "done", job["error"]
        made = server.file(f"/api/jobs/{job['id']}/takes/1/{what}")
    record = data / "jobs" / job["id"] / "job.json"  # as a crash after the take's rename leaves it
    record.write_text(
        json.dumps(json.loads(record.read_text()) | {"state": "running", "takes": []})
    )
    (data / "jobs" / job["id"] / "take-1" / "song.png").unlink()
    with studio(data) as server:
        job = server.over(job)
        assert job["state"] == "done", job["error"]
        assert server.file(f"/api/jobs/{job['id']}/takes/1/{what}") == made
        server.file(f"/api/jobs/{job['id']}/takes/1/picture")


def test_ends_in_order_never_give_a_job_up(tmp_path):
    store = store_of(tmp_path)
    job = job_of(put_song(store))
    store.save_job(job)
    store.close()

    async def scenario(maker, state):
        store = store_of(tmp_path)
        desk = desk_of(store, maker)
        desk.start()
        await until(lambda: store.jobs[job.id].state == state)
        assert store.jobs[job.id].starts == 1
        await desk.stop()
        store.close()
        return json.loads((tmp_path / "jobs" / job.id / "job.json").read_text())

    for _ in range(3):
        left = asyncio.run(scenario(Maker(seconds=60), "running"))
        assert (left["state"], left["starts"], left["words"]) == ("queued", 0, "waiting")
    assert asyncio.run(scenario(Maker(), "done"))["state"] == "done"


def test_a_killed_worker_takes_only_its_own_temporary_folder(tmp_path):
    from restem.studio.worker_process import WorkerProcess

    async def temporary(process):
        variables = Path(f"/proc/{process.pid}/environ")
        await until(lambda: b"TMPDIR=" in variables.read_bytes())
        line = next(v for v in variables.read_bytes().split(b"\0") if v.startswith(b"TMPDIR="))
        return Path(line[7:].decode())

    async def scenario():
        worker = WorkerProcess(10 << 30, tmp_path / "temporary")
        first = await temporary(await worker._running())
        assert first.is_dir()
        killing = asyncio.create_task(worker.kill())
        await asyncio.sleep(0)  # it waits for the first process to end
        second = await temporary(await worker._running())
        await killing
        assert second.is_dir() and not first.exists()
        await worker.kill()
        assert list((tmp_path / "temporary").iterdir()) == []

    asyncio.run(scenario())


def test_an_error_of_the_program_is_not_called_a_lack_of_memory(tmp_path):
    from restem.studio.worker_process import WorkerDiedError, WorkerProcess

    async def said(task):
        worker = WorkerProcess(10 << 30, tmp_path / "temporary")
        with pytest.raises(WorkerDiedError) as caught:
            async for _ in worker.messages(task):
                raise AssertionError("it answered")
        return str(caught.value)

    assert "report it" in asyncio.run(said({"task": "of no such name"}))


def test_a_job_asked_for_while_its_song_is_deleted_goes_with_it(tmp_path, monkeypatch):
    from restem.studio import jobs
    from restem.studio.api import make_app
    from restem.studio.records import Limits

    store = store_of(tmp_path)
    song = put_song(store)
    store.close()
    monkeypatch.setattr(jobs, "WorkerProcess", lambda *_: Maker(seconds=0.5))
    asked = {"song": song.id, "instruction": "Add drums"}

    async def scenario():
        app = make_app(tmp_path, Limits(), host="127.0.0.1", api_only=True)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1"
        )
        async with app.app.router.lifespan_context(app.app), client:
            await client.post("/api/jobs", json=asked)
            await asyncio.sleep(0.05)  # it runs now
            deleting = asyncio.create_task(client.delete(f"/api/songs/{song.id}"))
            await asyncio.sleep(0.05)  # and is being killed
            second = (await client.post("/api/jobs", json=asked)).json()
            await asyncio.sleep(0.05)
            second = (await client.get(f"/api/jobs/{second['id']}")).json()
            assert second["state"] == "running"
            assert (await deleting).status_code == 204
            await asyncio.sleep(0.8)  # it would be done by now
            assert (await client.get("/api/jobs")).json() == []
        assert list((tmp_path / "jobs").iterdir()) == list((tmp_path / "songs").iterdir()) == []

    asyncio.run(scenario())


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
