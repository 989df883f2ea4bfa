"""Compose the drumless demo song and render it: examples/evening-bus.mid and .ogg.

Needs mma and fluidsynth. The groove's style file is one that the embedded model never saw.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mido
import numpy as np
import soundfile

from restem.dataset.compose import Part, compile_parts, list_grooves, melody
from restem.dataset.render import SAMPLE_RATE, Renderer, room
from restem.symbolic.inserting import without_overlaps
from restem.symbolic.midi_files import chunk_of, file_of, track_bytes

BPM = 98.0
CHART = ["Em7", "A7", "Em7", "A7", "CM7", "B7", "Em7", "D G"]
# Kind -> General MIDI program, place from left (-1) to right (1), level.
SOUND = {
    "bass": (33, 0.0, 1.0),
    "guitar": (27, -0.5, 0.8),
    "keys": (4, 0.45, 0.8),
    "other": (62, 0.3, 0.5),
    "lead": (66, 0.1, 0.55),
}
NAMES = {"keys": "Electric piano", "lead": "Saxophone"}
QUARTER = 480  # ticks


def midi_file(parts: list[Part]) -> bytes:
    """The song as notes, a track a part."""
    head = [mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BPM))]
    head.append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
    chunks = [chunk_of([(0, 0, message) for message in head])]
    for channel, part in enumerate(parts):
        start, length = np.rint(part.notes[:, :2] * QUARTER).T
        rest = np.rint(part.notes[:, 2:])
        notes = np.column_stack([start, start + np.maximum(length, 1), rest]).astype(np.int64)
        notes[:, :2] = np.maximum(notes[:, :2], 0)
        program = SOUND[part.kind][0]
        name = NAMES.get(part.kind, part.kind.title())
        chunks.append(track_bytes(name, channel, program, without_overlaps(notes)))
    return file_of(chunks, QUARTER)


def main() -> None:
    """Write the song; the same arguments give the same file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mma", type=Path, default=Path("/usr/share/mma/lib"))
    parser.add_argument(
        "--soundfont", type=Path, default=Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("examples/evening-bus.ogg"))
    args = parser.parse_args()
    groove = next(g for g in list_grooves(args.mma) if g.path.stem == "jazzrock")
    rng = np.random.default_rng(7)
    parts = [p for p in compile_parts(groove, CHART, 1) if p.kind != "drums"]
    parts.append(melody(CHART, groove, rng))
    args.output.with_suffix(".mid").write_bytes(midi_file(parts))
    samples = int(len(CHART) * 4 * 60 / BPM * SAMPLE_RATE)
    renderer = Renderer([args.soundfont])
    song = np.zeros((samples, 2))
    for part in parts:
        program, place, level = SOUND[part.kind]
        voiced = Part(part.kind, program, part.notes)
        wave = level * room(renderer.render(voiced, BPM, samples, 0), 0.7, 0.15, rng)
        angle = (place + 1) * np.pi / 4
        song += wave[:, None] * [np.cos(angle), np.sin(angle)]
    soundfile.write(
        args.output, 0.7 * song / np.abs(song).max(), SAMPLE_RATE, format="OGG", subtype="VORBIS"
    )


if __name__ == "__main__":
    main()
