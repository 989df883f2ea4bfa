"""Songs and jobs in, folders of files on disk out; they outlive the server, up to a quota.

`songs/ID/` holds `song.json`, the upload, and what `tasks.prepare` made of it; `jobs/ID/` holds
`job.json` and a folder a take. Folders have random ids for names; nothing that a user sent ever
becomes part of a path.
"""

from __future__ import annotations

import heapq
import logging
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel

from restem.audio.files import atomic_path
from restem.errors import UserError
from restem.studio.records import Job, Limits, Song

log = logging.getLogger(__name__)
_Record = TypeVar("_Record", Song, Job)
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".m4a", ".mp4",
            ".aac", ".caf", ".au", ".w64", ".mid", ".midi", ".gp3", ".gp4", ".gp5", ".gp",
            ".gpx")  # fmt: skip


class StoreFullError(UserError):
    """The quota leaves no room, even without all that could be evicted."""


class Store:
    """All records in memory, each mirrored by a JSON file that is replaced in one step."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self.songs: dict[str, Song] = {}
        self.jobs: dict[str, Job] = {}
        self.arriving: dict[str, int] = {}  # uploads under way and the bytes they may come to
        self._sizes: dict[str, int] = {}
        self._lock = self._take_folder()
        self._load()

    # ---- places ----

    def song_folder(self, song_id: str) -> Path:
        return self.folder / "songs" / self.songs[song_id].id

    def job_folder(self, job_id: str) -> Path:
        return self.folder / "jobs" / self.jobs[job_id].id

    def take_folder(self, job_id: str, number: int) -> Path:
        return self.job_folder(job_id) / f"take-{number:d}"

    def upload(self, song_id: str) -> Path:
        """The file as it was sent, under a name of ours."""
        return self.song_folder(song_id) / f"song{self.songs[song_id].suffix}"

    # ---- records ----

    def save_song(self, song: Song) -> None:
        self.songs[song.id] = song
        self._write(self.song_folder(song.id) / "song.json", song)

    def save_job(self, job: Job) -> None:
        self.jobs[job.id] = job
        self._write(self.job_folder(job.id) / "job.json", job)

    def remove_song(self, song_id: str) -> None:
        """The song and all jobs made for it."""
        for job in [job for job in self.jobs.values() if job.request.song == song_id]:
            self.remove_job(job.id)
        folder = self.song_folder(song_id)
        del self.songs[song_id]
        self._sizes.pop(song_id, None)
        shutil.rmtree(folder, ignore_errors=True)

    def remove_job(self, job_id: str) -> None:
        folder = self.job_folder(job_id)
        del self.jobs[job_id]
        self._sizes.pop(job_id, None)
        shutil.rmtree(folder, ignore_errors=True)

    # ---- the quota ----

    @property
    def used_bytes(self) -> int:
        return sum(self._sizes.values()) + sum(self.arriving.values())

    def measure(self, record_id: str) -> None:
        """Note how much a song or job takes up now."""
        folder = self.song_folder(record_id) if record_id in self.songs else None
        folder = self.job_folder(record_id) if record_id in self.jobs else folder
        if folder is not None:
            self._sizes[record_id] = _folder_bytes(folder)

    def reserve(self, song_id: str, total_bytes: int) -> None:
        """Count an upload before it is here, so that many at once cannot overrun the quota.

        It counts until it is taken out of `arriving`. Raises StoreFullError if it does not fit.
        """
        if total_bytes > self.arriving.get(song_id, -1):
            self.arriving[song_id] = total_bytes
            self.make_room()

    def make_room(self, keep: Collection[str] = ()) -> None:
        """Evict the oldest finished jobs, and songs without any, until the limits are kept.

        What waits or runs stays with its base takes, and so do the songs and jobs in `keep`.
        Raises StoreFullError, with nothing evicted, if that is not enough.
        """
        limits = self.limits
        bytes_over = self.used_bytes - limits.disk_bytes
        songs_over = len(self.songs) + len(self.arriving) - limits.records
        jobs_over = len(self.jobs) - limits.records
        oldest, evicted = self._evictable(keep), list[Song | Job]()
        while max(bytes_over, songs_over, jobs_over) > 0:
            record = next(oldest, None)
            if record is None:
                raise StoreFullError(
                    "There is no room left on the studio's disk quota; delete songs or wait for "
                    "running jobs to end."
                )
            evicted.append(record)
            bytes_over -= self._sizes.get(record.id, 0)
            songs_over -= isinstance(record, Song)
            jobs_over -= isinstance(record, Job)
        for record in evicted:
            if isinstance(record, Job):
                self.remove_job(record.id)
            else:
                self.remove_song(record.id)

    def _evictable(self, keep: Collection[str]) -> Iterator[Song | Job]:
        """What may go, the oldest first; a song when all of its jobs have been named."""
        pinned = {job.request.base.job for job in self.jobs.values()
                  if not job.over and job.request.base}  # fmt: skip
        left = Counter(job.request.song for job in self.jobs.values())
        waiting: list[tuple[float, str]] = []

        def add(song: Song) -> None:
            if not left[song.id] and song.id not in keep and song.state != "preparing":
                heapq.heappush(waiting, (song.created, song.id))

        for job in self.jobs.values():
            if job.over and job.id not in pinned and job.id not in keep:
                heapq.heappush(waiting, (job.created, job.id))
        for song in self.songs.values():
            add(song)
        while waiting:
            record_id = heapq.heappop(waiting)[1]
            if record_id in self.songs:
                yield self.songs[record_id]
                continue
            job = self.jobs[record_id]
            yield job
            left[job.request.song] -= 1
            add(self.songs[job.request.song])

    # ---- the disk ----

    def close(self) -> None:
        """Let another studio have the folder."""
        if self._lock:
            self._lock.close()

    def _take_folder(self) -> IO[str] | None:
        """A lock that dies with the process, so that two studios never share a folder."""
        for name in ("songs", "jobs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        try:
            import fcntl
        except ImportError:  # Windows
            return None
        lock = open(self.folder / "lock", "w")  # noqa: SIM115 - it is held until the end
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise UserError(
                f"Another studio uses {self.folder}; close it, or give another folder with --data."
            ) from None
        return lock

    def _load(self) -> None:
        for song in self._records("songs", "song.json", Song):
            self.songs[song.id] = song
            self.measure(song.id)
        for job in self._records("jobs", "job.json", Job):
            if job.request.song in self.songs:
                self.jobs[job.id] = job
                self.measure(job.id)
            else:
                log.warning("The song of job %s is not there; the job stays on the disk.", job.id)

    def _records(self, kind: str, name: str, model: type[_Record]) -> Iterator[_Record]:
        """All records that can be read. The others stay on the disk: a later start, or a later
        version, may read them, and no new id is ever the same as theirs."""
        for folder in [path for path in (self.folder / kind).iterdir() if path.is_dir()]:
            try:
                record = model.model_validate_json((folder / name).read_text(encoding="utf-8"))
                if record.id != folder.name:
                    raise ValueError("it is of another folder")
            except FileNotFoundError:  # an upload that was cut off
                shutil.rmtree(folder, ignore_errors=True)
            except (OSError, ValueError) as error:
                words = str(error).partition("\n")[0]
                log.warning("%s is passed over and stays on the disk: %s", folder / name, words)
            else:
                yield record

    def _write(self, path: Path, record: BaseModel) -> None:
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as part:
            part.write_text(record.model_dump_json(), encoding="utf-8")


def suffix_of(name: str) -> str:
    """The ending of an uploaded file's name if it is one of ours, else nothing."""
    return next((end for end in SUFFIXES if name.lower().endswith(end)), "")


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # it was renamed or removed meanwhile
            continue
    return total
