"""What was heard in a file comes in once and, from the second time on, goes out of a folder."""

import hashlib
import json
import math
import os
import secrets
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restem.errors import UserError

Arrays = dict[str, NDArray]


class Cache:
    """Arrays in a folder, found again by everything that they depend on; None keeps nothing.

    `trouble`: a sentence for the user once something could not be kept, on which no score depends.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.trouble = ""
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"The cache folder {folder} cannot be made: {error}.") from error

    def arrays(self, depends_on: tuple[str, ...], make: Callable[[], Arrays]) -> Arrays:
        """The arrays made from what `depends_on` names; `make` runs if they are not there yet.

        `depends_on` must name all of it: files by their hash, weights by theirs, versions. A file
        of the cache that is damaged is made again.
        """
        if self._folder is None:
            return make()
        name = hashlib.sha256("\n".join(depends_on).encode()).hexdigest()
        path = self._folder / f"{name}.heard"
        with suppress(OSError, ValueError):
            return _unpacked(path.read_bytes())
        arrays = make()
        draft = path.with_name(f"{name}.{secrets.token_hex(4)}.part")
        try:
            draft.write_bytes(_packed(arrays))
            os.replace(draft, path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            reason = error.strerror or error
            self.trouble = f"the cache cannot be written in {self._folder} ({reason}); not kept"
        return arrays


def _packed(arrays: Arrays) -> bytes:
    """A checksum, a line of JSON that says what follows, and the arrays' numbers one after another.

    A zip of them, as NumPy writes it, takes ten times as long to read.
    """
    about = [(key, array.dtype.str, array.shape) for key, array in arrays.items()]
    content = json.dumps(about).encode() + b"\n" + b"".join(a.tobytes() for a in arrays.values())
    return zlib.crc32(content).to_bytes(4, "little") + content


def _unpacked(stored: bytes) -> Arrays:
    """The arrays; ValueError for bytes that are not as they were written."""
    if zlib.crc32(stored[4:]).to_bytes(4, "little") != stored[:4]:
        raise ValueError("the checksum is wrong")
    place = stored.index(b"\n", 4) + 1
    arrays: Arrays = {}
    for key, kind, shape in json.loads(stored[4:place]):
        array = np.frombuffer(stored, kind, math.prod(shape), place).reshape(shape)
        # aligned as it was when it was made, so that NumPy sums it in the same order
        arrays[key], place = array.copy(), place + array.nbytes
    return arrays
