"""Can the joins of windows be heard, and does the groove stay? Two tables.

    python scripts/check_seams.py SONGS [--count 20] [-o FILE.json]

SONGS is a folder of `restem dataset render --seconds 24`; each song gets drums by its beats, twice.
Jumps are looked at where windows join and everywhere else: how far level (dB) and spectrum (mean
over mel bands, dB) differ from the 80 ms before to the 80 ms after. Joins have no fixed place in
the bar, so both sets see the same beats. A Mann-Whitney test compares them; its power is the share
of 500 draws in which it finds joins that were made larger by a quarter of the spread elsewhere. As
a positive control two versions of other sentences are cut together at the joins. Groove: the
correlation of the onsets at the sixteenths of bars of one song that lie 5 s or more apart.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from bench_insertion import RATE, markdown, rendered_stretches
from scipy.stats import mannwhitneyu

from restem import BeatGrid, Inserter
from restem.audio.spectrogram import log_mel
from restem.evaluation.intervals import scored_mean
from restem.evaluation.onsets import onset_correlation, onset_envelope
from restem.generation import NEW
from restem.tokens import TokenConfig

CONFIG = TokenConfig()
SIDE = 8  # frames of 10 ms before and after
FAR_S = 5.0
OTHER = "Add loud heavy metal drums"


def joins(frames: int) -> np.ndarray:
    """Frames at which a window begins: the first one makes what the kit leaves room for."""
    first = (CONFIG.window - CONFIG.anchor) * CONFIG.frames_per_token
    return np.arange(first, frames - SIDE, NEW * CONFIG.frames_per_token)


def jumps(stem: np.ndarray, rate: int = RATE) -> dict[str, np.ndarray]:
    """Jump of level and of spectrum (frame,) in dB at every frame that has both sides."""
    db = log_mel(stem.astype(np.float32), CONFIG.context_spectrogram)
    db = np.maximum(db, db.max() - 60)
    power = 10 ** (db / 10)
    sums = np.cumsum(np.concatenate([np.zeros((1, db.shape[1])), power]), axis=0)
    mean = (sums[SIDE:] - sums[:-SIDE]) / SIDE  # of frames t .. t + SIDE - 1
    before, after = mean[:-SIDE], mean[SIDE:]  # at frame t + SIDE
    level = np.abs(10 * np.log10(after.sum(axis=1) / before.sum(axis=1)))
    spectrum = np.abs(10 * np.log10(after / before)).mean(axis=1)
    edge = np.full(SIDE, np.nan)
    return {
        "level": np.concatenate([edge, level]),
        "spectrum": np.concatenate([edge, spectrum]),
    }


def cut_together(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The first until the first join, then the second until the next, and so on."""
    cut = first.copy()
    places = joins(1 + len(first) // 441) * 441
    for start, stop in zip(places[::2], [*places[1::2], len(first)], strict=False):
        cut[start:stop] = second[start:stop]
    return cut


def compared(at: np.ndarray, elsewhere: np.ndarray) -> dict[str, float]:
    """Medians, two-sided p, and the power to find a shift of a quarter of the spread."""
    rng = np.random.default_rng(0)
    shift = elsewhere.std() / 4
    found = sum(
        mannwhitneyu(rng.choice(elsewhere, len(at)) + shift, elsewhere).pvalue < 0.05
        for _ in range(500)
    )
    return {
        "joins": len(at),
        "median at joins, dB": float(np.median(at)),
        "median elsewhere, dB": float(np.median(elsewhere)),
        "p": float(mannwhitneyu(at, elsewhere).pvalue),
        "power": found / 500,
    }


def groove(stem: np.ndarray, grid: BeatGrid) -> float:
    """Mean correlation of the onsets at the sixteenths of far bars; NaN without such bars."""
    envelope, bars, starts = onset_envelope(stem, RATE), [], grid.downbeats
    for start, stop in pairwise(starts):
        steps = start + (stop - start) * np.arange(4 * grid.beats_per_bar) / 4 / grid.beats_per_bar
        frames = np.round(steps * 100).astype(int)[:, None] + np.arange(-2, 3)
        bars.append(envelope[np.clip(frames, 0, len(envelope) - 1)].max(axis=1))
    far = [
        onset_correlation(bars[i], bars[j])
        for i in range(len(bars))
        for j in range(i)
        if starts[i] - starts[j] >= FAR_S
    ]
    return float(np.mean(far)) if far else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("songs", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    inserter = Inserter.load()
    values: dict[tuple[str, str, bool], list[np.ndarray]] = {}
    grooves: dict[str, list[float]] = {"restem": [], "true drums": []}
    for s in rendered_stretches(args.songs, args.count):
        stem, other = (
            inserter.insert(s.context, RATE, words, beats=s.grid, seed=seed).stem
            for seed, words in enumerate((s.sentence, OTHER))
        )
        versions = {"restem": stem, "planted cuts": cut_together(stem, other), "true": s.drums}
        for name, wave in versions.items():
            for what, found in jumps(wave).items():
                at = np.zeros(len(found), bool)
                at[joins(len(found))] = True
                near = np.convolve(at, np.ones(4 * SIDE + 1), "same") > 0
                usable = np.isfinite(found)
                values.setdefault((name, what, True), []).append(found[at & usable])
                values.setdefault((name, what, False), []).append(found[~near & usable][::SIDE])
        grooves["restem"].append(groove(stem, s.grid))
        grooves["true drums"].append(groove(s.drums, s.grid))
    rows = {}
    for name, what, at in values:
        if at:
            pair = (np.concatenate(values[name, what, side]) for side in (True, False))
            rows[f"{name}: {what}"] = compared(*pair)
    print(markdown(rows), "\n")
    ours, true = (np.array(grooves[name]) for name in grooves)
    both = np.isfinite(ours) & np.isfinite(true)
    for name, found in (("restem", ours), ("true drums", true), ("difference", ours - true)):
        mean = scored_mean(found[both])
        print(f"groove, {name}: {mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f})")
    print(f"groove, restem over true drums: {ours[both].mean() / true[both].mean():.3f}")
    if args.output:
        args.output.write_text(json.dumps({"jumps": rows, "groove": grooves}, indent=2) + "\n")


if __name__ == "__main__":
    main()
