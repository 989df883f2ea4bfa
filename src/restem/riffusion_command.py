"""The verb `restem riffusion insert`: `restem insert`, with a Riffusion model for certain."""

from __future__ import annotations

import argparse
from typing import Any

from restem.errors import UserError
from restem.insert_command import add_song_options, insert
from restem.riffusion_options import is_riffusion


def add_parser(verbs: Any) -> None:
    """Add `riffusion insert` to the command line."""
    line = "put a stem into a clip with a fine-tuned Riffusion model (needs restem[riffusion])"
    parser = verbs.add_parser("riffusion", help=line, description=line)
    own = parser.add_subparsers(dest="riffusion_verb", metavar="VERB", required=True)
    line = "the same as `restem insert SONG INSTRUCTION --model DIR_OR_NAME`"
    verb = own.add_parser("insert", help=line, description=line, allow_abbrev=False)
    add_song_options(verb)
    verb.set_defaults(run=_insert)


def _insert(args: argparse.Namespace) -> int:
    if not is_riffusion(args.model):
        raise UserError(
            "Give --model, a Riffusion folder in diffusers' layout (with model_index.json) or a "
            "model's name on the hub; `restem insert` takes the other models."
        )
    return insert(args)
