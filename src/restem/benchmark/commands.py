"""The verb `restem table1`: models and songs in, the paper's Table 1 with reference rows out."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restem.benchmark.arguments import add_data, positive, songs_of
from restem.errors import UserError

if TYPE_CHECKING:
    from restem.benchmark.clips import Clip
    from restem.benchmark.rows import Row
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
    add("--clips", type=positive, help="a seeded choice of so many clips (default: all)")
    add("--seeds", type=positive, default=3)
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
    from restem.evaluation.evaluate import check_packages
    from restem.evaluation.threads import one_thread_arithmetic

    check_packages()  # before songs are read
    embeddings = [embedding_from_words(words) for words in args.embedding]
    say = partial(print, file=sys.stderr, flush=True)
    clips: list[Clip] = []
    full = 0
    with one_thread_arithmetic():  # so that clips, and what was made for them, are the same again
        for song in songs_of(args):
            clips += clips_of(song)
            full += len(song.context) // CLIP_SAMPLES
    sounding = len(clips)
    say(f"restem: {sounding} of {full} full clips of {CLIP_SAMPLES / RATE:.2f} s have a stem "
        "louder than -60 dB")  # fmt: skip
    if sounding < 2:
        raise UserError(f"At least two clips of {CLIP_SAMPLES / RATE:.2f} s are needed; give more.")
    if args.clips is not None:
        clips = chosen(clips, args.clips)
    write_clips(clips, args.output)
    songs = len({clip.song for clip in clips})
    say(f"restem: {len(clips)} clips of {songs} songs")
    bench = Bench.of(args.output, clips, embeddings, say)
    left_out = _left_out(args)
    for words in left_out:
        say(f"restem: left out: {words}")
    rows, sweep = _rows(args, bench)
    for kind in ("mix", "stem"):
        table: dict[str, Any] = {
            "target": kind,
            "clips": len(clips),
            "songs": songs,
            "full_clips": full,
            "sounding_clips": sounding,
            "clip_samples": CLIP_SAMPLES,
            "embeddings": {
                f"{key}": f"{e.name} ({e.weights_sha256[:12]})"
                for key, e in zip(("FD, KLD, IS", "FAD"), bench.embeddings, strict=True)
            },
            "rows": {
                name: summary([bench.score(name, row, seed, kind) for seed in range(row.seeds)])
                for name, row in rows.items()
                if kind in row.kinds
            },
            "made_by": {name: row.by for name, row in rows.items() if kind in row.kinds},
            "halves": {"the truth": bench.halves(kind)}
            | {
                name: bench.halves(kind, bench.place(name, 0) / kind)
                for name, row in rows.items()
                if kind in row.kinds and name != "oracle"  # which is the truth
            },
            "sdedit_sweep": sweep if kind == "mix" else None,
            "left_out": left_out,
        }
        write_table(args.output, kind, table)
        print(f"\n{kind}\n\n{markdown(table)}", flush=True)
    return 0


def _left_out(args: argparse.Namespace) -> list[str]:
    """Rows that the table should have, and what they need."""
    wanted = {"SDEdit and the base model (give --base)": args.base,
              "retrieval (give --retrieval)": args.retrieval}  # fmt: skip
    return [words for words, given in wanted.items() if given is None]


def chosen(clips: list[Clip], count: int, seed: int = 0) -> list[Clip]:
    """A seeded choice of `count` clips in their order. Raises UserError if there are fewer."""
    import numpy as np

    if count > len(clips):
        raise UserError(f"There are only {len(clips)} clips, not {count}; ask for fewer.")
    picked = np.random.default_rng(seed).choice(len(clips), count, replace=False)
    return [clips[i] for i in sorted(picked)]


def _rows(args: argparse.Namespace, bench: Bench) -> tuple[dict[str, Row], dict[str, Any]]:
    """The rows by their names, and the sweep of SDEdit."""
    from restem.benchmark.retrieval import Retrieval
    from restem.benchmark.rows import Row, digest_of, reference_rows, sdedit, subtractive
    from restem.insertion import Inserter

    # Clips are made side by side, each on one core: two cores on one step take twice the work.
    inserter = Inserter.load(args.model, threads=1)
    rows: dict[str, Row] = {}
    sweep: dict[str, Any] = {}
    if args.base is not None:
        base = Inserter.load(args.base, threads=1)
        by = digest_of(base)
        for steps in SDEDIT_STEPS:
            strength = _best_strength(base, by, steps, bench, sweep)
            name = f"SDEdit-{steps}, strength {strength}"
            rows[name] = Row(sdedit(base, steps, strength), by, args.seeds, ("mix",))
        alone = sdedit(base, SDEDIT_STEPS[0], 1.0)
        rows["base alone (strength 1)"] = Row(alone, by, 1, ("mix",))
    rows["Subtractive"] = Row(subtractive(inserter), digest_of(inserter), args.seeds)
    retrieval = None if args.retrieval is None else Retrieval(args.retrieval, inserter.text)
    return rows | reference_rows(list(bench.clips), retrieval), sweep


def _best_strength(base: Any, by: str, steps: int, bench: Bench, sweep: dict[str, Any]) -> float:
    """The strength with the lowest FD on a part of the clips; all are kept in `sweep`."""
    from dataclasses import replace

    from restem.benchmark.rows import Row, sdedit

    count = min(SWEEP_CLIPS, len(bench.clips))
    part = replace(bench, clips=chosen(list(bench.clips), count, seed=1), rows="sweep")
    distances = {}
    for strength in STRENGTHS:
        name = f"SDEdit-{steps}, strength {strength}"
        report = part.score(name, Row(sdedit(base, steps, strength), by), 0, "mix")
        scores = {key: report[key]["value"] for key in ("fd", "fad", "kld")}
        sweep[name] = scores | {"executed_steps": int(steps * strength), "clips": count}
        distances[strength] = scores["fd"]
        bench.say(f"{name}: " + ", ".join(f"{k} {v:.3g}" for k, v in scores.items()))
    return min(distances, key=lambda strength: distances[strength])
