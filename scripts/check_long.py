"""Put a stem into a stereo song as long as you like, and watch the memory.

    python scripts/check_long.py [--stem drums] [--minutes 60] [--steps N] [--out FOLDER]

The song is the demo song over and over. Memory is what the process itself needs (RssAnon) and what
it needs with pages of files, which the system takes back when it wants them (VmRSS); Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

SONG = Path(__file__).parents[1] / "examples" / "evening-bus.ogg"


def write_long(path: Path, minutes: float) -> None:
    """The demo song until `minutes` are full, in 16 bits."""
    samples, rate = soundfile.read(SONG, dtype="int16", always_2d=True)
    left = int(minutes * 60 * rate)
    with soundfile.SoundFile(path, "w", rate, samples.shape[1], "PCM_16") as file:
        while left > 0:
            file.write(samples[:left])
            left -= len(samples)


def memory(process: int) -> dict[str, float]:
    """MB of RssAnon and VmRSS; none after the process's end."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":") for line in lines if line.startswith(("RssAnon", "VmRSS")))
    return {name: int(value.split()[0]) / 1024 for name, value in pairs}


def nulls(song: Path, stem: Path, mix: Path) -> bool:
    """Whether mix minus stem is the song, read in blocks."""
    with (
        soundfile.SoundFile(song) as a,
        soundfile.SoundFile(stem) as b,
        soundfile.SoundFile(mix) as c,
    ):
        if len({file.frames for file in (a, b, c)}) != 1:
            return False
        while len(true := a.read(1 << 20, dtype="float64")):
            ours = c.read(1 << 20, dtype="float64") - b.read(1 << 20, dtype="float64")
            if not np.array_equal(ours, true):
                return False
    return True


def main() -> None:
    """Make the song, run the command, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--stem", default="drums")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir(), "restem-long"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in args.out.glob("long.*.*"):
        path.unlink()
    song = args.out / "long.wav"
    write_long(song, args.minutes)
    command = [
        sys.executable,
        "-m",
        "restem",
        "insert",
        str(song),
        f"Add laid-back funk {args.stem}",
    ]
    command += ["--stem", args.stem, "-o", str(args.out), "--force"]
    command += ["--steps", str(args.steps)] if args.steps else []
    start, peaks = time.perf_counter(), {"RssAnon": 0.0, "VmRSS": 0.0}
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while running.poll() is None:
        for name, value in memory(running.pid).items():
            peaks[name] = max(peaks[name], value)
        time.sleep(0.2)
    seconds = time.perf_counter() - start
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, exit code {running.returncode}")
    if running.returncode:
        raise SystemExit(running.returncode)
    share = seconds / args.minutes / 60
    print(f"{seconds:.0f} s for {args.minutes:g} minutes, {share:.3f} s for a second of music")
    print(f"highest RssAnon {peaks['RssAnon']:.0f} MiB, VmRSS {peaks['VmRSS']:.0f} MiB")
    same = nulls(song, args.out / f"long.{args.stem}.wav", args.out / "long.mix.wav")
    print(f"mix - stem is the song: {same}")


if __name__ == "__main__":
    main()
