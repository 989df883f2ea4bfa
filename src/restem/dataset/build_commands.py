"""The verbs `restem dataset build`, `inspect` and `train-separator`: words in, folders out."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from restem.arguments import within
from restem.errors import UserError
from restem.progress import Progress

STAGES = ("pair", "leak", "caption", "instruct", "write")
CLIP_SAMPLES = 225_351
SHOWN_FAILURES = 10


def add_parsers(verbs: Any) -> None:
    """Add the three verbs to `restem dataset`."""
    _add_build(verbs)
    _add_inspect(verbs)
    _add_train(verbs)


def _add_build(verbs: Any) -> None:
    line = "make (mix, mix without a stem, instruction) triplets from songs"
    parser = verbs.add_parser("build", help=line, description=line)
    add = parser.add_argument
    add("--source", metavar="KIND=PATH", action="append", required=True,
        help="musdb18, slakh2100, moisesdb, stems, musiccaps, magnatagatune, songs or rendered; "
        "repeatable")  # fmt: skip
    add("--stem", action="append", help="stem to leave out; repeatable (default: drums)")
    add("--separator", default="none", metavar="NAME",
        help="of songs without stems: drums[=MODEL.onnx], spleeter, demucs=FILE")  # fmt: skip
    add("--captioner", default="offline", metavar="NAME",
        help="offline (default), source, lp-music-caps=FILE:BART, audio-llm=MODEL")  # fmt: skip
    add("--writer", default="template", metavar="NAME",
        help="of instructions: template (default), endpoint, gguf[=MODEL.gguf]")  # fmt: skip
    add("--clip-samples", type=int, default=CLIP_SAMPLES, help="at 44.1 kHz (default: 5.11 s)")
    add("--hop-samples", type=int, help="from clip to clip (default: no overlap)")
    add("--max-leak", type=within(float, -1e6, 1e6), help="keep out clips with a higher leak score")
    add(
        "--max-separated",
        type=within(float, 0, 1),
        help="largest share of clips from a separator, below 1",
    )
    add(
        "--seed",
        type=within(int, 0, 2**63 - 1),
        default=0,
        help="of the action words and templates",
    )
    add("--workers", type=within(int, 1, 4096), default=1, help="processes, or actors")
    add("--engine", choices=("processes", "ray"), default="processes",
        help="ray: on a cluster (RAY_ADDRESS) or a local Ray")  # fmt: skip
    add(
        "--concurrency",
        type=within(int, 1, 4096),
        default=8,
        help="requests to the endpoint at a time",
    )
    add("--price", type=float, nargs=2, metavar=("IN", "OUT"), default=(0.0, 0.0),
        help="of a million tokens at the endpoint, for the estimate")  # fmt: skip
    add("-o", "--output", type=Path, required=True)
    parser.set_defaults(run=_build)


def _build(args: argparse.Namespace) -> int:
    if args.clip_samples < 4410 or (args.hop_samples or 1) < 1:
        raise UserError("Clips need at least 4,410 samples (0.1 s) and a hop of at least 1.")
    if args.max_separated is not None and not 0 <= args.max_separated < 1:
        raise UserError("--max-separated is a share from 0 up to, not including, 1.")
    progress = Progress(sys.stderr)
    builder = _builder(args, progress)
    try:
        report = builder.run()
    except KeyboardInterrupt:
        print("restem: stopped; run the same command again to go on.", file=sys.stderr)
        return 130
    finally:
        progress.close()
    if not report.worked:
        print(f"{args.output} is finished already; nothing was to be done.")
    total = sum(report.kept.values())
    splits = ", ".join(f"{count} {split}" for split, count in report.kept.items())
    print(f"{total} clips in {args.output / 'data'}" + (f" ({splits})" if splits else ""))
    for reason, count in report.dropped.items():
        print(f"  kept out: {count} ({reason})")
    if args.writer != "template":
        writers = ", ".join(f"{name} ({count})" for name, count in report.writers.items())
        print(f"  instructions by: {writers or 'nobody'}")
    for reason, count in report.unanswered.items():
        print(f"restem: note: {count} instructions are templates: {reason}", file=sys.stderr)
    _complain("songs could not be used", report.failed)
    _complain("entries were left out", report.missing)
    if not total:
        raise UserError(
            f"No clip of {len(builder.songs)} songs could be kept; see the reasons above."
        )
    return 0


def _builder(args: argparse.Namespace, progress: Progress) -> Any:
    try:
        import pyarrow  # noqa: F401

        from restem.dataset.build import Builder, BuildSettings
        from restem.dataset.sources import open_source
        from restem.dataset.stages.check import CheckSettings
        from restem.dataset.stages.instruct import InstructSettings
        from restem.dataset.stages.pair import PairSettings
    except ModuleNotFoundError as error:
        raise UserError(
            f"Building needs {error.name}; install it with pip install 'restem[dataset]'."
        ) from None
    hop = args.hop_samples or args.clip_samples
    settings = BuildSettings(
        PairSettings(tuple(args.stem or ["drums"]), args.clip_samples, hop, args.separator),
        args.captioner,
        InstructSettings(args.writer, args.seed),
        CheckSettings(args.max_leak, args.max_separated),
    )
    sources = [open_source(text) for text in args.source]

    def notify(stage: str, done: int, of: int) -> None:
        fraction = (STAGES.index(stage) + done / of) / len(STAGES)
        with suppress(BrokenPipeError):
            progress(fraction, f"{stage}: {done} of {of}")

    def announce(estimate: Any) -> None:
        cost = estimate.cost(*args.price)
        print(
            f"restem: {estimate.requests} requests, about {estimate.tokens_in} tokens in and "
            f"{estimate.tokens_out} out" + (f", {cost:.2f} in all" if any(args.price) else ""),
            file=sys.stderr,
        )

    return Builder(
        sources,
        settings,
        args.output,
        args.workers,
        args.concurrency,
        args.engine,
        notify,
        announce,
    )


def _complain(what: str, lines: tuple[str, ...]) -> None:
    if not lines:
        return
    print(f"restem: note: {len(lines)} {what}:", file=sys.stderr)
    for line in lines[:SHOWN_FAILURES]:
        print(f"  {line}", file=sys.stderr)
    if len(lines) > SHOWN_FAILURES:
        print(f"  ... and {len(lines) - SHOWN_FAILURES} more (all in build.json)", file=sys.stderr)


def _add_inspect(verbs: Any) -> None:
    line = "count a dataset, draw a sheet of spectrograms, make a page to listen to"
    parser = verbs.add_parser("inspect", help=line, description=line)
    parser.add_argument("dataset", metavar="DIR", type=Path)
    parser.add_argument(
        "--clips", type=within(int, 1, 1000), default=12, help="shown on the sheet and the page"
    )
    parser.add_argument("-o", "--output", type=Path, help="folder (default: DIR/inspect)")
    parser.set_defaults(run=_inspect)


def _inspect(args: argparse.Namespace) -> int:
    from restem.dataset.inspecting import inspect_dataset

    out = args.output or args.dataset / "inspect"
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder with -o.")
    for line in inspect_dataset(args.dataset, out, args.clips):
        print(line)
    return 0


def _add_train(verbs: Any) -> None:
    line = "train the drums separator on rendered songs (needs restem[train])"
    parser = verbs.add_parser("train-separator", help=line, description=line)
    parser.add_argument("songs", type=Path, help="folder of `restem dataset render`")
    parser.add_argument("--steps", type=within(int, 1, 10**9), default=6000)
    parser.add_argument("--batch", type=within(int, 1, 10**6), default=8)
    parser.add_argument(
        "--rate", type=within(float, 1e-12, 1), default=2e-3, help="highest learning rate"
    )
    parser.add_argument("--seed", type=within(int, 0, 2**63 - 1), default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> int:
    try:
        from restem.dataset.separator.train import SeparatorTraining, train_separator
    except ModuleNotFoundError as error:
        raise UserError(
            f"Training needs {error.name}; install it with pip install 'restem[train]'."
        ) from None
    settings = SeparatorTraining(
        args.songs, args.output, args.steps, args.batch,
        learning_rate=args.rate, seed=args.seed, resume=args.resume,
    )  # fmt: skip
    progress = Progress(sys.stderr)
    mean = 0.0
    try:
        for step, loss in train_separator(settings):
            mean = loss if step == 1 else 0.97 * mean + 0.03 * loss
            progress(step / args.steps, f"step {step} of {args.steps}, loss {mean:.3f}")
    finally:
        progress.close()
    return 0
