"""A real studio on a free port, in a process of its own, for the tests of the studio."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import soundfile

ROOT = Path(__file__).parents[1]
SONG = ROOT / "examples" / "evening-bus.ogg"
LIMITED = """
import json, sys, uvicorn
from pathlib import Path
from restem.studio.api import make_app
from restem.studio.commands import _bind
from restem.studio.records import Limits
bound = _bind("127.0.0.1", 0)
app = make_app(Path(sys.argv[1]), Limits(**json.loads(sys.argv[2])), host="127.0.0.1")
print(f"The studio is open at http://127.0.0.1:{bound.getsockname()[1]}/", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)).run([bound])
"""


class Studio:
    """`process`, the address, and a client for it."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        self.client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def upload(self, path=None, content=None, name=None):
        content = Path(path).read_bytes() if content is None else content
        answer = self.client.post(
            "/api/songs", params={"name": name or Path(path).name}, content=content
        )
        assert answer.status_code == 202, answer.text
        return answer.json()

    def ready(self, song, seconds=60):
        return self._wait("songs", song["id"], lambda s: s["state"] != "preparing", seconds)

    def ask(self, song, **request):
        body = {"song": song["id"], "instruction": "Add funk drums"} | request
        answer = self.client.post("/api/jobs", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def over(self, job, seconds=120):
        ends = ("done", "failed", "cancelled")
        return self._wait("jobs", job["id"], lambda j: j["state"] in ends, seconds)

    def _wait(self, kind, record_id, enough, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            record = self.client.get(f"/api/{kind}/{record_id}").raise_for_status().json()
            if enough(record):
                return record
            time.sleep(0.05)
        raise AssertionError(f"{kind} {record_id} took more than {seconds} s: {record}")

    def file(self, address):
        return self.client.get(address).raise_for_status().content


@contextmanager
def studio(folder, *words, limits=None, kill=False, stderr=None):
    """`words` go to `restem studio`; `limits` replace its own."""
    import json

    command = [sys.executable, "-m", "restem", "studio", "--port", "0", "--data", str(folder)]
    if limits is not None:
        command = [sys.executable, "-c", LIMITED, str(folder), json.dumps(limits)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
    )
    try:
        line = process.stdout.readline()
        assert "http://" in line, line
        server = Studio(process, line.split()[-1])
        for _ in range(100):
            try:
                server.client.get("/api/status", headers={"Host": "x"})
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield server
        server.client.close()
    finally:
        process.kill() if kill else process.terminate()
        process.wait(20)
        process.stdout.close()


def short_song(path, seconds=6.0, start=2.0, subtype="PCM_16"):
    """A few seconds of a real song as a file, half as loud, so that mixes fit into 16 bits."""
    samples, rate = soundfile.read(SONG)
    part = samples[int(start * rate) : int((start + seconds) * rate)]
    soundfile.write(path, part / 2, rate, subtype=subtype)
    return path
