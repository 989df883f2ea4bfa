"""Words of the command line in, the songs to measure a model on out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from restem.errors import UserError

if TYPE_CHECKING:
    from restem.benchmark.clips import WholeSong


WITH_STEMS = ("musdb18", "slakh2100", "moisesdb", "stems")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a model and songs."""
    add = parser.add_argument
    add("--model", default="embedded", help="the subtractive model: embedded, or a folder")
    add(
        "--data",
        action="append",
        required=True,
        metavar="KIND=PATH",
        help="rendered=DIR (test songs of `restem dataset render`), pair=CONTEXT,STEM, or test "
        "songs with stems: musdb18=DIR, slakh2100=DIR, moisesdb=DIR, stems=DIR",
    )
    add(
        "--instruction",
        default="Add rock drums",
        help="for songs without words: what asks for the stem",
    )
    add(
        "--caption",
        default="rock drums",
        help="for songs without words: the short caption of SDEdit",
    )


def positive(text: str) -> int:
    """A whole number of 1 or more, as argparse wants it read."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def songs_of(args: argparse.Namespace) -> Iterator[WholeSong]:
    """The songs that `--data` names, each of a name of its own; UserError for an unknown kind."""
    taken: set[str] = set()
    for song in _songs_as_named(args):
        name, count = song.name, 1
        while name in taken:
            count += 1
            name = f"{song.name}-v{count}"
        taken.add(name)
        yield replace(song, name=name)


def _songs_as_named(args: argparse.Namespace) -> Iterator[WholeSong]:
    from restem.benchmark.clips import rendered_songs, song_from_files, stem_songs

    for entry in args.data:
        kind, _, path = entry.partition("=")
        if kind == "rendered" and path:
            yield from rendered_songs(Path(path), "test")
        elif kind == "pair" and path.count(",") == 1:
            context, stem = map(Path, path.split(","))
            yield song_from_files(context, stem, args.instruction, args.caption)
        elif kind in WITH_STEMS and path:
            yield from stem_songs(entry, "drums", args.instruction, args.caption)
        else:
            raise UserError(
                f"{entry!r} is no data; give KIND=PATH, the kind rendered, pair or one of "
                f"{', '.join(WITH_STEMS)}."
            )
