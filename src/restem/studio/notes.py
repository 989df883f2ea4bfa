"""What the workers do with MIDI and Guitar Pro songs: notes in, the same song with a new part out.

The counterpart of `tasks` for songs that are notes; the same folders, answers and messages.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from restem.errors import UserError
from restem.picture import save_picture
from restem.studio.records import Grid, Part, Region
from restem.symbolic.inserting import MidiInserter, MidiInsertion
from restem.symbolic.midi_files import song_from_bytes
from restem.symbolic.parts import STEMS, find_parts, key_of, kind_of, looks_like_drums
from restem.symbolic.roll_picture import draw_rolls
from restem.symbolic.scores import read_song
from restem.symbolic.song import Song, Track
from restem.symbolic.wishes import Wishes

Send = Callable[[dict[str, Any]], None]
SUFFIXES = (".mid", ".midi", ".gp3", ".gp4", ".gp5", ".gp", ".gpx")
LEAST_OVERLAP = 0.05  # seconds of a bar that a region must cover to mean it
SHARE = 0.9  # of a take's time that is spent composing


def holds_notes(path: Path) -> bool:
    """Whether an upload is meant as notes: by its ending or by its first bytes."""
    with open(path, "rb") as file:
        first = file.read(32)
    return path.suffix in SUFFIXES or first.startswith(b"MThd") or b"GUITAR PRO" in first


def prepare(upload: str, name: str) -> dict[str, Any]:
    """Read a score and write its notes beside it for the page; what is known, JSON-ready."""
    path = Path(upload)
    song = _song(path, name)
    kinds, notices = _kinds(song)
    parts, tracks = find_parts(song, kinds), []
    for kind, found in parts.items():
        for track in found:
            known: Any = {"kind": kind, "number": track.number, "name": track.name}
            facts = Part(
                **known, channel=track.channel, program=track.program, notes=len(track.notes)
            )
            tracks.append((facts, _in_seconds(track.notes, song)))
    tracks.sort(key=lambda pair: (pair[0].number, pair[0].channel))
    rows = [{**facts.model_dump(), "notes": notes} for facts, notes in tracks]
    (path.parent / "notes.json").write_text(json.dumps({"tracks": rows}))
    data = path.read_bytes()
    bars = song.bars()
    return {
        "kind": "notes",
        "seconds": float(song.seconds(bars[-1, :2].sum())),
        "container": "MIDI" if data.startswith(b"MThd") else "Guitar Pro",
        "sha256": hashlib.sha256(data).hexdigest(),
        "tracks": [facts.model_dump() for facts, _ in tracks],
        "missing": [stem for stem in STEMS if not parts[stem]],
        "notices": [*song.notices, *notices],
        "tracked": _grid(song).model_dump(),
    }


def compose(
    *, send: Send, upload: str, name: str, folder: str, request: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Make one take of a part into `folder`, and say what became of it."""
    path, stem = Path(upload), str(request["stem"])
    song = _song(path, name)
    region = Region(**request["region"]) if request["region"] else None
    wishes = Wishes(
        style=request["instruction"], density=request["density"], seed=seed,
        guidance=Wishes.guidance if request["guidance"] is None else request["guidance"],
        steps=request["steps"] or Wishes.steps,
    )  # fmt: skip
    result = _inserter().insert(
        song, [stem], wishes, track_map=_kinds(song)[0], force=True,
        bars=_bars_of(region, song) if region else None,
        progress=lambda share, words: send({"progress": [SHARE * share, words]}),
    )  # fmt: skip
    send({"progress": [SHARE, "writing"]})
    final, part = Path(folder), Path(folder + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    _write(part, result, song, path, stem, request)
    shutil.rmtree(final, ignore_errors=True)  # of a server that ended before it wrote it down
    os.replace(part, final)
    return {"seed": seed, "notices": result.notices, "notes": len(result.notes[stem])}


def _write(
    folder: Path, result: MidiInsertion, song: Song, upload: Path, stem: str, request: dict
) -> None:
    """The files of a take: the new song, its part for the page, the settings, the picture."""
    (folder / "song.mid").write_bytes(result.data)
    number = int.from_bytes(result.data[10:12], "big")  # the new track is the last
    made = [t for t in song_from_bytes(result.data, song.name).tracks if t.number == number]
    channel, program = (made[0].channel, made[0].program) if made else (0, None)
    rows = _in_seconds(result.notes[stem], song)
    notes = {"stem": stem, "channel": channel, "program": program, "notes": rows}
    (folder / "notes.json").write_text(json.dumps(notes))
    asked = {key: request[key] for key in ("instruction", "density", "region")}
    digest = hashlib.sha256(upload.read_bytes()).hexdigest()
    record = {
        **result.settings,
        "request": asked,
        "song": {"file": song.name, "sha256": digest},
        "notices": result.notices,
    }
    (folder / f"song.{stem}.json").write_text(json.dumps(record, indent=2) + "\n")
    save_picture(folder / "song.png", draw_rolls(result.parts, result.made, result.bars, song.name))


def _song(path: Path, name: str) -> Song:
    """The score under the name that its owner knows, also in what is wrong with it."""
    return read_song(path, name)


def _kinds(song: Song) -> tuple[dict[str, str], list[str]]:
    """A track map for drums that hide on another channel: nobody is here to be asked."""
    hidden: list[Track] = [
        track for track in song.tracks if kind_of(track) == "other" and looks_like_drums(track)
    ]
    words = [f"Track {track.number} looks like drums and is taken for them." for track in hidden]
    return {key_of(track, song): "drums" for track in hidden}, words


def _in_seconds(notes: np.ndarray, song: Song) -> list[list[float]]:
    """Notes in ticks as rows of start and end in seconds, pitch and velocity."""
    starts, ends = (np.round(song.seconds(notes[:, i]), 4).tolist() for i in (0, 1))
    return [list(row) for row in zip(starts, ends, *notes[:, 2:].T.tolist(), strict=True)]


def _grid(song: Song) -> Grid:
    """The beats of a score: in 6/8, 9/8 and 12/8 three eighths each."""
    ticks: list[int] = []
    positions: list[int] = []
    for start, length, numerator, denominator in song.bars().tolist():
        three = denominator >= 8 and numerator % 3 == 0 and numerator > 3
        beat = song.ticks_per_quarter * 4 * (3 if three else 1) // denominator
        beats = range(start, start + length, max(beat, 1))
        ticks += beats
        positions += range(1, len(beats) + 1)
    times = song.seconds(np.array(ticks))
    end = float(song.seconds(song.bars()[-1, :2].sum()))
    return Grid(
        times=times.tolist(), positions=positions, beats_per_bar=max(positions),
        bpm=60 * len(ticks) / end, confidence=1.0,
    )  # fmt: skip


def _bars_of(region: Region, song: Song) -> tuple[int, int]:
    """First and last bar, from 1, that a region of seconds covers."""
    bars = song.bars()
    starts, ends = song.seconds(bars[:, 0]), song.seconds(bars[:, :2].sum(axis=1))
    inside = np.minimum(ends, region.end) - np.maximum(starts, region.start) > LEAST_OVERLAP
    covered = np.flatnonzero(inside)
    if not len(covered):
        raise UserError("The region holds no bar; choose a longer one.")
    return int(covered[0]) + 1, int(covered[-1]) + 1


@cache
def _inserter() -> MidiInserter:
    return MidiInserter()
