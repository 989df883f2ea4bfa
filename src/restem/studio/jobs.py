"""Uploads and requests in; prepared songs and takes out, one after another, in two processes.

One process decodes, so that a new song need not wait for a long job; the other makes takes, one
job at a time, so that two tabs don't fight. Whatever happens is written to the store and told to
the hub.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from restem.errors import UserError
from restem.studio.events import Hub
from restem.studio.records import Job, Limits, Song, Take
from restem.studio.store import Store, StoreFullError
from restem.studio.worker_process import WorkerProcess

log = logging.getLogger(__name__)
MOST_STARTS = 2  # a job that was running at two crashes of the server may well be their cause


class Desk:
    """Runs what the store holds: all songs in preparation, all jobs in the queue."""

    def __init__(self, store: Store, hub: Hub, limits: Limits) -> None:
        self.store, self.hub, self.limits = store, hub, limits
        self._new_song, self._new_job = asyncio.Event(), asyncio.Event()
        temporary = store.folder / "temporary-prepare", store.folder / "temporary-make"
        for folder in temporary:  # what a killed studio left; no other one has this store
            shutil.rmtree(folder, ignore_errors=True)
        self._preparer, self._maker = (
            WorkerProcess(limits.worker_bytes, folder) for folder in temporary
        )
        self._running: str | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # ---- life ----

    def start(self) -> None:
        """Take up what an earlier server left: finished takes stay, what ran begins again."""
        for job in self.store.jobs.values():
            if job.state == "running" and job.starts >= MOST_STARTS:
                self._finish(job, "failed", "The studio ended twice while it made this.")
            elif job.state == "running":
                self._put_back(job)
        self._tasks = [
            asyncio.create_task(self._forever(self._prepare_next, self._new_song)),
            asyncio.create_task(self._forever(self._make_next, self._new_job)),
        ]

    async def stop(self) -> None:
        """Stop at once; the files say what to take up again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for job in self.store.jobs.values():
            if job.state == "running":
                job.starts -= 1  # it is not the cause of an end in order
                self._put_back(job)
        await self._preparer.kill()
        await self._maker.kill()

    def _put_back(self, job: Job) -> None:
        job.state, job.words, job.seconds_left = "queued", "waiting", None
        self._save_or_log(job)

    async def _forever(self, step: Any, new: asyncio.Event) -> None:
        while True:
            new.clear()
            try:
                if not await step():
                    await new.wait()
            except Exception:  # one song must not close the studio
                log.exception("the studio's queue stumbled")
                await asyncio.sleep(1.0)

    # ---- songs ----

    def add_song(self, song: Song) -> None:
        """Prepare a song whose upload lies in the store."""
        self.store.save_song(song)
        self.store.measure(song.id)
        self._new_song.set()

    def waiting_songs(self) -> int:
        """Those that wait for their preparation, and those that are still being sent."""
        preparing = sum(song.state == "preparing" for song in self.store.songs.values())
        return preparing + len(self.store.arriving)

    async def _prepare_next(self) -> bool:
        waiting = [song for song in self.store.songs.values() if song.state == "preparing"]
        if not waiting:
            return False
        song = min(waiting, key=lambda song: song.created)
        task = {
            "task": "prepare",
            "upload": str(self.store.upload(song.id)),
            "name": song.name,
            "longest_seconds": self.limits.song_seconds,
        }
        facts: dict[str, Any] = {}
        try:
            self.store.make_room()  # songs prepared before may have taken it
            async with asyncio.timeout(self.limits.prepare_seconds):
                async for message in self._preparer.messages(task):
                    facts = message.get("done", facts)
        except UserError as error:
            facts = {"error": str(error)}
            await self._preparer.kill()  # a strange file may have left strange traces
        except TimeoutError:
            facts = {"error": f"{song.name} took too long to decode; convert it to WAV or FLAC."}
            await self._preparer.kill()
        if song.id in self.store.songs:  # it may have been deleted meanwhile
            self._prepared(self.store.songs[song.id], facts)
        return True

    def _prepared(self, song: Song, facts: dict[str, Any]) -> None:
        if "error" in facts:
            self.store.upload(song.id).unlink(missing_ok=True)
            song = song.model_copy(update={"state": "failed", "error": facts["error"]})
        else:
            more = facts | {"state": "ready", "grid": facts["tracked"]}
            song = Song.model_validate(song.model_dump() | more)
        self.store.save_song(song)
        self.store.measure(song.id)
        with suppress(StoreFullError):  # the next upload will be refused
            self.store.make_room(keep=(song.id,))
        self.hub.publish("song", song.model_dump())

    # ---- jobs ----

    def add_job(self, job: Job) -> None:
        self.store.save_job(job)
        self.store.measure(job.id)
        self._tell(job)
        self._new_job.set()

    def waiting_jobs(self) -> int:
        return sum(not job.over for job in self.store.jobs.values())

    async def cancel(self, job_id: str) -> Job:
        """Stop a job at once; takes that are finished stay. Nothing happens if it is over."""
        job = self.store.jobs[job_id]
        if not job.over:
            self._finish(job, "cancelled", None)
            if self._running == job_id:
                await self._maker.kill()
        return job

    async def _make_next(self) -> bool:
        waiting = [job for job in self.store.jobs.values() if job.state == "queued"]
        if not waiting:
            return False
        job = min(waiting, key=lambda job: job.created)
        self._running = job.id
        job.state, job.starts, job.words = "running", job.starts + 1, "loading the model"
        try:
            self._save(job)
            self._tell(job)
            for number in range(len(job.takes) + 1, job.request.takes + 1):
                self.store.make_room()  # the takes before may have taken it
                await self._make_take(job, number)
                if job.over:
                    break
            else:
                self._finish(job, "done", None)
        except UserError as error:
            if not job.over:  # otherwise it was cancelled, and its worker killed
                self._finish(job, "failed", str(error))
        except OSError as error:
            log.exception("job %s met an error of the system", job.id)
            if not job.over:
                words = f"The system says: {error.strerror or error}"
                self._finish(job, "failed", f"{words}; see if the disk is full, then ask again.")
        except Exception:
            self._finish(job, "failed", "Something went wrong in the studio; see its log.")
            raise
        finally:
            if job.state == "cancelled":  # perhaps before its worker was up
                await self._maker.kill()
            self._running = None
        return True

    async def _make_take(self, job: Job, number: int) -> None:
        if job.over:
            return
        began, before = time.monotonic(), number - 1
        async for message in self._maker.messages(self._task(job, number)):
            if job.over:
                return
            if "progress" in message:
                fraction, words = message["progress"]
                elapsed = time.monotonic() - began
                left = job.request.takes - before - fraction
                job.fraction = (before + fraction) / job.request.takes
                job.words = words
                if fraction > 0.1 and elapsed > 0.5:
                    job.seconds_left = round(elapsed / fraction * left, 1)
                self._tell(job)
            elif "preview" in message:
                data = {"job": job.id, "take": number} | message["preview"]
                self.hub.publish("preview", data)
            elif "done" in message:
                job.takes.append(Take(number=number, **message["done"]))
                job.fraction = number / job.request.takes
                self._save(job)
                with suppress(StoreFullError):  # the next take will be refused
                    self.store.make_room()
                self._tell(job)

    def _task(self, job: Job, number: int) -> dict[str, Any]:
        request = job.request
        song = self.store.songs[request.song]
        base_stem = None
        if request.base:
            if request.base.job not in self.store.jobs:
                raise UserError("The take to go on from has been deleted.")
            stem = self.store.take_folder(request.base.job, request.base.take)
            base_stem = str(stem / f"song.{request.stem}.wav")
        assert job.grid
        task = {
            "task": "make",
            "upload": str(self.store.upload(song.id)),
            "name": song.name,
            "folder": str(self.store.take_folder(job.id, number)),
            "request": request.model_dump(),
            "seed": request.seed + number - 1,
        }
        if song.kind == "notes":
            return task | {"task": "compose"}
        return task | {"grid": job.grid.model_dump(), "base_stem": base_stem}

    def _finish(self, job: Job, state: Any, error: str | None) -> None:
        job.state, job.error, job.finished, job.seconds_left = state, error, time.time(), None
        job.words = {"done": "done", "failed": "failed", "cancelled": "cancelled"}[state]
        if job.id not in self.store.jobs:  # deleted while it ran
            return
        for part in self.store.job_folder(job.id).glob("*.part"):
            shutil.rmtree(part, ignore_errors=True)
        self._save_or_log(job)
        self._tell(job)

    def _save(self, job: Job) -> None:
        if job.id in self.store.jobs:  # else it was deleted, and must not come back
            self.store.save_job(job)
            self.store.measure(job.id)

    def _save_or_log(self, job: Job) -> None:
        """On a full disk a job's end must not be lost in memory too."""
        try:
            self._save(job)
        except OSError:
            log.exception("job %s could not be written", job.id)

    def _tell(self, job: Job) -> None:
        self.hub.publish("job", summary(job))


def summary(job: Job) -> dict[str, Any]:
    """A job without its beats, which are long and of which nobody needs news."""
    return job.model_dump(exclude={"grid"})


async def received(
    stream: AsyncIterator[bytes],
    path: Path,
    limit_bytes: int,
    error: Exception,
    reserve: Callable[[int], None],
) -> int:
    """Write a request's body to `path`, not more than `limit_bytes` of it; the bytes written.

    `reserve` is called with the bytes so far before they are written.
    """
    total = 0
    with open(path, "wb") as file:
        async for chunk in stream:
            total += len(chunk)
            if total > limit_bytes:
                raise error
            reserve(total)
            file.write(chunk)
    return total
