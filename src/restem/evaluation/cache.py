"""What was heard in a file comes in once and, from the second time on, goes out of a folder."""

import hashlib
import os
import secrets
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restem.errors import UserError

Arrays = dict[str, NDArray]


class Cache:
    """Arrays in a folder, found again by everything that they depend on; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
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
        path = self._folder / f"{name}.npz"
        damaged = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
        with suppress(*damaged), np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
        arrays = make()
        draft = path.with_name(f"{name}.{secrets.token_hex(4)}.part")
        try:
            with draft.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            os.replace(draft, path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise UserError(f"The cache cannot be written in {self._folder}: {error}.") from error
        return arrays
