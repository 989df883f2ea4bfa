"""Rendered songs of the test split in; both readings of the leak meter on their clips, without and
with the stem let in at -60 to -10 dB, out."""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from restem.dataset.leak_probe import high_band_fit, packaged_probe
from restem.dataset.leakage import rendered_pairs
from restem.evaluation.intervals import Scored, scored_mean

LEVELS_DB = (-np.inf, -60.0, -50.0, -40.0, -30.0, -20.0, -10.0)


def readings(songs: Path, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(clip, level, 2): residual and probe's excess of one clip a song; (clip, 2): gain and rest
    of the clean ones, before anything is taken off."""
    probe, rows, clean = packaged_probe(), [], []
    for context, stem in islice(rendered_pairs(songs, "test"), most):
        found = [probe.leak(context + stem * 10 ** (level / 20), stem) for level in LEVELS_DB]
        rows.append([(leak.residual, leak.probe) for leak in found])
        clean.append(high_band_fit(context, stem))
    return np.array(rows), np.array(clean)


def about_zero(clean: np.ndarray, found: np.ndarray) -> dict[str, Scored]:
    """Means of clean clips by name, with what is uncertain about the share that was taken off."""
    probe, (gain, rest) = packaged_probe(), clean.T
    residual = scored_mean(found[:, 0].tolist())
    return {
        "gain, nothing taken off": scored_mean(gain.tolist()),
        "residual": with_error(residual, probe.clean_share_error * float(rest.mean())),
        "probe": scored_mean(found[:, 1].tolist()),
    }


def with_error(mean: Scored, error: float) -> Scored:
    """The interval with the standard error of what was taken off in it."""
    low, high = (np.hypot(reach, 1.96 * error)
                 for reach in (mean.value - mean.low, mean.high - mean.value))  # fmt: skip
    return Scored(mean.value, mean.value - low, mean.value + high)


def pooled(readings: np.ndarray) -> float:
    """Spearman's correlation of all clips' readings (clip, level) with the level."""
    ranks = np.tile(np.arange(readings.shape[1]), (len(readings), 1))
    return float(spearmanr(ranks.ravel(), readings.ravel())[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("songs", type=Path)
    parser.add_argument("--most", type=int, default=10_000, help="clips")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    found, clean = readings(args.songs, args.most)
    print(f"{len(found)} clips\n| stem let in at | residual | probe's excess |\n|---|---|---|")
    table = {}
    for place, level in enumerate(LEVELS_DB):
        name = f"{level:.0f} dB" if np.isfinite(level) else "nothing"
        means = [scored_mean(found[:, place, kind].tolist()) for kind in (0, 1)]
        table[name] = [(mean.value, mean.low, mean.high) for mean in means]
        cells = [f"{m.value:.{d}f} [{m.low:.{d}f}, {m.high:.{d}f}]"
                 for m, d in zip(means, (4, 3), strict=True)]  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")
    steep = [0, 4, 5, 6]  # nothing, -30, -20, -10 dB
    for kind, name in enumerate(("residual", "probe")):
        values = found[:, :, kind]
        rising = float(np.mean(np.all(np.diff(values, axis=1) > 0, axis=1)))
        mean = "always" if np.all(np.diff(values.mean(axis=0)) > 0) else "not always"
        print(f"{name}: its mean rises {mean}, it itself in {rising:.0%} of clips")
        print(f"  Spearman over nothing, -30, -20, -10 dB: {pooled(values[:, steep]):.3f}")
    if args.output:
        args.output.write_text(json.dumps({"clips": len(found), "levels": table}, indent=1) + "\n")
    for name, mean in about_zero(clean, found[:, 0]).items():
        word = "within" if mean.low <= 0 <= mean.high else "NOT within"
        print(f"clean clips, {name}: {mean.value:.6f}, zero {word} "
              f"[{mean.low:.6f}, {mean.high:.6f}]")  # fmt: skip


if __name__ == "__main__":
    main()
