"""The sounds with which notes are played: single ones of a SoundFont as OGG files.

    python scripts/make_sounds.py [--soundfont FluidR3_GM.sf2] [-o src/restem/models/sounds]

Needs FluidSynth and Debian's fluid-soundfont-gm (MIT licence). A program is a note every seven
semitones, mono at 32 kHz, or every three if stems are played with it; one that holds its notes is
looped. Programs that sound alike share one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 32000
FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
STEP, STEM_STEP = 7, 3  # semitones between sampled notes
GAP, TICKS = 0.6, 1000  # seconds of silence between notes; ticks a second
DECAYING, HELD, HIT = 2.2, 1.5, 1.4  # seconds that are kept of a note
CROSSFADE = 0.12  # seconds at the end of a loop
# Of Vorbis, in libsndfile's measure: 0 the largest, 1 the smallest file.
COMPRESSION, STEM_COMPRESSION = 0.75, 0.5
# What `restem.symbolic.voices` chooses among.
STEMS = {0, 4, 6, 7, 11, 16, 19, 24, 25, 26, 27, 28, 29, 30, 32, 33, 34, 35, 36, 38, 81, 89}
FAINT_DB = -54.0  # under a note's peak, where it is cut off
DRUMS = range(35, 82)
# Sampled program: lowest and highest sampled note, whether it holds notes, programs that use it.
PROGRAMS: dict[int, tuple[int, int, bool, tuple[int, ...]]] = {
    0: (30, 93, False, (0, 1, 2, 3)),
    4: (36, 85, False, (4, 5)),
    6: (36, 85, False, (6,)),
    7: (36, 85, False, (7,)),
    8: (60, 95, False, (8, 9, 10, 14, 15, 98, 112)),
    11: (48, 83, False, (11,)),
    12: (48, 83, False, (12, 13, 108, 113, 115)),
    16: (36, 85, True, (16, 17, 18)),
    19: (36, 85, True, (19, 20)),
    21: (48, 83, True, (21, 22, 23, 109)),
    24: (40, 82, False, (24, 104, 106, 107)),
    25: (40, 82, False, (25,)),
    26: (40, 82, False, (26,)),
    27: (40, 82, False, (27,)),
    28: (40, 82, False, (28, 120)),
    29: (40, 82, True, (29,)),
    30: (40, 82, True, (30, 31)),
    32: (28, 56, False, (32,)),
    33: (28, 56, False, (33,)),
    34: (28, 56, False, (34,)),
    35: (28, 56, False, (35,)),
    36: (28, 56, False, (36, 37)),
    38: (28, 56, False, (38, 39)),
    40: (55, 97, True, (40, 41, 110)),
    42: (36, 71, True, (42, 43)),
    45: (36, 85, False, (45,)),
    46: (36, 92, False, (46,)),
    47: (36, 57, False, (47, 116, 117, 118)),
    48: (36, 92, True, (44, 48, 49, 50, 51)),
    52: (43, 85, True, (52, 53, 54, 85, 91)),
    56: (54, 82, True, (56, 59)),
    57: (36, 71, True, (57, 58)),
    60: (41, 76, True, (60,)),
    61: (36, 85, True, (55, 61, 62, 63)),
    65: (49, 84, True, (64, 65)),
    66: (42, 77, True, (66, 67)),
    68: (54, 89, True, (68, 69, 111)),
    71: (50, 92, True, (70, 71)),
    73: (60, 95, True, (72, 73, 74, 75, 76, 77, 78, 79)),
    80: (36, 92, True, (80, 82)),
    81: (36, 92, True, (81, 83, 84, 86, 87)),
    89: (36, 85, True, (88, 89, 90, 92, 93, 94, 95, 96, 97, 99, 100, 101, 102, 103)),
    105: (48, 83, False, (105,)),
    114: (48, 83, False, (114,)),
}


def played(font: Path, notes: list[int], program: int | None, hold: float) -> list[NDArray]:
    """Each note (of drums, if there is no program) alone: (sample,) of `hold` and the gap."""
    track, slot = mido.MidiTrack(), hold + GAP
    channel = 9 if program is None else 0
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    track.append(mido.Message("program_change", channel=channel, program=program or 0))
    for note in notes:
        track.append(mido.Message("note_on", channel=channel, note=note, velocity=100))
        track.append(mido.Message("note_off", channel=channel, note=note,
                                  time=round(hold * TICKS)))  # fmt: skip
        track.append(mido.Message("control_change", channel=channel, control=20,
                                  time=round(GAP * TICKS)))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        song, wav = Path(folder) / "notes.mid", Path(folder) / "notes.wav"
        mido.MidiFile(ticks_per_beat=TICKS, tracks=[track]).save(song)
        words = ["fluidsynth", "-niq", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(RATE)]
        subprocess.run([*words, "-T", "wav", "-O", "float", "-F", str(wav), str(font), str(song)],
                       check=True, capture_output=True)  # fmt: skip
        mono = soundfile.read(wav)[0].mean(axis=1)
    return [mono[round(i * slot * RATE) : round((i + 1) * slot * RATE)] for i in range(len(notes))]


def shortened(sound: NDArray) -> NDArray:
    """A sound that dies away, cut where it is faint and faded out."""
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() * 10 ** (FAINT_DB / 20))
    kept = sound[: max(int(loud[-1]) if len(loud) else 0, RATE // 50) + 1].copy()
    fade = min(len(kept), RATE // 20)
    kept[-fade:] *= np.linspace(1, 0, fade)
    return kept


def looped(sound: NDArray) -> tuple[NDArray, float, float]:
    """A held note whose end runs into an earlier place of it; where the loop begins and ends, s.

    The place is the one most alike, so that the fade between them cancels nothing.
    """
    width, end = round(CROSSFADE * RATE), round(HELD * RATE)
    tail = sound[end - width : end]
    starts = np.arange(round(0.45 * RATE), round(0.85 * RATE))
    windows = np.lib.stride_tricks.sliding_window_view(sound, width)[starts - width]
    likeness = windows @ tail / (np.linalg.norm(windows, axis=1) * np.linalg.norm(tail) + 1e-9)
    start = int(starts[np.argmax(likeness)])
    kept = sound[:end].copy()
    ramp = np.linspace(0, 1, width)
    kept[end - width :] = (1 - ramp) * tail + ramp * sound[start - width : start]
    # A little of the loop's start after its end, for a player that interpolates across it.
    return np.append(kept, sound[start : start + 64]), start / RATE, end / RATE


def main() -> int:
    """Play, cut and write every program, then the list of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--soundfont", type=Path, default=FONT)
    parser.add_argument("-o", "--output", type=Path, default=Path("src/restem/models/sounds"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    sampled: dict[str, list[list[float]]] = {}
    users: list[str | None] = [None] * 128
    for program, (low, high, holds, programs) in PROGRAMS.items():
        fine = program in STEMS
        notes = list(range(low, high + 1, STEM_STEP if fine else STEP))
        sounds = played(args.soundfont, notes, program, HELD + 0.1 if holds else DECAYING)
        sampled[str(program)] = _written(args.output / f"{program}.ogg", notes, sounds, holds, fine)
        for user in programs:
            users[user] = str(program)
    drums = played(args.soundfont, list(DRUMS), None, HIT)
    sampled["drums"] = _written(args.output / "drums.ogg", list(DRUMS), drums)
    index = {"programs": users, "sampled": sampled}
    (args.output / "bank.json").write_text(json.dumps(index, separators=(",", ":")) + "\n")
    total = sum(path.stat().st_size for path in args.output.iterdir())
    print(f"{len(sampled)} programs, {total / 1e6:.2f} MB in {args.output}")
    return 0


def _written(
    path: Path, notes: list[int], sounds: list[NDArray], holds: bool = False, fine: bool = False
) -> list[list[float]]:
    """Write sounds after one another; for each its note, start, length, and the loop's ends, s."""
    rows, parts, here = [], [], 0
    for note, sound in zip(notes, sounds, strict=True):
        part, *ends = looped(sound) if holds else (shortened(sound),)
        rows.append([note, *(round(x, 5) for x in (here / RATE, len(part) / RATE, *ends))])
        quiet = np.zeros(RATE // 50)  # so that no sound smears into the next
        parts += [part, quiet]
        here += len(part) + len(quiet)
    joined = np.concatenate(parts)
    assert np.abs(joined).max() < 1, path
    with tempfile.NamedTemporaryFile(suffix=".ogg") as part:
        level = STEM_COMPRESSION if fine else COMPRESSION
        soundfile.write(part.name, joined, RATE, "VORBIS", compression_level=level)
        shutil.copyfile(part.name, path)
    return rows


if __name__ == "__main__":
    sys.exit(main())
