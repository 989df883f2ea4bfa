"""Checked clips in, Parquet shards with FLAC bytes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from restem.audio.files import atomic_path
from restem.dataset.record import SPLITS, Clip
from restem.dataset.sources.reading import SAMPLE_RATE
from restem.dataset.stages.check import Place
from restem.dataset.stages.pair import gone
from restem.errors import UserError

VERSION = "write 1"
CLIPS_PER_SHARD, CLIPS_PER_GROUP = 512, 16
AUDIO = ("mix", "context")
TEXTS = (
    "id", "instruction", "caption", "short_caption", "action", "stem", "source", "song", "group",
    "split", "made_by", "caption_by", "instruction_by", "mix_sha256", "context_sha256", "facts",
)  # fmt: skip
NUMBERS = ("index", "start_s", "gain_db", "mix_db", "stem_db", "leak", "attempts")


def shard_name(split: str, number: int, of: int) -> str:
    """The name by which Hugging Face `datasets` knows the split of a shard."""
    return f"{split}-{number:05d}-of-{of:05d}.parquet"


def write_shard(path: Path, clips: Iterable[tuple[Clip, Path, Path]], build: str) -> str:
    """Write one shard of (clip, mix.flac, context.flac); its SHA-256 in hexadecimal.

    16 clips are in memory at a time. `build` is the hash of the build's settings. UserError if it
    cannot be written or a FLAC file cannot be read.
    """
    import pyarrow
    from pyarrow import parquet

    schema = _schema(build)
    with atomic_path(path) as part:
        plain = {name: "zstd" for name in (*TEXTS, *NUMBERS)}  # FLAC does not shrink any more
        audio = {f"{name}.{part_of}": "none" for name in AUDIO for part_of in ("bytes", "path")}
        with parquet.ParquetWriter(
            part, schema, compression=plain | audio, use_dictionary=list(TEXTS),
            write_statistics=list(NUMBERS),
        ) as writer:  # fmt: skip
            items = iter(clips)
            while group := list(islice(items, CLIPS_PER_GROUP)):
                rows = [_row(*item) for item in group]
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def shards(places: list[Place]) -> Iterator[tuple[str, list[Place]]]:
    """(file name, places) of every shard, split by split, in the order of the clips."""
    for split in SPLITS:
        own = [place for place in places if place.split == split]
        of = -(-len(own) // CLIPS_PER_SHARD)
        for number in range(of):
            start = number * CLIPS_PER_SHARD
            yield shard_name(split, number, of), own[start : start + CLIPS_PER_SHARD]


def read_rows(folder: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a dataset, shard by shard; UserError if there are none or a shard is damaged."""
    from pyarrow import ArrowException, parquet

    paths = sorted((folder / "data").glob("*.parquet"))
    if not paths:
        raise UserError(f"{folder} holds no dataset; make one with `restem dataset build`.")
    for path in paths:
        try:
            with parquet.ParquetFile(path) as file:
                for group in file.iter_batches(CLIPS_PER_GROUP, columns=columns):
                    yield from group.to_pylist()
        except (ArrowException, OSError) as error:
            raise unreadable(path, error) from None


def unreadable(shard: Path, error: Exception) -> UserError:
    """The sentence for a damaged shard; as long as it is there, a build counts as finished."""
    return UserError(f"{shard} cannot be read ({error}); remove it and build the dataset again.")


def _row(clip: Clip, mix: Path, context: Path) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(clip, name) for name in (*TEXTS, *NUMBERS)}
    row["facts"] = json.dumps(clip.facts, sort_keys=True, ensure_ascii=False)
    for name, path in (("mix", mix), ("context", context)):
        try:
            data = path.read_bytes()
        except OSError as error:  # else it would be taken for the shard that is written
            raise gone(path) from error
        row[name] = {"bytes": data, "path": f"{clip.id.replace('/', '_')}.{name}.flac"}
    return row


def _schema(build: str) -> Any:
    import pyarrow

    audio = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    types = {"index": pyarrow.int32(), "attempts": pyarrow.int32()}
    fields = [(name, audio) for name in AUDIO]
    fields += [(name, pyarrow.string()) for name in TEXTS]
    fields += [(name, types.get(name, pyarrow.float32())) for name in NUMBERS]
    features: dict[str, Any] = {
        name: {"sampling_rate": SAMPLE_RATE, "_type": "Audio"} for name in AUDIO
    }
    features |= {name: {"dtype": "string", "_type": "Value"} for name in TEXTS}
    for name in NUMBERS:
        kind = "int32" if name in types else "float32"
        features[name] = {"dtype": kind, "_type": "Value"}
    about = {"huggingface": json.dumps({"info": {"features": features}}), "restem_build": build}
    return pyarrow.schema(fields, metadata=about)
