"""Rendered songs in, pieces for training out: what is heard of a song beside one true part.

The songs are those of `restem dataset render`, whose records hold the notes of each stem. For each
of bass, guitar and keys the other stems are mixed, loud and soft and not all of them, and what
Basic Pitch hears in the mix is the piece's "other", with all that it gets wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from restem.audio.beats import BeatGrid
from restem.audio.pitch_notes import PitchNotes, hear_pitches
from restem.dataset.songs import read_record
from restem.errors import UserError
from restem.symbolic.corpora import Piece
from restem.symbolic.on_beats import bars_of, planes_heard

HEARD = "heard"  # the name of this corpus
STEMS = ("bass", "guitar", "keys")
RATE = 44100
KEPT, WITH_DRUMS = 0.85, 0.7  # chance of each other stem, and of drums, to be in the mix
LEVELS_DB = (-6.0, 6.0)


def heard_pieces(songs: Path, seed: int = 0) -> Iterator[Piece]:
    """A piece for each stem of each song; UserError for a folder without songs with notes."""
    paths = sorted(songs.glob("*.json"))
    if not paths:
        raise UserError(f"{songs} holds no rendered songs; make some with restem dataset render.")
    for path in paths:
        record = read_record(path, "stems")
        if any("notes" not in stem for stem in record["stems"]):
            raise UserError(f"{path} says no notes; render its songs anew with this version.")
    # Spawned, not forked: a worker shall not take over what this process does on a signal to end.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for pieces in pool.map(_of_song, paths, repeat(seed), chunksize=4):
            yield from pieces


def _of_song(path: Path, seed: int) -> list[Piece]:
    record = json.loads(path.read_text())
    name = int(record["id"], 16)
    found = [
        _piece(path, record, stem, np.random.default_rng((seed, name, number)))
        for number, stem in enumerate(STEMS)
    ]
    return [piece for piece in found if piece is not None]


def _piece(path: Path, record: dict, stem: str, rng: np.random.Generator) -> Piece | None:
    """One of the song's stems of a kind; None if it has none, or nothing else."""
    kinds = [part["kind"] for part in record["stems"]]
    own = [part["notes"] for part in record["stems"] if part["kind"] == stem and part["notes"]]
    others = [i for i, kind in enumerate(kinds) if kind != stem]
    if not own or not others:
        return None
    notes = _notes(np.array(own[int(rng.integers(len(own)))]))
    kept = [i for i in others if rng.random() < KEPT] or others
    waves = np.load(path.with_suffix(".context.npy"), mmap_mode="r")
    mix = np.zeros(waves.shape[1], np.float32)
    for wave in [waves[i] for i in kept]:
        mix += _gain(rng) * wave.astype(np.float32) / 32768
    if rng.random() < WITH_DRUMS:
        drums = np.load(path.with_suffix(".drums.npy"), mmap_mode="r")[0]
        mix += _gain(rng) * drums.astype(np.float32) / 32768
    grid = BeatGrid(
        np.array(record["beats"]), np.array(record["positions"]), record["beats_per_bar"]
    )
    parts = {
        stem: planes_heard(notes, grid),
        "other": planes_heard(hear_pitches(mix, RATE), grid),
    }
    name = f"{record['id']}/{stem}"
    return Piece(name, HEARD, record["split"], record["style"], parts, bars_of(grid))


def _gain(rng: np.random.Generator) -> np.float32:
    return np.float32(10 ** (rng.uniform(*LEVELS_DB) / 20))


def _notes(rows: np.ndarray) -> PitchNotes:
    """Notes (note, 4) of a record: start and end in seconds, pitch, velocity."""
    ordered = rows[np.argsort(rows[:, 0], kind="stable")]
    pitches, velocities = ordered[:, 2:].T.astype(int)
    return PitchNotes(ordered[:, 0], ordered[:, 1], pitches, velocities)
