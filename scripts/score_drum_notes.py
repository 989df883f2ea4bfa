"""Clips of `render_drum_notes.py` in; precision, recall, F and confusions of each drum out.

    python scripts/score_drum_notes.py WORK [--unseen]

The tests are performances and kits that were neither trained on nor used for the thresholds. Those
of `--unseen` are for the weights that ship, once: others than what was looked at on the way.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from restem.audio.drum_notes import (
    DRUMS,
    PITCHES,
    DrumNotes,
    Weights,
    heard_by,
    loudest,
    note_features,
    pick_notes,
    shipped,
)

SEEN = {
    "test": "held-out performances, pairs of SoundFont and kit",
    "test-songs": "songs of held-out style files, pairs of SoundFont and kit",
    "test-kits": "held-out performances, sample kits of other makers",
    "validation": "those of the thresholds",
}
UNSEEN = {
    "untouched": SEEN["test"],
    "untouched-songs": SEEN["test-songs"],
    "untouched-games": "songs of games, pairs of SoundFont and kit",
    "untouched-kits": "held-out performances, kits of other makers",
}
NEAR_S = 0.03  # strokes of one drum that are closer are one; also what counts as found


def read(folder: Path, split: str) -> list[dict]:
    """Clips with levels in dB."""
    return [c for p in sorted(folder.glob(f"{split}-[0-9]*.npz")) for c in read_one(p)]


def read_one(path: Path) -> list[dict]:
    """A clip, or none if it holds too little."""
    with np.load(path) as data:
        clip = dict(data) | {"levels": data["levels"].astype(np.float32) / 3 - 80}
    return [clip] if len(clip["notes"]) and len(clip["levels"]) > 150 else []


def said(clip: dict, networks: list[Weights]) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds and velocities (frame, kind) of a clip."""
    levels = clip["levels"]
    return heard_by(networks, note_features(levels, loudest(levels)))


def counts(clips: list[dict], found: list) -> dict[str, np.ndarray]:
    """drum -> (right, found, true): each true stroke is matched once, within 30 ms.

    What is heard where only other percussion plays, such as a shaker or a conga, does not count.
    """
    total = {drum: np.zeros(3) for drum in dict.fromkeys(DRUMS)}
    for c, notes in zip(clips, found, strict=True):
        for drum in total:
            pitches = [p for p, name in zip(PITCHES, DRUMS, strict=True) if name == drum]
            kinds = [k for k, name in enumerate(DRUMS) if name == drum]
            true = apart(c["notes"][np.isin(c["notes"][:, 1], kinds), 0])
            made = apart(notes.times[np.isin(notes.pitches, pitches)])
            made = made[near(made, true) | ~near(made, c.get("others", np.zeros(0)))]
            total[drum] += (matched(true, made), len(made), len(true))
    return total


def near(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which times have one of the others within 30 ms."""
    return (np.abs(times[:, None] - others[None, :]) <= NEAR_S).any(axis=1)


def apart(times: np.ndarray) -> np.ndarray:
    """Times in order without those within 30 ms of the one before."""
    kept: list[float] = []
    for time in np.sort(times):
        if not kept or time - kept[-1] > NEAR_S:
            kept.append(float(time))
    return np.array(kept)


def matched(true: np.ndarray, made: np.ndarray, reach: float = NEAR_S) -> int:
    """How many pairs within `reach` seconds there are, each time used once; both in order."""
    i = j = pairs = 0
    while i < len(true) and j < len(made):
        if abs(true[i] - made[j]) <= reach:
            i, j, pairs = i + 1, j + 1, pairs + 1
        elif true[i] < made[j]:
            i += 1
        else:
            j += 1
    return pairs


def f_of(count: np.ndarray) -> float:
    """F of (right, found, true)."""
    return float(2 * count[0] / max(count[1] + count[2], 1))


def strokes(notes: np.ndarray, drum: str) -> np.ndarray:
    """Those true notes (time, kind, velocity) that are of a drum."""
    return notes[[DRUMS[int(kind)] == drum for kind in notes[:, 1]]]


def confusions(clips: list[dict], found: list[DrumNotes]) -> None:
    """What was truly struck where a drum was heard wrongly; how hard the missed strokes were."""
    for drum in dict.fromkeys(DRUMS):
        instead: Counter[str] = Counter()
        missed, struck = [], []
        for c, notes in zip(clips, found, strict=True):
            own = strokes(c["notes"], drum)
            same = np.isin(
                notes.pitches, [p for p, n in zip(PITCHES, DRUMS, strict=True) if n == drum]
            )
            for time in notes.times[same]:
                if not (np.abs(own[:, 0] - time) <= NEAR_S).any():
                    near = c["notes"][np.abs(c["notes"][:, 0] - time) <= NEAR_S]
                    instead[
                        " and ".join(sorted({DRUMS[int(k)] for k in near[:, 1]})) or "nothing"
                    ] += 1
            for time, _, velocity in own:
                gone = not (np.abs(notes.times[same] - time) <= NEAR_S).any()
                struck.append(velocity)
                missed += [velocity] if gone else []
        print(f"  heard as {drum}, truly: {dict(instead.most_common(5))}")
        bins = (0, 15, 30, 60, 128)
        share = np.histogram(missed, bins)[0] / np.maximum(np.histogram(struck, bins)[0], 1)
        print(f"    missed of velocity under 15, 30, 60 and above: {share.round(3)}")


def velocities(clips: list[dict], found: list[DrumNotes]) -> None:
    """Correlation of heard with true velocities of each drum's found strokes."""
    for drum in dict.fromkeys(DRUMS):
        pairs = []
        for c, notes in zip(clips, found, strict=True):
            same = np.isin(
                notes.pitches, [p for p, n in zip(PITCHES, DRUMS, strict=True) if n == drum]
            )
            times, hard = notes.times[same], notes.velocities[same]
            for time, _, velocity in strokes(c["notes"], drum):
                gap = np.abs(times - time)
                if len(gap) and gap.min() <= NEAR_S:
                    pairs.append((velocity, hard[int(gap.argmin())]))
        print(f"  {drum}: correlation of velocities {np.corrcoef(np.array(pairs).T)[0, 1]:.2f}")


def table(name: str, clips: list[dict]) -> None:
    """Precision, recall and F of each drum; recall without the softest strokes."""
    found = [c["found"] for c in clips]
    loud = counts([c | {"notes": c["notes"][c["notes"][:, 2] >= 25]} for c in clips], found)
    print(f"{name}: {len(clips)} clips")
    for drum, count in counts(clips, found).items():
        right, made, true = count
        firm = loud[drum][0] / max(loud[drum][2], 1)
        print(
            f"  {drum:<8} precision {right / max(made, 1):.3f}  recall {right / max(true, 1):.3f}"
            f"  F {f_of(count):.3f}  {int(true)} strokes, recall from velocity 25 on {firm:.3f}"
        )


def main() -> None:
    """Print the table of each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--unseen", action="store_true")
    args = parser.parse_args()
    networks, thresholds = shipped()
    sets = {}
    for splits, name in (UNSEEN if args.unseen else SEEN).items():
        sets[splits] = [clip for split in splits.split() for clip in read(args.work, split)]
        for c in sets[splits]:
            c["found"] = pick_notes(*said(c, networks), thresholds)
        table(name, sets[splits])
    test = [c for name, clips in sets.items() if name != "validation" for c in clips]
    table("performances and songs", [c for name in list(sets)[:2] for c in sets[name]])
    table("all tests, as rendered", [c for c in test if not c["drawn"]])
    table("all tests, drawn and turned to sound again", [c for c in test if c["drawn"]])
    confusions(test, [c["found"] for c in test])
    velocities(test, [c["found"] for c in test])


if __name__ == "__main__":
    main()
