"""Requests for results in, files out: what the page draws and plays, and what a user takes away."""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO, Annotated, Any, Literal

from fastapi import FastAPI, HTTPException
from fastapi import Path as InPath
from fastapi.responses import FileResponse, StreamingResponse

from restem.studio.records import MOST_TAKES, Identifier, Job, Song
from restem.studio.store import Store

TakeNumber = Annotated[int, InPath(ge=1, le=MOST_TAKES)]
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}  # an id's files never change
_OF_SONG = {
    "audio": ("decoded.wav", "audio/wav"),
    "outline": ("song.outline", "application/octet-stream"),
    "spectrogram": ("song.spectrogram.png", "image/png"),
    "notes": ("notes.json", "application/json"),
}
# What can be had of a take -> the name of its file, the end of its name when downloaded, its kind.
_OF_TAKE = {
    "stem": ("song.{stem}.wav", ".{stem}.wav", "audio/wav"),
    "mix": ("song.mix.wav", ".mix.wav", "audio/wav"),
    "midi": ("song.{stem}.mid", ".{stem}.mid", "audio/midi"),  # song.mid for a song of notes
    "tempo": ("song.tempo.mid", ".tempo.mid", "audio/midi"),
    "record": ("song.{stem}.json", ".{stem}.json", "application/json"),
    "picture": ("song.png", ".png", "image/png"),
    "stem-outline": ("stem.outline", "", "application/octet-stream"),
    "mix-outline": ("mix.outline", "", "application/octet-stream"),
    "stem-spectrogram": ("stem.spectrogram.png", "", "image/png"),
    "mix-spectrogram": ("mix.spectrogram.png", "", "image/png"),
    "notes": ("notes.json", "", "application/json"),
}
_PACKED = ("stem", "mix", "midi", "tempo", "record", "picture")
_BINARY: Any = {200: {"content": {"application/octet-stream": {
    "schema": {"type": "string", "format": "binary"}}}, "description": "The file."}}  # fmt: skip


def add_file_routes(app: FastAPI, store: Store) -> None:
    """Add the routes that answer with files."""

    @app.get("/api/songs/{song_id}/{what}", tags=["files"], response_class=FileResponse,
             responses=_BINARY)  # fmt: skip
    async def song_file(
        song_id: Identifier, what: Literal["audio", "outline", "spectrogram", "notes"]
    ) -> FileResponse:
        """The decoded song as WAV; its outline (int16, 2 rows of 200 a second); its spectrogram.

        A MIDI song has `notes` instead: JSON of tracks, a note as start, end (s), pitch, velocity.
        """
        song: Song | None = store.songs.get(song_id)
        if song is None or song.state != "ready":
            raise HTTPException(404, "There is no such song, or it is not ready yet.")
        name, kind = _OF_SONG[what]
        path = _there(store.song_folder(song_id) / name)
        return FileResponse(path, media_type=kind, headers=_FOREVER)

    @app.get("/api/jobs/{job_id}/takes/{number}/pack", tags=["files"], responses=_BINARY)
    async def pack(job_id: Identifier, number: TakeNumber) -> StreamingResponse:
        """All that can be had of a take as one zip file, to take to a sequencer."""
        folder, song = _take(store, job_id, number)
        files = [_place(store.jobs[job_id], song, what)[:2] for what in _PACKED]
        there = [(folder / name, shown) for name, shown in files if (folder / name).is_file()]
        archive = await asyncio.to_thread(_zipped, there)
        name = f"{PurePath(song.name).stem}.restem.zip"
        headers = {"Content-Disposition": _disposition(name)} | _FOREVER
        return StreamingResponse(_chunks(archive), media_type="application/zip", headers=headers)

    @app.get("/api/jobs/{job_id}/takes/{number}/{what}", tags=["files"],
             response_class=FileResponse, responses=_BINARY)  # fmt: skip
    async def take_file(
        job_id: Identifier,
        number: TakeNumber,
        what: Literal["stem", "mix", "midi", "tempo", "record", "picture", "stem-outline",
                      "mix-outline", "stem-spectrogram", "mix-spectrogram", "notes"],
    ) -> FileResponse:  # fmt: skip
        """One file of a take; `mix` minus `stem` is what you sent.

        `midi` are the notes of the stem, `tempo` the song's tempo map. A take for a MIDI song
        has `midi` and `notes` alone: the new song, and its part.
        """
        folder, song = _take(store, job_id, number)
        name, shown, kind = _place(store.jobs[job_id], song, what)
        path = _there(folder / name)
        return FileResponse(path, media_type=kind, filename=shown, headers=_FOREVER)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise HTTPException(
            404,
            "This take has no such file: songs of sound and songs of notes have different ones, "
            "and takes of earlier versions have fewer; make it again.",
        )
    return path


def _take(store: Store, job_id: str, number: int) -> tuple[Path, Song]:
    job = store.jobs.get(job_id)
    if job is None or number > len(job.takes):
        raise HTTPException(404, "There is no such take; it may have been deleted.")
    return store.take_folder(job_id, number), store.songs[job.request.song]


def _place(job: Job, song: Song, what: str) -> tuple[str, str | None, str]:
    name, end, kind = _OF_TAKE[what]
    name = "song.mid" if what == "midi" and song.kind == "notes" else name
    stem = job.request.stem
    shown = PurePath(song.name).stem + end.format(stem=stem) if end else None
    return name.format(stem=stem), shown, kind


def _zipped(files: list[tuple[Path, str | None]]) -> IO[bytes]:
    """An unnamed file that holds the archive, at its start."""
    archive = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when it has been sent
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, strict_timestamps=False) as writer:
        for path, name in files:
            writer.write(path, name)
    archive.seek(0)
    return archive


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(1 << 18):
            yield chunk


def _disposition(name: str) -> str:
    from urllib.parse import quote

    return f"attachment; filename*=utf-8''{quote(name, safe='')}"
