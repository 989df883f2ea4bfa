"""Measure tracker and stems on held-out rendered songs and on a real song; print tables.

    python scripts/bench_insertion.py SONGS [--real CONTEXT DRUMS] [-o report.json]

SONGS is a folder of `restem dataset render --split test --seconds 24`. Every stem is judged by
librosa's beat tracker, which knows nothing of restem, beside the reference rows.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import mir_eval
import numpy as np
import soundfile

from restem import BeatGrid, Inserter
from restem.audio.tracking import track_beats
from restem.audio.waveform import mono_from_channels, resampled
from restem.evaluation.beats import beat_f, best_beat_f, librosa_beats, steady_beats
from restem.evaluation.intervals import scored_mean
from restem.evaluation.onsets import (
    beats_with_onset,
    onset_correlation,
    onset_envelope,
    onset_times,
)

RATE = 44100
SECONDS = 20.0


@dataclass(frozen=True)
class Stretch:
    """20 s of a song: context and true drums (sample,) at 44.1 kHz, and its true beats."""

    name: str
    context: np.ndarray
    drums: np.ndarray
    beats: np.ndarray
    positions: np.ndarray | None
    sentence: str
    heard: BeatGrid | None = None  # beats tracked in the whole song, where there is one

    @property
    def grid(self) -> BeatGrid:
        positions = np.arange(len(self.beats)) % 4 + 1 if self.positions is None else self.positions
        return BeatGrid(self.beats, positions, int(positions.max()), 1.0)


def rendered_stretches(folder: Path, count: int) -> list[Stretch]:
    """The first `count` test songs, each cut at a random place so that none begins on a beat."""
    found = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if record["split"] != "test" or record["samples"] < (SECONDS + 1) * RATE:
            continue
        rng = np.random.default_rng(int(path.stem))
        first = int(rng.integers(record["samples"] - int(SECONDS * RATE)))
        part = slice(first, first + int(SECONDS * RATE))
        context = np.load(path.with_suffix(".context.npy"))[:, part].sum(axis=0) / 32768
        drums = np.load(path.with_suffix(".drums.npy"))[0, part] / 32768
        beats = np.array(record["beats"]) - first / RATE
        inside = (beats >= 0) & (beats < SECONDS)
        found.append(
            Stretch(
                path.stem,
                context,
                drums,
                beats[inside],
                np.array(record["positions"])[inside],
                f"Add {record['style']} drums",
            )
        )
        if len(found) == count:
            return found
    raise SystemExit(f"{folder} holds {len(found)} test songs of 21 s or more, not {count}.")


def real_stretches(context_path: Path, drums_path: Path, sentence: str) -> list[Stretch]:
    """A real song with its aligned true drums, recorded to a click; its beats are those of the
    whole song's drums. Stretches in which the drums hardly play are left out."""
    context, drums = (
        resampled(mono_from_channels(x), rate, RATE)
        for x, rate in (soundfile.read(p, always_2d=True) for p in (context_path, drums_path))
    )
    whole, true = track_beats(context), steady_beats(drums, RATE)
    size, found = int(SECONDS * RATE), []
    for i in range(len(context) // size):
        part = slice(i * size, (i + 1) * size)
        beats = true[(true >= i * SECONDS) & (true < (i + 1) * SECONDS)] - i * SECONDS
        if len(librosa_beats(drums[part], RATE)) >= 8:
            name = f"{context_path.stem} {i * SECONDS:.0f} s"
            inside = (whole.times >= i * SECONDS) & (whole.times < (i + 1) * SECONDS)
            heard = BeatGrid(
                whole.times[inside] - i * SECONDS,
                whole.positions[inside],
                whole.beats_per_bar,
                whole.confidence,
            )
            found.append(Stretch(name, context[part], drums[part], beats, None, sentence, heard))
    return found


def tracker_rows(stretches: list[Stretch]) -> dict[str, dict[str, float]]:
    """Beat F of restem's tracker and librosa on the contexts; librosa on the drums as ceiling."""
    rows: dict[str, dict[str, list[float]]] = {}
    for s in stretches:
        ours = s.heard or track_beats(s.context.astype(np.float32))
        heard = {
            "restem on the context": (ours.times, ours.downbeats),
            "librosa on the context": (librosa_beats(s.context, RATE), None),
            "librosa on the true drums": (librosa_beats(s.drums, RATE), None),
        }
        for name, (times, downbeats) in heard.items():
            row = rows.setdefault(name, {"beat F": [], "best over levels": [], "downbeat F": []})
            row["beat F"].append(beat_f(s.beats, times))
            row["best over levels"].append(best_beat_f(s.beats, times).value)
            if s.positions is not None:
                # librosa hears no bars: take every fourth beat from its first as one
                bars = times[::4] if downbeats is None else downbeats
                true = s.beats[s.positions == 1]
                row["downbeat F"].append(float(mir_eval.beat.f_measure(true, bars)))
    return {name: {k: float(np.mean(v)) for k, v in row.items() if v} for name, row in rows.items()}


def accents(envelope: np.ndarray, grid: BeatGrid) -> np.ndarray:
    """Onset strength at each half-beat of a grid: the greatest within 40 ms."""
    times = np.sort(np.concatenate([grid.times[:-1], (grid.times[1:] + grid.times[:-1]) / 2]))
    frames = np.round(times * 100).astype(int)[:, None] + np.arange(-4, 5)
    return envelope[np.clip(frames, 0, len(envelope) - 1)].max(axis=1)


def stem_rows(
    inserter: Inserter, stretches: list[Stretch], others: list[Stretch], draws: int
) -> dict[str, dict[str, list[float]]]:
    """Scores of each stretch by row and column: stems from tracked and from given beats, and the
    reference rows. Stems are made with `draws` seeds and compared with as many other songs'."""
    table: dict[str, dict[str, list[float]]] = {}
    for i, s in enumerate(stretches):
        far = [others[(i + len(others) // 2 + 7 * d) % len(others)] for d in range(draws)]
        third = int(60 / s.grid.bpm / 3 * RATE)
        tracked = s.heard or track_beats(s.context.astype(np.float32))

        def made(
            context: np.ndarray, beats: BeatGrid, seed: int, sentence: str = s.sentence
        ) -> np.ndarray:
            return inserter.insert(context, RATE, sentence, beats=beats, seed=seed).stem

        stems = {
            "restem, tracked beats": [made(s.context, tracked, d) for d in range(draws)],
            "restem, given beats": [made(s.context, s.grid, d) for d in range(draws)],
            "other context, these beats": [made(o.context, s.grid, d) for d, o in enumerate(far)],
            "true drums": [s.drums],
            "true drums, a third of a beat late": [np.roll(s.drums, third)],
            "another song's drums": [o.drums for o in far],
            "context alone": [s.context],
            "silence": [np.zeros_like(s.context)],
        }
        for name, versions in stems.items():
            scores = [stem_scores(s, stem) for stem in versions]
            for key in scores[0]:
                mean = float(np.mean([score[key] for score in scores]))
                table.setdefault(name, {}).setdefault(key, []).append(mean)
    return table


def stem_scores(s: Stretch, stem: np.ndarray) -> dict[str, float]:
    """One stem against the stretch's beats, true drums and context."""
    truth, context = onset_envelope(s.drums, RATE), onset_envelope(s.context, RATE)
    envelope = onset_envelope(stem, RATE)
    onsets, heard = onset_times(envelope), librosa_beats(stem, RATE)
    struck = accents(envelope, s.grid)
    return {
        "beat F": beat_f(s.beats, heard),
        "best over levels": best_beat_f(s.beats, heard).value,
        "beats hit 70 ms": beats_with_onset(s.beats, onsets, 0.07),
        "beats hit 30 ms": beats_with_onset(s.beats, onsets, 0.03),
        "onsets like true drums": onset_correlation(truth, envelope),
        "onsets like context": onset_correlation(context, envelope),
        "accents like true drums": onset_correlation(accents(truth, s.grid), struck),
        "accents like context": onset_correlation(accents(context, s.grid), struck),
    }


def differences(table: dict[str, dict[str, list[float]]]) -> str:
    """What restem's rows have above reference rows: paired means over stretches, 95 % intervals."""
    pairs = [
        ("restem, tracked beats", "another song's drums"),
        ("restem, given beats", "other context, these beats"),
    ]
    lines = []
    for ours, theirs in pairs:
        lines.append(f"{ours} above {theirs}:")
        for key, scores in table[ours].items():
            gap = scored_mean(np.subtract(scores, table[theirs][key]))
            lines.append(f"  {key}: {gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})")
    return "\n".join(lines)


def means(table: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    return {name: {k: float(np.mean(v)) for k, v in row.items()} for name, row in table.items()}


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """Rows as a Markdown table."""
    columns = list(next(iter(rows.values())))
    lines = ["| |" + "|".join(f" {c} " for c in columns) + "|", "|" + "---|" * (len(columns) + 1)]
    for name, row in rows.items():
        cells = "|".join(f" {row[c]:.3f} " if c in row else " " for c in columns)
        lines.append(f"| {name} |{cells}|")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--model", default="embedded")
    parser.add_argument(
        "--real",
        type=Path,
        nargs=2,
        metavar=("CONTEXT", "DRUMS"),
        help="measure a real song instead; the rendered songs serve as other songs",
    )
    parser.add_argument("--draws", type=int, default=1, help="seeds and other songs a stretch")
    parser.add_argument("--real-sentence", default="Add rock drums")
    parser.add_argument("--tracker-only", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    rendered = rendered_stretches(args.songs, args.count)
    sets = {"rendered, held-out style files": rendered}
    if args.real:
        sets = {"real song": real_stretches(*args.real, args.real_sentence)}
    report = {}
    inserter = None if args.tracker_only else Inserter.load(args.model)
    for name, stretches in sets.items():
        report[name] = {"clips": len(stretches), "tracker": tracker_rows(stretches)}
        print(f"\n### {name}: {len(stretches)} stretches of {SECONDS:.0f} s\n")
        print(markdown(report[name]["tracker"]), flush=True)
        if inserter is not None:
            scores = stem_rows(inserter, stretches, rendered, args.draws)
            report[name]["stems"] = scores
            print("\n" + markdown(means(scores)) + "\n\n" + differences(scores), flush=True)
    if args.output:
        args.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
