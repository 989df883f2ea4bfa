"""The sound of a stem with a pitch in; which notes it plays, from when to when, out.

The network is Basic Pitch (R. M. Bittner et al., "A lightweight instrument-agnostic model for
polyphonic note transcription and multipitch estimation", ICASSP 2022; its ONNX file of version 0.4,
Apache 2.0): for each frame and each key of a piano it says whether a note begins and whether one
sounds. How notes are made of that is our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import onnxruntime

from restem.audio.room import blocks
from restem.audio.waveform import resampled

RATE, HOP = 22050, 256  # of the network
SAMPLES, FRAMES = 2 * RATE - HOP, 172  # of a window, and of what it says of it
EDGE = 15  # frames at either end of a window that hear too little around them
STEP = FRAMES - 2 * EDGE - 1  # frames from window to window
LOWEST = 21  # MIDI pitch of the first key
BEGINS, SOUNDS = 0.6, 0.3  # least answers for a beginning, and for going on
GONE = 11  # frames under SOUNDS that end a note
PARTIALS, ECHO = (12, 19), 0.8  # semitones to a note's second and third; of its strength, at most
TOGETHER = 3  # frames apart at most
SHORTEST = 8  # frames, 93 ms
LATE_S = 0.0065  # that its beginnings lie after the true ones


Row = tuple[int, int, int, float]  # first frame, frame after the last, pitch, strength


@dataclass(frozen=True, eq=False)
class PitchNotes:
    """Notes in order: `starts`, `ends` (note,) seconds, `pitches` MIDI, `velocities` 1-127."""

    starts: np.ndarray
    ends: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray


def hear_pitches(wave: np.ndarray, sample_rate: int, one_at_a_time: bool = False) -> PitchNotes:
    """The notes of a stem, mono (sample,), of any level; none in silence.

    `one_at_a_time`: of a bass, whose notes end where the next begins.
    """
    peak = max((float(np.abs(wave[b]).max()) for b in blocks(len(wave))), default=0.0)
    if not peak:
        nothing = np.zeros(0)
        return PitchNotes(nothing, nothing, nothing.astype(int), nothing.astype(int))
    sounding, beginning = answers(resampled(wave, sample_rate, RATE), peak)
    rows = [
        (first, last, key + LOWEST, float(sounding[first:last, key].mean()))
        for key in range(sounding.shape[1])
        for first, last in _of_key(sounding[:, key], beginning[:, key])
    ]
    rows = _without_partials(sorted(rows))
    rows = _one_at_a_time(rows) if one_at_a_time else rows
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    hard = np.clip(np.rint(table[:, 3] * 127), 1, 127).astype(int)
    starts, ends = (np.maximum(table[:, k] * HOP / RATE - LATE_S, 0) for k in (0, 1))
    return PitchNotes(starts, ends, table[:, 2].astype(int), hard)


def answers(wave: np.ndarray, peak: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(frame, key) that a key sounds and that it begins, 0 to 1, of (sample,) at RATE, which is
    brought from `peak` to 1."""
    parts = list(_windows(wave, peak))
    count = len(wave) // HOP + 1
    sounding, beginning = (np.concatenate([p[k] for p in parts])[:count] for k in (0, 1))
    return sounding, beginning


def _windows(wave: np.ndarray, peak: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What the network says of STEP frames at a time, in half precision to save memory."""
    network = _network()
    for first in range(-EDGE * HOP, len(wave), STEP * HOP):
        begin = max(first, 0)
        part = wave[begin : first + SAMPLES].astype(np.float32) / np.float32(peak)
        before = begin - first
        padded = np.pad(part, (before, SAMPLES - before - len(part)))
        names = ["StatefulPartitionedCall:1", "StatefulPartitionedCall:2"]
        said = network.run(names, {"serving_default_input_2:0": padded[None, :, None]})
        sounding, beginning = (x[0, EDGE : EDGE + STEP].astype(np.float16) for x in said)
        yield sounding, beginning


def _of_key(sounding: np.ndarray, beginning: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of the notes of one key, from its answers (frame,)."""
    if float(beginning.max(initial=0)) < BEGINS:
        return []
    padded = np.pad(beginning, 1)
    peak = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] > padded[2:]) & (beginning >= BEGINS)
    starts = np.flatnonzero(peak)
    notes = []
    for start, after in zip(starts.tolist(), [*starts[1:].tolist(), len(sounding)], strict=True):
        quiet = np.flatnonzero(_gone(sounding[start + 1 : after]))
        end = start + 1 + int(quiet[0]) if len(quiet) else after
        if end - start >= SHORTEST:
            notes.append((start, end))
    return notes


def _gone(sounding: np.ndarray) -> np.ndarray:
    """Where GONE frames of silence begin; what follows the end counts as silence."""
    silent = np.pad(sounding < SOUNDS, (0, GONE), constant_values=True)
    windows = np.lib.stride_tricks.sliding_window_view(silent, GONE)[: len(sounding)]
    return np.asarray(windows.all(axis=1))


def _without_partials(rows: list[Row]) -> list[Row]:
    """Without the weaker notes that begin with another one an octave or a twelfth below."""
    starts = np.array([row[0] for row in rows])
    kept = []
    for row in rows:
        near = slice(*np.searchsorted(starts, [row[0] - TOGETHER, row[0] + TOGETHER + 1]))
        lower = {r[2]: r[3] for r in rows[near]}
        if all(row[3] >= ECHO * lower.get(row[2] - step, 0.0) for step in PARTIALS):
            kept.append(row)
    return kept


def _one_at_a_time(rows: list[Row]) -> list[Row]:
    """Of notes (first, last, pitch, strength) that begin together the strongest; each ends where
    the next begins."""
    kept: list[Row] = []
    for row in rows:
        if kept and row[0] - kept[-1][0] < SHORTEST:
            kept[-1] = max(kept[-1], row, key=lambda note: note[3])
        else:
            kept.append(row)
    ends = [row[0] for row in kept[1:]] + [1 << 60]
    return [(a, min(b, end), p, v) for (a, b, p, v), end in zip(kept, ends, strict=False)]


@cache
def _network() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # adds in one order on every machine
    with resources.as_file(resources.files("restem") / "models" / "pitch_notes.onnx") as path:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
