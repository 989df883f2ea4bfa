"""Turn each control over songs and seeds and measure what moves; print tables.

    python scripts/check_controls.py SONGS [--split validation] [--count 6] [--seeds 2] [-o FILE]

SONGS is a folder of `restem dataset render`. Stems for 5.12 s of each song at its true beats, "Add
STYLE drums". Density is measured as onsets a beat (gain does not change it), dynamics as loudness
to the context and, free of gain, as the centre of the spectrum. Spearman's correlation of setting
and value is taken within each song and seed, over the means of each song, and over all values free
of their song's mean. Results go to FILE line by line, and what is there is not made again.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from restem import BeatGrid, Inserter
from restem.evaluation.loudness import loudness_relation, spectral_centroid
from restem.evaluation.onsets import onset_envelope, onset_times, onsets_per_beat

RATE = 44100
START, SECONDS = 2.0, 5.12
SETTINGS = (-2, -1, 0, 1, 2)
METERS = {"density": ("onsets a beat", "loudness LU"), "dynamics": ("loudness LU", "centre Hz")}


def measured(inserter: Inserter, path: Path, seed: int, **control: float) -> dict[str, float]:
    """The meters of one stem."""
    record = json.loads(path.read_text())
    part = slice(int(START * RATE), int((START + SECONDS) * RATE))
    context = np.load(path.with_suffix(".context.npy"), mmap_mode="r")[:, part].sum(axis=0) / 32768
    beats = np.array(record["beats"]) - START
    inside = (beats >= 0) & (beats < SECONDS)
    grid = BeatGrid(beats[inside], np.array(record["positions"])[inside], record["beats_per_bar"])
    sentence = f"Add {record['style']} drums"
    stem = inserter.insert(context, RATE, sentence, seed=seed, beats=grid, **control).stem
    onsets = onset_times(onset_envelope(stem, RATE))
    return {
        "onsets a beat": onsets_per_beat(grid.times, onsets),
        "loudness LU": loudness_relation(stem, context, RATE),
        "centre Hz": spectral_centroid(stem, RATE),
    }


def main() -> None:
    """Measure what is missing in the file and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("controls.jsonl"))
    args = parser.parse_args()
    paths = [
        path
        for path in sorted(args.songs.glob("*.json"))
        if json.loads(path.read_text())["split"] == args.split
    ]
    order = np.random.default_rng(0).permutation(len(paths))[: args.count]
    lines = args.output.read_text().splitlines() if args.output.exists() else []
    found = {tuple(row["key"]): row for row in map(json.loads, lines)}
    inserter = Inserter.load()
    for i, seed, control, x in product(order, range(args.seeds), METERS, SETTINGS):
        key = (paths[i].stem, seed, control if x else "none", x)
        if key not in found:
            asked = {control: x} if x else {}
            found[key] = measured(inserter, paths[i], seed, **asked) | {"key": key}
            with args.output.open("a") as file:
                file.write(json.dumps(found[key]) + "\n")
    names = [paths[i].stem for i in order]
    print("| control: meter | -2 | -1 | 0 | 1 | 2 | each stem | song means | pooled |")
    print("|---|---|---|---|---|---|---|---|---|")
    for control, meters in METERS.items():
        for meter in meters:
            values = np.array([
                [[found[name, s, control if x else "none", x][meter] for x in SETTINGS]
                 for s in range(args.seeds)] for name in names
            ])  # fmt: skip
            _report(control, meter, values)


def _report(control: str, meter: str, values: np.ndarray) -> None:
    """`values` is (song, seed, setting)."""
    means = " | ".join(f"{value:.2f}" for value in values.mean(axis=(0, 1)))
    each = np.mean([_spearman(SETTINGS, v) for v in values.reshape(-1, len(SETTINGS))])
    song = np.mean([_spearman(SETTINGS, v) for v in values.mean(axis=1)])
    free = (values - values.mean(axis=(1, 2), keepdims=True)).ravel()
    pooled = _spearman(np.tile(SETTINGS, values.size // len(SETTINGS)), free)
    print(f"| {control}: {meter} | {means} | {each:.2f} | {song:.2f} | {pooled:.2f} |")


def _spearman(settings: ArrayLike, values: np.ndarray) -> float:
    """Spearman's correlation; 0 where nothing moves."""
    return float(spearmanr(settings, values).statistic) if np.ptp(values) > 0 else 0.0


if __name__ == "__main__":
    main()
