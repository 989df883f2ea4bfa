"""A dataset of `restem dataset build` comes in, its rows as pairs for training go out."""

from __future__ import annotations

import io
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from restem.audio.waveform import resampled
from restem.dataset.pairs import Pair
from restem.dataset.stages.write import unreadable
from restem.errors import UserError

_COLUMNS = ["id", "instruction", "caption", "stem", "split", "mix_sha256", "context_sha256",
            "made_by", "leak"]  # fmt: skip


def pairs_of_shards(folder: Path, split: str, stem: str) -> list[Pair]:
    """The pairs of a split and a stem in the order of the shards `folder/data/*.parquet`.

    Only words are read here; sound is read as it is asked for, best in this order. Raises UserError
    for a damaged shard and a split or stem that is not there.
    """
    pairs = []
    for path in sorted((folder / "data").glob("*.parquet")):
        for group, rows in enumerate(_words(path)):
            for place, row in enumerate(rows):
                if row["split"] == split and row["stem"] == stem:
                    load = partial(_load, path, group, place, row["id"])
                    leak = None if row["made_by"] == "stems" else float(row["leak"] or 0.0)
                    pairs.append(
                        Pair(
                            row["id"],
                            row["instruction"],
                            row["caption"],
                            stem,
                            f"{row['id']} {row['mix_sha256']} {row['context_sha256']}",
                            load,
                            leak,
                        )
                    )
    if not pairs:
        raise UserError(f"{folder} has no pairs of the split {split} for the stem {stem}.")
    return pairs


def _words(path: Path) -> list[list[dict[str, Any]]]:
    """The rows without sound, by row group."""
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            return [
                file.read_row_group(group, columns=_COLUMNS).to_pylist()
                for group in range(file.num_row_groups)
            ]
    except (ArrowException, OSError) as error:
        raise unreadable(path, error) from None


@lru_cache(maxsize=1)  # neighbours lie in one group
def _group(path: Path, group: int, *_of_this: int) -> list[dict[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        return list(file.read_row_group(group, columns=["mix", "context"]).to_pylist())


def _load(
    path: Path, group: int, place: int, name: str, rate: int
) -> tuple[np.ndarray, np.ndarray]:
    from pyarrow import ArrowException

    try:
        about = path.stat()  # a shard made anew is another one
        row = _group(path, group, about.st_mtime_ns, about.st_size)[place]
        (mix, own), (context, other) = (
            soundfile.read(io.BytesIO(row[half]["bytes"]), dtype="float32")
            for half in ("mix", "context")
        )
    except (ArrowException, OSError) as error:
        raise unreadable(path, error) from None
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: there is no sound
        raise UserError(
            f"The sound of the pair {name} in {path} is damaged ({error}); remove the file and "
            "build the dataset again."
        ) from None
    if mix.shape != context.shape or mix.ndim != 1 or own != other:
        raise UserError(
            f"Mix and context of the pair {name} in {path} are not mono or differ in length or "
            "rate; remove the file and build the dataset again."
        )
    return resampled(mix, own, rate), resampled(context, own, rate)
