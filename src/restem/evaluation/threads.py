"""A block of arithmetic comes in; what goes out has the same bytes for any thread settings."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


@contextmanager
def one_thread_arithmetic() -> Iterator[None]:
    """Pin BLAS and torch to one thread while the block runs, and put the old settings back.

    The order of a sum, and so its last digits, changes with the number of threads. Needs
    threadpoolctl and torch (extra `evaluation`).
    """
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def side_by_side(work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """The results of independent parts in their order, one core working on each."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(work, parts))
