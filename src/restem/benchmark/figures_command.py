"""The verb `restem figures`: songs in, the paper's figures and a page to listen to out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from restem.benchmark.arguments import add_data, positive, songs_of


def add_parser(verbs: Any) -> None:
    """Add `figures` to the command line."""
    line = "draw the paper's figures from songs of your own (needs restem[evaluation])"
    parser = verbs.add_parser("figures", help=line, description=line)
    add_data(parser)
    parser.add_argument("--songs", type=positive, default=4, help="how many songs go on the page")
    parser.add_argument(
        "--sentence", action="append", default=[], help="one of several; default: three styles"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the figures")
    parser.set_defaults(run=_figures)


def _figures(args: argparse.Namespace) -> int:
    from itertools import islice

    from restem.benchmark import figures
    from restem.benchmark.diagram import save_diagram
    from restem.insertion import Inserter

    sentences = args.sentence or figures.SENTENCES
    inserter = Inserter.load(args.model)
    shown = []
    for song in islice(songs_of(args), args.songs):
        print(f"restem: {song.name}", file=sys.stderr, flush=True)
        shown.append(figures.example(inserter, song, [song.instruction, *sentences], args.seed))
    args.output.mkdir(parents=True, exist_ok=True)
    save_diagram(args.output / "figure1.png")
    figures.save_insertion(shown[0], args.output / "figure3.png")
    figures.save_restyling(shown[0], args.output / "figure4.png")
    figures.save_page(shown, args.output)
    print(f"Figures 1, 3 and 4 and a page to listen to, index.html, are in {args.output}.")
    return 0
