"""The verbs `restem dataset leakage` and `fit-leak-probe`: a dataset in, its readings out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from restem.errors import UserError


def add_parsers(verbs: Any) -> None:
    """Add the two verbs to `restem dataset`."""
    line = "how much of the removed stems can still be heard in the contexts"
    parser = verbs.add_parser("leakage", help=line, description=line)
    parser.add_argument("dataset", metavar="DIR", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE", help="the readings of every clip")
    parser.set_defaults(run=_leakage)
    line = "fit the leak probe anew on rendered songs"
    parser = verbs.add_parser("fit-leak-probe", help=line, description=line)
    parser.add_argument("songs", type=Path, help="folder of `restem dataset render`")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file")
    parser.set_defaults(run=_fit)


def _leakage(args: argparse.Namespace) -> int:
    from restem.audio.files import atomic_path
    from restem.dataset.leakage import measure

    found = measure(args.dataset)
    for line in found.lines():
        print(line)
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(found.clips, indent=1) + "\n")
        print(args.json)
    return 0


def _fit(args: argparse.Namespace) -> int:
    from restem.dataset.leak_probe import fit_probe
    from restem.dataset.leakage import rendered_pairs

    pairs = list(rendered_pairs(args.songs, "train"))
    if len(pairs) < 20:
        raise UserError(f"{args.songs} holds {len(pairs)} songs to fit on; render at least 20.")
    probe = fit_probe(pairs)
    probe.save(args.output)
    print(f"Fitted on {len(pairs)} songs; correlation with clean contexts {probe.clean:.3f}.")
    return 0
