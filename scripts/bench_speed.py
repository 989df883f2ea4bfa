"""Time cold processes: `restem insert` on 30 s of the demo song, `restem midi insert`, `--help`.

    python scripts/bench_speed.py [--runs 5]

Prints the median and the range of the wall time, and the highest memory of the command's runs.
Exits with 1 if a median or a memory misses its goal, which is said.
"""

from __future__ import annotations

import argparse
import math
import os
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


DRUMS_16, DRUMS_200 = "16 bars of MIDI drums", "200 bars of MIDI drums"
BAND_200 = "200 bars of MIDI drums, bass and guitar"
# The most seconds (of the median, on two cores) and bytes that a command may take.
GOALS = {DRUMS_16: (4.0, 1e9), DRUMS_200: (math.inf, 1e9), BAND_200: (math.inf, 1e9)}


def timed(command: list[str], runs: int) -> tuple[list[float], int]:
    """Wall seconds of each run, sorted, and the most bytes of memory; SystemExit if one fails."""
    seconds, memory = [], 0
    for _ in range(runs):
        start = time.perf_counter()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, **quiet)
        _, status, usage = os.wait4(process.pid, 0)
        seconds.append(time.perf_counter() - start)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with code {process.returncode}.")
        memory = max(memory, usage.ru_maxrss * 1024)
    return sorted(seconds), memory


def missed(what: str, seconds: float, memory: int) -> str:
    """In words by how much a goal is missed, or nothing."""
    most, room = GOALS.get(what, (math.inf, math.inf))
    found = [f"{seconds:.2f} s, goal {most:g} s"] if seconds > most else []
    found += [f"{memory / 1e6:.0f} MB, goal {room / 1e6:.0f} MB"] if memory > room else []
    return f"MISSED: {what}: {'; '.join(found)}" if found else ""


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
    failures: list[str] = []
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
            DRUMS_16: [*midi, piano(folder / "16.mid", 16), *drums],
            DRUMS_200: [*midi, piano(folder / "200.mid", 200), *drums],
            BAND_200: [*midi, str(folder / "200.mid"), *last],
            "30 s of stereo song": [*restem, "insert", song, "Add funk drums", *out],
        }.items():
            seconds, memory = timed(command, args.runs)
            median = seconds[len(seconds) // 2]
            failures += [line] if (line := missed(what, median, memory)) else []
            print(
                f"{what}: median {median:.2f} s, {seconds[0]:.2f} to "
                f"{seconds[-1]:.2f} s of {args.runs} runs; memory {memory / 2**20:.0f} MiB",
                flush=True,
            )
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
