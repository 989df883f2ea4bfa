"""The child's end of the pipe: a task a line in on stdin, messages a line out on stdout.

Messages are {"progress": [fraction, words]}, {"preview": {...}}, and at last {"done": {...}} or
{"error": sentence}. The parent kills the process to cancel; the process ends with its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

LARGEST_FILE = 8 << 30
PR_SET_PDEATHSIG = 1  # from Linux's sys/prctl.h


def main() -> None:
    """Serve tasks until stdin ends; `worker.py BYTES` sets a limit on the address space."""
    _limit_memory(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    with suppress(OSError, AttributeError, TypeError):  # other systems have no such call
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # What a library prints must not look like a message.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_tasks, args=(tasks,), daemon=True).start()

    def send(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    while True:
        send(_answer(tasks.get(), send))


def _read_tasks(tasks: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    os._exit(0)  # the parent is gone; whatever runs is of no use to anyone


def _answer(task: dict[str, Any], send: Any) -> dict[str, Any]:
    from restem.errors import UserError

    try:
        from restem.studio import notes, tasks

        work: Any = {"prepare": tasks.prepare, "make": tasks.make, "compose": notes.compose}[
            task.pop("task")
        ]
        return {"done": work(send=send, **task)}
    except UserError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "There is not enough memory for this song; give a shorter one."}
    except OSError as error:
        return {"error": f"The system says: {error.strerror or error}."}


def _limit_memory(limit_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with suppress(ValueError, OSError):  # macOS knows this limit and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # ffmpeg unpacks into a file: a small one must not fill the disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))


if __name__ == "__main__":
    main()
