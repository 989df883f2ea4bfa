"""The verb `restem train riffusion`: words in, a fine-tuned Riffusion folder out."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from restem.arguments import MOST_SEED, within
from restem.errors import UserError
from restem.progress import Progress

PAPERS = "riffusion/riffusion-model-v1"  # the paper's base


def add_training(models: Any) -> None:
    """Add `riffusion` to the models of `restem train`."""
    line = "Riffusion, or any Stable Diffusion 1.x checkpoint, on pairs (needs restem[riffusion])"
    parser = models.add_parser("riffusion", help=line, description=line)
    add = parser.add_argument
    add("--model", default=PAPERS, metavar="DIR_OR_ID",
        help="checkpoint: a folder or a hub's name (default: %(default)s)")  # fmt: skip
    add("--revision", help="which version of a hub's checkpoint")
    add("--data", type=Path, required=True, help="folder of pairs with its pairs.jsonl")
    add("--stem", default="drums", help="which pairs of it")
    add("--target", choices=("mix", "stem"), default="mix",
        help="what is drawn: the full mix, as in the paper, or the stem alone")  # fmt: skip
    add("--reading", choices=("R1", "R2", "R3", "R4"), default="R1",
        help="how the context enters (see docs/riffusion.md)")  # fmt: skip
    add("--leak-matched", action="store_true",
        help="let some of the stem into clean contexts, as separators leave it")  # fmt: skip
    add("--steps", type=int, default=300_000)
    add("--batch", type=int, default=4, help="pairs at once on each process")
    add("--accumulate", type=int, default=1, metavar="N", help="batches a step")
    add("--rate", type=float, default=1e-4, help="highest learning rate")
    add("--warmup", type=int, default=500)
    add("--seed", type=within(int, 0, MOST_SEED), default=0)
    add("--precision", choices=("no", "bf16", "fp16"), default="no", help="mixed precision")
    add("--checkpointing", action="store_true", help="less memory, a third slower")
    add("--no-ema", action="store_true", help="keep no average of the weights")
    add("--lora", type=int, default=0, metavar="RANK", help="train matrices of low rank only")
    add("--eight-bit", action="store_true", help="8-bit Adam, of bitsandbytes")
    add("--log", choices=("tensorboard", "wandb"), help="log loss, learning rate and samples")
    add("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    add("-o", "--output", type=Path, default=Path("runs/riffusion"), help="default: %(default)s")
    parser.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> int:
    from restem.networks.commands import need_torch

    for name, least in (("steps", 1), ("batch", 1), ("accumulate", 1), ("warmup", 0), ("lora", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} must be at least {least}, not {getattr(args, name)}.")
    if not 0 < args.rate < 1:
        raise UserError(f"--rate must lie between 0 and 1, not {args.rate}.")
    if args.leak_matched and args.target != "mix":
        raise UserError(
            "--leak-matched is for --target mix; the stem itself would be drawn too faint."
        )
    need_torch()
    from restem.networks.train_riffusion import RiffusionTraining, train

    settings = RiffusionTraining(
        args.model,
        args.data,
        args.output,
        args.steps,
        args.batch,
        args.accumulate,
        args.seed,
        args.rate,
        args.warmup,
        args.target,
        args.reading,
        args.stem,
        precision=args.precision,
        checkpointing=args.checkpointing,
        ema=not args.no_ema,
        lora=args.lora,
        eight_bit=args.eight_bit,
        resume=args.resume,
        revision=args.revision,
        leak_matched=args.leak_matched,
        log=args.log,
    )
    first = os.environ.get("RANK", "0") == "0"  # of several processes one speaks
    progress, now = Progress(sys.stderr), ""
    mean: float | None = None

    def note(sentence: str) -> None:
        progress.close()
        print(f"restem: note: {sentence}", file=sys.stderr)

    try:
        for what, done, total, loss in train(settings, note=note):
            if what != now:
                progress.close()
                progress, now = Progress(sys.stderr), what
            words = f"{what} {done} of {total}"
            if what == "training":
                mean = loss if mean is None else 0.99 * mean + 0.01 * loss
                words += f", loss {mean:.4f}"
            if first:
                progress(done / total, words)
    finally:
        progress.close()
    return 0
