"""Time cold processes: `restem insert` on 30 s of the demo song, and `restem --help`.

    python scripts/bench_speed.py [--runs 5]

Prints the median and the range of the wall time, and the highest memory of any run.
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

import numpy as np
import soundfile

SONG = Path(__file__).parents[1] / "examples" / "evening-bus.ogg"


def timed(command: list[str], runs: int) -> list[float]:
    """Wall seconds of each run, sorted."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    samples, rate = soundfile.read(SONG)
    restem = [sys.executable, "-m", "restem"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder, "song.wav")
        soundfile.write(song, np.tile(samples, (2, 1))[: 30 * rate], rate)
        for name, command in {
            "restem --help": [*restem, "--help"],
            "30 s of stereo song": [
                *restem,
                "insert",
                str(song),
                "Add funk drums",
                "--force",
                "-o",
                str(Path(folder, "out")),
            ],
        }.items():
            seconds = timed(command, args.runs)
            print(
                f"{name}: median {seconds[len(seconds) // 2]:.2f} s, {seconds[0]:.2f} to "
                f"{seconds[-1]:.2f} s of {args.runs} runs"
            )
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"highest memory of a process: {memory:.0f} MiB")


if __name__ == "__main__":
    main()
