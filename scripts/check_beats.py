"""Are the drums on the beat, at all tempi and metres, to the end of five minutes? One table.

    python scripts/check_beats.py --soundfont FONT.sf2 [--minutes 5] [-o FILE.json]

Each song is composed by MMA from a style file of the test split (6/8: of the training split, there
is no other) and rendered without effects; in one of them the tempo rises by 5 %. "Beats hit" is the
share of true beats with an onset of the stem within 70 and 30 ms, over the same share for the
song's own drums. Drift is how much later the stem comes in the last 30 s than in the first, by the
cross-correlation of onsets with the true beats. The last row is 135 BPM, 8 bars: 14.222 s.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from restem import BeatGrid, Inserter
from restem.audio.tracking import track_beats
from restem.dataset import compose
from restem.dataset.render import SAMPLE_RATE, Renderer
from restem.evaluation.beats import beat_f
from restem.evaluation.onsets import beats_with_onset, onset_envelope, onset_times


@dataclass(frozen=True)
class Case:
    """A song to be: felt beats a minute, its metre, the words for its style, and a ramp's size."""

    bpm: float
    metre: str
    style: str
    ramp: float = 0.0
    bars: int = 0  # 0: as many as fill the asked minutes


CASES = (
    Case(60, "4/4", ""),
    Case(75, "6/8", ""),
    Case(95, "4/4", ""),
    Case(120, "3/4", ""),
    Case(140, "4/4", "swing"),
    Case(170, "4/4", ""),
    Case(200, "4/4", "swing"),
    Case(110, "4/4", "", ramp=0.05),
    Case(135, "4/4", "", bars=8),
)


@dataclass(frozen=True, eq=False)
class Song:
    """Context and true drums (sample,), beats in seconds and their places in the bar."""

    context: np.ndarray
    drums: np.ndarray
    grid: BeatGrid
    style: str


def song(case: Case, number: int, minutes: float, renderer: Renderer) -> Song:
    """The first groove, in an order drawn from the number, that has drums and something else."""
    rng = np.random.default_rng(number)
    every = compose.list_grooves(Path("/usr/share/mma/lib"))
    fits = [g for g in every if g.metre == case.metre and case.style in g.style]
    unseen = [g for g in fits if compose.split_of(g.path.name) == "test"]
    grooves = unseen or fits  # all of 6/8 are of the training split
    for i in rng.permutation(len(grooves)):
        groove = grooves[i]
        quarter = case.bpm * (3 if groove.quarters_per_bar == 6 else 1)
        bar = groove.quarters_per_bar * 60 / quarter
        bars = case.bars or round(minutes * 60 / bar / (1 + case.ramp / 2))
        chart, _ = compose.plan_chords({}, groove, bars, rng)
        try:
            parts = compose.compile_parts(groove, chart, number)
        except ValueError:
            continue
        if {p.kind == "drums" for p in parts} == {True, False}:
            break
    else:
        raise SystemExit(f"no groove fits {case}")
    end = bars * groove.quarters_per_bar

    def warped(quarters: np.ndarray) -> np.ndarray:
        """Quarters at the first tempo that have passed when these have in a steady rise."""
        rise = case.ramp / end
        return np.log1p(rise * quarters) / rise if rise else quarters

    samples = int(warped(np.array(float(end))) * 60 / quarter * SAMPLE_RATE)
    waves: dict[bool, np.ndarray] = {}
    for part in parts:
        start, stop = part.notes[:, 0], part.notes[:, 0] + part.notes[:, 1]
        notes = np.column_stack([warped(start), warped(stop) - warped(start), part.notes[:, 2:]])
        wave = renderer.render(replace(part, notes=notes), quarter, samples, 0).astype(np.float64)
        drums = part.kind == "drums"
        waves[drums] = waves.get(drums, 0) + wave
    felt = np.arange(bars * groove.beats_per_bar)
    times = warped(felt * groove.quarters_per_bar / groove.beats_per_bar) * 60 / quarter
    positions = 1 + felt % groove.beats_per_bar
    grid = BeatGrid(times, positions, groove.beats_per_bar, 1.0)
    return Song(waves[False], waves[True], grid, groove.style)


def lag_ms(envelope: np.ndarray, beats: np.ndarray, start: float) -> float:
    """How late the onsets of 30 s are, by the peak of their correlation with the beats there."""
    frames = np.arange(round(start * 100), round((start + 30) * 100))
    pulses = np.exp(-0.5 * ((frames[:, None] - beats * 100) / 1.5) ** 2).sum(axis=1)
    lags = np.arange(-15, 16)
    inside = np.clip(frames + lags[:, None], 0, len(envelope) - 1)
    height = envelope[inside] @ (pulses - pulses.mean())
    best = int(np.clip(np.argmax(height), 1, len(lags) - 2))
    left, top, right = height[best - 1 : best + 2]
    return float(10 * (lags[best] + 0.5 * (left - right) / (left - 2 * top + right)))


def row(made: np.ndarray, s: Song, seconds: float) -> dict[str, float]:
    """Shares of beats hit over those of the true drums, and the drift."""
    truth, envelope = onset_envelope(s.drums, SAMPLE_RATE), onset_envelope(made, SAMPLE_RATE)
    beats, found = s.grid.times, {}
    for ms in (70, 30):
        ours = beats_with_onset(beats, onset_times(envelope), ms / 1000)
        true = beats_with_onset(beats, onset_times(truth), ms / 1000)
        found[f"hit {ms} ms"], found[f"over true {ms} ms"] = ours, ours / true
    length = len(made) / SAMPLE_RATE
    if length > 90:
        first, last = lag_ms(envelope, beats, 2.0), lag_ms(envelope, beats, length - 32)
        found["drift, ms"] = last - first
    return found | {"s a second": seconds / length}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--soundfont", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    renderer, inserter, kept = Renderer([args.soundfont]), Inserter.load(), []
    print(
        "| song | beats | tracker F | hit 70 ms | over true | hit 30 ms | over true | drift, ms |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for number, case in enumerate(CASES):
        s = song(case, number, args.minutes, renderer)
        tracked = track_beats(s.context.astype(np.float32))
        for name, grid in (("given", s.grid), ("tracked", tracked)):
            began = time.perf_counter()
            words = f"Add {s.style} drums"
            made = inserter.insert(s.context, SAMPLE_RATE, words, beats=grid).stem
            found = row(made, s, time.perf_counter() - began)
            f = 1.0 if name == "given" else beat_f(s.grid.times, tracked.times)
            about = f"{case.bpm:g} BPM, {case.metre}, {s.style}" + (", ramp" * bool(case.ramp))
            kept.append({"song": about, "beats": name, "tracker F": f, **found})
            cells = [f"{found[k]:.3f}" for k in list(found)[:4]]
            drift = f"{found['drift, ms']:+.1f}" if "drift, ms" in found else ""
            print(f"| {about} | {name} | {f:.3f} | {' | '.join(cells)} | {drift} |", flush=True)
    if args.output:
        args.output.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
