"""Measure what the sentence changes, over many contexts; print a table and draw a picture.

    python scripts/bench_text.py SONGS [--count 20] [--picture FILE] [-o report.json]

SONGS is a folder of `restem dataset render --split test`. The same context, beats and seed are used
for each sentence, so only the words differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from restem import Inserter
from restem.evaluation.loudness import loudness_relation, spectral_centroid
from restem.evaluation.onsets import (
    kick_on_beat_share,
    onset_envelope,
    onset_times,
    onsets_per_beat,
)
from restem.picture import draw_song

sys.path.insert(0, str(Path(__file__).parent))
from bench_insertion import RATE, markdown, rendered_stretches

SENTENCES = (
    "soft brushed jazz drums",
    "fast heavy metal drums",
    "four-on-the-floor house drums",
    "slow reggae drums",
)


def statistics(stem: np.ndarray, context: np.ndarray, beats: np.ndarray) -> dict[str, float]:
    """What a listener would name of a drum stem."""
    return {
        "onsets a beat": onsets_per_beat(beats, onset_times(onset_envelope(stem, RATE))),
        "centroid Hz": spectral_centroid(stem, RATE),
        "loudness LU": loudness_relation(stem, context, RATE),
        "kick on beats": kick_on_beat_share(stem, RATE, beats),
    }


def main() -> None:
    """Measure, print mean and standard error, draw the first context."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    inserter = Inserter.load(args.model)
    values: dict[str, dict[str, list[float]]] = {s: {} for s in SENTENCES}
    panels = []
    for i, stretch in enumerate(rendered_stretches(args.songs, args.count)):
        for sentence in SENTENCES:
            stem = inserter.insert(
                stretch.context, RATE, sentence, beats=stretch.grid, guidance=args.guidance
            ).stem
            for key, value in statistics(stem, stretch.context, stretch.beats).items():
                values[sentence].setdefault(key, []).append(value)
            if i == 0 and args.picture:
                panels.append(
                    draw_song(
                        stretch.context[:, None],
                        stem[:, None],
                        RATE,
                        stretch.grid,
                        "drums",
                        sentence,
                    )
                )
    rows = {}
    for sentence, columns in values.items():
        rows[sentence] = {}
        for key, column in columns.items():
            data = np.array(column)[np.isfinite(column)]
            rows[sentence][key] = float(data.mean())
            rows[sentence][f"± {key}"] = float(data.std(ddof=1) / np.sqrt(len(data)))
    print(markdown(rows))
    if args.output:
        args.output.write_text(json.dumps(rows, indent=2) + "\n")
    if args.picture:
        _stack(panels).save(args.picture)


def _stack(panels: list[Image.Image]) -> Image.Image:
    """The drum panels of all pictures under one another."""
    height = panels[0].height
    sheet = Image.new("RGB", (panels[0].width, height * len(panels) // 3 + 40), (18, 18, 24))
    draw = ImageDraw.Draw(sheet)
    band = height // 3
    for i, (sentence, panel) in enumerate(zip(SENTENCES, panels, strict=True)):
        sheet.paste(panel.crop((0, band + 30, panel.width, 2 * band + 10)), (0, i * band + 30))
        draw.text((70, i * band + 12), sentence, fill=(235, 235, 235))
    return sheet


if __name__ == "__main__":
    main()
