"""The verbs `restem train` and `restem export`: words in, checkpoints and model folders out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from restem.arguments import MOST_SEED, within
from restem.errors import UserError
from restem.networks.riffusion_commands import add_training
from restem.progress import Progress


def add_parser(verbs: Any) -> None:
    """Add `train` to the command line."""
    line = "train a model on features (needs restem[train])"
    parser = verbs.add_parser("train", help=line, description=line)
    own = parser.add_subparsers(dest="train_verb", metavar="MODEL", required=True)
    line = "the embedded stem network"
    embedded = own.add_parser("embedded", help=line, description=line)
    add = embedded.add_argument
    add("--data", type=Path, required=True, help="folder of `restem dataset features`")
    add("--steps", type=within(int, 1, 10**9), default=12000)
    add("--batch", type=within(int, 1, 10**6), default=16, help="windows at once on each process")
    add("--rate", type=within(float, 1e-12, 1), default=6e-4, help="highest learning rate")
    add("--width", type=within(int, 64, 2**16), default=384)
    add("--blocks", type=within(int, 1, 1000), default=12)
    add("--seed", type=within(int, 0, MOST_SEED), default=0)
    add("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    add("--start-from", type=Path, help="model folder whose weights to begin with")
    add(
        "--target",
        choices=("stem", "mix", "whole"),
        default="stem",
        help="mix: a base model of whole mixes, from the sentence alone; "
        "whole: the mix that a song becomes, drawn anew beside it, as in the paper",
    )
    add(
        "--distil",
        action="store_true",
        help="learn the guided answers of the model to start from, so that it is asked but once",
    )
    add("--pitched", action="store_true", help="bass, guitar and keys, not drums")
    add("--compile", action="store_true", help="a third faster after a minute; needs g++")
    add("-o", "--output", type=Path, required=True)
    embedded.set_defaults(run=_train)
    add_training(own)
    line = "turn a checkpoint into a model folder that `restem insert --model` runs"
    export = own.add_parser("export", help=line, description=line)
    export.add_argument(
        "checkpoint", type=Path, help="a checkpoint, or a folder with the weights of a model"
    )
    export.add_argument("--name", default="restem-drums")
    export.add_argument("--steps", type=int, default=8, help="default denoising steps")
    export.add_argument(
        "--guidance",
        type=float,
        default=8.0,
        help="default guidance towards sentence, song and beats",
    )
    export.add_argument(
        "--logits",
        type=float,
        nargs=2,
        default=(6.0, -2.0),
        metavar=("HIGH", "LOW"),
        help="between which log-odds of noise the steps lie (default: 6 -2)",
    )
    export.add_argument("-o", "--output", type=Path, required=True)
    export.set_defaults(run=_export)


def need_torch() -> None:
    """Raise UserError, with what to install, where torch is not."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise UserError(
            "Training needs torch; install it with pip install 'restem[train]'."
        ) from None


def _train(args: argparse.Namespace) -> int:
    need_torch()
    from restem.networks.embedded import NetworkConfig
    from restem.networks.processes import is_first
    from restem.networks.train_embedded import EmbeddedTraining, train

    if args.width % (2 * NetworkConfig.heads):
        raise UserError(
            f"--width {args.width} cannot be shared by {NetworkConfig.heads} heads of attention; "
            f"give a multiple of {2 * NetworkConfig.heads}."
        )
    if args.distil and args.start_from is None:
        raise UserError("Name the model to learn from with --start-from FOLDER.")
    settings = EmbeddedTraining(
        args.data,
        args.output,
        args.steps,
        args.batch,
        args.seed,
        width=args.width,
        blocks=args.blocks,
        learning_rate=args.rate,
        warmup=min(500, args.steps // 10),
        resume=args.resume,
        start=args.start_from,
        target=args.target,
        distil=args.distil,
        compile=args.compile,
        pitched=args.pitched,
    )
    progress = Progress(sys.stderr)
    mean = 0.0
    try:
        for step, loss in train(settings):
            mean = 0.99 * mean + 0.01 * loss if mean else loss
            if is_first():
                progress(step / args.steps, f"step {step} of {args.steps}, loss {mean:.4f}")
    except KeyboardInterrupt:
        if is_first():
            raise
        return 130
    finally:
        progress.close()
    return 0


def _export(args: argparse.Namespace) -> int:
    need_torch()
    from restem.networks.export import export_model, unpack_model

    if args.checkpoint.is_dir():
        unpack_model(args.checkpoint, args.output)
        return 0
    export_model(
        args.checkpoint,
        args.output,
        {
            "name": args.name,
            "stems": ["drums"],
            "steps": args.steps,
            "guidance": args.guidance,
            "logits": list(args.logits),
        },
    )
    return 0
