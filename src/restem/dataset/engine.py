"""A function and many items in, each item's result as soon as it is there out: one machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from threading import Thread
from typing import TypeVar

from restem.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
WAITING = 4  # items handed out ahead for each worker, so that memory does not grow with the songs


def over_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Results in no fixed order; one worker works in this process.

    Workers start afresh, so that no library's threads are copied half-way. UserError if one dies.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin)
    try:
        yield from _as_they_come(pool, function, items, workers)
    except BrokenProcessPool:
        raise UserError(
            "A worker was killed, perhaps for memory; run the same command again to go on, "
            "with fewer --workers."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def over_threads(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """The same with threads, for work that waits for others."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield from _as_they_come(pool, function, items, workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _as_they_come(
    pool: ProcessPoolExecutor | ThreadPoolExecutor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
) -> Iterator[Result]:
    running = set()
    for item in items:
        running.add(pool.submit(function, item))
        if len(running) >= workers * WAITING:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _begin() -> None:
    """One thread a worker, and no worker without the process that started it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
