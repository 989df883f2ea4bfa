"""Fifty clients of one studio for a minute: how quick its answers stay, and whether it loses any.

    python scripts/bench_studio.py [--clients 50] [--seconds 60] [-o FILE.json]

Each client uploads a second of a song, waits until it is ready, asks for a stem of one denoising
step, watches the job, downloads the mix, and begins again. Afterwards every job that was accepted
must come to its end. Prints a JSON record; exits with 1 if anything failed or was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import httpx
import numpy as np
import soundfile

OVER = ("done", "failed", "cancelled")
PAUSE = 0.25  # seconds between two questions of one client


class Load:
    """What all clients share: counts, times, problems."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.times: dict[str, list[float]] = defaultdict(list)
        self.problems: list[str] = []
        self.busy = 0  # answers 429: the studio asked to wait, which is no fault
        self.songs: list[str] = []
        self.jobs: list[str] = []

    async def ask(self, client: httpx.AsyncClient, kind: str, method: str, path: str, **rest):
        """One request, timed; None if it was refused for lack of room, or failed."""
        begin = time.perf_counter()
        try:
            answer = await client.request(method, path, **rest)
        except httpx.HTTPError as error:
            self.problems.append(f"{kind}: {error!r}")
            return None
        self.times[kind].append(time.perf_counter() - begin)
        if answer.status_code == 429:
            self.busy += 1
            return None
        if answer.status_code >= 400:
            self.problems.append(f"{kind}: {answer.status_code} {answer.text[:100]}")
            return None
        return answer

    async def until(self, client, kind, path, ends, deadline):
        """Poll a record until its state is one of `ends`; None past the deadline."""
        while time.perf_counter() < deadline:
            answer = await self.ask(client, kind, "GET", path)
            if answer is not None and answer.json()["state"] in ends:
                return answer.json()
            await asyncio.sleep(PAUSE)
        return None

    async def client(self, number: int, deadline: float) -> None:
        """One client's minute."""
        content = _song(number)
        async with httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False) as client:
            while time.perf_counter() < deadline:
                path = f"/api/songs?name=client-{number}.wav"
                answer = await self.ask(client, "upload", "POST", path, content=content)
                if answer is None:
                    await asyncio.sleep(PAUSE)
                    continue
                song = answer.json()["id"]
                self.songs.append(song)
                path = f"/api/songs/{song}"
                if not await self.until(client, "poll song", path, ("ready", "failed"), deadline):
                    return
                body = {"song": song, "instruction": "Add drums", "steps": 1, "seed": number}
                answer = await self.ask(client, "ask", "POST", "/api/jobs", json=body)
                if answer is None:
                    continue
                job = answer.json()["id"]
                self.jobs.append(job)
                path = f"/api/jobs/{job}"
                if await self.until(client, "poll job", path, OVER, deadline):
                    await self.ask(client, "download", "GET", f"{path}/takes/1/mix")


def _song(number: int) -> bytes:
    rng = np.random.default_rng(number)
    time_axis = np.arange(44100) / 44100
    tone = np.sin(2 * np.pi * rng.uniform(100, 800) * time_axis) * 0.2
    with io.BytesIO() as file:
        soundfile.write(file, np.stack([tone, tone], axis=1), 44100, "PCM_16", format="WAV")
        return file.getvalue()


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _run(url: str, pid: int, clients: int, seconds: float) -> dict:
    load, memory = Load(url), []
    deadline = time.perf_counter() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        working = asyncio.gather(*(load.client(n, deadline) for n in range(clients)))
        while not working.done():
            memory.append(_memory_mb(pid))
            await asyncio.sleep(1.0)
        await working
        ends: dict[str, int] = defaultdict(int)
        for kind, ids, states in (("songs", load.songs, ("ready", "failed")),
                                  ("jobs", load.jobs, OVER)):  # fmt: skip
            for one in ids:
                limit = time.perf_counter() + 300
                record = await load.until(client, "after", f"/api/{kind}/{one}", states, limit)
                ends[f"{kind} {record['state'] if record else 'lost'}"] += 1
    return {
        "clients": clients,
        "seconds": seconds,
        "requests": sum(map(len, load.times.values())),
        "seconds_median_95_worst": {
            kind: [round(x, 3) for x in (statistics.median(t), _percentile(t, 95), max(t))]
            for kind, t in load.times.items()
            if kind != "after"
        },
        "asked_to_wait": load.busy,
        "ends": dict(ends),
        "server_mb_after_10_s_and_at_the_end": [
            round(memory[min(10, len(memory) - 1)], 1), round(memory[-1], 1),
        ],
        "problems": load.problems[:10],
    }  # fmt: skip


def _percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent))


def main() -> int:
    """Start a studio on a free port, load it, print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "restem", "studio", "--port", "0", "--data", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout
                url = server.stdout.readline().split()[-1]
                record = asyncio.run(_run(url, server.pid, args.clients, args.seconds))
            finally:
                server.terminate()
    text = json.dumps(record, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")
    ends = record["ends"]
    fine = not record["problems"] and set(ends) <= {"songs ready", "jobs done"}
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
