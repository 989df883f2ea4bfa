"""How long `restem evaluate` takes for 1,000 clips, in what memory, and again from its cache.

    python scripts/bench_evaluate.py TABLE

TABLE is the folder of a finished `restem table1`. 500 of its clips of sound, no two alike, are held
against 500 others, with a cache of their own; then 50 against 50, to see whether memory grows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(count: int, made: list[Path], true: list[Path], place: Path, cache: str) -> str:
    """Seconds and highest memory of one run over `count` pairs."""
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
    return f"{seconds:.1f} s, highest memory {usage.ru_maxrss // 1024} MiB"


def main() -> None:
    """Run thrice and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    table = parser.parse_args().table
    rows = sorted((table / "rows").glob("subtractive/seed[01]/stem/*.wav"))
    truth = [*sorted((table / "stem").glob("*.wav")), *sorted((table / "mix").glob("*.wav"))]
    assert min(len(rows), len(truth)) >= 500, "the table has too few clips"
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        print(f"1,000 clips: {timed(500, rows, truth, place, 'first')}", flush=True)
        print(f"the same from the cache: {timed(500, rows, truth, place, 'first')}", flush=True)
        print(f"100 clips: {timed(50, rows, truth, place, 'second')}", flush=True)


if __name__ == "__main__":
    main()
