"""The verbs `restem midi corpus`, `train` and `export`: words in, corpora and models out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restem.arguments import MOST_SEED, within
from restem.errors import UserError
from restem.progress import Progress
from restem.symbolic.bernoulli import PAPER, BinaryNoise
from restem.symbolic.parts import STEMS
from restem.symbolic.shared import FILE as PITCHED

if TYPE_CHECKING:
    from restem.symbolic.model import RollModel

# Options of `midi train` that tell of rolls, of which touch knows nothing.
OF_ROLLS = ("corpus", "paper", "noise_steps", "prior", "posterior", "with_validation", "start_from")


def add_training_parsers(verbs: Any) -> None:
    """Add the verbs that make models to `restem midi`."""
    _add_corpus(verbs)
    _add_train(verbs)
    _add_export(verbs)


def _add_corpus(verbs: Any) -> None:
    line = "gather songs as piano rolls for training"
    parser = verbs.add_parser("corpus", help=line, description=line)
    add = parser.add_argument
    add(
        "--midi",
        type=Path,
        action="append",
        default=[],
        help="folder of MIDI or Guitar Pro songs; repeatable",
    )
    add("--dadagp", type=Path, help="folder of the DadaGP dataset")
    add("--mma", type=Path, help="MMA's folder of styles, such as /usr/share/mma/lib")
    add("--songs", type=int, default=2000, help="how many songs MMA composes")
    add("--leadsheets", type=Path, help="folder of Impro-Visor lead sheets (*.ls) for MMA's chords")
    add("--groove-midi", type=Path, help="folder of the Groove MIDI Dataset")
    add(
        "--heard",
        metavar="SONGS",
        type=Path,
        action="append",
        default=[],
        help="folder of restem dataset render: what is heard of its songs, for stems of "
        "recordings; repeatable, also with the same folder, whose songs are mixed anew",
    )
    add("--seed", type=within(int, 0, MOST_SEED), default=0)
    add("-o", "--output", type=Path, required=True, help="an .npz file")
    parser.set_defaults(run=_corpus)


def _corpus(args: argparse.Namespace) -> int:
    from restem.symbolic import corpora
    from restem.symbolic.corpus_file import save_corpus
    from restem.symbolic.heard_corpus import heard_pieces

    if not args.output.parent.is_dir():  # gathering takes minutes: not after it
        raise UserError(f"There is no folder {args.output.parent}; make it, or give another -o.")
    sources: list[Iterable[corpora.Piece]] = [
        corpora.folder_pieces(folder, _say) for folder in args.midi
    ]
    if args.dadagp is not None:
        sources.append(corpora.dadagp_pieces(args.dadagp, _say))
    if args.groove_midi is not None:
        sources.append(corpora.groove_pieces(args.groove_midi, _say))
    if args.mma is not None:
        sources.append(
            corpora.mma_pieces(
                args.mma, args.songs, seed=args.seed, leadsheets=args.leadsheets, left_out=_say
            )
        )
    known, counts = corpora.Duplicates(), [0, 0]

    def new() -> Iterator[corpora.Piece]:
        for piece in chain(*sources):
            fresh = known.is_new(piece)
            counts[fresh] += 1
            if sum(counts) % 100 == 0:
                print(
                    f"restem: {counts[1]} pieces, {counts[0]} left out as copies", file=sys.stderr
                )
            if fresh:
                yield piece
        heard = (heard_pieces(songs, args.seed + n) for n, songs in enumerate(args.heard))
        for count, piece in enumerate(chain.from_iterable(heard), start=1):
            if count % 100 == 0:
                print(f"restem: {count} parts of songs heard", file=sys.stderr)
            yield piece

    count = save_corpus(new(), args.output)
    print(f"{count} songs or chunks of songs in {args.output}; {counts[0]} copies left out.")
    return 0


def _say(reason: str) -> None:
    """A file that is passed over does not end a long command, but its owner hears of it."""
    print(f"restem: note: {reason}", file=sys.stderr)


def _add_train(verbs: Any) -> None:
    line = "train the model of one part on a corpus (needs restem[train])"
    parser = verbs.add_parser("train", help=line, description=line)
    add = parser.add_argument
    add(
        "--stem",
        choices=(*STEMS, "keys", PITCHED, "touch"),
        required=True,
        help="the part; pitched: bass, guitar and keys of recordings in one network; touch: how "
        "drums are played",
    )
    add("--corpus", type=Path, help="file of restem midi corpus, for all but touch")
    add("--groove-midi", type=Path, help="folder of the Groove MIDI Dataset, for touch alone")
    add("--steps", type=within(int, 1, 10**9), default=3000)
    add(
        "--batch",
        type=within(int, 1, 10**6),
        help="windows a step, for touch strokes (default: 32; touch: 1024)",
    )
    add(
        "--rate",
        type=within(float, 1e-12, 1),
        help="highest learning rate (default: 0.001; touch: 0.002)",
    )
    add("--seed", type=within(int, 0, MOST_SEED), default=0)
    add("--paper", action="store_true", help="noise, posterior and loss of the cited work")
    add(
        "--noise-steps", type=int, metavar="T", help="steps of the noise (default: 256; paper: 100)"
    )
    add("--prior", type=float, metavar="RHO", help="density of the noise (default: the corpus's)")
    add("--posterior", choices=("mixed", "plug-in"), help="how x_0 is guessed in sampling")
    add("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    add(
        "--with-validation",
        action="store_true",
        help="train on the validation songs too, once nothing is left to choose by them",
    )
    add(
        "--start-from", metavar="DIR", help='model folder to begin with; "embedded": the package\'s'
    )
    add("-o", "--output", type=Path, required=True)
    parser.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> int:
    _need_torch()
    touch = args.stem == "touch"
    for name in OF_ROLLS if touch else ("groove_midi",):
        if getattr(args, name) not in (None, False):
            option = "--" + name.replace("_", "-")
            raise UserError(f"{option} has no effect with --stem {args.stem}; leave it out.")
    if touch and args.groove_midi is None:
        raise UserError("Name the folder of the Groove MIDI Dataset with --groove-midi.")
    if not touch and args.corpus is None:
        raise UserError("Name the file of restem midi corpus with --corpus.")
    from restem.symbolic.train_rolls import RollTraining, train
    from restem.symbolic.train_touch import train_touch

    if touch:
        steps = train_touch(
            args.groove_midi,
            args.output,
            args.steps,
            args.batch,
            args.rate,
            args.seed,
            resume=args.resume,
            left_out=_say,
        )
    else:
        steps = train(
            RollTraining(
                args.corpus,
                args.stem,
                args.output,
                args.steps,
                args.batch or 32,
                args.seed,
                learning_rate=args.rate or 1e-3,
                noise=_noise(args),
                resume=args.resume,
                splits=("train", "validation") if args.with_validation else ("train",),
                start=_start(args.stem, args.start_from) if args.start_from else None,
            )
        )
    progress, mean = Progress(sys.stderr), 0.0
    try:
        for step, loss in steps:
            mean = loss if mean == 0 else 0.98 * mean + 0.02 * loss
            progress(step / args.steps, f"step {step} of {args.steps}, loss {mean:.4f}")
    finally:
        progress.close()
    return 0


def _start(stem: str, folder: str) -> RollModel:
    """The model to begin with; keys may begin as a guitar, which has as many cells, and so does
    what makes both."""
    from restem.symbolic.model import PACKAGED, RollModel

    as_guitar = stem == PITCHED or (stem == "keys" and folder == PACKAGED)
    return RollModel.load("guitar" if as_guitar else stem, folder, heard=stem == PITCHED)


def _noise(args: argparse.Namespace) -> BinaryNoise | None:
    """The noise that the words ask for; None leaves its density to the corpus."""
    changes = {"steps": args.noise_steps, "density": args.prior, "posterior": args.posterior}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not args.paper and not changes:
        return None
    if not args.paper and args.prior is None:
        raise UserError(
            "With --noise-steps or --posterior also name the density of the noise, "
            "--prior, or take --paper."
        )
    try:
        return replace(PAPER if args.paper else BinaryNoise(), **changes)
    except ValueError as error:
        raise UserError(f"The noise cannot be so: {error}.") from None


def _add_export(verbs: Any) -> None:
    line = "turn a checkpoint into a model that restem midi insert --model runs"
    parser = verbs.add_parser("export", help=line, description=line)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--touch", action="store_true", help="it is a checkpoint of --stem touch")
    parser.add_argument("--name", default="restem-midi")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the model")
    parser.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> int:
    _need_torch()
    from restem.symbolic.export_rolls import export_model
    from restem.symbolic.train_touch import export_touch

    if args.touch:
        export_touch(args.checkpoint, args.output / "touch.npz")
    else:
        export_model(args.checkpoint, args.output, {"name": args.name})
    return 0


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise UserError(
            "Training needs torch; install it with pip install 'restem[train]'."
        ) from None
