"""Hold FD, KLD and IS against the public package audioldm_eval on the same features; print a table.

    pip install --no-deps --target runs/audioldm-eval audioldm_eval
    python scripts/check_distances.py runs/audioldm-eval STEMS OTHERS

STEMS and OTHERS are folders of WAV files with common names, as `stem` and
`rows/retrieval/seed0/stem` in the folder of `restem table1`. The package's formulas are read from
its files, since the package as a whole wants much that they do not. It adds 1e-6 to probabilities
in KLD, so that this may differ more than the others; it is given float64. Exits with 1 above a
relative difference of 1e-3 (on random features, KLD apart, 1e-6).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch

from restem.evaluation.cache import Cache
from restem.evaluation.classes import inception_score, kl_divergences
from restem.evaluation.evaluate import chosen_embeddings
from restem.evaluation.frechet import frechet_distance
from restem.evaluation.listening import hear


def formula(package: Path, module: str, name: str) -> Callable[..., Any]:
    """One function of one file of audioldm_eval, without the package around it."""
    path = package / "audioldm_eval" / "metrics" / f"{module}.py"
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec and spec.loader, path
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return getattr(loaded, name)


def theirs(package: Path, one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> list[float]:
    """FD, KLD and IS of the package: `one` is the truth, `two` what was made."""
    first, second = (
        {k: torch.from_numpy(v.astype(np.float64)) for k, v in side.items()}
        | {"file_path_": [str(i) for i in range(len(side["logits"]))]}
        for side in (one, two)
    )
    with contextlib.redirect_stdout(io.StringIO()):
        fid = formula(package, "fid", "calculate_fid")(first, second, "features")
        kld, *_ = formula(package, "kl", "calculate_kl")(second, first, "logits")
        isc = formula(package, "isc", "calculate_isc")(second, "logits", 2020, True, 10)
    return [
        float(next(iter(fid.values()))),
        kld["kullback_leibler_divergence_softmax"],
        isc["inception_score_mean"],
    ]


def ours(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> list[float]:
    """FD, KLD and IS as the reports have them."""
    return [
        frechet_distance(one["features"], two["features"]),
        float(kl_divergences(one["logits"], two["logits"]).mean()),
        inception_score(two["logits"]).value,
    ]


def heard(folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Features and logits of the embedding of whole clips."""
    clip, _ = chosen_embeddings([])
    rows = [hear(folder / n, [clip], Cache(None)).embedded[clip.name] for n in names]
    return {
        "features": np.concatenate([row.features for row in rows]),
        "logits": np.concatenate([np.atleast_2d(row.logits) for row in rows]),
    }


def main() -> int:
    """Compare on random and on real features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("stems", type=Path)
    parser.add_argument("others", type=Path)
    parser.add_argument("--count", type=int, default=100)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    random = [
        {"features": rng.normal(i / 4, 1 + i, (600, 64)), "logits": rng.normal(0, 1, (600, 20))}
        for i in range(2)
    ]
    names = sorted({p.name for p in args.stems.iterdir()} & {p.name for p in args.others.iterdir()})
    real = [heard(folder, names[: args.count]) for folder in (args.stems, args.others)]
    print(f"scipy {scipy.__version__}, {len(real[0]['logits'])} real clips\n")
    print(
        "| features | score | restem | audioldm_eval | relative difference |\n|---|---|---|---|---|"
    )
    worst = 0.0
    for words, limit, (one, two) in (("random", 1e-6, random), ("real", 1e-3, real)):
        for score, a, b in zip(
            ("FD", "KLD", "IS"), ours(one, two), theirs(args.package, one, two), strict=True
        ):
            away = abs(a - b) / abs(b)
            print(f"| {words} | {score} | {a:.8g} | {b:.8g} | {away:.1e} |", flush=True)
            worst = max(worst, away / (1e-3 if score == "KLD" else limit))
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
