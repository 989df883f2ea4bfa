"""Score the models of drums, bass and guitar on songs kept out of training, beside references.

    python scripts/score_midi.py corpus.npz [--model DIR] [--songs 60] [--seeds 1] [-o scores.json]

Prints one table a stem; see restem.symbolic.scoring for the rows and columns. What restem makes is
scored for each seed, and the mean is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from restem.symbolic.arrange import fill
from restem.symbolic.corpora import Piece
from restem.symbolic.corpus_file import load_corpus
from restem.symbolic.model import RollModel
from restem.symbolic.parts import STEMS
from restem.symbolic.scoring import references, score, training_marks, trials
from restem.symbolic.wishes import Wishes

APART = 100_000  # between the seeds of songs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--stem", choices=STEMS, action="append")
    parser.add_argument("--songs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--split", choices=("validation", "test", "both"), default="test")
    parser.add_argument("--written", action="store_true", help="no songs that MMA composed")
    parser.add_argument("--steps", type=int, default=Wishes.steps)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--guidance", type=float, default=Wishes.guidance)
    parser.add_argument("--paper-context", action="store_true", help="drums, bass and guitar only")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    training = load_corpus(args.corpus, "train")
    splits = ("validation", "test") if args.split == "both" else (args.split,)
    tests = [piece for split in splits for piece in load_corpus(args.corpus, split)]
    tests = [piece for piece in tests if not (args.written and piece.corpus == "mma")]
    results = {}
    for stem in args.stem or STEMS:
        model = RollModel.load(stem, args.model)
        chosen = trials([piece for piece in tests if stem in piece.parts], stem, args.songs)
        rows = references(chosen, training, stem)

        def make(
            piece: Piece, index: int, model: RollModel = model, stem: str = stem, seed: int = 0
        ) -> np.ndarray:
            context = {k: piece.parts[k] for k in piece.parts if k != stem}
            if args.paper_context:
                context.pop("other", None)
            wishes = Wishes(piece.style, None, args.temperature, args.guidance, args.steps)
            wishes = replace(wishes, seed=index + APART * seed)
            return fill(model, context, piece.bars, wishes)

        rows["restem"] = make
        marks = training_marks(training, stem)
        results[stem] = score(rows, chosen, stem, marks)
        each = [results[stem]["restem"]] + [
            score({"restem": partial(make, seed=seed)}, chosen, stem, marks)["restem"]
            for seed in range(1, args.seeds)
        ]
        print(stem, "density by seed:", [round(row["density ratio"], 3) for row in each])
        results[stem]["restem"] = {c: float(np.mean([row[c] for row in each])) for c in each[0]}
        print(table(stem, len(chosen), results[stem]))
    if args.output is not None:
        args.output.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def table(stem: str, count: int, rows: dict[str, dict[str, float]]) -> str:
    columns = list(next(iter(rows.values())))
    lines = [
        f"\n{stem}, {count} stretches of 16 bars of unseen songs",
        "",
        "| | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:.3f}" for c in columns) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
