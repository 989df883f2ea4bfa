"""A block of arithmetic comes in; what goes out has the same bytes for any thread settings."""

from collections.abc import Iterator
from contextlib import contextmanager


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
