"""Songs and jobs in, folders of files on disk out; they outlive the server, up to a quota.

`songs/ID/` holds `song.json`, the upload, and what `tasks.prepare` made of it; `jobs/ID/` holds
`job.json` and a folder a take. Folders have random ids for names; nothing that a user sent ever
becomes part of a path.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

from restem.audio.files import atomic_path
from restem.errors import UserError
from restem.studio.records import Job, Limits, Song

_Record = TypeVar("_Record", bound=BaseModel)
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
        return sum(self._sizes.values())

    def measure(self, record_id: str) -> None:
        """Note how much a song or job takes up now."""
        folder = self.song_folder(record_id) if record_id in self.songs else None
        folder = self.job_folder(record_id) if record_id in self.jobs else folder
        if folder is not None:
            self._sizes[record_id] = _folder_bytes(folder)

    def make_room(self, needed_bytes: int = 0, keep: str | None = None) -> None:
        """Evict the oldest finished jobs, and songs without any, until `needed_bytes` fit.

        What waits or runs stays, the song `keep` with its jobs too. Raises StoreFullError if that
        is not enough.
        """
        limits = self.limits
        while (
            self.used_bytes + needed_bytes > limits.disk_bytes
            or len(self.songs) > limits.records
            or len(self.jobs) > limits.records
        ):
            oldest = min(self._evictable(keep), key=lambda record: record.created, default=None)
            if oldest is None:
                raise StoreFullError(
                    "There is no room left on the studio's disk quota; delete songs or wait for "
                    "running jobs to end."
                )
            if isinstance(oldest, Job):
                self.remove_job(oldest.id)
            else:
                self.remove_song(oldest.id)

    def _evictable(self, keep: str | None) -> Iterator[Song | Job]:
        pinned = {job.request.base.job for job in self.jobs.values()
                  if not job.over and job.request.base}  # fmt: skip
        used = {job.request.song for job in self.jobs.values()}
        for job in self.jobs.values():
            if job.over and job.id not in pinned and keep not in (job.id, job.request.song):
                yield job
        for song in self.songs.values():
            if song.id not in used and song.id != keep and song.state != "preparing":
                yield song

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
        for folder in self._folders("songs"):
            song = _read(folder / "song.json", Song)
            if song and song.id == folder.name:
                self.songs[song.id] = song
                self.measure(song.id)
            else:  # an upload that was cut off
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self._folders("jobs"):
            job = _read(folder / "job.json", Job)
            if job and job.id == folder.name and job.request.song in self.songs:
                self.jobs[job.id] = job
                self.measure(job.id)
            else:
                shutil.rmtree(folder, ignore_errors=True)

    def _folders(self, kind: str) -> list[Path]:
        return [path for path in (self.folder / kind).iterdir() if path.is_dir()]

    def _write(self, path: Path, record: BaseModel) -> None:
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as part:
            part.write_text(record.model_dump_json(), encoding="utf-8")


def suffix_of(name: str) -> str:
    """The ending of an uploaded file's name if it is one of ours, else nothing."""
    return next((end for end in SUFFIXES if name.lower().endswith(end)), "")


def _read(path: Path, kind: type[_Record]) -> _Record | None:
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError):
        return None


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # it was renamed or removed meanwhile
            continue
    return total
