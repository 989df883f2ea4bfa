"""A song in, the same song with new drums, bass or guitar as added tracks out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from restem import __version__
from restem.errors import UserError
from restem.manner import dynamics_of_words
from restem.naming import NAMES, named_last
from restem.symbolic import performance
from restem.symbolic.arrange import complete
from restem.symbolic.channels import beside, choose_voices, said_of
from restem.symbolic.midi_files import track_bytes, with_track
from restem.symbolic.model import PACKAGED, RollModel
from restem.symbolic.parts import KINDS, STEMS, find_parts, planes_of
from restem.symbolic.rhythms import own_words
from restem.symbolic.rolls import (
    bars_in_steps,
    notes_from_roll,
    steps_from_ticks,
    ticks_from_steps,
    ticks_of_step,
)
from restem.symbolic.song import Song, Track
from restem.symbolic.wishes import Wishes

Progress = Callable[[float, str], None]
STEP_VELOCITY = 20  # of dynamics


@dataclass(frozen=True)
class MidiInsertion:
    """The new MIDI file and what is in it.

    `notes`: stem -> notes as in Track; `parts` and `made`: kind -> planes (2, step, 128), as they
    were and as they were made; `bars` (bar, 4) in steps; `settings` are JSON-ready.
    """

    data: bytes
    notes: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]
    made: dict[str, np.ndarray]
    bars: np.ndarray
    settings: dict
    notices: list[str] = field(default_factory=list)


class MidiInserter:
    """Inserts parts with the models in the package, of a folder, or given by stem.

    `touch` is how drums are played; if none is given, the models' own or that in the package.
    """

    def __init__(
        self,
        models: str | Path | Mapping[str, RollModel] = PACKAGED,
        touch: performance.Touch | None = None,
    ) -> None:
        self._folder: str | Path = PACKAGED if isinstance(models, Mapping) else models
        self._models: dict[str, RollModel] = dict(models) if isinstance(models, Mapping) else {}
        self._touch_given = touch

    def insert(
        self,
        song: Song,
        stems: Sequence[str],
        wishes: Wishes | None = None,
        *,
        track_map: Mapping[str, str] | None = None,
        bars: tuple[int, int] | None = None,
        force: bool = False,
        amount: float = 1.0,
        progress: Progress | None = None,
    ) -> MidiInsertion:
        """Add the stems to a song; with none named, all of the three that it lacks.

        `bars`: first and last bar to fill, counted from 1. `force`: also if the part is there
        already. `amount`: how freely the drummer plays around the grid and in force, 0 to 1.
        Raises UserError for a part that is there, bars outside of the song or a missing model.
        """
        wishes = wishes or Wishes()
        found = find_parts(song, track_map)
        wanted = _wanted(found, stems, bars is not None or force)
        table = bars_in_steps(song.bars(), song.ticks_per_quarter)
        region = _region(bars, len(table))
        steps = int(table[-1, 0] + table[-1, 1])
        parts = {kind: planes_of(tracks, song, steps) for kind, tracks in found.items() if tracks}
        models = {stem: self._model(stem) for stem in wanted}
        voices = choose_voices(wanted, found, song, wishes.style)

        def follow(share: float) -> None:
            if progress is not None:
                progress(share, "composing")

        made = complete(models, parts, table, wanted, wishes, region, follow)
        if region is None:
            for planes in made.values():
                planes[:, _last_step(song, table) :] = False
        settings = {
            "version": __version__,
            "stems": wanted,
            "bars": bars,
            "amount": amount,
            "models": {stem: model.sha256[:16] for stem, model in models.items()},
            **asdict(wishes),
        }
        data, notes = song.data, {}
        for stem in wanted:
            played = self._played(stem, made[stem], table, song, wishes.seed, amount)
            harder = STEP_VELOCITY * dynamics_of_words(own_words(wishes.style, stem))
            played[:, 3] = np.clip(played[:, 3] + harder, 1, 127)
            notes[stem] = without_overlaps(
                inside_bars(played, table, region, song.ticks_per_quarter)
            )
            voice = voices[stem]
            if voice.shared is not None:
                notes[stem] = beside(notes[stem], song, voice.channel)
            text = json.dumps({"restem": settings}, ensure_ascii=True)
            data = with_track(
                data, track_bytes(f"restem {stem}", voice.channel, voice.program, notes[stem], text)
            )
        return MidiInsertion(
            data,
            notes,
            parts,
            made,
            table,
            settings,
            [
                *song.notices,
                *said_of(voices),
                *_notices(wanted, notes, found, bars, song, wishes.style),
            ],
        )

    def _model(self, stem: str) -> RollModel:
        if stem not in self._models:
            self._models[stem] = RollModel.load(stem, self._folder)
        return self._models[stem]

    @cached_property
    def _touch(self) -> performance.Touch:
        if self._touch_given is not None:
            return self._touch_given
        own = Path(self._folder) / "touch.npz"
        return performance.Touch.load(own if own.is_file() else None)

    def _played(
        self, stem: str, planes: np.ndarray, bars: np.ndarray, song: Song, seed: int, amount: float
    ) -> np.ndarray:
        """Notes in ticks with velocities of a part that was made."""
        quarter = song.ticks_per_quarter
        if stem == "drums":
            strokes = performance.play(self._touch, planes, bars, seed, amount)
            steps = strokes[:, 0]
            start = ticks_from_steps(steps, quarter) + np.rint(strokes[:, 3] * quarter)
            start = np.clip(start, *ticks_of_step(steps, quarter))
            end = start + max(quarter // 8, 1)
            notes = np.stack([np.maximum(start, 0), end, strokes[:, 1], strokes[:, 2]], axis=1)
        else:
            steps = notes_from_roll(planes[None])
            start, end = (ticks_from_steps(steps[:, i], quarter) for i in (0, 1))
            notes = np.stack(
                [start, end, steps[:, 2], performance.accents(steps[:, 0], bars)], axis=1
            )
        return notes.astype(np.int64)


def _last_step(song: Song, bars: np.ndarray) -> int:
    """The step at which a new part ends: the bar in which a last note begins is filled, what is
    only held after it is played to its end."""
    begun = max(int(track.notes[:, 0].max()) for track in song.tracks if len(track.notes))
    begins, ends = steps_from_ticks(np.array([begun, song.end]), song.ticks_per_quarter).tolist()
    bar = max(int(np.searchsorted(bars[:, 0], begins, side="right")) - 1, 0)
    return int(max(bars[bar, :2].sum(), ends))


def inside_bars(
    notes: np.ndarray, bars: np.ndarray, region: tuple[int, int] | None, quarter: int
) -> np.ndarray:
    """Notes in ticks whose starts a drummer's timing has not taken out of the region's bars."""
    if region is None:
        return notes
    edges = np.array([bars[region[0], 0], bars[region[1] - 1, :2].sum()])
    first, end = ticks_from_steps(edges, quarter).tolist()
    inside = notes.copy()
    inside[:, 0] = np.clip(notes[:, 0], first, end - 1)
    return inside


def without_overlaps(notes: np.ndarray) -> np.ndarray:
    """Notes (note, 4) of which equal pitches follow one another, each at least a tick long."""
    ordered = notes[np.lexsort((notes[:, 0], notes[:, 2]))]
    for index in range(1, len(ordered)):
        if ordered[index, 2] == ordered[index - 1, 2]:
            ordered[index, 0] = max(ordered[index, 0], ordered[index - 1, 0] + 1)
            ordered[index, 1] = max(ordered[index, 1], ordered[index, 0] + 1)
            ordered[index - 1, 1] = min(ordered[index - 1, 1], ordered[index, 0])
    return ordered[np.lexsort((ordered[:, 2], ordered[:, 0]))]


def _wanted(found: Mapping[str, list[Track]], stems: Sequence[str], anyway: bool) -> list[str]:
    if not stems:
        stems = [stem for stem in STEMS if not found[stem]]
        if not stems:
            raise UserError(
                "The song has drums, bass and guitar already; name the part with --stem "
                "and the bars to fill with --bars, or add --force."
            )
    for stem in stems:
        if found[stem] and not anyway:
            track = found[stem][0]
            raise UserError(
                f"The song has {stem} already (track {track.number}, {track.name or 'no name'}); "
                "name the bars to fill with --bars, or add --force to make a second part."
            )
    return [stem for stem in STEMS if stem in stems]


def _region(bars: tuple[int, int] | None, count: int) -> tuple[int, int] | None:
    if bars is None:
        return None
    if not 1 <= bars[0] <= bars[1] <= count:
        raise UserError(
            f"The song has bars 1 to {count}; bars {bars[0]} to {bars[1]} are not in it."
        )
    return bars[0] - 1, bars[1]


def _notices(
    wanted: list[str],
    notes: Mapping[str, np.ndarray],
    found: Mapping[str, list[Track]],
    bars: tuple[int, int] | None,
    song: Song,
    style: str,
) -> list[str]:
    said = []
    other = named_last(style.lower()) if len(wanted) == 1 else None
    if other and not NAMES[wanted[0]].search(style.lower()):
        said.append(f"The style names {other}, but this part is {wanted[0]}.")
    if not any(found[kind] for kind in KINDS if kind not in wanted):
        said.append("The song has nothing else to play along with.")
    for stem in wanted:
        if not len(notes[stem]):
            said.append(f"The new {stem} part has no notes; try another --seed or --density busy.")
        if bars is not None and found[stem]:
            table = song.bars()
            first, last = table[bars[0] - 1, 0], table[bars[1] - 1, :2].sum()
            if any(np.any((t.notes[:, 0] >= first) & (t.notes[:, 0] < last)) for t in found[stem]):
                said.append(
                    f"The song's own {stem} also play in bars {bars[0]} to {bars[1]}; mute "
                    "them there."
                )
    return said
