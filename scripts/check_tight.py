"""Pull the hits of made stems to the beat and measure how near they come; print a table.

    python scripts/check_tight.py SONGS [--split validation] [--count 24] [--seconds 20]

SONGS is a folder of `restem dataset render`. Stems for the beginning of each song at its true
beats, "Add STYLE drums", seed 0; each is turned into sound after five amounts of pull. librosa
hears the onsets, every 2.9 ms and late by a constant that is taken off: the median over all songs
at full pull. They are compared with the nearest sixteenth or triplet of the beats.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import librosa
import numpy as np
from scipy.stats import spearmanr

from restem import BeatGrid, Inserter
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.spectrogram import log_mel
from restem.audio.tightening import tightened
from restem.evaluation.onsets import beats_with_onset

RATE = 44100
HOP = 128
AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)
NEAR_S = 0.04  # what lies further from every mark was meant to


def onsets_of(sound: np.ndarray) -> np.ndarray:
    """Times in seconds, at least 30 ms apart."""
    strength = librosa.onset.onset_strength(y=sound, sr=RATE, hop_length=HOP, n_fft=1024)
    apart, around = (round(s * RATE / HOP) for s in (0.03, 0.1))
    return librosa.onset.onset_detect(
        onset_envelope=strength, sr=RATE, hop_length=HOP, units="time", delta=0.1, wait=apart,
        pre_max=apart, post_max=apart, pre_avg=around, post_avg=around,
    )  # fmt: skip


def made_onsets(path: Path, inserter: Inserter, seconds: float) -> tuple[BeatGrid, list]:
    """The beats of a song and, for each amount, the onsets of its stem."""
    record = json.loads(path.read_text())
    context = np.load(path.with_suffix(".context.npy"), mmap_mode="r")
    context = context[:, : int(seconds * RATE)].sum(axis=0) / 32768
    beats = np.array(record["beats"])
    inside = beats < seconds
    grid = BeatGrid(beats[inside], np.array(record["positions"])[inside], record["beats_per_bar"])
    loud = 0.1 / np.sqrt(np.mean(context**2))
    context_db = log_mel(np.float32(loud * context), inserter.model.tokens.context_spectrogram)
    rows = inserter.stem_mel(context_db, f"Add {record['style']} drums", grid)
    config = inserter.model.tokens.spectrogram
    sounds = (
        waveform_from_log_mel(tightened(rows, config, grid, a), config, len(rows) * config.hop)
        for a in AMOUNTS
    )
    return grid, [onsets_of(sound) for sound in sounds]


def offsets(onsets: np.ndarray, grid: BeatGrid, lag: float) -> np.ndarray:
    """Seconds from the nearest mark, of the division that fits, as a listener would choose it."""
    found = []
    for parts in (3, 4):
        at = np.arange(parts * (len(grid.times) - 1) + 1) / parts
        marks = np.interp(at, np.arange(len(grid.times)), grid.times)
        late = onsets[:, None] - lag - marks
        nearest = late[np.arange(len(late)), np.abs(late).argmin(axis=1)]
        found.append(nearest[np.abs(nearest) < NEAR_S])
    return min(found, key=lambda late: float(np.mean(late**2)) / max(len(late), 1))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    paths = [
        path
        for path in sorted(args.songs.glob("*.json"))
        if json.loads(path.read_text())["split"] == args.split
    ]
    inserter = Inserter.load()
    order = np.random.default_rng(1).permutation(len(paths))[: args.count]
    made = [made_onsets(paths[i], inserter, args.seconds) for i in order]
    lag = float(np.median(np.concatenate([offsets(each[-1], grid, 0.0) for grid, each in made])))
    table = []  # (song, amount, score)
    for grid, each in made:
        late = [offsets(onsets, grid, lag) for onsets in each]
        hits = [beats_with_onset(grid.times, onsets - lag, 0.03) for onsets in each]
        table.append([
            (1000 * np.abs(d).mean(), (np.abs(d) < 0.005).mean(), h)
            for d, h in zip(late, hits, strict=True)
        ])  # fmt: skip
    print(f"{len(made)} songs; onsets are heard {1000 * lag:.1f} ms late")
    print("| tight | mean distance, ms | within 5 ms | beats hit 30 ms |\n|---|---|---|---|")
    for amount, row in zip(AMOUNTS, np.mean(table, axis=0), strict=True):
        print(f"| {amount:g} | {row[0]:.1f} | {row[1]:.2f} | {row[2]:.2f} |")
    each = [spearmanr(AMOUNTS, [row[0] for row in song]).statistic for song in table]
    print(f"Spearman of the amount and the distance, mean of songs: {np.mean(each):.3f}")


if __name__ == "__main__":
    main()
