"""Rendered songs in; whether builds that are killed ten times, run again or run by another engine
give the same bytes as a build that is left alone, out. Exit code 1 if one does not."""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

KILLS = 10
STAGES = ("work/pair", "work/leak", "work/caption", "work/instruct", "data")


def command(songs: Path, out: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "restem", "dataset", "build", "--source", f"rendered={songs}",
            "-o", str(out), *words]  # fmt: skip


def built(songs: Path, out: Path, *words: str) -> str:
    done = subprocess.run(command(songs, out, *words), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"The build failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def files(folder: Path) -> dict[str, Path]:
    """All files by name, those of the stages included; only the lock is left out."""
    return {str(p.relative_to(folder)): p for p in folder.rglob("*")
            if p.is_file() and p.name != ".lock"}  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in files(folder).items()}


def kill_at(songs: Path, out: Path, moment: int, delay: float) -> str:
    """Kill a build `delay` seconds after `moment` files are there; what it was doing."""
    process = subprocess.Popen(command(songs, out), stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    while process.poll() is None and len(files(out)) < moment:
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        sys.exit(f"The build was finished before it could be killed at {moment} files.")
    stages = [name for name in STAGES if (out / name).exists()] or ["nothing yet"]
    latest = stages[-1].removeprefix("work/")
    unfinished = sum(path.suffix == ".part" for path in files(out).values())
    return f"{len(files(out))} files (at {latest}), {unfinished} of them unfinished"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("songs", type=Path, help="folder of `restem dataset render`")
    parser.add_argument("--count", type=int, default=12, help="songs to build from")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        songs = folder / "songs"
        songs.mkdir()
        for path in islice(sorted(args.songs.glob("*.json")), args.count):
            for end in (".json", ".context.npy", ".drums.npy"):
                (songs / f"{path.stem}{end}").symlink_to(path.with_suffix(end).resolve())
        print(built(songs, folder / "whole").strip())
        whole = content(folder / "whole")
        for turn in range(KILLS):  # one in each tenth of the work
            moment = int(len(whole) * (turn + rng.random()) / KILLS)
            what = kill_at(songs, folder / "killed", moment, rng.uniform(0, 0.02))
            print(f"killed at {what}", flush=True)
        built(songs, folder / "killed")
        print(f"comparing {len(whole)} files byte by byte, those of every stage included")
        same = [told(f"killed {KILLS} times", content(folder / "killed") == whole)]
        before = {n: p.stat().st_mtime_ns for n, p in files(folder / "killed").items()}
        said = built(songs, folder / "killed")
        after = {n: p.stat().st_mtime_ns for n, p in files(folder / "killed").items()}
        same += [told("a second run does no work", before == after and "nothing was to be" in said)]
        built(songs, folder / "two", "--workers", "2")
        same += [told("two processes", content(folder / "two") == whole)]
        if find_spec("ray"):
            built(songs, folder / "ray", "--workers", "2", "--engine", "ray")
            same += [told("two workers of a local Ray", content(folder / "ray") == whole)]
    sys.exit(0 if all(same) else 1)


def told(what: str, same: bool) -> bool:
    print(f"  {what}: {'the same' if same else 'NOT THE SAME'}", flush=True)
    return same


if __name__ == "__main__":
    main()
