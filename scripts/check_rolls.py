"""Check on real songs that rolls keep every note on the grid, and files every track of the user.

    python scripts/check_rolls.py [--midi DIR] [--mma LIB --songs 200]

For each MIDI file: (1) notes -> roll -> notes is the identity for notes on the grid; (2) after a
track is added, all other tracks hold the same events, as mido reads them.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mido
import numpy as np

from restem.dataset.compose import list_grooves, plan_chords
from restem.errors import UserError
from restem.symbolic.midi_files import song_from_bytes, track_bytes, with_track
from restem.symbolic.parts import KINDS, kind_of
from restem.symbolic.rolls import (
    notes_from_roll,
    notes_in_steps,
    on_grid,
    roll_from_notes,
    ticks_from_steps,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--midi", type=Path)
    parser.add_argument("--mma", type=Path)
    parser.add_argument("--songs", type=int, default=200)
    args = parser.parse_args()
    bad = 0
    for name, files in (
        ("MIDI folder", folder(args.midi)),
        ("MMA", composed(args.mma, args.songs)),
    ):
        songs = kept = total = 0
        for path, data in files:
            songs += 1
            on, every, rolls_ok = check_rolls(data, path)
            tracks_ok = check_tracks(data)
            kept, total = kept + on, total + every
            if not (rolls_ok and tracks_ok):
                bad += 1
                print(
                    f"{path}: rolls {'kept' if rolls_ok else 'DIFFER'}, "
                    f"tracks {'kept' if tracks_ok else 'DIFFER'}"
                )
        if songs:
            print(
                f"{name}: {songs} songs, {total} notes, {kept / total:.1%} with both ends on the "
                f"grid, all of which came back; {bad} songs with differences"
            )
    return 1 if bad else 0


def folder(path: Path | None) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.glob("*.mid")) if path else []:
        yield file.name, file.read_bytes()


def composed(library: Path | None, count: int) -> Iterator[tuple[str, bytes]]:
    """Songs of 16 bars that MMA composes, as MIDI files."""
    if library is None:
        return
    grooves = list_grooves(library)
    rng = np.random.default_rng(0)
    done = 0
    while done < count:
        groove = grooves[int(rng.integers(len(grooves)))]
        chart, _ = plan_chords({}, groove, 16, rng)
        lines = [f"Use {groove.path}", f"Groove {groove.name}"]
        lines += [f"{i + 1} {bar}" for i, bar in enumerate(chart)]
        with tempfile.TemporaryDirectory() as place:
            source, target = Path(place, "song.mma"), Path(place, "song.mid")
            source.write_text("\n".join(lines) + "\n")
            subprocess.run(
                ["mma", str(source), "-f", str(target)],
                capture_output=True,
                check=False,
                env={**os.environ, "HOME": place},
            )
            if target.exists():
                done += 1
                yield f"{groove.path.name}:{groove.name}", target.read_bytes()


def check_rolls(data: bytes, name: str) -> tuple[int, int, bool]:
    """Notes on the grid, all notes, and whether the former came back from their rolls in ticks."""
    try:
        song = song_from_bytes(data, name)
    except UserError as error:
        print(f"{name}: {error}")
        return 0, 0, True
    quarter, on, every, same = song.ticks_per_quarter, 0, 0, True
    for kind in KINDS:
        found = [track.notes for track in song.tracks if kind_of(track) == kind]
        if not found:
            continue
        notes = np.concatenate(found)
        exact = on_grid(notes[:, 0], quarter) & on_grid(notes[:, 1], quarter)
        exact &= notes[:, 1] > notes[:, 0]
        # All notes share the roll, as they will in use; those on the grid must be among the result.
        steps = notes_in_steps(notes, quarter)
        back = notes_from_roll(roll_from_notes(steps, int(steps[:, 1].max())))
        ticks = np.stack(
            [
                ticks_from_steps(back[:, 0], quarter),
                ticks_from_steps(back[:, 1], quarter),
                back[:, 2],
            ],
            axis=1,
        )
        same &= contains(ticks, notes[exact, :3]) and len(ticks) == len(notes)
        on, every = on + int(exact.sum()), every + len(notes)
    return on, every, same


def contains(rows: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether `rows` hold all `wanted` rows, doubled ones doubly."""
    unique, counts = np.unique(wanted, axis=0, return_counts=True)
    have = dict(
        zip(
            map(tuple, np.unique(rows, axis=0).tolist()),
            np.unique(rows, axis=0, return_counts=True)[1].tolist(),
            strict=True,
        )
    )
    return all(
        have.get(tuple(row), 0) >= count
        for row, count in zip(unique.tolist(), counts.tolist(), strict=True)
    )


def check_tracks(data: bytes) -> bool:
    made = with_track(data, track_bytes("restem drums", 9, None, np.array([[0, 100, 36, 90]])))
    before, after = (mido.MidiFile(file=io.BytesIO(d), clip=True).tracks for d in (data, made))
    return len(after) == len(before) + 1 and all(
        list(a) == list(b) for a, b in zip(before, after, strict=False)
    )


if __name__ == "__main__":
    sys.exit(main())
