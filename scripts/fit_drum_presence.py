"""Fit restem's small judge of whether a song has drums already, on song features.

    python scripts/fit_drum_presence.py FEATURES

Writes src/restem/models/drum_presence.json and prints the error on the validation styles.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from restem.audio.presence import presence_features
from restem.dataset.features import bytes_to_mels
from restem.dataset.songs import Song, read_songs
from restem.tokens import TokenConfig

FRAMES = 1500
MELS = TokenConfig().spectrogram.mels


def examples(songs: list[Song], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels: each song once without and once with one of its drum takes."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for song in songs:
        count = int(rng.integers(1, song.stems + 1))
        kept = rng.permutation(song.stems)[:count]
        gains = rng.uniform(-6, 6, count)
        power = sum(
            10 ** ((bytes_to_mels(song.context[k, :FRAMES, :MELS]) + g) / 10)
            for k, g in zip(kept, gains, strict=True)
        )
        take = int(rng.integers(len(song.record["takes"])))
        drums = 10 ** (bytes_to_mels(song.drums[take, :FRAMES, :MELS]) / 10)
        if drums.sum() < 1e-6:
            continue
        relative = 10 ** (rng.uniform(-10, 3) / 10) * power.sum() / drums.sum()
        tilt = 10 ** (np.linspace(0, rng.uniform(-15, 8), power.shape[1]) / 10)
        for label, mix in ((0, power), (1, power + relative * drums)):
            rows.append(presence_features(10 * np.log10(mix * tilt + 1e-12)))
            labels.append(label)
    return np.array(rows), np.array(labels)


def main() -> None:
    """Fit, report and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("src/restem/models/drum_presence.json")
    )
    args = parser.parse_args()
    x, y = examples(read_songs(args.features, "train"), 0)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = (x - mean) / scale

    def loss(w: np.ndarray) -> float:
        margin = (2 * y - 1) * (z @ w[:-1] + w[-1])
        return float(np.logaddexp(0, -margin).mean() + 1e-3 * w[:-1] @ w[:-1])

    best = minimize(loss, np.zeros(z.shape[1] + 1), method="L-BFGS-B").x
    for split in ("train", "validation"):
        x, y = examples(read_songs(args.features, split), 1)
        heard = ((x - mean) / scale) @ best[:-1] + best[-1] > 0
        print(
            f"{split}: {len(y)} examples, with drums heard {heard[y == 1].mean():.3f}, "
            f"without drums heard wrongly {heard[y == 0].mean():.3f}"
        )
    rounded = {"mean": mean, "scale": scale, "weights": best[:-1]}
    args.output.write_text(
        json.dumps(
            {
                "note": "written by scripts/fit_drum_presence.py",
                **{k: [round(float(v), 6) for v in value] for k, value in rounded.items()},
                "bias": round(float(best[-1]), 6),
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
