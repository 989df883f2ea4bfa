"""Rendered songs and a real song in; clips per second and core of every stage of a build out."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

from restem.dataset.record import AudioRef, Song
from restem.dataset.sources import open_source
from restem.dataset.sources.reading import read_mix
from restem.dataset.stages import caption, instruct, leak, pair, write
from restem.dataset.stages.separate import open_separator

SECONDS = pair.CLIP_SAMPLES / 44100
MEMORY = (
    "import sys; from restem.cli import main; code = main(sys.argv[1:]); "
    "status = open('/proc/self/status').read(); "  # getrusage counts the process before exec too
    "print('PEAK', status.split('VmHWM:')[1].split()[0]); sys.exit(code)"
)


class Clock:
    """Processor seconds and clips of each stage."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}

    def time(self, name: str, work, clips) -> object:
        began = time.process_time()
        result = work()
        spent = time.process_time() - began
        count = clips(result) if callable(clips) else clips
        row = self.rows.setdefault(name, {"seconds": 0.0, "clips": 0})
        row["seconds"] += spent
        row["clips"] += count
        return result


def stages(songs: list[Song], folder: Path, writers: list[str], clock: Clock) -> None:
    settings = pair.PairSettings()
    caption.caption_name("offline")  # loads the networks, once
    opened = {name: instruct.open_writer(name) for name in ("template", *writers)}
    all_clips = []
    for song in songs:
        made = pair.made_of(song, settings, "none")
        parcel = clock.time(
            "read + segment + pair, given stems",
            lambda s=song, m=made: pair.pair_song(s, m, settings, folder),
            lambda p: len(p.clips),
        )
        n = len(parcel.clips)
        parcel = clock.time(
            "leak", lambda p=parcel, s=song: leak.leak_song(p, "", folder / s.key), n
        )
        parcel = clock.time(
            "caption, offline",
            lambda p=parcel, s=song: caption.caption_song(s, p, "", "offline"),
            n,
        )
        for name, writer in opened.items():
            chosen = instruct.InstructSettings(name)
            clock.time(
                f"instruct, {name}",
                lambda p=parcel, c=chosen, w=writer: instruct.instruct_song(p, "", c, w),
                n,
            )
        for clip in parcel.clips:
            stem = folder / song.key / f"{clip.stem}-{clip.index:04d}"
            all_clips.append((clip, Path(f"{stem}.mix.flac"), Path(f"{stem}.context.flac")))
    clock.time(
        "write", lambda: write.write_shard(folder / "x.parquet", all_clips, ""), len(all_clips)
    )


def separators(real: Path, names: list[str], clock: Clock) -> None:
    song = Song("songs", real.name, "train", real.name, mix=AudioRef(str(real)))
    mix = clock.time("read a compressed song", lambda: read_mix(song), lambda m: len(m) / 225351)
    for name in names:
        separator = open_separator(name)
        clock.time(f"separate, {name}", lambda s=separator: s.separate(mix), len(mix) / 225351)


def peaks(songs: Path, counts: list[int]) -> dict[str, int]:
    """Peak resident megabytes of a whole build by number of songs: templates, clips of a second.

    Only three seconds of each song are taken, so that what one song needs hides nothing.
    """
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            chosen = Path(folder, "songs")
            chosen.mkdir()
            for path in islice(sorted(songs.glob("*.json")), count):
                for end in (".context.npy", ".drums.npy"):
                    whole = np.load(path.with_suffix(end), mmap_mode="r")
                    np.save(chosen / f"{path.stem}{end}", whole[:, : 3 * 44100])
                (chosen / path.name).write_text(path.read_text())
            words = ["dataset", "build", "--source", f"rendered={chosen}", "--captioner", "source",
                     "--clip-samples", "44100"]  # fmt: skip
            done = subprocess.run(
                [sys.executable, "-c", MEMORY, *words, "-o", f"{folder}/out"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found[str(count)] = int(done.stdout.split("PEAK")[1].split()[0]) // 1024
            print(f"peak memory of a build of {count} songs: {found[str(count)]} MB", flush=True)
            print(f"  {done.stdout.splitlines()[0]}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("songs", type=Path)
    parser.add_argument("--real", type=Path, help="a song for the separators")
    parser.add_argument("--count", type=int, default=20, help="songs to time the stages on")
    parser.add_argument("--memory", type=int, nargs="*", default=[], help="numbers of songs")
    parser.add_argument("--separators", nargs="*", default=["drums", "spleeter"])
    parser.add_argument("--writers", nargs="*", default=[], help="models beside the templates")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        songs = list(islice(open_source(f"rendered={args.songs}").songs(), args.count))
        if songs:
            stages(songs, Path(folder), args.writers, clock)
    if args.real:
        separators(args.real, args.separators, clock)
    for name, row in clock.rows.items():
        row["clips_per_second"] = row["clips"] / max(row["seconds"], 1e-9)
        print(f"| {name} | {row['clips_per_second']:.1f} | "
              f"{row['clips_per_second'] * SECONDS:.0f} |")  # fmt: skip
    result = {"stages": clock.rows, "peak_megabytes": peaks(args.songs, args.memory)}
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
