"""Rendered songs with drums in; which sound tells their beats best, and what removal leaves, out.

python scripts/bench_restyle.py SONGS [--split validation]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from restem.audio.beats import BeatGrid
from restem.audio.drums_separator import DrumsSeparator
from restem.audio.tracking import (
    band_powers,
    beat_log_odds,
    grid_from_log_odds,
    tracker_features,
)
from restem.evaluation.beats import beat_f, best_beat_f
from restem.evaluation.intervals import scored_mean
from restem.evaluation.separation import si_sdr
from restem.restyle.removal import remove_stem

RATE = 44100


def read_song(record: dict, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Context and drums, (sample,), the drums at the level that they were rendered with."""
    context = np.load(path.with_suffix(".context.npy")).astype(np.float32).sum(axis=0) / 32768
    return context, np.load(path.with_suffix(".drums.npy"))[0].astype(np.float32) / 32768


def heard(wave: np.ndarray) -> np.ndarray:
    """Log-odds of beat and downbeat, (frame, 2)."""
    return beat_log_odds(tracker_features(band_powers(wave)))


def beat_scores(grid: BeatGrid, record: dict) -> dict[str, float]:
    """Beat F, the same over metrical levels, and downbeat F, at 70 ms."""
    beats, first = np.array(record["beats"]), np.array(record["positions"]) == 1
    times = grid.times[grid.times < record["samples"] / RATE]
    marks = grid.downbeats[grid.downbeats < record["samples"] / RATE]
    return {
        "beat F": beat_f(beats, times),
        "best over levels": best_beat_f(beats, times).value,
        "downbeat F": beat_f(beats[first], marks),
        "confidence": grid.confidence,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--split", default="validation")
    args = parser.parse_args()
    separator = DrumsSeparator()
    rows: dict[str, dict[str, list[float]]] = {}
    for path in sorted(args.songs.glob("*.json")):
        record = json.loads(path.read_text())
        if record["split"] != args.split:
            continue
        context, drums = read_song(record, path)
        if np.sqrt(np.mean(drums**2)) < 1e-3:
            continue  # no drums to find
        left = (context + drums).astype(np.float64)[:, None]
        remove_stem(left, RATE, "drums", separator)
        true, full, kept = map(heard, (context, context + drums, left[:, 0]))
        ways = {
            "true context": true,
            "full song": full,
            "separated context": kept,
            "full song and true context": (full + true) / 2,
            "full song and separated context": (full + kept) / 2,
            "beats of full, bars of separated": np.stack([full[:, 0], kept[:, 1]], axis=1),
        }
        for name, log_odds in ways.items():
            grid = grid_from_log_odds(log_odds, record["samples"] / RATE)
            for key, value in beat_scores(grid, record).items():
                rows.setdefault(name, {}).setdefault(key, []).append(value)
        for name, wave in (("full song", context + drums), ("separated context", left[:, 0])):
            rows[name].setdefault("SI-SDR of the context, dB", []).append(si_sdr(context, wave))
    for name, scores in rows.items():
        means = {key: scored_mean(values) for key, values in scores.items()}
        print(f"{name} ({len(scores['beat F'])} songs)")
        for key, mean in means.items():
            print(f"  {key}: {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]")


if __name__ == "__main__":
    main()
