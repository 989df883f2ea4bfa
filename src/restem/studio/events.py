"""News from the queue in; a stream of server-sent events for every listener out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

MOST_WAITING = 64
HEARTBEAT_SECONDS = 15.0


class Hub:
    """Every listener has a short queue of its own; one that sleeps loses the oldest news."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[tuple[str, Any] | None]] = set()
        self.closed = False

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        self._put((kind, data))

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self.closed = True
        self._put(None)

    def _put(self, item: tuple[str, Any] | None) -> None:
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(item)

    async def stream(
        self,
        first: Callable[[], list[tuple[str, dict[str, Any]]]],
        wanted: Callable[[dict[str, Any]], bool],
    ) -> AsyncIterator[str]:
        """Text in the format of EventSource: the state as it is, then each event as it happens.

        `first` is asked for the state once the listener is there, so that no news falls between.
        """
        listener: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(MOST_WAITING)
        self._listeners.add(listener)
        try:
            for kind, data in first():
                yield _lines(kind, data)
            while not self.closed:
                try:
                    item = await asyncio.wait_for(listener.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if item is None:
                    return
                if wanted(item[1]):
                    yield _lines(*item)
        finally:
            self._listeners.discard(listener)


def _lines(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
