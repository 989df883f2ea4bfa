"""A folder of MIDI and Guitar Pro songs in, their sound as rendered songs with exact stems out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restem.audio.files import atomic_path
from restem.dataset.compose import Part, split_of
from restem.dataset.render import SAMPLE_RATE, Renderer
from restem.dataset.rendered import stem_record
from restem.dataset.sentences import style_words
from restem.errors import UserError
from restem.symbolic.parts import kind_of
from restem.symbolic.scores import SUFFIXES, read_song
from restem.symbolic.song import Song, Track

BPM = 60.0  # one "quarter" of the renderer is a second, so that any tempo map is played exactly
LOUDEST = 0.9


@dataclass(frozen=True)
class ScorePlan:
    """Which songs to render, with what, where to; at most `seconds` from the middle of each."""

    songs: Path
    soundfonts: tuple[Path, ...]
    out: Path
    seconds: float = 60.0


def render_scores(plan: ScorePlan) -> Iterator[tuple[int, int, str]]:
    """Render the songs that are not there yet, yielding (done, of, why a song was left out or "").

    The files are those of `restem.dataset.rendered`, named by a hash of the song's path. A song
    needs drums and anything else. UserError if the folder holds no songs.
    """
    paths = sorted(path for path in plan.songs.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"{plan.songs} holds no MIDI or Guitar Pro files; name another folder.")
    renderer = Renderer(list(plan.soundfonts))
    plan.out.mkdir(parents=True, exist_ok=True)
    for done, path in enumerate(paths, start=1):
        key = hashlib.sha256(path.relative_to(plan.songs).as_posix().encode()).hexdigest()[:16]
        reason = ""
        if not (plan.out / f"{key}.json").exists():
            try:
                _render(path, renderer, plan, key)
            except UserError as error:
                reason = str(error)
        yield done, len(paths), reason


def _render(path: Path, renderer: Renderer, plan: ScorePlan, key: str) -> None:
    song = read_song(path)
    length = float(song.seconds(song.end))
    start = max(0.0, (length - plan.seconds) / 2)
    end = min(length, start + plan.seconds)
    parts = [part for track in song.tracks if len((part := _part(track, song, start, end)).notes)]
    drums = [part for part in parts if part.kind == "drums"]
    others = [part for part in parts if part.kind != "drums"]
    if not drums or not others:
        raise UserError(f"{path.name} has no drums, or nothing but drums; it is left out.")
    samples = round((end - start) * SAMPLE_RATE)
    rng = np.random.default_rng(int(key, 16))
    context, played = (
        [renderer.render(part, BPM, samples, int(rng.integers(renderer.fonts))) for part in some]
        for some in (others, drums)
    )
    waves = np.stack([*context, np.sum(played, axis=0)])
    waves *= LOUDEST / max(LOUDEST, float(np.abs(waves).max()))
    record = _record(song, path, start, end) | {
        "id": key,
        "samples": samples,
        "takes": [{"source": path.name}],
        "stems": [stem_record(part, 60 / BPM) for part in others],
    }
    steps = np.round(waves * 32767).astype(np.int16)
    for name, rows in (("context", steps[:-1]), ("drums", steps[-1:])):
        with atomic_path(plan.out / f"{key}.{name}.npy") as target, target.open("wb") as file:
            np.save(file, rows)
    with atomic_path(plan.out / f"{key}.json") as target:
        target.write_text(json.dumps(record))


def _part(track: Track, song: Song, start: float, end: float) -> Part:
    """The notes that begin between two moments, in seconds from the first moment."""
    on, off = (song.seconds(track.notes[:, column]) for column in (0, 1))
    inside = (on >= start) & (on < end)
    notes = np.stack([on - start, off - on, track.notes[:, 2], track.notes[:, 3]], axis=1)[inside]
    kind, program = kind_of(track), track.program or 0
    if kind == "other" and program < 24:
        kind = "keys"
    return Part(kind, 0 if kind == "drums" else program, notes.astype(np.float64))


def _record(song: Song, path: Path, start: float, end: float) -> dict:
    """What a build wants to know; the style is that of the folder, if it is called by one."""
    beats, positions = [], []
    for tick, length, numerator, denominator in song.bars():
        step = song.ticks_per_quarter * 4 / denominator
        for place in range(min(int(numerator), round(length / step))):
            beats.append(float(song.seconds(tick + place * step)))
            positions.append(place + 1)
    inside = [place for place, beat in enumerate(beats) if start <= beat < end]
    changes = song.seconds(song.tempos[:, 0])
    middle = int(np.searchsorted(changes, (start + end) / 2, side="right")) - 1
    bar = next(bar for bar in song.bars()[::-1] if bar[0] == 0 or song.seconds(bar[0]) <= start)
    return {
        "split": split_of(path.name),
        "style_file": path.name,
        "style": style_words(path.parent.name),
        "bpm": round(60e6 / float(song.tempos[max(0, middle), 1]), 3),
        "metre": f"{bar[2]}/{bar[3]}",
        "beats_per_bar": int(bar[2]),
        "beats": [round(beats[place] - start, 6) for place in inside],
        "positions": [positions[place] for place in inside],
    }
