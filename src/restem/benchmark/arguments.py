"""Words of the command line in, the songs to measure a model on out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from restem.errors import UserError

if TYPE_CHECKING:
    from restem.benchmark.clips import WholeSong


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a model and songs."""
    add = parser.add_argument
    add("--model", default="embedded", help="the subtractive model: embedded, or a folder")
    add(
        "--data",
        action="append",
        required=True,
        metavar="KIND=PATH",
        help="rendered=DIR (test songs of `restem dataset render`), or pair=CONTEXT,STEM",
    )
    add("--instruction", default="Add rock drums", help="for pairs: what asks for the stem")
    add("--caption", default="rock drums", help="for pairs: the short caption of SDEdit")


def songs_of(args: argparse.Namespace) -> Iterator[WholeSong]:
    """The songs that `--data` names; UserError for a kind that is not known."""
    from restem.benchmark.clips import rendered_songs, song_from_files

    for entry in args.data:
        kind, _, path = entry.partition("=")
        if kind == "rendered" and path:
            yield from rendered_songs(Path(path), "test")
        elif kind == "pair" and path.count(",") == 1:
            context, stem = map(Path, path.split(","))
            yield song_from_files(context, stem, args.instruction, args.caption)
        else:
            raise UserError(f"{entry!r} is no data; give rendered=DIR or pair=CONTEXT,STEM.")
