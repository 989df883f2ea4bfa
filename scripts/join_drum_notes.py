"""Networks of `train_drum_notes.py` in; the package's weights, with their thresholds, out.

    python scripts/join_drum_notes.py WORK NETWORK.npz [NETWORK.npz ...]

The thresholds are those that give the best F of each drum on the validation clips of WORK, by
kits and pairs that are neither trained on nor tested.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from score_drum_notes import counts, f_of, read, said

from restem.audio.drum_notes import DRUMS, PITCHES, Weights, pick_notes

SHIPPED = Path("src/restem/models/drum_notes.npz")
LEVELS = np.linspace(-3, 1.5, 19)


def thresholds(clips: list[dict], networks: list[Weights]) -> np.ndarray:
    """Log-odds (kind,) that give the best F of each drum on some clips."""
    heard = [said(c, networks) for c in clips]
    best, scores = np.zeros(len(PITCHES), np.float32), []
    for bar in LEVELS:
        found = [pick_notes(*h, np.full(len(PITCHES), bar, np.float32)) for h in heard]
        scores.append({drum: f_of(count) for drum, count in counts(clips, found).items()})
    for drum in scores[0]:
        own = [score[drum] for score in scores]
        best[[name == drum for name in DRUMS]] = LEVELS[int(np.argmax(own))]
        print(f"{drum}: validation F {max(own):.3f} at {LEVELS[int(np.argmax(own))]}")
    return best


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("network", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    args = parser.parse_args()
    kept = []
    for path in args.network:
        with np.load(path) as file:
            kept.append({name: file[name] for name in file.files if name != "thresholds"})
    networks = [{name: w.astype(np.float32) for name, w in own.items()} for own in kept]
    arrays = {f"{n}.{name}": value for n, own in enumerate(kept) for name, value in own.items()}
    arrays["thresholds"] = thresholds(read(args.work, "validation"), networks)
    np.savez_compressed(args.output, **arrays)
    print(f"{args.output}: {args.output.stat().st_size} bytes, {len(networks)} networks")


if __name__ == "__main__":
    main()
