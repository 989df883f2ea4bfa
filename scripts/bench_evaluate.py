"""How long `restem evaluate` takes for 1,000 clips, in what memory, and again from its cache.

    python scripts/bench_evaluate.py TABLE

TABLE is the folder of a finished `restem table1`. 500 of its clips of sound, no two alike, are held
against 500 others, with a cache of their own; then 50 against 50, to see whether memory grows.
Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MOST_S, MOST_AGAIN_S = 360, 10  # 1,000 clips at first, and again from the cache
MOST_GROWTH = 1.5  # the highest memory of 1,000 clips over that of 100


def timed(
    count: int, made: list[Path], true: list[Path], place: Path, cache: str
) -> tuple[float, int]:
    """Seconds and highest memory in MiB of one run over `count` pairs."""
    folders = [place / f"{name}{count}" for name in ("made", "true")]
    for folder, paths in zip(folders, (made, true), strict=True):
        folder.mkdir(exist_ok=True)
        for number, path in enumerate(paths[:count]):
            link = folder / f"{number:04}.wav"
            if not link.exists():
                link.symlink_to(path.resolve())
    words = ["evaluate", *map(str, folders), "--cache", str(place / cache)]
    command = [sys.executable, "-m", "restem", *words, "-o", str(place / f"{cache}.json")]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    assert run.returncode == 0, command
    return seconds, usage.ru_maxrss // 1024


def main() -> int:
    """Run thrice, print, and hold against the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    table = parser.parse_args().table
    rows = sorted((table / "rows").glob("subtractive/seed[01]/stem/*.wav"))
    truth = [*sorted((table / "stem").glob("*.wav")), *sorted((table / "mix").glob("*.wav"))]
    assert min(len(rows), len(truth)) >= 500, "the table has too few clips"
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        runs = []
        for name, count, cache in (
            ("1,000 clips", 500, "first"),
            ("the same from the cache", 500, "first"),
            ("100 clips", 50, "second"),
        ):
            seconds, memory = timed(count, rows, truth, place, cache)
            print(f"{name}: {seconds:.1f} s, highest memory {memory} MiB", flush=True)
            runs.append((seconds, memory))
    (first, large), (again, _), (_, small) = runs
    kept = {
        f"1,000 clips in at most {MOST_S} s": first <= MOST_S,
        f"again from the cache in under {MOST_AGAIN_S} s": again < MOST_AGAIN_S,
        f"memory at most {MOST_GROWTH} times that of 100 clips": large <= MOST_GROWTH * small,
    }
    for limit, good in kept.items():
        print(f"{'kept' if good else 'MISSED'}: {limit}")
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
