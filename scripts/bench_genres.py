"""The drums genre by genre, and on bright synthesisers, where the paper's model failed.

    python scripts/bench_genres.py SONGS [--count 114] [-o report.json]

SONGS is a folder of `restem dataset render --split test --seconds 24`. Each song's drums are made
by "Add STYLE drums" at its true beats and stand beside its true drums: librosa's beat F of both,
and strokes a beat as `audio.drum_notes` hears them in both.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from restem import Inserter
from restem.audio.drum_notes import PITCHES, hear_drums
from restem.evaluation.beats import beat_f, librosa_beats
from restem.evaluation.intervals import scored_mean
from restem.evaluation.loudness import spectral_centroid
from restem.evaluation.onsets import onset_correlation, onset_envelope

sys.path.insert(0, str(Path(__file__).parent))
from bench_insertion import RATE, SECONDS, Stretch, rendered_stretches

SYNTHS = range(80, 104)  # General MIDI's synth leads, pads and effects
CYMBALS, HATS = PITCHES[6:], PITCHES[2:4]


def strokes(stem: np.ndarray, beats: int) -> dict[str, float]:
    """Strokes a beat of cymbals, and of cymbals and hats."""
    pitches = hear_drums(stem).pitches
    cymbals = float(np.isin(pitches, CYMBALS).sum())
    return {
        "cymbals": cymbals / beats,
        "cymbals and hats": (cymbals + float(np.isin(pitches, HATS).sum())) / beats,
    }


def scores(inserter: Inserter, s: Stretch) -> dict[str, float]:
    """All columns of one song."""
    made = inserter.insert(s.context, RATE, s.sentence, beats=s.grid).stem
    row = {
        "onsets like true drums": onset_correlation(
            onset_envelope(s.drums, RATE), onset_envelope(made, RATE)
        )
    }
    for name, stem in (("made", made), ("true", s.drums)):
        row[f"beat F, {name}"] = beat_f(s.beats, librosa_beats(stem, RATE))
        for drum, value in strokes(stem, len(s.beats)).items():
            row[f"{drum} a beat, {name}"] = value
        row[f"centroid Hz, {name}"] = spectral_centroid(stem, RATE)
    return row


def main() -> None:
    """Measure every song, print a row a genre and the rows of bright synthesisers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("songs", type=Path)
    parser.add_argument("--count", type=int, default=114)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    inserter = Inserter.load(args.model)
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    for s in rendered_stretches(args.songs, args.count):
        record = json.loads((args.songs / f"{s.name}.json").read_text())
        family = record["takes"][0]["family"]
        bright = any(stem["program"] in SYNTHS for stem in record["stems"])
        row = scores(inserter, s)
        groups[family].append(row)
        if bright:
            groups["with bright synths"].append(row)
        if bright and family == "electronic":
            groups["electronic with bright synths"].append(row)
        groups["all"].append(row)
    columns = list(groups["all"][0])
    print(f"{SECONDS:.0f} s of each song; the last column: cymbals a beat, made less true (95 %)\n")
    print("| genre | songs | " + " | ".join(columns) + " | cymbals, made less true |")
    print("|---" * (len(columns) + 3) + "|")
    out = {}
    for name, rows in groups.items():
        means = {c: float(np.nanmean([row[c] for row in rows])) for c in columns}
        more = scored_mean([r["cymbals a beat, made"] - r["cymbals a beat, true"] for r in rows])
        out[name] = {"songs": len(rows), **means, "more cymbals": [more.low, more.high]}
        cells = " | ".join(f"{means[c]:.0f}" if "Hz" in c else f"{means[c]:.2f}" for c in columns)
        ends = f"{more.value:+.2f} ({more.low:+.2f} to {more.high:+.2f})"
        print(f"| {name} | {len(rows)} | {cells} | {ends} |")
    if args.output:
        args.output.write_text(json.dumps(out, indent=2) + "\n")


if __name__ == "__main__":
    main()
