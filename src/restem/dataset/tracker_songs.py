"""Songs for the beat tracker in, their stems' band powers with exact beats out, as small files."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import mido
import numpy as np
from numpy.typing import NDArray

from restem.audio.tracking import SAMPLE_RATE, band_powers
from restem.dataset.compose import Part, parts_from_midi
from restem.dataset.produced import compose_produced
from restem.dataset.render import Renderer
from restem.dataset.songs import read_record


@dataclass(frozen=True)
class TrackerSong:
    """One song for the tracker.

    `powers`: (stem, frame, band) float16 decibels of band power; `kinds`: (stem,) bass, guitar,
    keys, lead or other; `beats`: (beat,) seconds; `positions`: (beat,) 1 = downbeat.
    """

    powers: NDArray[np.float16]
    kinds: list[str]
    beats: NDArray[np.floating]
    positions: NDArray[np.integer]
    split: str
    source: str


def save(song: TrackerSong, path: Path) -> None:
    """Writes one .npz, whole or not at all."""
    record = {k: v for k, v in asdict(song).items() if k in ("kinds", "split", "source")}
    partial = path.with_suffix(".part")
    with open(partial, "wb") as file:
        np.savez(file, powers=song.powers, beats=song.beats, positions=song.positions,
                 record=json.dumps(record))  # fmt: skip
    os.replace(partial, path)


def load(path: Path) -> TrackerSong:
    with np.load(path) as stored:
        record = json.loads(str(stored["record"]))
        return TrackerSong(
            stored["powers"], record["kinds"], stored["beats"], stored["positions"],
            record["split"], record["source"],
        )  # fmt: skip


def decibels(waveforms: list[NDArray[np.floating]]) -> NDArray[np.float16]:
    """(sample,) waveforms of one length -> (stem, frame, band) decibels, floored at -100."""
    powers = np.stack([band_powers(waveform) for waveform in waveforms])
    return (10 * np.log10(powers + 1e-10)).astype(np.float16)


def rendered_song(path: Path) -> TrackerSong:
    """The song whose record, as `restem.dataset.rendered` writes it, is at `path`.

    Raises UserError if the record is damaged.
    """
    record = read_record(path, "beats", "positions", "stems")
    stems = np.load(path.with_name(f"{path.stem}.context.npy"), mmap_mode="r")
    return TrackerSong(
        decibels([stem.astype(np.float32) / 32768 for stem in stems]),
        [stem["kind"] for stem in record["stems"]],
        np.array(record["beats"]),
        np.array(record["positions"]),
        record["split"],
        record["style_file"],
    )


def produced_song(seed: int, renderer: Renderer, seconds: float = 32.0) -> TrackerSong:
    """One song of `restem.dataset.produced`, rendered; the same seed gives the same song."""
    rng = np.random.default_rng((7, seed))
    song = compose_produced(rng, seconds)
    beat = 60 / song.bpm
    count = song.bars * song.beats_per_bar
    samples = int(count * beat * SAMPLE_RATE)
    waveforms = [
        renderer.render(part, song.bpm, samples, int(rng.integers(renderer.fonts)))
        for part in song.parts
    ]
    split = "validation" if seed % 20 == 0 else "train"
    index = np.arange(count)
    return TrackerSong(decibels(waveforms), [part.kind for part in song.parts], index * beat,
                       index % song.beats_per_bar + 1, split, "produced")  # fmt: skip


def midi_song(path: Path, renderer: Renderer, seconds: float = 75.0) -> TrackerSong | None:
    """A stretch of a multitrack MIDI song of one tempo in 3/4 or 4/4, without its drums.

    None if the tempo changes, the metre is another, or the drums do not bear the written beats
    out: written tempo and bar lines are believed where kicks mark the first beat of the bar and
    snares the second or last. Works of one file name are either training or validation.
    """
    midi = mido.MidiFile(path)
    tempi = {e.tempo for track in midi.tracks for e in track if e.type == "set_tempo"}
    metres = {
        (e.numerator, e.denominator)
        for track in midi.tracks
        for e in track
        if e.type == "time_signature"
    }
    if len(tempi) != 1 or not metres <= {(4, 4), (3, 4)} or len(metres) > 1:
        return None
    bpm, metre = 60e6 / tempi.pop(), (metres or {(4, 4)}).pop()[0]
    parts = parts_from_midi(midi)
    drums = [part.notes for part in parts if part.kind == "drums"]
    others = [part for part in parts if part.kind != "drums"]
    if not others or not drums or not 60 <= bpm <= 200:
        return None
    if not drums_agree(np.concatenate(drums), metre):
        return None
    end = max(part.notes[-1, 0] for part in others)
    length = seconds * bpm / 60
    first = metre * np.floor(max(0.0, (end - length) / 2) / metre)
    last = first + metre * np.floor(min(length, end - first) / metre)
    cut = [_between(part, first, last) for part in others]
    cut = [part for part in cut if len(part.notes) >= 8]
    rng = np.random.default_rng(int(hashlib.sha256(path.name.encode()).hexdigest()[:8], 16))
    samples = int((last - first) * 60 / bpm * SAMPLE_RATE)
    if not cut or samples < 20 * SAMPLE_RATE:
        return None
    waveforms = [
        renderer.render(part, bpm, samples, int(rng.integers(renderer.fonts))) for part in cut
    ]
    index = np.arange(int(last - first))
    split = "validation" if rng.random() < 0.4 else "train"
    return TrackerSong(decibels(waveforms), [part.kind for part in cut], index * 60 / bpm,
                       index % metre + 1, split, path.stem)  # fmt: skip


def drums_agree(notes: NDArray[np.float64], metre: int) -> bool:
    """Whether kicks mark beat one of `metre` and snares lie on a back beat but not on beat one."""
    place = np.round(notes[:, 0] * 4) / 4 % metre
    kick = np.isin(notes[:, 2], (35, 36))
    snare = np.isin(notes[:, 2], (37, 38, 39, 40))
    if kick.sum() < 20 or snare.sum() < 20:
        return False
    kicks = np.array([np.sum(kick & (place == beat)) for beat in range(metre)])
    snares = np.array([np.sum(snare & (place == beat)) for beat in range(metre)])
    back = [1, 3] if metre == 4 else [1, 2]
    return bool(
        kicks[0] >= 0.9 * kicks.max()
        and kicks[0] > 1.3 * kicks[back].mean()
        and snares[back].max() >= 0.9 * snares.max()
        and snares[back].mean() > 2 * snares[0]
    )


def _between(part: Part, first: float, last: float) -> Part:
    notes = part.notes[(part.notes[:, 0] >= first) & (part.notes[:, 0] < last)].copy()
    notes[:, 0] -= first
    return Part(part.kind, part.program, notes)
