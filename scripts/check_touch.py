"""Velocities and timing of MIDI drums beside those of drummers, on strokes kept for validation.

    python scripts/check_touch.py GROOVE_MIDI [--count 80]

The strokes of performances are laid on the grid and played by the package's touch, seed 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from restem.dataset.drums import DrumSource, read_groove_midi
from restem.symbolic.performance import Touch, play
from restem.symbolic.rolls import STEPS_PER_QUARTER, planes_from_notes, snapped


def played(touch: Touch, source: DrumSource) -> tuple[np.ndarray, np.ndarray]:
    """(stroke, 2) of the drummer and of the touch: velocity, distance from the grid in quarters."""
    notes = source.notes
    place = np.maximum(snapped(notes[:, 0] * STEPS_PER_QUARTER), 0)
    length = source.quarters_per_bar * STEPS_PER_QUARTER
    count = int(place.max() // length) + 1
    bars = np.array([(i * length, length, source.quarters_per_bar, 4) for i in range(count)])
    cells = np.stack([place, place + 1, notes[:, 2].astype(np.int64)], axis=1)
    made = play(touch, planes_from_notes(cells, count * length), bars, seed=0)
    drummer = np.stack([notes[:, 3], notes[:, 0] - place / STEPS_PER_QUARTER], axis=1)
    return drummer, made[:, 2:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("groove_midi", type=Path)
    parser.add_argument("--count", type=int, default=80)
    args = parser.parse_args()
    kept = [s for s in read_groove_midi(args.groove_midi) if s.split != "train"][: args.count]
    pairs = [played(Touch.load(), source) for source in kept]
    for name, index in (("drummers", 0), ("restem", 1)):
        velocity, offset = np.concatenate([pair[index] for pair in pairs]).T
        print(
            f"{name}: {len(velocity)} strokes, velocity {velocity.mean():.1f} ± "
            f"{velocity.std():.1f}, {np.mean(velocity < 10):.3f} below 10; "
            f"{np.median(np.abs(offset)):.4f} quarters from the grid in the median"
        )


if __name__ == "__main__":
    main()
