"""The verb `restem table1`: models and songs in, the paper's Table 1 with reference rows out."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restem.benchmark.arguments import add_data, songs_of
from restem.errors import UserError

if TYPE_CHECKING:
    from restem.benchmark.clips import Clip
    from restem.benchmark.rows import Offer
    from restem.benchmark.table import Bench

SDEDIT_STEPS = (20, 50)
STRENGTHS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
SWEEP_CLIPS = 100


def add_parser(verbs: Any) -> None:
    """Add `table1` to the command line."""
    line = "compare a model with SDEdit and reference rows (needs restem[evaluation])"
    parser = verbs.add_parser("table1", help=line, description=line)
    add = parser.add_argument
    add_data(parser)
    add("--base", type=Path, help="folder of the base model, for the rows of SDEdit")
    add("--retrieval", type=Path, metavar="DIR", help="rendered training songs to retrieve from")
    add("--clips", type=int, help="a seeded choice of so many clips (default: all)")
    add("--seeds", type=int, default=3)
    add(
        "--embedding",
        action="append",
        default=[],
        metavar="NAME[=PATH]",
        help="as in restem evaluate",
    )
    add("-o", "--output", type=Path, required=True, help="folder of clips, scores and tables")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from restem.benchmark.clips import CLIP_SAMPLES, RATE, clips_of, write_clips
    from restem.benchmark.table import Bench, markdown, summary, write_table
    from restem.evaluation.embeddings import embedding_from_words

    say = partial(print, file=sys.stderr, flush=True)
    clips = [clip for song in songs_of(args) for clip in clips_of(song)]
    if not clips:
        raise UserError(f"No song holds a clip of {CLIP_SAMPLES / RATE:.2f} s with a stem.")
    if args.clips is not None:
        clips = chosen(clips, args.clips)
    write_clips(clips, args.output)
    songs = len({clip.song for clip in clips})
    say(f"restem: {len(clips)} clips of {songs} songs")
    bench = Bench.of(args.output, clips, [embedding_from_words(e) for e in args.embedding], say)
    rows, sweep = _rows(args, bench)
    for kind in ("mix", "stem"):
        table: dict[str, Any] = {
            "target": kind,
            "clips": len(clips),
            "songs": songs,
            "clip_samples": CLIP_SAMPLES,
            "embeddings": {
                f"{key}": f"{e.name} ({e.weights_sha256[:12]})"
                for key, e in zip(("FD, KLD, IS", "FAD"), bench.embeddings, strict=True)
            },
            "rows": {
                name: summary([bench.score(name, offer, seed, kind) for seed in range(seeds)])
                for name, (offer, seeds, kinds) in rows.items()
                if kind in kinds
            },
            "floor": bench.floor(kind),
            "sdedit_sweep": sweep if kind == "mix" else None,
        }
        write_table(args.output, kind, table)
        print(f"\n{kind}\n\n{markdown(table)}", flush=True)
    return 0


def chosen(clips: list[Clip], count: int, seed: int = 0) -> list[Clip]:
    """A seeded choice of `count` clips in their order. Raises UserError if there are fewer."""
    import numpy as np

    if count > len(clips):
        raise UserError(f"There are only {len(clips)} clips, not {count}; ask for fewer.")
    picked = np.random.default_rng(seed).choice(len(clips), count, replace=False)
    return [clips[i] for i in sorted(picked)]


def _rows(
    args: argparse.Namespace, bench: Bench
) -> tuple[dict[str, tuple[Offer, int, tuple[str, ...]]], dict[str, Any]]:
    """Name -> (what makes it, seeds, targets it can be held against), and the sweep of SDEdit."""
    from restem.benchmark.retrieval import Retrieval
    from restem.benchmark.rows import reference_rows, sdedit, subtractive
    from restem.insertion import Inserter

    both = ("mix", "stem")
    inserter = Inserter.load(args.model)
    rows: dict[str, tuple[Offer, int, tuple[str, ...]]] = {}
    sweep: dict[str, Any] = {}
    if args.base is not None:
        base = Inserter.load(args.base)
        for steps in SDEDIT_STEPS:
            strength = _best_strength(base, steps, bench, sweep)
            offer = sdedit(base, steps, strength)
            rows[f"SDEdit-{steps}, strength {strength}"] = (offer, args.seeds, ("mix",))
        rows["base alone (strength 1)"] = (sdedit(base, SDEDIT_STEPS[0], 1.0), 1, ("mix",))
    rows["Subtractive"] = (subtractive(inserter), args.seeds, both)
    retrieval = None if args.retrieval is None else Retrieval(args.retrieval, inserter.text)
    for name, offer in reference_rows(list(bench.clips), retrieval).items():
        rows[name] = (offer, 1, ("mix",) if name == "round trip of the mix" else both)
    return rows, sweep


def _best_strength(base: Any, steps: int, bench: Bench, sweep: dict[str, Any]) -> float:
    """The strength with the lowest FD on a part of the clips; all are kept in `sweep`."""
    from dataclasses import replace

    from restem.benchmark.rows import sdedit

    count = min(SWEEP_CLIPS, len(bench.clips))
    part = replace(bench, clips=chosen(list(bench.clips), count, seed=1), rows="sweep")
    distances = {}
    for strength in STRENGTHS:
        name = f"SDEdit-{steps}, strength {strength}"
        report = part.score(name, sdedit(base, steps, strength), 0, "mix")
        scores = {key: report[key]["value"] for key in ("fd", "fad", "kld")}
        sweep[name] = scores | {"executed_steps": int(steps * strength), "clips": count}
        distances[strength] = scores["fd"]
        bench.say(f"{name}: " + ", ".join(f"{k} {v:.3g}" for k, v in scores.items()))
    return min(distances, key=lambda strength: distances[strength])
