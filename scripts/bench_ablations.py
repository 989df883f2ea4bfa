"""Subtractive training in miniature, one choice changed at a time; prints tables of scores.

    python scripts/bench_ablations.py --features FEATURES --songs SONGS --test TEST -o FOLDER

FEATURES are those of `restem dataset features SONGS`, TEST a folder of `restem dataset render
--split test --seconds 24`. Small networks, few steps: what the rows tell is which choice is
better than which, not how good the packaged model is. Rerunning goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import torch
from ablation_models import (
    Recipe,
    TorchModel,
    offer_of,
    songs_of,
    trainer_of,
    whole_contexts,
)

from restem.benchmark.clips import Clip, clips_of, rendered_songs, write_clips
from restem.benchmark.commands import chosen
from restem.benchmark.rows import Row, reference_rows, sdedit
from restem.benchmark.table import Bench
from restem.dataset.songs import read_songs
from restem.text import TextEncoder

SCORES = ("fd", "fad", "kld", "beat_f", "onset_correlation")
TITLES = ("FD", "FAD", "KLD", "beat F", "onset corr.")
STRENGTHS = (0.1, 0.2, 0.4, 0.8)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
BASE, LONG_BASE = Recipe("base", "mix"), Recipe("base, as long again", "mix", start="base")
STEM = Recipe("stem, from scratch")
WHOLE = Recipe("mix R1, from scratch", "whole")
GROUPS = {
    "Target, and what pretraining brings": [
        STEM,
        Recipe("stem, from scratch, twice as long", length=2.0),
        Recipe("stem, from the base", start="base"),
        WHOLE,
        Recipe("mix R1, from the base", "whole", start="base"),
    ],
    "Readings of the paper (target mix, from scratch)": [
        WHOLE,
        Recipe("mix R2, regression from the context", "whole", "R2"),
        Recipe("mix R3, bridge from the context", "whole", "R3"),
        Recipe("mix R4, R1 from the noised context", "whole", "R4", weights=WHOLE.name),
    ],
    "Leaking contexts (target stem, tested on clean ones)": [
        *(Recipe(f"clean and {s:.0%} separated", contexts="separated", share=s) for s in SHARES),
        Recipe(
            "50% separated, the rest leak-matched", contexts="separated", share=0.5, matched=True
        ),
        *(Recipe(f"clean and {s:.0%} leaking", contexts="injected", share=s) for s in SHARES[1:]),
        Recipe("50% leaking, the rest leak-matched", contexts="injected", share=0.5, matched=True),
    ],
    "Size (target stem)": [
        Recipe("48 wide, 2 blocks", width=48, blocks=2),
        STEM,  # 96 wide, 3 blocks
        Recipe("192 wide, 5 blocks", width=192, blocks=5),
    ],
}


def train(recipe: Recipe, args: argparse.Namespace) -> None:
    """Train a recipe to its end, going on from its checkpoint; nothing where that is done."""
    if recipe.weights:
        return
    told = args.output / recipe.name / "trained.json"
    if told.exists():
        return
    songs = songs_of(recipe, read_songs(args.features, "train"), args.output / "contexts")
    trainer = trainer_of(recipe, songs, args.output, args.steps, args.batch)
    if trainer.path.exists():
        trainer.resume()
    start, losses, begun = perf_counter(), [], trainer.step
    for step, loss in trainer.run():
        losses = [*losses[-199:], loss]
        if step % 100 == 0:
            print(f"{recipe.name}: step {step}, {sum(losses) / len(losses):.4f}", flush=True)
    steps = max(1, trainer.step - begun)
    about = {
        "songs": len(songs),
        "seconds a step": (perf_counter() - start) / steps,
        "loss of the last 200 steps": sum(losses) / max(1, len(losses)),
    }
    told.write_text(json.dumps(about))


def row_of(recipe: Recipe, work: Path, text: TextEncoder) -> Row:
    model = TorchModel(recipe, work / (recipe.weights or recipe.name))
    kinds = ("mix",) if recipe.target == "whole" else ("mix", "stem")
    return Row(offer_of(recipe, model, text), f"{model.digest} {recipe}", kinds=kinds)


def scored(bench: Bench, name: str, row: Row) -> dict[str, dict[str, float]]:
    """kind -> the scores of a row."""
    found = {}
    for kind in row.kinds:
        report = bench.score(name, row, 0, kind)
        found[kind] = {key: report[key]["value"] for key in SCORES}
    return found


def line(name: str, found: dict[str, dict[str, float]], more: str = "") -> str:
    cells = [f"{found[k][s]:.3g}" if k in found else "" for k in ("mix", "stem") for s in SCORES]
    return f"| {name} | {' | '.join(cells)} |{more}"


def table(title: str, lines: Sequence[str], more: str = "") -> None:
    heads = [f"{kind}: {t}" for kind in ("mix", "stem") for t in TITLES]
    print(f"\n### {title}\n\n| | {' | '.join(heads)} |{more}")
    print("|" + "---|" * (len(heads) + 1 + more.count("|")), flush=True)
    print("\n".join(lines), flush=True)


def equal_compute(bench: Bench, args: argparse.Namespace, text: TextEncoder) -> list[str]:
    """SDEdit's best strength by a base that had all the steps, beside the mix from a base."""
    model = TorchModel(LONG_BASE, args.output / LONG_BASE.name)
    base: Any = SimpleNamespace(model=model, text=text)
    lines, best = [], {}
    for steps in (20, 50):
        rows = {}
        for strength in STRENGTHS:
            name = f"SDEdit-{steps}, strength {strength}"
            row = Row(sdedit(base, steps, strength), model.digest, kinds=("mix",))
            rows[name] = scored(bench, name, row)
        name = min(rows, key=lambda n: rows[n]["mix"]["fd"])
        lines.append(line(name, rows[name]))
        best |= {steps: rows[name]["mix"]}
    rival = min(best.values(), key=lambda scores: scores["fd"])
    for recipe in GROUPS["Target, and what pretraining brings"]:
        if recipe.start:
            own = scored(bench, recipe.name, row_of(recipe, args.output, text))
            ratios = [f"{s} {own['mix'][s] / rival[s]:.2f}" for s in ("fd", "fad", "kld")]
            lines.append(line(recipe.name, own))
            print(f"{recipe.name} over SDEdit: {', '.join(ratios)}")
    return lines


def seconds_a_clip(offer: Callable[..., Any], clips: list[Clip]) -> float:
    """Of one thread, the picture's turning into sound included."""
    start = perf_counter()
    for clip in clips[:10]:
        offer(clip, 0)
    return (perf_counter() - start) / len(clips[:10])


def main() -> None:
    """Train all recipes, score them, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--songs", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--train", help="only train the recipes with these words in their names")
    parser.add_argument("--leaking", type=int, default=300, help="songs with whole contexts")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    whole_contexts(args.songs, args.output / "contexts", args.leaking)
    recipes = {r.name: r for r in (BASE, LONG_BASE)}
    recipes |= {r.name: r for group in GROUPS.values() for r in group}
    for recipe in recipes.values():
        if args.train is None or args.train in recipe.name:
            train(recipe, args)
    if args.train is not None:
        return
    clips = chosen([c for s in rendered_songs(args.test, "test") for c in clips_of(s)], args.clips)
    write_clips(clips, args.output / "bench")
    bench = Bench.of(args.output / "bench", clips, [], functools.partial(print, flush=True))
    text = TextEncoder.load()
    known = reference_rows(clips, None)
    names = ("identity (context only)", "silence", "random stem", "round trip of the mix")
    table("To read the others by", [line(n, scored(bench, n, known[n])) for n in names])
    table("SDEdit at equal compute", equal_compute(bench, args, text))
    for title, group in GROUPS.items():
        lines = []
        for recipe in group:
            row = row_of(recipe, args.output, text)
            found, took = scored(bench, recipe.name, row), ""
            if title.startswith("Size"):
                step = json.loads((args.output / recipe.name / "trained.json").read_text())
                clip = seconds_a_clip(row.offer, clips)
                took = f" {step['seconds a step']:.2f} | {clip:.2f} |"
            lines.append(line(recipe.name, found, took))
        table(title, lines, " s a step | s a clip |" if title.startswith("Size") else "")


if __name__ == "__main__":
    main()
