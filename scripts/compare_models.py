"""Compare drum models on clips of validation songs, to choose between them; print one table.

    python scripts/compare_models.py SONGS MODEL [MODEL …] --clips 60 -o FOLDER

SONGS is a folder of `restem dataset render --split validation --seconds 24`; MODEL is `embedded`,
or a folder of `restem train export`. What is there already is not made again, so name another
FOLDER after a change of code. "Early" hits are
those of the first 2.5 s of a clip: there the kit's own pattern is nearest.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from restem import Inserter
from restem.benchmark.clips import RATE, Clip, clips_of, rendered_songs, write_clips
from restem.benchmark.commands import chosen
from restem.benchmark.rows import Row, digest_of, reference_rows, subtractive
from restem.benchmark.table import Bench
from restem.evaluation.onsets import beats_with_onset, onset_envelope, onset_times

SCORES = ("fd", "fad", "kld", "onset_correlation", "beat_f")
EARLY = 2.5  # seconds


def hits(clips: Sequence[Clip], folder: Path) -> dict[str, float]:
    """Share of the clips' beats that a folder of stems hits within 30 and 70 ms, early and late."""
    found: dict[str, list[float]] = {}
    for clip in clips:
        wave, _ = soundfile.read(folder / f"{clip.name}.wav", dtype="float32")
        onsets = onset_times(onset_envelope(wave, RATE))
        times = clip.beats.times[(clip.beats.times >= 0) & (clip.beats.times < len(wave) / RATE)]
        early, late = times[times < EARLY], times[times >= EARLY]
        for words, beats in (("early", early), ("late", late)):
            if len(beats):
                for ms in (30, 70):
                    score = beats_with_onset(beats, onsets, ms / 1000)
                    found.setdefault(f"{words} {ms} ms", []).append(score)
    return {name: float(np.mean(scores)) for name, scores in found.items()}


def rows(models: Sequence[str], clips: list[Clip]) -> Iterator[tuple[str, Row]]:
    """The oracle, and each model under its name and the hash of its files."""
    yield "oracle", reference_rows(clips, None)["oracle"]
    for model in models:
        inserter = Inserter.load(model)
        digest = digest_of(inserter)
        yield f"{Path(model).name} {digest[:8]}", Row(subtractive(inserter), digest)


def main() -> None:
    """Make the stems, score them and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    all_clips = [c for song in rendered_songs(args.songs, "validation") for c in clips_of(song)]
    clips = chosen(all_clips, args.clips)
    write_clips(clips, args.output)
    bench = Bench.of(args.output, clips, [], lambda words: None)
    for number, (name, row) in enumerate(rows(args.models, clips)):
        report = bench.score(name, row, args.seed, "stem")
        place = bench.place(name, args.seed) / "stem"
        cells = {key: report[key]["value"] for key in SCORES} | hits(clips, place)
        if number == 0:
            print("| | " + " | ".join(cells) + " |\n|" + "---|" * (len(cells) + 1))
        print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in cells.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
