"""Time cold processes: `restem insert` on 30 s of the demo song, `restem midi insert`, `--help`.

    python scripts/bench_speed.py [--runs 5]

Prints the median and the range of the wall time, and the highest memory of any run so far.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mido
import numpy as np
import soundfile

SONG = Path(__file__).parents[1] / "examples" / "evening-bus.ogg"
CHORDS = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))  # Am F C G


def timed(command: list[str], runs: int) -> list[float]:
    """Wall seconds of each run, sorted."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)


def piano(path: Path, bars: int) -> str:
    """Write a song of so many bars of four chords on a piano; its name."""
    song = mido.MidiFile()
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    for bar in range(bars):
        for _ in range(2):
            chord = CHORDS[bar % 4]
            track += [mido.Message("note_on", note=p, velocity=80) for p in chord]
            for number, pitch in enumerate(chord):
                track.append(mido.Message("note_off", note=pitch, time=0 if number else 960))
    song.tracks.append(track)
    song.save(path)
    return str(path)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    samples, rate = soundfile.read(SONG)
    restem = [sys.executable, "-m", "restem"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(folder / "song.wav", np.tile(samples, (2, 1))[: 30 * rate], rate)
        song, out = str(folder / "song.wav"), ["--force", "-o", str(folder / "out")]
        midi = [*restem, "midi", "insert"]
        last = ["--force", "-o", str(folder / "out.mid")]
        drums = ["--stem", "drums", *last]
        for what, command in {
            "restem --help": [*restem, "--help"],
            "16 bars of MIDI drums": [*midi, piano(folder / "16.mid", 16), *drums],
            "200 bars of MIDI drums": [*midi, piano(folder / "200.mid", 200), *drums],
            "200 bars of MIDI drums, bass and guitar": [*midi, str(folder / "200.mid"), *last],
            "30 s of stereo song": [*restem, "insert", song, "Add funk drums", *out],
        }.items():
            seconds = timed(command, args.runs)
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(
                f"{what}: median {seconds[len(seconds) // 2]:.2f} s, {seconds[0]:.2f} to "
                f"{seconds[-1]:.2f} s of {args.runs} runs; memory {memory:.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
