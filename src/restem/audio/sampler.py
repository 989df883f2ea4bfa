"""Notes and an instrument of General MIDI in, their sound out: played with the package's samples.

The samples are notes of a SoundFont, some semitones apart (`scripts/make_sounds.py`); the others
are their neighbours played faster or slower.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from restem.audio.pitch_notes import PitchNotes
from restem.audio.room import room

SOUNDS = Path(__file__).parents[1] / "models" / "sounds"
RELEASE_S = 0.06  # in which a note fades after its end
SHORTEST_S = 0.05
FINER = 4  # times the rate at which samples are read in between, by straight lines
HARDER = 1.5  # amplitude is the velocity to this power


def play_notes(notes: PitchNotes, program: int, samples: int, rate: int) -> np.ndarray:
    """Mono (sample,) float32 at `rate`, of notes played on `program` (0 to 127).

    What sounds before the first sample or after the last one is cut. ValueError for a program
    without samples.
    """
    wave = room((samples,), np.float32)
    lengths = np.maximum(notes.ends - notes.starts, SHORTEST_S) + RELEASE_S
    fade = np.linspace(1, 0, round(RELEASE_S * rate), dtype=np.float32)
    for pitch in np.unique(notes.pitches):
        played = np.flatnonzero(notes.pitches == pitch)
        longest = _tone(program, int(pitch), float(lengths[played].max()), rate)
        for i in played:
            first = round(float(notes.starts[i]) * rate)
            size = round(float(lengths[i]) * rate)
            loudness = (notes.velocities[i] / 127) ** HARDER
            tone = longest[:size] * np.float32(loudness)
            tone[-len(fade) :] *= fade[-len(tone) :]
            there = wave[max(first, 0) : max(first + len(tone), 0)]
            there += tone[max(-first, 0) :][: len(there)]
    return wave


def _tone(program: int, pitch: int, seconds: float, rate: int) -> np.ndarray:
    """One note (sample,) of at most so many seconds; a sound that dies away may be shorter."""
    sound, own_rate, note, loop = _nearest(program, pitch)
    speed = 2 ** ((pitch - note) / 12) * own_rate / rate
    at = np.arange(round(seconds * rate)) * speed
    if loop:
        start, end = (edge * own_rate for edge in loop)
        at = np.where(at < end, at, start + (at - end) % (end - start))
    fine = resample_poly(sound, FINER, 1)
    at = at[at * FINER <= len(fine) - 1] * FINER
    return np.interp(at, np.arange(len(fine)), fine).astype(np.float32)


def _nearest(program: int, pitch: int) -> tuple[np.ndarray, int, int, tuple[float, float] | None]:
    """The sample nearest to a pitch, its rate and its own pitch, and its loop in seconds."""
    name = _index()["programs"][program]
    if name is None:
        raise ValueError(f"there are no samples of program {program}")
    rows = _index()["sampled"][name]
    note, start, length, *loop = min(rows, key=lambda row: abs(row[0] - pitch))
    sounds, rate = _sounds(name)
    part = sounds[round(start * rate) : round((start + length) * rate)]
    return part, rate, int(note), (loop[0], loop[1]) if loop else None


@lru_cache(maxsize=1)
def _index() -> dict:
    return dict(json.loads((SOUNDS / "bank.json").read_text()))


@lru_cache(maxsize=4)
def _sounds(name: str) -> tuple[np.ndarray, int]:
    return soundfile.read(SOUNDS / f"{name}.ogg", dtype="float32")
