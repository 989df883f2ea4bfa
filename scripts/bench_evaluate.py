"""How long `restem evaluate` takes for 1,000 clips, in what memory, and again from its cache.

    python scripts/bench_evaluate.py SONG

1,000 clips of 5.11 s are cut from SONG, no two alike, and 500 are held against 500, with a cache of
their own, twice; then 50 against 50, to see whether memory grows. Exits with 1 if a limit is
missed. Processor seconds tell what the work takes where other programs take their share of time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

CLIPS, SECONDS = 1000, 5.11
MOST_S, MOST_AGAIN_S = 360, 10  # 1,000 clips at first, and again from the cache
MOST_GROWTH = 1.5  # the highest memory of 1,000 clips over that of 100


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, seconds of processors, and highest memory in MiB of one run."""

    clock: float
    processor: float
    memory: int


def cut(song: Path, folder: Path) -> None:
    """Clips from evenly spaced places, every other one in `made`, the others in `true`."""
    samples, rate = soundfile.read(song, always_2d=True, dtype="float32")
    size = round(SECONDS * rate)
    starts = np.linspace(0, len(samples) - size, CLIPS).astype(int)
    assert np.all(np.diff(starts) > 0), "the song is too short"
    for number, start in enumerate(starts):
        path = folder / ("made", "true")[number % 2] / f"{number // 2:04}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, samples[start : start + size], rate, subtype="FLOAT")


def timed(count: int, place: Path, cache: str) -> Cost:
    """One run over `count` pairs."""
    folders = [place / f"{name}{count}" for name in ("made", "true")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        for path in sorted((place / folder.name[:4]).iterdir())[:count]:
            if not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    words = ["evaluate", *map(str, folders), "--cache", str(place / cache)]
    command = [sys.executable, "-m", "restem", *words, "-o", str(place / f"{cache}.json")]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    assert run.returncode == 0, command
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024)


def main() -> int:
    """Run thrice, print, and hold against the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("song", type=Path)
    song = parser.parse_args().song
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cut(song, place)
        runs, reports = [], []
        for name, pairs, cache in (
            ("1,000 clips", CLIPS // 2, "first"),
            ("the same from the cache", CLIPS // 2, "first"),
            ("100 clips", CLIPS // 20, "second"),
        ):
            load = os.getloadavg()[0]
            cost = timed(pairs, place, cache)
            reports.append((place / f"{cache}.json").read_bytes())
            print(
                f"{name}: {cost.clock:.1f} s, {cost.processor:.1f} s of {os.cpu_count()} "
                f"processors, highest memory {cost.memory} MiB, load before {load:.1f}",
                flush=True,
            )
            runs.append(cost)
    first, again, small = runs
    kept = {
        f"1,000 clips in at most {MOST_S} s": first.clock <= MOST_S,
        f"again from the cache in under {MOST_AGAIN_S} s": again.clock < MOST_AGAIN_S,
        f"memory at most {MOST_GROWTH} times that of 100 clips": first.memory
        <= MOST_GROWTH * small.memory,
        "the same report from the cache": reports[0] == reports[1],
    }
    for limit, good in kept.items():
        print(f"{'kept' if good else 'MISSED'}: {limit}")
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
