"""A shape in, an array out: a small one in memory, one for a long song in a temporary file.

An hour of stereo fills gigabytes several times over. The system keeps of such a file what it has
room for, so a long song needs disk and not memory. Work on it goes in blocks.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from restem.errors import UserError

LARGEST_IN_MEMORY = 1 << 27  # bytes: six minutes of mono in 64 bits
BLOCK = 1 << 20  # samples worked on at once


def room(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """An array of zeros, to be written to. UserError if the disk has no room for a large one."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size <= LARGEST_IN_MEMORY:
        return np.zeros(shape, kind)
    with tempfile.TemporaryFile(dir=large_files()) as file:  # the map outlives name and handle
        try:
            _reserve(file, size)
        except OSError as error:
            raise _too_little(size) from error
        return np.asarray(np.memmap(file, kind, "r+", shape=shape))


def check_room(size: int) -> None:
    """UserError if the disk has no room for `size` bytes in large arrays, before work begins."""
    if size > LARGEST_IN_MEMORY and shutil.disk_usage(large_files()).free < size:
        raise _too_little(size)


def _too_little(size: int) -> UserError:
    return UserError(
        f"A song this long needs {size / 1e9:.1f} GB in {large_files()} while it is worked on; "
        "free some space there, or name another folder in TMPDIR."
    )


def blocks(length: int, size: int | None = None) -> Iterator[slice]:
    """Slices that cover `length` samples one after the other, BLOCK at a time or `size`."""
    size = size or BLOCK
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def large_files() -> Path:
    """Where large files may lie: on many systems /tmp is itself memory, and /var/tmp is not."""
    if "TMPDIR" in os.environ or not os.access("/var/tmp", os.W_OK):
        return Path(tempfile.gettempdir())
    return Path("/var/tmp")


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the space now: a map over a file with holes ends the process when the disk is full."""
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        zeros = bytes(BLOCK)  # some systems and disks cannot reserve
        for part in blocks(size):
            file.write(zeros[: part.stop - part.start])
        file.flush()
