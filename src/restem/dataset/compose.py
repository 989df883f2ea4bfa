"""Chord progressions and MMA style files in, multi-part songs as note arrays out."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np

from restem.dataset.sentences import style_words
from restem.errors import UserError

MMA_SECONDS = 60.0  # that MMA may take for a song; most take one or two
# Grooves that are not a song's main pattern: they would teach endings in mid-song.
_NOT_MAIN = re.compile(r"intro|end|fill|metronome|count|none|break", re.IGNORECASE)
_TIME = re.compile(r"^\s*Time\s+(\d+)\b", re.IGNORECASE | re.MULTILINE)
_SIGNATURE = re.compile(r"^\s*TimeSig\s+(\d+)\s*/?\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_CHORD = re.compile(r"^([A-G])([b#]?)([^/]*)(?:/([A-G])([b#]?))?$")
_ROOTS = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"]
_PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

LOOPS_MAJOR = (
    "C G Am F",
    "C Am F G",
    "Am F C G",
    "C F G F",
    "Dm7 G7 CM7 CM7",
    "C C F G",
    "C Em F G",
    "F G Em Am",
    "CM7 Am7 Dm7 G7",
    "C Bb F C",
    "C G F F",
)
LOOPS_MINOR = (
    "Am G F E7",
    "Am Dm E7 Am",
    "Am F G Am",
    "Am C G D",
    "Dm7 Am7 Dm7 E7",
    "Am Am G G",
    "Am Em F G",
    "Am7 D7 Am7 D7",
)


@dataclass(frozen=True)
class Groove:
    """One named pattern of one MMA style file."""

    path: Path
    name: str
    style: str
    quarters_per_bar: int
    beats_per_bar: int  # felt beats: 2 in 6/8

    @property
    def metre(self) -> str:
        return "6/8" if self.quarters_per_bar == 6 else f"{self.quarters_per_bar}/4"


@dataclass(frozen=True)
class Part:
    """Notes (note, 4): start and duration in quarters, MIDI pitch, velocity 1-127."""

    kind: str  # drums, bass, guitar, keys, lead or other
    program: int
    notes: np.ndarray


def split_of(name: str) -> str:
    """Train, validation or test by a hash of the name: 85, 5 and 10 per cent."""
    share = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
    return "test" if share < 0.10 else "validation" if share < 0.15 else "train"


def list_grooves(library: Path) -> list[Groove]:
    """All main grooves in 3/4, 4/4 and 6/8 of an MMA `lib` folder, in a fixed order."""
    files = sorted(library.glob("*/*.mma"))
    if not files:
        raise UserError(f"{library} holds no MMA style files; install MMA or name its lib folder.")
    grooves = []
    for path in files:
        text = path.read_text(errors="replace")
        quarters = int(m.group(1)) if (m := _TIME.search(text)) else 4
        signature = m.groups() if (m := _SIGNATURE.search(text)) else None
        style = style_words(path.stem)
        # A 6/8 signature over four quarters is a shuffle notation that hides its beat.
        if (
            quarters not in (3, 4, 6)
            or style is None
            or (signature and signature[1] == "8" and quarters == 4)
        ):
            continue
        names = re.findall(r"^\s*DefGroove\s+([^\s/]+)", text, re.MULTILINE)
        grooves += [
            Groove(path, name, style, quarters, 2 if quarters == 6 else quarters)
            for name in names
            if not _NOT_MAIN.search(name.replace("Blend", ""))
        ]
    return grooves


def read_progressions(folder: Path | None) -> dict[int, list[list[str]]]:
    """Chord progressions by quarters per bar from Impro-Visor lead sheets (`*.ls`).

    Each progression is a list of bars, each bar a space-separated string of chords. Without a
    folder, or for metres that it lacks, short common loops serve.
    """
    found: dict[int, list[list[str]]] = {3: [], 4: []}
    for path in sorted(folder.glob("*.ls")) if folder else []:
        text = path.read_text(errors="replace")
        metre = re.search(r"\(meter (\d+) 4\)", text)
        if metre is None or int(metre.group(1)) not in found:
            continue
        bars: list[str] = []
        for line in text.splitlines():
            if "|" in line and "(" not in line:
                bars += [bar.strip() for bar in line.split("|") if bar.strip()]
        if len(bars) >= 8:
            found[int(metre.group(1))].append(bars)
    return found


def plan_chords(
    progressions: dict[int, list[list[str]]], groove: Groove, bars: int, rng: np.random.Generator
) -> tuple[list[str], int]:
    """A chord chart of `bars` bars in MMA's notation, transposed at random, and the shift used."""
    shift = int(rng.integers(12))
    pool = progressions.get(groove.quarters_per_bar, [])
    if pool and rng.random() < 0.5:
        sheet = pool[int(rng.integers(len(pool)))]
        start = 4 * int(rng.integers(max(1, (len(sheet) - bars) // 4 + 1)))
        chart = [sheet[(start + i) % len(sheet)] for i in range(bars)]
    else:
        loops = LOOPS_MINOR if rng.random() < 0.5 else LOOPS_MAJOR
        loop = loops[int(rng.integers(len(loops)))].split()
        chart = [loop[i % len(loop)] for i in range(bars)]
    last = "C"
    lines = []
    for bar in chart:
        names = []
        for token in bar.split()[: groove.quarters_per_bar]:
            last = token if _CHORD.match(token) else last
            names.append(transpose_chord(last, shift))
        lines.append(" ".join(names or [transpose_chord(last, shift)]))
    return lines, shift


def transpose_chord(chord: str, semitones: int) -> str:
    """A chord name moved and reduced to qualities that MMA surely knows."""
    match = _CHORD.match(chord)
    if match is None:
        return "C"
    letter, sign, quality = match.group(1), match.group(2), match.group(3)
    pitch = _PITCH[letter] + {"": 0, "b": -1, "#": 1}[sign] + semitones
    return _ROOTS[pitch % 12] + _plain_quality(quality)


def _plain_quality(quality: str) -> str:
    if quality.startswith(("m7b5", "h7", "m9b5")):
        return "m7b5"
    if quality.startswith(("o", "dim")):
        return "dim7"
    if quality.startswith(("M7", "maj", "M9")):
        return "M7"
    if quality.startswith("m") and not quality.startswith("maj"):
        return "m7" if any(c in quality for c in "79") else "m"
    if "sus" in quality:
        return "sus4"
    if quality.startswith(("7", "9", "11", "13")):
        return "7"
    return "6" if quality.startswith("6") else ""


def compile_parts(groove: Groove, chart: list[str], seed: int) -> list[Part]:
    """Run MMA on the chart and read its parts back; drums first if there are any.

    Raises UserError if MMA is missing, ValueError if MMA rejects the groove or does not finish
    within MMA_SECONDS. The latter hangs on the machine: a song that is left out on a slow or busy
    one may be composed on another, so who skips it has to say so.
    """
    lines = [f"RndSeed {seed}", "Tempo 120", f"Use {groove.path}", f"Groove {groove.name}"]
    lines += [f"{i + 1} {bar}" for i, bar in enumerate(chart)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "song.mma")
        source.write_text("\n".join(lines) + "\n")
        target = Path(folder, "song.mid")
        try:
            done = subprocess.run(
                ["mma", str(source), "-f", str(target)],
                capture_output=True,
                timeout=MMA_SECONDS,
                env={**os.environ, "HOME": folder},
            )
        except FileNotFoundError:
            raise UserError("The program mma is missing; install Debian's package mma.") from None
        except subprocess.TimeoutExpired:  # some grooves may keep it busy for ever
            name = f"{groove.path.name}:{groove.name}"
            raise ValueError(f"MMA did not finish {name} within {MMA_SECONDS:g} s") from None
        if done.returncode or not target.exists():
            raise ValueError(f"MMA rejects {groove.path.name}:{groove.name}")
        return parts_from_midi(mido.MidiFile(target))


def parts_from_midi(midi: mido.MidiFile) -> list[Part]:
    """One part for each track of a MIDI file that has notes."""
    parts = []
    for track in midi.tracks:
        notes, program, channel = _track_notes(track, midi.ticks_per_beat)
        if len(notes):
            parts.append(Part(_kind(track.name, channel, program), program, notes))
    return sorted(parts, key=lambda part: part.kind != "drums")


def _track_notes(track: mido.MidiTrack, ticks_per_quarter: int) -> tuple[np.ndarray, int, int]:
    sounding: dict[int, tuple[int, int]] = {}
    notes, now, program, channel = [], 0, 0, -1
    for message in track:
        now += message.time
        if message.type == "program_change":
            program = message.program
        if message.type not in ("note_on", "note_off"):
            continue
        channel = message.channel
        if message.note in sounding:
            start, velocity = sounding.pop(message.note)
            notes.append((start, max(now - start, 1), message.note, velocity))
        if message.type == "note_on" and message.velocity:
            sounding[message.note] = (now, message.velocity)
    array = np.array(sorted(notes), dtype=np.float64).reshape(-1, 4)
    array[:, :2] /= ticks_per_quarter
    return array, program, channel


def _kind(name: str, channel: int, program: int) -> str:
    if channel == 9 or name.lower().startswith("drum"):
        return "drums"
    if name.lower().startswith(("bass", "walk")) or 32 <= program <= 39:
        return "bass"
    if 24 <= program <= 31:
        return "guitar"
    return "keys" if program < 24 else "other"


def melody(chart: list[str], groove: Groove, rng: np.random.Generator) -> Part:
    """A singable line over the chart, so that contexts also hold a lead voice."""
    scale = np.array([0, 2, 4, 7, 9])
    pitch, notes = 72.0, []
    rhythm = rng.choice([0.5, 1.0, 1.0, 1.5, 2.0], size=64)
    rest = rng.uniform(0.1, 0.4)
    now, end, i = 0.0, float(groove.quarters_per_bar * len(chart)), 0
    while now < end:
        length = float(rhythm[i % int(rng.choice([4, 8, 16]))])
        i += 1
        bar = chart[min(int(now // groove.quarters_per_bar), len(chart) - 1)].split()[0]
        root = _ROOTS.index(re.match(r"[A-G]b?", bar).group(0))  # type: ignore[union-attr]
        tones = 60 + root % 12 + np.concatenate([scale, scale + 12])
        pitch = float(tones[np.argmin(np.abs(tones - pitch - rng.normal(0, 3)))])
        if rng.random() > rest:
            notes.append((now, length * 0.9, pitch, float(rng.integers(70, 110))))
        now += length
    program = int(rng.choice([52, 53, 54, 56, 60, 64, 65, 66, 71, 73, 75, 80, 81, 85, 40, 22]))
    return Part("lead", program, np.array(notes, dtype=np.float64).reshape(-1, 4))
