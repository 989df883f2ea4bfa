"""Ctrl-C and what a system sends before it ends a process: a request to stop, not the end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_signal(ask: Callable[[], None]) -> Iterator[None]:
    """Call `ask` at SIGTERM, SIGINT and SIGHUP for a while; only in the main thread."""
    names = ("SIGTERM", "SIGINT", "SIGHUP")  # under nohup the last is ignored, and stays so
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        known = []
    heard = [number for number in known if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, lambda *_: ask()) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
