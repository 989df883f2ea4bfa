"""Pull the hits of made stems to the beat and measure how near they come; print a table.

    python scripts/check_tight.py SONGS [--split validation] [--count 24] [--seeds 2] [--seconds 20]

SONGS is a folder of `restem dataset render`. Stems for the beginning of each song at its true
beats, "Add STYLE drums"; each is turned into sound after five amounts of pull. librosa hears the
onsets, every 2.9 ms and late by a constant that is taken off: the median over all stems at full
pull. They are compared with the nearest sixteenth or triplet of the beats. Spearman's correlation
of amount and distance is taken as in check_controls.py: within each stem, over the means of each
song's seeds, and over all values free of their song's mean.
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


def made_onsets(
    path: Path, inserter: Inserter, seconds: float, seed: int
) -> tuple[BeatGrid, list[np.ndarray]]:
    """The beats of a song and, for each amount, the onsets of its stem."""
    record = json.loads(path.read_text())
    context = np.load(path.with_suffix(".context.npy"), mmap_mode="r")
    context = context[:, : int(seconds * RATE)].sum(axis=0) / 32768
    beats = np.array(record["beats"])
    inside = beats < seconds
    grid = BeatGrid(beats[inside], np.array(record["positions"])[inside], record["beats_per_bar"])
    loud = 0.1 / np.sqrt(np.mean(context**2))
    context_db = log_mel(np.float32(loud * context), inserter.model.tokens.context_spectrogram)
    rows = inserter.stem_mel(context_db, f"Add {record['style']} drums", grid, seed=seed)
    config = inserter.model.tokens.spectrogram
    sounds = (
        waveform_from_log_mel(tightened(rows, config, grid, a), config, len(rows) * config.hop)
        for a in AMOUNTS
    )
    return grid, [onsets_of(sound) for sound in sounds]


def offsets(onsets: np.ndarray, grid: BeatGrid, lag: float, parts: int) -> np.ndarray:
    """Seconds from the nearest mark, of `parts` to a beat."""
    at = np.arange(parts * (len(grid.times) - 1) + 1) / parts
    marks = np.interp(at, np.arange(len(grid.times)), grid.times)
    late = onsets[:, None] - lag - marks
    nearest = late[np.arange(len(late)), np.abs(late).argmin(axis=1)]
    return nearest[np.abs(nearest) < NEAR_S]


def division(each: list[np.ndarray], grid: BeatGrid, lag: float) -> int:
    """Sixteenths or triplets: what fits a stem's onsets best, at all amounts of pull together."""

    def misfit(parts: int) -> float:
        squares = [offsets(onsets, grid, lag, parts) ** 2 for onsets in each]
        return float(np.mean([late.sum() / max(len(late), 1) for late in squares]))

    return min((3, 4), key=misfit)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    paths = [
        path
        for path in sorted(args.songs.glob("*.json"))
        if json.loads(path.read_text())["split"] == args.split
    ]
    inserter = Inserter.load()
    order = np.random.default_rng(1).permutation(len(paths))[: args.count]
    made = [
        made_onsets(paths[i], inserter, args.seconds, seed)
        for i in order
        for seed in range(args.seeds)
    ]
    pulled = [offsets(each[-1], grid, 0.0, division(each, grid, 0.0)) for grid, each in made]
    lag = float(np.median(np.concatenate(pulled)))
    table = np.array([
        [_meters(grid, found - lag, division(each, grid, lag)) for found in each]
        for grid, each in made
    ])  # fmt: skip
    print(f"{len(order)} songs, {args.seeds} seeds; onsets are heard {1000 * lag:.1f} ms late")
    print("| tight | mean distance, ms | within 5 ms | beats hit 30 ms |\n|---|---|---|---|")
    for amount, row in zip(AMOUNTS, table.mean(axis=0), strict=True):
        print(f"| {amount:g} | {row[0]:.1f} | {row[1]:.2f} | {row[2]:.2f} |")
    _report(table[..., 0].reshape(len(order), args.seeds, len(AMOUNTS)))


def _meters(grid: BeatGrid, onsets: np.ndarray, parts: int) -> tuple[float, float, float]:
    """Mean distance in ms, the share of onsets within 5 ms, the share of beats that are hit."""
    late = np.abs(offsets(onsets, grid, 0.0, parts))
    return 1000 * late.mean(), (late < 0.005).mean(), beats_with_onset(grid.times, onsets, 0.03)


def _report(distance: np.ndarray) -> None:
    """`distance` is (song, seed, amount)."""
    each = [spearmanr(AMOUNTS, stem).statistic for song in distance for stem in song]
    songs = [spearmanr(AMOUNTS, song.mean(axis=0)).statistic for song in distance]
    free = (distance - distance.mean(axis=(1, 2), keepdims=True)).ravel()
    pooled = spearmanr(np.tile(AMOUNTS, len(free) // len(AMOUNTS)), free).statistic
    print(
        f"Spearman of amount and distance: single stems {np.mean(each):.3f}, "
        f"song means {np.mean(songs):.3f}, pooled {pooled:.3f}"
    )


if __name__ == "__main__":
    main()
