"""Drum performances and patterns in, drum parts fitted to a song, with true labels, out."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import mido
import numpy as np

from restem.dataset.compose import Groove, Part, _track_notes, split_of
from restem.dataset.sentences import Labels, style_words
from restem.errors import UserError

# Roland TD-11 pitches of the Groove MIDI Dataset that General MIDI names otherwise.
_ROLAND = {22: 42, 26: 46, 40: 38, 58: 43, 52: 49, 59: 51}
_HYDROGEN = {
    "Kick": 36,
    "Snare": 38,
    "Snare Rimshot": 37,
    "Hi-hat Closed": 42,
    "Hi-hat Semi-Open": 46,
    "Hi-hat Pedal": 44,
    "Hi-hat Open": 46,
    "Ride Bow": 51,
    "Ride Bell": 53,
    "Crash": 49,
    "Tom Low": 45,
    "Tom Floor": 41,
    "Tom Mid": 47,
    "Cowbell": 56,
    "Hand Clap": 39,
}
KICKS, SNARES = (35, 36), (38, 40, 37, 39)


@dataclass(frozen=True)
class DrumSource:
    """A drum performance: notes in quarters from its first downbeat, as in compose.Part."""

    source: str
    style: str
    bpm: float | None
    quarters_per_bar: int
    quarters: float
    fill: bool
    split: str
    notes: np.ndarray


def read_groove_midi(
    folder: Path, split: str | None = None, left_out: Callable[[str], None] | None = None
) -> list[DrumSource]:
    """The Groove MIDI Dataset's performances in 3/4 and 4/4, beats and fills (CC-BY 4.0).

    The dataset's own validation share is kept apart; its test share is never used for training.
    `split` reads one share only, which saves most of the time. A damaged file is passed over, and
    `left_out` told its name; without one it is a UserError.
    """
    table = folder / "info.csv"
    if not table.is_file():
        raise UserError(f"{folder} has no info.csv; name the folder of the Groove MIDI Dataset.")
    sources = []
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            style = style_words(row["style"])
            name = row.get("midi") or row["midi_filename"]
            path = folder / name
            if row["time_signature"] not in ("4-4", "3-4") or style is None or not path.exists():
                continue
            if split not in (None, row["split"]):
                continue
            try:
                midi = mido.MidiFile(path)
                notes = _track_notes(mido.merge_tracks(midi.tracks), midi.ticks_per_beat)[0]
            except Exception:  # mido tells damage by a dozen kinds of exception
                reason = f"{name} is a damaged MIDI file; get a complete copy of {folder.name}."
                if left_out is None:
                    raise UserError(reason) from None
                left_out(reason)
                continue
            if not len(notes):
                continue
            notes[:, 2] = [_ROLAND.get(int(p), int(p)) for p in notes[:, 2]]
            quarters = int(row["time_signature"][0])
            length = max(1, round(float(notes[-1, 0]) / quarters + 0.01)) * quarters
            sources.append(
                DrumSource(
                    name,
                    style,
                    float(row["bpm"]),
                    quarters,
                    float(length),
                    row["beat_type"] == "fill",
                    row["split"],
                    notes,
                )
            )
    return sources


def read_hydrogen(folder: Path) -> list[DrumSource]:
    """One-bar patterns in Hydrogen's XML (`STYLE/*.h2pattern`); 48 ticks a quarter."""
    sources = []
    for path in sorted(folder.glob("*/*.h2pattern")):
        style = style_words(path.parent.name)
        root = ElementTree.parse(path).getroot()
        space = {"h": root.tag[1:].split("}")[0]} if root.tag.startswith("{") else {"h": ""}
        size = int(root.findtext(".//h:size", "192", space))
        notes = [
            (
                float(n.findtext("h:position", "0", space)) / 48,
                0.1,
                _HYDROGEN[n.findtext("h:type", "", space)],
                127 * float(n.findtext("h:velocity", "0.8", space)),
            )
            for n in root.iterfind(".//h:note", space)
            if n.findtext("h:type", "", space) in _HYDROGEN
        ]
        if style and notes and size % 48 == 0:
            fill = "break" in path.stem or path.parent.name == "ending"
            sources.append(
                DrumSource(
                    f"hydrogen/{path.stem}",
                    style,
                    None,
                    size // 48,
                    size / 48,
                    fill,
                    split_of(path.stem),
                    np.array(sorted(notes)),
                )
            )
    return sources


def fit(source: DrumSource, quarters: float, rng: np.random.Generator) -> np.ndarray:
    """Notes of a source looped, or cut at a random bar line, to `quarters`."""
    bar = source.quarters_per_bar
    if source.quarters > quarters:
        start = bar * int(rng.integers(int((source.quarters - quarters) // bar) + 1))
        notes = source.notes.copy()
        notes[:, 0] -= start
    else:
        loops = int(np.ceil(quarters / source.quarters))
        notes = np.concatenate(
            [source.notes + [i * source.quarters, 0, 0, 0] for i in range(loops)]
        )
    # A played downbeat may come a little early: keep it, at time zero.
    keep = (notes[:, 0] > -0.06) & (notes[:, 0] < quarters - 1e-6)
    notes = notes[keep]
    notes[:, 0] = np.maximum(notes[:, 0], 0.0)
    return notes


def with_fills(
    notes: np.ndarray, fills: list[DrumSource], groove: Groove, bars: int, rng: np.random.Generator
) -> np.ndarray:
    """Replace the last bar of some four-bar phrases by a played fill, a crash after it."""
    pool = [f for f in fills if f.quarters_per_bar == groove.quarters_per_bar]
    bar = groove.quarters_per_bar
    for last in range(3, bars, 4):
        if not pool or rng.random() > 0.5:
            continue
        fill = pool[int(rng.integers(len(pool)))]
        length = min(fill.quarters, bar)
        end = (last + 1) * bar
        notes = notes[(notes[:, 0] < end - length - 0.02) | (notes[:, 0] >= end - 0.02)]
        played = fill.notes[fill.notes[:, 0] < length] + [end - length, 0, 0, 0]
        crash = [[end, 0.1, 49, 105]] if last + 1 < bars else np.empty((0, 4))
        notes = np.concatenate([notes, played, crash])
    return notes[np.argsort(notes[:, 0], kind="stable")]


def humanise(notes: np.ndarray, bpm: float, rng: np.random.Generator) -> np.ndarray:
    """Programmed notes with a few milliseconds and velocity steps of a hand."""
    notes = notes.copy()
    spread = rng.uniform(0, 0.006) * bpm / 60
    notes[:, 0] = np.maximum(notes[:, 0] + rng.normal(0, spread, len(notes)), 0)
    notes[:, 3] = np.clip(notes[:, 3] + rng.normal(0, rng.uniform(2, 9), len(notes)), 1, 127)
    return notes


def play_at(
    part: Part,
    loudness: str,
) -> Part:
    """The part played softly, normally or loudly: velocities only; the level follows apart."""
    centre = {"soft": 52.0, "medium": 84.0, "loud": 112.0}[loudness]
    notes = part.notes.copy()
    if len(notes):
        loud = np.percentile(notes[:, 3], 80)
        notes[:, 3] = np.clip(notes[:, 3] * centre / max(loud, 1.0), 8, 127)
    return Part(part.kind, part.program, notes)


def describe(
    notes: np.ndarray, groove: Groove, style: str, bpm: float, loudness: str, kit: str
) -> Labels:
    """What can truly be said of drum notes: density, feel, metre and the given labels."""
    quarters = groove.quarters_per_bar / groove.beats_per_bar
    beats = max(1.0, float(notes[-1, 0]) / quarters) if len(notes) else 1.0
    onsets = len(np.unique(np.round(notes[:, 0] * 8))) / beats if len(notes) else 0.0
    density = "sparse" if onsets < 1.7 else "busy" if onsets > 3.2 else "medium"
    return Labels(
        style=style,
        bpm=bpm,
        metre=groove.metre,
        loudness=loudness,
        density=density,
        kit=kit,
        feel=_feel(notes, groove, beats),
    )


def _feel(notes: np.ndarray, groove: Groove, beats: float) -> str | None:
    if groove.quarters_per_bar != 4 or len(notes) < 8:
        return None
    start = notes[:, 0]
    kicks = np.isin(notes[:, 2], KICKS)
    on_beat = np.abs(start - np.round(start)) < 0.08
    struck = len(np.unique(np.round(start[kicks & on_beat])))
    if struck / beats > 0.9:
        return "four on the floor"
    place = (start % 1.0)[(start % 1.0 > 0.4) & (start % 1.0 < 0.8)]
    if len(place) > 4 and np.mean((place > 0.6) & (place < 0.72)) > 0.7:
        return "swing" if np.isin(notes[:, 2], (51, 53, 59)).mean() > 0.2 else "shuffle"
    snares = np.isin(notes[:, 2], SNARES) & on_beat & (notes[:, 3] > 50)
    places = np.round(start[snares]) % 4
    if len(places) > 3 and np.mean(places == 2) > 0.8:
        return "half-time"
    return "straight" if len(place) > 4 and np.mean(np.abs(place - 0.5) < 0.05) > 0.8 else None
