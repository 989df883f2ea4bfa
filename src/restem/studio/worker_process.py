"""The parent's end of the pipe: one task at a time in, its messages out, killed at will."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from restem.errors import UserError

LONGEST_LINE = 4 << 20
ENDING_S = 5.0  # within which a process that has said its last is gone


class WorkerDiedError(UserError):
    """The process ended before it answered."""


class WorkerProcess:
    """A process that is started when first needed and again after it was killed or died."""

    def __init__(self, limit_bytes: int, temporary: Path) -> None:
        self._limit_bytes, self._temporary = limit_bytes, temporary
        self._process: asyncio.subprocess.Process | None = None
        self._own: tempfile.TemporaryDirectory[str] | None = None  # the process's, no other's

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def messages(self, task: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """What the worker says about `task`; the last message holds "done".

        Raises UserError with the worker's sentence, WorkerDiedError if it ended without one.
        """
        process = await self._running()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(task).encode() + b"\n")
            await process.stdin.drain()
            while line := await process.stdout.readline():
                message: dict[str, Any] = json.loads(line)
                if "error" in message:
                    raise UserError(message["error"])
                yield message
                if "done" in message:
                    return
        except (ConnectionError, ValueError):
            pass
        with suppress(asyncio.TimeoutError):  # what a program error leaves is a code above 0
            await asyncio.wait_for(process.wait(), ENDING_S)
        failed = (process.returncode or 0) > 0
        await self.kill()
        raise WorkerDiedError(
            "restem failed there; the studio's log says where. Please report it."
            if failed
            else "The worker ended unexpectedly, perhaps for lack of memory; try a shorter song."
        )

    async def kill(self) -> None:
        """End the process at once, and whatever it started."""
        process, self._process = self._process, None
        if process is None:
            return
        own, self._own = self._own, None  # the next process may start before this one has ended
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        await process.wait()
        if own:
            own.cleanup()  # what it could not clear away itself

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            if self._own:
                self._own.cleanup()
            self._temporary.mkdir(exist_ok=True)
            self._own = tempfile.TemporaryDirectory(dir=self._temporary, ignore_cleanup_errors=True)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "restem.studio.worker", str(self._limit_bytes),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                start_new_session=True, limit=LONGEST_LINE,
                env=os.environ | {"TMPDIR": self._own.name},
            )  # fmt: skip
        return self._process
