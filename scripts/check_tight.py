"""Pull the hits of made stems to the beat and measure how near they come; print a table.

    python scripts/check_tight.py SONGS [--split validation] [--count 4]

SONGS is a folder of `restem dataset render`. Stems for 5.12 s of each song at its true beats, "Add
STYLE drums", seed 0; each is turned into sound after no, half and full pull. Onsets are heard by
the evaluation, every 10 ms, and compared with the nearest sixteenth or triplet of the beats.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from restem import BeatGrid, Inserter
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.spectrogram import log_mel
from restem.audio.tightening import tightened
from restem.evaluation.onsets import beats_with_onset, onset_envelope, onset_times

RATE = 44100
SECONDS = 5.12
AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def scores(rows: np.ndarray, inserter: Inserter, grid: BeatGrid) -> list[tuple[float, ...]]:
    """For each amount: mean distance to a mark in ms, share within 10 ms, beats hit at 30 ms."""
    config = inserter.model.tokens.spectrogram
    found = []
    for amount in AMOUNTS:
        pulled = tightened(rows, config, grid, amount)
        sound = waveform_from_log_mel(pulled, config, int(SECONDS * RATE))
        onsets = onset_times(onset_envelope(sound, RATE))
        distances = []
        for parts in (3, 4):  # the division that fits, as a listener would choose it
            at = np.arange(parts * (len(grid.times) - 1) + 1) / parts
            marks = np.interp(at, np.arange(len(grid.times)), grid.times)
            inside = onsets[(onsets > marks[0] - 0.04) & (onsets < marks[-1] + 0.04)]
            distances.append(np.abs(inside[:, None] - marks).min(axis=1))
        away = min(distances, key=lambda d: float(np.mean(d**2)))
        hits = beats_with_onset(grid.times, onsets, 0.03)
        found.append((1000 * float(np.mean(away)), float(np.mean(away < 0.0101)), hits))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--count", type=int, default=4)
    args = parser.parse_args()
    paths = [
        path
        for path in sorted(args.songs.glob("*.json"))
        if json.loads(path.read_text())["split"] == args.split
    ]
    inserter, values = Inserter.load(), []
    for i in np.random.default_rng(1).permutation(len(paths))[: args.count]:
        record = json.loads(paths[i].read_text())
        context = np.load(paths[i].with_suffix(".context.npy"), mmap_mode="r")
        context = context[:, : int(SECONDS * RATE)].sum(axis=0) / 32768
        beats = np.array(record["beats"])
        inside = beats < SECONDS
        grid = BeatGrid(
            beats[inside], np.array(record["positions"])[inside], record["beats_per_bar"]
        )
        loud = 0.1 / np.sqrt(np.mean(context**2))
        context_db = log_mel(np.float32(loud * context), inserter.model.tokens.context_spectrogram)
        rows = inserter.stem_mel(context_db, f"Add {record['style']} drums", grid)
        values.append(scores(rows, inserter, grid))
    table = np.array(values)  # (song, amount, score)
    print("| tight | mean distance, ms | within 10 ms | beats hit 30 ms |\n|---|---|---|---|")
    for amount, row in zip(AMOUNTS, table.mean(axis=0), strict=True):
        print(f"| {amount:g} | {row[0]:.1f} | {row[1]:.2f} | {row[2]:.2f} |")
    each = [spearmanr(AMOUNTS, -song[:, 0]).statistic for song in table]
    print(f"Spearman of the amount and the distance, mean of songs: {-np.mean(each):.2f}")


if __name__ == "__main__":
    main()
