"""Performances on other drums, kits of many kits' drums, drums tuned and damped: for training."""

from __future__ import annotations

import numpy as np
from drum_kits import HEARD, Kit, level

from restem.audio.drum_notes import DRUMS


def varied(notes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The performance on other drums: rides for hats, more crashes, toms, open hats; softer.

    The last columns of `notes` are pitch and velocity, the first is time.
    """
    notes = notes.copy()
    kinds = np.array([HEARD[int(p)] for p in notes[:, -2]], int)
    hats, rides = np.isin(kinds, (2, 3)), kinds == 7
    chance = rng.random(6)
    if chance[0] < 0.25:
        notes[hats, -2] = rng.choice([51, 51, 53, 49, 57, 46])
    elif chance[0] < 0.5:
        notes[rides, -2] = 42
    for way, pick, pitches in (
        (1, kinds == 2, [46]),
        (2, kinds == 1, [41, 43, 45, 47, 48, 50]),
        (3, np.isin(kinds, (0, 2)), [49, 57, 55, 52, 51]),
        (4, kinds == 0, [41, 45, 48]),
    ):
        if chance[way] < 0.2:
            some = pick & (rng.random(len(notes)) < 0.25)
            notes[some, -2] = rng.choice(pitches, int(some.sum()))
    if chance[5] < 0.3:
        some = np.flatnonzero(kinds == 0)
        more = notes[some[rng.random(len(some)) < 0.3]]
        more[:, -2] = rng.choice([49, 57, 55, 51, 46, 48, 43], len(more))
        more[:, -1] = rng.uniform(40, 127, len(more))
        notes = np.concatenate([notes, more])
        notes = notes[np.argsort(notes[:, 0], kind="stable")]
    notes[:, -1] = np.clip(notes[:, -1] * rng.uniform(0.6, 1.2), 1, 127)
    return notes


def mixed(base: Kit, kits: list[Kit], rng: np.random.Generator) -> Kit:
    """Some drums of other kits, about as loud as the base's own."""
    strokes = dict(base.strokes)
    for drum in dict.fromkeys(DRUMS):
        if rng.random() < 0.35:
            continue
        donor = kits[int(rng.integers(len(kits)))]
        had, new = ([p for p in k.strokes if DRUMS[HEARD[p]] == drum] for k in (base, donor))
        if not new:
            continue
        aim = level(base, had) if had else level(base, list(base.strokes)) / 2
        gain = np.float32(aim / level(donor, new) * 10 ** (rng.normal(0, 3) / 20))
        for pitch in had:
            del strokes[pitch]
        for pitch in new:
            strokes[pitch] = [(v, wave * gain) for v, wave in donor.strokes[pitch]]
    return Kit(base.name + " and others", strokes)


def retuned(kit: Kit, rng: np.random.Generator) -> Kit:
    """Every drum a little higher or lower, some damped, with levels of their own."""
    tuning = {}
    for kind, drum in enumerate(DRUMS):
        kept = int(rng.integers(17, 24) if drum in ("hats", "cymbals") else rng.integers(16, 26))
        damp = rng.uniform(0.1, 0.6) if rng.random() < 0.2 else np.inf
        tuning[kind] = (kept, float(damp), float(10 ** (rng.normal(0, 3) / 20)))
    return Kit(kit.name, kit.strokes, tuning)
