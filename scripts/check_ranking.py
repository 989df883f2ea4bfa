"""Ask the ranker to choose between aligned and broken drums, many times; print a table.

    python scripts/check_ranking.py SONGS [--split validation] [--trials 200]

SONGS is a folder of `restem dataset render`. A trial takes 12 s of a song with its true drums, at a
level such as made stems have (normal, -6 LU to the context, spread 3), beside the same drums
broken: late by 0.12 to 0.88 of a beat, 5 to 18 % too fast or too slow, 12 to 24 LU too loud or too
soft, or those of another song.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from scipy.stats import beta

from restem.evaluation.loudness import loudness_relation
from restem.ranking import ranked

RATE = 44100
SECONDS = 12


@dataclass(frozen=True, eq=False)
class Song:
    """The start of a song: context and true drums (sample,), its beats in seconds."""

    context: np.ndarray
    drums: np.ndarray
    beats: np.ndarray
    bpm: float


def songs(folder: Path, split: str) -> Iterator[Song]:
    """All songs of a split whose drums sound."""
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if record["split"] != split:
            continue
        part = slice(0, SECONDS * RATE)
        context = np.load(path.with_suffix(".context.npy"), mmap_mode="r")[:, part].sum(axis=0)
        drums = np.load(path.with_suffix(".drums.npy"), mmap_mode="r")[0, part]
        beats = np.array(record["beats"])
        found = Song(context / 32768, drums / 32768, beats[beats < SECONDS], record["bpm"])
        if np.isfinite(loudness_relation(found.drums, found.context, RATE)):
            yield found


def levelled(drums: np.ndarray, context: np.ndarray, relation_lu: float) -> np.ndarray:
    """The drums at a loudness to the context."""
    return drums * 10 ** ((relation_lu - loudness_relation(drums, context, RATE)) / 20)


def broken(how: str, song: Song, other: Song, level: float, rng: np.random.Generator) -> np.ndarray:
    """The drums of `song` with one fault, as long as its context."""
    drums = song.drums
    if how == "late":
        drums = np.roll(drums, int(rng.uniform(0.12, 0.88) * 60 / song.bpm * RATE))
    elif how == "wrong tempo":
        speed = rng.choice([rng.uniform(0.85, 0.95), rng.uniform(1.05, 1.18)])
        drums = np.interp(
            np.arange(len(drums)) * speed % (len(drums) - 1), np.arange(len(drums)), drums
        )
    elif how == "another song's":
        drums = np.resize(other.drums, len(drums))
    else:
        level += rng.choice([-1, 1]) * rng.uniform(12, 24)
    return levelled(drums, song.context, level)


def main() -> None:
    """Run the trials and print how often the aligned drums are preferred."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--trials", type=int, default=200)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    found = list(songs(args.songs, args.split))
    hows = ("late", "wrong tempo", "wrong level", "another song's")
    right: dict[str, list[bool]] = {how: [] for how in hows}
    for i, song in enumerate(islice(cycle(found), args.trials)):
        how, level = hows[i % len(hows)], rng.normal(-6, 3)
        worse = broken(how, song, found[(i + len(found) // 2) % len(found)], level, rng)
        takes = np.stack([worse, levelled(song.drums, song.context, level)])
        right[how].append(ranked(takes, song.context, RATE, song.beats)[0].take == 1)
    print(f"{len(found)} songs\n\n| fault | trials | aligned preferred |\n|---|---|---|")
    for how, results in {**right, "all": [r for rs in right.values() for r in rs]}.items():
        n, k = len(results), sum(results)
        low, high = beta.ppf(0.025, k, n - k + 1), beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
        print(f"| {how} | {n} | {k / n:.3f} ({low:.3f} to {high:.3f}) |")


if __name__ == "__main__":
    main()
