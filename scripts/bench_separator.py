"""Rendered songs of the test split (and a real song's stems) in, SI-SDR of drums separators out."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import librosa
import numpy as np

from restem.audio.drums_separator import DrumsSeparator
from restem.dataset.record import AudioRef
from restem.dataset.sources.reading import read_reference
from restem.evaluation.intervals import scored_mean
from restem.evaluation.separation import si_sdr

RATE, SECONDS = 44100, 10


def hpss(mix: np.ndarray) -> np.ndarray:
    """librosa's percussive part with its own defaults (2,048 samples, margin 1)."""
    return np.asarray(librosa.effects.hpss(mix)[1])


def rendered(folder: Path, most: int):
    """(context, drums) of ten seconds from the middle of each test song."""
    for path in [p for p in sorted(folder.glob("*.json")) if '"split": "test"' in p.read_text()][
        :most
    ]:
        record = json.loads(path.read_text())
        start = max(0, (record["samples"] - SECONDS * RATE) // 2)
        cut = slice(start, start + SECONDS * RATE)
        context = np.load(path.with_suffix(".context.npy"), mmap_mode="r")[:, cut]
        drums = np.load(path.with_suffix(".drums.npy"), mmap_mode="r")[0, cut]
        yield context.astype(np.float32).sum(axis=0) / 32768, drums.astype(np.float32) / 32768


def real(context: Path, drums: Path):
    """The same, of every ten seconds of two aligned files."""
    waves = [read_reference(AudioRef(str(path))).mean(axis=1) for path in (context, drums)]
    for start in range(0, min(map(len, waves)) - SECONDS * RATE + 1, SECONDS * RATE):
        yield tuple(wave[start : start + SECONDS * RATE] for wave in waves)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("songs", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--real", type=Path, nargs=2, metavar=("CONTEXT", "DRUMS"))
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    ours = DrumsSeparator(args.model)
    ways = {
        "the mix as it is": lambda mix: mix,
        "HPSS (librosa)": hpss,
        f"ours ({ours.name})": lambda mix: ours.separate(np.stack([mix, mix], 1))["drums"][:, 0],
    }
    sets = {"rendered, test styles": rendered(args.songs, args.most)}
    if args.real:
        sets["real song"] = real(*args.real)
    table = {}
    for title, pairs in sets.items():
        scores = {name: [] for name in ways}
        seconds = dict.fromkeys(ways, 0.0)
        for context, drums in pairs:
            if np.sqrt(np.mean(drums**2)) < 1e-3 or not np.any(context):
                continue  # no drums to find
            for name, way in ways.items():
                began = time.process_time()
                found = way(context + drums)
                seconds[name] += time.process_time() - began
                scores[name].append(si_sdr(drums, found))
        for name, values in scores.items():
            mean = scored_mean(values)
            better = float(np.mean(np.array(values) > np.array(scores["HPSS (librosa)"])))
            speed = len(values) * SECONDS / max(seconds[name], 1e-9)
            row = {"si_sdr": mean.value, "low": mean.low, "high": mean.high, "clips": len(values),
                   "median": float(np.median(values)), "better_than_hpss": better,
                   "times_real_time": speed}  # fmt: skip
            table[f"{title} | {name}"] = row
            print(f"{title:<24}{name:<30}{mean.value:6.2f} dB [{mean.low:.2f}, {mean.high:.2f}]  "
                  f"{len(values)} clips, better than HPSS on {better:.0%}, {speed:.0f}x",
                  flush=True)  # fmt: skip
    if args.output:
        args.output.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
