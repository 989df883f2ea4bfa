"""Two folders of clips with the same names come in; a report of scores, as JSON, goes out."""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from restem.errors import UserError
from restem.evaluation.cache import Cache
from restem.evaluation.embeddings import (
    NAMES,
    Embedding,
    embedding_from_words,
    load_embedding,
)
from restem.evaluation.listening import Heard, Source, hear, hear_with_context, seconds_of
from restem.evaluation.pairing import Pair, paired_clips
from restem.evaluation.scoring import SEED, SPLITS, HeardPair, rounded, scores_of
from restem.evaluation.threads import one_thread_arithmetic

DEFAULT_EMBEDDINGS = {"clip": "MSD_musicnn", "frame": "MTT_vgg"}
LENGTH_TOLERANCE_S = 0.01
GENERATED, TARGET = "generated clip", "target"  # as warnings call the sides
MEASURED_WITH = ("numpy", "scipy", "soxr", "librosa", "torch")
Report = dict[str, Any]


def evaluate(
    generated: str | Path,
    target: str | Path,
    context: str | Path | None = None,
    embeddings: Sequence[Embedding] = (),
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score the clips of `generated` against those of the same name in `target`.

    Stems or mixes of any length and rate; where both sides differ in length, only what both have
    is heard, and a warning says so. The scores with `context` make sense for stems.
    `embeddings`: at most one of each role, instead of MSD_musicnn and MTT_vgg. `cache`: a folder
    in which what was heard is kept. `progress` gets the clips done and their number.

    The report is ready for JSON and the same, digit by digit, from run to run, with and without
    cache, for any thread setting. Its keys: `fd`, `fad`, `fad_inf`, `kld`, `inception_score`,
    `beat_f`, `onset_correlation` and, with a context, `chroma_fit`, `loudness_relation`,
    `waveform_leak_db`, `spectral_leak`, each with `value` and a 95 % interval, `low` and `high`;
    `clips`, `audio_seconds`, `warnings`, `settings`. A score that cannot be had is null and a
    warning says why. Raises UserError for folders without usable pairs and missing weights.
    """
    check_packages()
    pairs, warnings = paired_clips(
        Path(generated), Path(target), Path(context) if context else None
    )
    classifier, frames = chosen_embeddings(embeddings)
    for embedding in (classifier, frames):
        if embedding.published is False:
            warnings.append(f"{embedding.name}: these are not the published weights")
    with one_thread_arithmetic():
        kept = Cache(Path(cache) if cache else None)
        heard = _hear_all(pairs, (classifier, frames), kept, warnings, progress)
        if not heard:
            raise UserError(f"None of the {len(pairs)} pairs can be read: {warnings[-1]}.")
        warnings += filter(None, [kept.trouble])
        scores, doubts = scores_of(heard, classifier, frames)
    settings = {
        "generated": str(generated),
        "target": str(target),
        "context": None if context is None else str(context),
        "seed": SEED,
        "splits": SPLITS,
        "kld_activation": "softmax",
        "beat_tolerance_s": 0.07,
        "resampler": "soxr HQ",
        "versions": {name: version(name) for name in MEASURED_WITH},
    }
    return scores | {
        "clips": len(heard),
        "audio_seconds": rounded(sum(pair.generated.seconds for pair in heard)),
        "warnings": warnings + doubts,
        "settings": settings,
    }


def write_report(report: Report, path: str | Path) -> None:
    """Write a report as JSON, whole or not at all. Raises UserError if it cannot be written."""
    path = Path(path)
    text = json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        # a file name need not be UTF-8; what is not becomes an escape, which JSON reads back
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(draft, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); name another -o.") from error
    finally:
        with suppress(OSError):  # it has gone if all went well
            draft.unlink()


def check_packages() -> None:
    """Raise UserError if a package of the extra `evaluation` is missing."""
    for name in ("torch", "librosa", "mir_eval", "threadpoolctl"):
        if find_spec(name) is None:
            raise UserError(f"Scores need {name}; run `pip install 'restem[evaluation]'`.")


def chosen_embeddings(embeddings: Sequence[Embedding]) -> tuple[Embedding, Embedding]:
    """One embedding of whole clips and one of frames: those given, else MSD_musicnn and MTT_vgg.

    Raises UserError for two of one role.
    """
    chosen: dict[str, Embedding] = {}
    for embedding in embeddings:
        if embedding.role in chosen:
            raise UserError(
                f"{chosen[embedding.role].name} and {embedding.name} play the same part; "
                "give one embedding of whole clips (FD, KLD, IS) and one of frames (FAD)."
            )
        chosen[embedding.role] = embedding
    for role, name in DEFAULT_EMBEDDINGS.items():
        if role not in chosen:
            chosen[role] = load_embedding(name)
    return chosen["clip"], chosen["frame"]


def _hear_all(
    pairs: Sequence[Pair],
    embeddings: Sequence[Embedding],
    cache: Cache,
    warnings: list[str],
    progress: Callable[[int, int], None] | None,
) -> list[HeardPair]:
    heard: list[HeardPair] = []
    # clips are independent, so they may be heard side by side; their order stays that of the names
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = pool.map(lambda pair: _hear_pair(pair, embeddings, cache), pairs)
        for done, (result, told) in enumerate(results, start=1):
            warnings += told
            if result is not None:
                heard.append(result)
            if progress is not None:
                progress(done, len(pairs))
    return heard


def _hear_pair(
    pair: Pair, embeddings: Sequence[Embedding], cache: Cache
) -> tuple[HeardPair | None, list[str]]:
    """What both clips tell as far as both go, and warnings; None if one cannot be used."""
    files = {GENERATED: pair.generated, TARGET: pair.target}
    whole: dict[str, Heard] = {}
    try:
        for kind, path in files.items():
            whole[kind] = hear(path, embeddings, cache)
        seconds = min(side.seconds for side in whole.values())
        sides = dict(whole)
        ends: dict[str, float | None] = {GENERATED: None, TARGET: None}  # where a side is cut
        for kind, side in whole.items():
            if side.seconds - seconds > LENGTH_TOLERANCE_S:
                ends[kind] = seconds
                sides[kind] = hear(files[kind], embeddings, cache, seconds)
    except UserError as error:
        return None, [f"{pair.name}: the {kind} cannot be used: {_reason(error)}; left out"]
    doubts = _doubts(pair.name, whole, sides)
    scores: list[dict[str, float] | None] = [None, None]
    if pair.context is not None:
        stems = [(path, ends[kind]) for kind, path in files.items()]
        scores, told = _hear_context(pair.name, stems, pair.context, seconds, cache)
        doubts += told
    return HeardPair(pair.name, sides[GENERATED], sides[TARGET], *scores), doubts


def _hear_context(
    name: str,
    stems: Sequence[tuple[Path, float | None]],
    context: Path,
    seconds: float,
    cache: Cache,
) -> tuple[list[dict[str, float] | None], list[str]]:
    """The scores of each stem, cut where it says, with the context, and warnings.

    Without a usable context there are no scores.
    """
    try:
        behind = Source(context)
        lasts = seconds_of(behind, cache)
        scores = [hear_with_context(Source(*stem), behind, cache) for stem in stems]
    except UserError as error:
        lost = "left out of the scores with context"
        return [{}, {}], [f"{name}: the context cannot be used: {_reason(error)}; {lost}"]
    if abs(lasts - seconds) <= LENGTH_TOLERANCE_S:
        return [*scores], []
    lengths = f"it lasts {lasts:.2f} s and the clips {seconds:.2f} s"
    return [*scores], [
        f"{name}: wrong length of the context, {lengths}; compared as far as both go"
    ]


def _reason(error: UserError) -> str:
    return str(error).rstrip(".")


def _doubts(name: str, whole: dict[str, Heard], compared: dict[str, Heard]) -> list[str]:
    doubts = []
    for kind, side in compared.items():
        if side.silent:
            doubts.append(f"{name}: the {kind} is silent")
        if side.clipped:
            doubts.append(f"{name}: the {kind} is clipped ({side.clipped} flat samples)")
    ours, theirs = whole[GENERATED], whole[TARGET]
    if abs(ours.seconds - theirs.seconds) > LENGTH_TOLERANCE_S:
        lengths = f"{ours.seconds:.2f} s and its target {theirs.seconds:.2f} s"
        doubts.append(f"{name}: wrong length, it lasts {lengths}; compared as far as both go")
    if ours.sample_rate != theirs.sample_rate:
        rates = f"{ours.sample_rate} Hz and its target {theirs.sample_rate} Hz"
        doubts.append(f"{name}: the rates differ, {rates}")
    return doubts


def add_parser(subparsers: Any) -> None:
    """Add `restem evaluate` to a command line's subparsers; it sets `run` to its function."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score generated clips against true ones",
        description="Score the clips of one folder against those of the same name in another.",
        epilog=(
            f"Embeddings: {', '.join(NAMES)}. The first three need `pip install "
            "--no-deps musicnn==0.1.0`, the others NAME=PATH with the path of their published "
            "checkpoint, or NAME=hub:OWNER/REPOSITORY/FILE to get it from the Hugging Face hub."
        ),
    )
    parser.add_argument("generated", metavar="GENERATED", type=Path, help="folder of made clips")
    parser.add_argument("target", metavar="TARGET", type=Path, help="folder of true clips")
    parser.add_argument("--context", metavar="DIR", type=Path, help="folder of what they play over")
    parser.add_argument(
        "--embedding",
        metavar="NAME[=PATH]",
        action="append",
        default=[],
        help="one of whole clips (FD, KLD, IS), one of frames (FAD), or both; "
        "default: MSD_musicnn and MTT_vgg",
    )
    parser.add_argument(
        "--cache", metavar="DIR", type=Path, help="folder that keeps what was heard"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="the report"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if not args.output.resolve().parent.is_dir():
        raise UserError(f"There is no folder {args.output.resolve().parent} to write in; make it.")
    if args.output.exists() and not _is_report(args.output):
        raise UserError(f"{args.output} is there already and is no report; name another -o.")
    embeddings = [embedding_from_words(words) for words in args.embedding]

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done} of {total} clips", end="\n" if done == total else "", file=sys.stderr)

    report = evaluate(args.generated, args.target, args.context, embeddings, args.cache, progress)
    write_report(report, args.output)
    for line in [*summary(report), f"Written to {args.output}"]:
        # a file name need not fit the terminal's letters
        encoding = sys.stdout.encoding or "utf-8"
        print(line.encode(encoding, "backslashreplace").decode(encoding))
    return 0


def _is_report(path: Path) -> bool:
    """Whether a file is a report of this verb, which the next one may replace."""
    with suppress(OSError, ValueError, AttributeError):  # a folder, audio, no JSON object
        return {"clips", "settings"} <= json.loads(path.read_text(encoding="utf-8")).keys()
    return False


def summary(report: Report) -> list[str]:
    """The report in a few lines of text: each score with its interval, then the warnings."""
    lines = [f"{report['clips']} clips, {report['audio_seconds']:.1f} s"]
    for key, score in report.items():
        if not (isinstance(score, dict) and "value" in score):
            continue
        if score["value"] is None:
            lines.append(f"{key:18} not computed")
            continue
        embedding = f"  {score['embedding']['name']}" if "embedding" in score else ""
        interval = f"({score['low']:.4g} to {score['high']:.4g})"
        lines.append(f"{key:18} {score['value']:10.4g}  {interval}{embedding}")
    return lines + [f"warning: {warning}" for warning in report["warnings"]]
