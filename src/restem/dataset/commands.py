"""The verbs `restem dataset ...`: words in, folders out; rendering and features are here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from restem.arguments import within
from restem.dataset import build_commands, leak_commands
from restem.errors import UserError
from restem.progress import Progress


def add_parser(verbs: Any) -> None:
    """Add `dataset` and its own verbs to the command line."""
    line = "make training songs, their features, and datasets of triplets"
    parser = verbs.add_parser("dataset", help=line, description=line)
    own = parser.add_subparsers(dest="dataset_verb", metavar="VERB", required=True)
    _add_render(own)
    _add_features(own)
    _add_kits(own)
    build_commands.add_parsers(own)
    leak_commands.add_parsers(own)


def _add_render(verbs: Any) -> None:
    line = "compose and render songs with exact stems and beats (needs mma and fluidsynth)"
    parser = verbs.add_parser("render", help=line, description=line)
    add = parser.add_argument
    add("--mma", type=Path, default=Path("/usr/share/mma/lib"), help="MMA's folder of styles")
    add("--soundfont", type=Path, action="append", required=True, help="an sf2 file; repeatable")
    add("--songs", type=int, default=1600)
    add("--seconds", type=within(float, 1, 3600), default=18.0, help="about how long a song is")
    add("--takes", type=int, default=4, help="drum performances a song")
    add("--split", choices=("train", "validation", "test"), help="songs of this split only")
    add("--seed", type=within(int, 0, 2**63 - 1), default=0)
    add("--leadsheets", type=Path, help="folder of Impro-Visor lead sheets (*.ls)")
    add("--groove-midi", type=Path, help="folder of the Groove MIDI Dataset")
    add("--hydrogen", type=Path, help="folder of Hydrogen drum patterns (STYLE/*.h2pattern)")
    add("--drumkits", type=Path, help="folder of Hydrogen drum kits (KIT/drumkit.xml)")
    add("--workers", type=within(int, 1, 4096), default=os.cpu_count() or 1)
    add("-o", "--output", type=Path, required=True)
    parser.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> int:
    try:
        from restem.dataset.render_plan import RenderPlan
        from restem.dataset.rendered import render_songs
    except ImportError as error:
        raise UserError(
            f"Rendering needs {error.name}; install it with pip install 'restem[dataset]'."
        ) from None
    plan = RenderPlan(
        args.mma,
        tuple(args.soundfont),
        args.output,
        args.songs,
        args.seed,
        args.seconds,
        args.takes,
        args.split,
        args.leadsheets,
        args.groove_midi,
        args.hydrogen,
        args.drumkits,
    )
    reasons: list[str] = []
    try:
        return _follow(render_songs(plan, args.workers, reasons.append), "rendering songs")
    finally:
        for reason in reasons:
            print(f"restem: note: {reason}", file=sys.stderr)


def _add_features(verbs: Any) -> None:
    line = "turn rendered songs into mel features and encoded sentences"
    parser = verbs.add_parser("features", help=line, description=line)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--pitched", action="store_true", help="of bass, guitar and keys instead")
    parser.add_argument("--workers", type=within(int, 1, 4096), default=os.cpu_count() or 1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.set_defaults(run=_features)


def _features(args: argparse.Namespace) -> int:
    from restem.dataset.features import make_features
    from restem.dataset.pitched import make_pitched_features
    from restem.tokens import PITCHED, TokenConfig

    if args.pitched:
        made = make_pitched_features(args.songs, args.output, PITCHED, args.workers)
        return _follow(made, "pitched features")
    return _follow(make_features(args.songs, args.output, TokenConfig(), args.workers), "features")


def _add_kits(verbs: Any) -> None:
    line = "cut the kits that songs begin with out of training features, into a model folder"
    parser = verbs.add_parser("kits", help=line, description=line)
    parser.add_argument("features", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model's folder")
    parser.set_defaults(run=_kits)


def _kits(args: argparse.Namespace) -> int:
    from restem.dataset.kit_bank import kits_of
    from restem.tokens import TokenConfig

    if not (args.output / "model.json").is_file():
        raise UserError(f"{args.output} is no model folder; make one with `restem train export`.")
    kits = kits_of(args.features, TokenConfig())
    kits.save(args.output)
    print(f"{len(kits.stem)} kits in {args.output}")
    return 0


def _follow(work: Iterator[tuple[int, int]], words: str) -> int:
    progress = Progress(sys.stderr)
    try:
        for done, total in work:
            progress(done / total, f"{words}: {done} of {total}")
    finally:
        progress.close()
    return 0
