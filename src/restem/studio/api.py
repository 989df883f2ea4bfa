"""A folder and limits in; the web application around them, with its OpenAPI description, out."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from restem import __version__
from restem.errors import UserError
from restem.insertion import STEMS
from restem.studio.correcting import corrected
from restem.studio.events import Hub
from restem.studio.files import add_file_routes
from restem.studio.guard import POLICY, Guard
from restem.studio.jobs import Desk, received, summary
from restem.studio.records import Correction, Identifier, Job, JobRequest, Limits, Song, new_id
from restem.studio.store import Store, StoreFullError, suffix_of
from restem.studio.vocabulary import Vocabulary, vocabulary

PAGE = Path(__file__).parent / "page"
SOUNDS = PAGE.parents[1] / "models" / "sounds"


class Problem(BaseModel):
    """What is wrong, in a sentence that says what to do."""

    detail: str


class Status(BaseModel):
    """What the studio is and takes."""

    version: str
    stems: list[str]
    stems_of_notes: list[str]
    limits: Limits
    used_bytes: int
    waiting_jobs: int
    vocabulary: Vocabulary


STEMS_OF_NOTES = ("drums", "bass", "guitar")
_WRONG: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem} for code in (400, 401, 403, 404, 409, 413, 422, 429, 507)
}
_BODY = {"requestBody": {"required": True, "content": {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}},
          "description": "Events `job`, `song` and `preview`, each with JSON as its data."}
}  # fmt: skip


def make_app(
    folder: Path, limits: Limits, *, host: str, token: str | None = None, api_only: bool = False
) -> Guard:
    """The ASGI application. Raises UserError if another studio uses `folder`."""
    store, hub = Store(folder, limits), Hub()
    desk = Desk(store, hub, limits)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        desk.start()
        yield
        hub.close()
        await desk.stop()
        store.close()

    app = FastAPI(
        title="restem studio", version=__version__, lifespan=life, docs_url=None, redoc_url=None,
        openapi_url="/api/openapi.json", responses=_WRONG,
        description="Puts a missing stem into a song. Errors are `{detail: sentence}`.",
    )  # fmt: skip
    _add_error_handlers(app)
    _add_song_routes(app, store, desk, limits)
    _add_job_routes(app, store, desk, hub, limits)
    add_file_routes(app, store)

    @app.get("/api/status", tags=["studio"])
    async def get_status() -> Status:
        """What the studio is, what it takes, and the words that its model was taught."""
        return Status(
            version=__version__, stems=list(STEMS), stems_of_notes=list(STEMS_OF_NOTES),
            limits=limits, used_bytes=store.used_bytes, waiting_jobs=desk.waiting_jobs(),
            vocabulary=vocabulary(),
        )  # fmt: skip

    if not api_only:
        page = (PAGE / "index.html").read_text(encoding="utf-8")

        @app.get("/", include_in_schema=False)
        async def get_page() -> Any:
            nonce = secrets.token_urlsafe(16)  # for the style sheet inside wavesurfer.js
            policy = POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")
            headers = {"Content-Security-Policy": policy}
            return HTMLResponse(page.replace("{nonce}", nonce), headers=headers)

        app.mount("/page/bank", StaticFiles(directory=SOUNDS), name="bank")
        app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return Guard(app, hub, host, token)


def found(records: dict[str, Any], record_id: str) -> Any:
    """The record, or the answer that there is none."""
    if record_id not in records:
        raise HTTPException(404, "There is no such song or job; it may have been deleted.")
    return records[record_id]


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input itself, which need not be text that can be sent back.
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:] if "-" not in str(part))
        words = f"{where and where + ': '}{first['msg'].removeprefix('Value error, ')}"
        return JSONResponse({"detail": words.encode("utf-8", "replace").decode()}, 422)

    @app.exception_handler(UserError)
    async def user_error(request: Request, error: UserError) -> JSONResponse:
        return JSONResponse(
            {"detail": str(error)}, 507 if isinstance(error, StoreFullError) else 400
        )


def _add_song_routes(app: FastAPI, store: Store, desk: Desk, limits: Limits) -> None:
    @app.post("/api/songs", status_code=202, tags=["songs"], openapi_extra=_BODY)
    async def upload_song(
        request: Request, name: Annotated[str, Query(min_length=1, max_length=255)]
    ) -> Song:
        """Send an audio, MIDI or Guitar Pro (3 to 5) file as the body; `name` is only shown.

        Wait until `state` is ready.
        """
        most = limits.upload_bytes
        too_large = HTTPException(
            413, f"The file is larger than {most >> 20} MB; convert it to FLAC or cut it."
        )
        told = request.headers.get("content-length", "")
        length = int(told) if told.isdecimal() else 0
        if length > most:
            raise too_large
        if desk.waiting_songs() >= limits.waiting_songs:
            raise HTTPException(429, "Too many songs are waiting; try again in a minute.")
        shown = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in name)
        song = Song(id=new_id(), name=shown, suffix=suffix_of(name), created=time.time())
        folder = store.folder / "songs" / song.id
        reserve = partial(store.reserve, song.id)
        try:
            reserve(length)
            folder.mkdir()
            song.bytes = await received(
                request.stream(), folder / f"song{song.suffix}", most, too_large, reserve
            )
            if song.bytes == 0:
                raise HTTPException(400, "The file is empty; choose an audio or MIDI file.")
            desk.add_song(song)
        finally:
            store.arriving.pop(song.id, None)
            if song.id not in store.songs:
                await asyncio.to_thread(_forget, folder)
        return song

    @app.get("/api/songs", tags=["songs"])
    async def list_songs() -> list[Song]:
        """All songs without their beats, the newest first."""
        newest = sorted(store.songs.values(), key=lambda song: -song.created)
        return [song.model_copy(update={"tracked": None, "grid": None}) for song in newest]

    @app.get("/api/songs/{song_id}", tags=["songs"])
    async def get_song(song_id: Identifier) -> Song:
        """One song with its beats."""
        song: Song = found(store.songs, song_id)
        return song

    @app.put("/api/songs/{song_id}/beats", tags=["songs"])
    async def correct_beats(song_id: Identifier, correction: Correction) -> Song:
        """Correct the beats that were heard; the correction replaces an earlier one."""
        song: Song = found(store.songs, song_id)
        if song.state != "ready" or song.tracked is None:
            raise HTTPException(409, "The song is not ready yet.")
        if song.kind == "notes":
            raise HTTPException(409, "The beats of a MIDI song are written in it.")
        grid = corrected(song.tracked, correction, song.seconds)
        song = song.model_copy(update={"correction": correction, "grid": grid})
        store.save_song(song)
        return song

    @app.delete("/api/songs/{song_id}", status_code=204, tags=["songs"])
    async def delete_song(song_id: Identifier) -> None:
        """Delete a song and everything that was made for it."""
        found(store.songs, song_id)
        # A new job may be asked for while one is cancelled; it must not outlive its song.
        while going := [
            job for job in store.jobs.values() if job.request.song == song_id and not job.over
        ]:
            await desk.cancel(going[0].id)
        if song_id in store.songs:
            store.remove_song(song_id)


def _add_job_routes(app: FastAPI, store: Store, desk: Desk, hub: Hub, limits: Limits) -> None:
    @app.post("/api/jobs", status_code=202, tags=["jobs"])
    async def create_job(asked: JobRequest) -> Job:
        """Ask for takes of a stem; they are made one after another, when earlier jobs are over."""
        song: Song = found(store.songs, asked.song)
        if song.state != "ready":
            raise HTTPException(409, "The song is not ready yet.")
        if asked.region and asked.region.is_too_late(song.seconds):
            raise HTTPException(422, "Too little of the region lies in the song; choose another.")
        _check_kind(asked, song)
        if asked.base:
            base: Job = found(store.jobs, asked.base.job)
            same = base.request.song == song.id and base.request.stem == asked.stem
            if not same or asked.base.take > len(base.takes):
                raise HTTPException(422, "The base take is not one of this song's and stem's.")
        if desk.waiting_jobs() >= limits.waiting_jobs:
            raise HTTPException(429, "Too many jobs are waiting; try again when some are done.")
        store.make_room(keep=(song.id, asked.base.job if asked.base else ""))
        job = Job(id=new_id(), request=asked, created=time.time(), grid=song.grid)
        desk.add_job(job)
        return job

    @app.get("/api/jobs", tags=["jobs"])
    async def list_jobs(song: Identifier | None = None) -> list[Job]:
        """All jobs, or those of one song, without their beats, the newest first."""
        jobs = [job for job in store.jobs.values() if song in (None, job.request.song)]
        newest = sorted(jobs, key=lambda job: -job.created)
        return [job.model_copy(update={"grid": None}) for job in newest]

    @app.get("/api/jobs/{job_id}", tags=["jobs"])
    async def get_job(job_id: Identifier) -> Job:
        """One job: its state, how far it is, its takes."""
        job: Job = found(store.jobs, job_id)
        return job

    @app.post("/api/jobs/{job_id}/cancel", tags=["jobs"])
    async def cancel_job(job_id: Identifier) -> Job:
        """Stop at once; finished takes stay. Does nothing to a job that is over."""
        found(store.jobs, job_id)
        return await desk.cancel(job_id)

    @app.delete("/api/jobs/{job_id}", status_code=204, tags=["jobs"])
    async def delete_job(job_id: Identifier) -> None:
        """Cancel a job if need be, and delete its takes."""
        found(store.jobs, job_id)
        await desk.cancel(job_id)
        if job_id in store.jobs:
            store.remove_job(job_id)

    @app.get("/api/jobs/{job_id}/events", tags=["jobs"], responses=_EVENTS)
    async def job_events(job_id: Identifier) -> StreamingResponse:
        """The news of one job: first its state, then every change and the previews."""
        job: Job = found(store.jobs, job_id)
        stream = hub.stream(
            lambda: [("job", summary(job))],
            lambda data: job_id in (data.get("id"), data.get("job")),
        )
        return StreamingResponse(stream, media_type="text/event-stream")

    @app.get("/api/events", tags=["studio"], responses=_EVENTS)
    async def events() -> StreamingResponse:
        """The news of all songs and jobs: first all jobs that wait or run, then every change."""
        stream = hub.stream(
            lambda: [("job", summary(job)) for job in store.jobs.values() if not job.over],
            lambda data: True,
        )
        return StreamingResponse(stream, media_type="text/event-stream")


def _check_kind(asked: JobRequest, song: Song) -> None:
    """Refuse what only the other kind of song can have."""
    made = list(STEMS) if song.kind == "audio" else STEMS_OF_NOTES
    if asked.stem not in made:
        what = "Audio" if song.kind == "audio" else "A MIDI song"
        raise HTTPException(422, f"{what} gets {', '.join(made)}; {asked.stem} is not among them.")
    if song.kind == "audio" and isinstance(asked.density, str):
        raise HTTPException(422, "The density of audio is a number from -2 to 2.")
    if song.kind == "notes" and isinstance(asked.density, float):
        raise HTTPException(422, "The density of a MIDI song is sparse, medium or busy.")
    if song.kind == "notes" and (asked.dynamics or asked.tight or asked.base):
        raise HTTPException(422, "A MIDI song has no dynamics, no tightness and no base take.")


def _forget(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
