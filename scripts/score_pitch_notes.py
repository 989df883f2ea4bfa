"""Rendered bass, guitar and keys whose notes are known in; how many of them are heard, out.

    python scripts/score_pitch_notes.py --soundfont FluidR3_GM.sf2 --soundfont TimGM6mb.sf2

Parts are MMA's, of style files kept out of training. A note counts if one of its pitch begins
within 50 ms (mir_eval.transcription, ends not asked for), each once. The control: the same notes
a third of a second late.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mir_eval
import numpy as np

from restem.audio.pitch_notes import PitchNotes, hear_pitches
from restem.dataset.compose import Groove, Part, compile_parts, list_grooves, plan_chords, split_of
from restem.dataset.render import SAMPLE_RATE, Renderer
from restem.dataset.styles import style_family
from restem.dataset.voicing import REVOICE, TEMPI

SECONDS = 12.0
STEMS = ("bass", "guitar", "keys")


def composed(grooves: list[Groove], stem: str, rng: np.random.Generator) -> tuple[Part, float]:
    """A part that plays, and its quarters a minute."""
    while True:
        groove = grooves[int(rng.integers(len(grooves)))]
        low, high = TEMPI.get(style_family(groove.style), (75, 150))
        bpm = rng.uniform(low, high) * (3 if groove.quarters_per_bar == 6 else 1)
        bars = int(np.ceil(SECONDS * bpm / 60 / groove.quarters_per_bar))
        chart, _ = plan_chords({}, groove, bars, rng)
        try:
            parts = compile_parts(groove, chart, int(rng.integers(1 << 30)))
        except ValueError:
            continue
        own = [p for p in parts if p.kind == stem and len(p.notes) > bars]
        if own:
            part = own[int(rng.integers(len(own)))]
            usual = list(REVOICE.get(stem, (part.program,)))
            program = part.program
            if stem == "bass" and not 32 <= program <= 39:
                program = usual[int(rng.integers(len(usual)))]
            return Part(stem, program, part.notes), bpm


def true_notes(part: Part, bpm: float) -> tuple[np.ndarray, np.ndarray]:
    """(note, 2) beginnings and ends in s, and pitches, of what begins before the clip ends."""
    notes = part.notes[part.notes[:, 0] * 60 / bpm < SECONDS - 0.2]
    starts, lengths = notes[:, 0] * 60 / bpm, np.maximum(notes[:, 1] * 60 / bpm, 0.02)
    return np.stack([starts, starts + lengths], axis=1), notes[:, 2]


def counts(
    intervals: np.ndarray, pitches: np.ndarray, heard: PitchNotes, late: float = 0.0
) -> np.ndarray:
    """(right, heard, true) notes."""
    found = np.stack([heard.starts, heard.ends], axis=1) + late
    hz, own = (440 * 2 ** ((p - 69) / 12) for p in (pitches, heard.pitches.astype(float)))
    pairs = mir_eval.transcription.match_notes(intervals, hz, found, own, offset_ratio=None)
    return np.array([len(pairs), len(found), len(intervals)], dtype=float)


def main() -> None:
    """A row a stem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--soundfont", type=Path, action="append", required=True)
    parser.add_argument("--mma", type=Path, default=Path("/usr/share/mma/lib"))
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--count", type=int, default=40, help="clips a stem")
    args = parser.parse_args()
    renderer = Renderer(args.soundfont)
    grooves = [g for g in list_grooves(args.mma) if split_of(g.path.name) == args.split]
    print("| | precision | recall | F | F, a third of a second late | notes | median error, ms |")
    print("|---|---|---|---|---|---|---|")
    for stem in STEMS:
        total, late, gaps = np.zeros(3), np.zeros(3), []
        for index in range(args.count):
            rng = np.random.default_rng((STEMS.index(stem), index))
            part, bpm = composed(grooves, stem, rng)
            font = int(rng.integers(renderer.fonts))
            wave = renderer.render(part, bpm, int(SECONDS * SAMPLE_RATE), font)
            heard = hear_pitches(wave, SAMPLE_RATE, one_at_a_time=stem == "bass")
            intervals, pitches = true_notes(part, bpm)
            total += counts(intervals, pitches, heard)
            late += counts(intervals, pitches, heard, 1 / 3)
            for start, pitch in zip(heard.starts, heard.pitches, strict=True):
                near = start - intervals[pitches == pitch, 0]
                gaps += list(near[np.abs(near) < 0.05])
        f, chance = (2 * x[0] / max(x[1] + x[2], 1) for x in (total, late))
        print(
            f"| {stem} | {total[0] / total[1]:.3f} | {total[0] / total[2]:.3f} | {f:.3f} "
            f"| {chance:.3f} | {int(total[2])} | {np.median(gaps) * 1e3:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
