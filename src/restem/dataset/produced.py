"""Random numbers in, songs without drums in the manner of bands and produced music out, as notes.

They teach the beat tracker what style files leave out: riffs, pushed chords, off-beat basses, pads,
arpeggios across the beat, sections where layers come and go, and loose timing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restem.dataset.compose import Part

MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
# General MIDI programs by the part that a layer plays
PROGRAMS = {
    "bass": (32, 33, 34, 35, 36, 38, 39, 38, 39),
    "chords": (0, 1, 2, 4, 5, 7, 16, 17, 18, 21, 24, 25, 26, 27, 28, 29, 30, 62, 63, 81, 90),
    "strum": (24, 25, 25, 26, 27, 28, 29, 30, 30, 105),
    "pad": (48, 49, 50, 51, 52, 53, 54, 88, 89, 91, 92, 94, 95, 16, 19),
    "arpeggio": (0, 4, 5, 11, 12, 24, 25, 45, 46, 80, 81, 84, 98, 108),
    "riff": (27, 28, 29, 30, 30, 33, 36, 38, 61, 62, 80, 81, 87, 7),
    "lead": (22, 40, 52, 53, 54, 56, 60, 64, 65, 66, 71, 73, 75, 80, 81, 84, 85, 85, 85),
}
# Common comping and bass rhythms over sixteen sixteenths of a 4/4 bar
KNOWN = (
    "x...x...x...x...", "x.x.x.x.x.x.x.x.", "..x...x...x...x.", "x..x..x.x..x..x.",
    "x..x..x...x.x...", "x...x.x...x.x.x.", "x.....x.x.....x.", "x...x..x.x..x...",
    "....x.......x...", "x.xxx.xxx.xxx.xx", "x..x..x..x..x.x.", "x...........x.x.",
    "x.........x.....", "..x..x....x..x..", "x.x...x.x.x...x.", "x..x......x..x..",
    "x.......x..x....", "xxxxxxxxxxxxxxxx", "x.xx.xx.x.xx.xx.", "...x..x....x..x.",
)  # fmt: skip


@dataclass(frozen=True)
class ProducedSong:
    """Notes of every layer in felt beats (so quarters at `bpm` are beats), and the metre."""

    parts: list[Part]
    bpm: float
    beats_per_bar: int
    bars: int


def compose_produced(rng: np.random.Generator, seconds: float) -> ProducedSong:
    """A song of about `seconds` in 4/4 (mostly), 3/4 or 6/8, at 62 to 190 BPM."""
    return _Composer(rng, seconds).song()


class _Composer:
    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        self.rng = rng
        self.bpm = float(np.clip(115 * 2 ** rng.normal(0, 0.4), 60, 195))
        self.beats_per_bar = int(rng.choice([4, 3, 2], p=[0.82, 0.11, 0.07]))
        # sixteenths, or thirds of a beat in shuffles and in 6/8
        self.slots = 3 if self.beats_per_bar == 2 or rng.random() < 0.12 else 4
        self.bar_slots = self.slots * self.beats_per_bar
        self.bars = max(4, round(seconds * self.bpm / 60 / self.beats_per_bar / 4) * 4)
        # The faster the beat, the coarser its rhythms: this is what tells 90 BPM from 180.
        fine = rng.random() < 1 / (1 + np.exp((self.bpm - 118) / 10))
        self.unit = 1 if fine or self.slots == 3 else 2  # slots that rhythms are made of
        self.swing = float(rng.uniform(0.1, 0.34)) if rng.random() < 0.25 else 0.0
        self.swung = self.unit  # sixteenths swing in slow songs, eighths in fast ones
        self.scale = MAJOR if rng.random() < 0.5 else MINOR
        self.key = int(rng.integers(-6, 6))
        self.push = self.slots // 2 if rng.random() < 0.3 else 0
        # The song's form: one of two kinds of section for every group of four bars.
        groups = -(-self.bars // 4)
        self.form = np.array([(rng.random() < 0.5) for _ in range(groups)]).astype(int)
        self.degrees = self._harmony()
        self.shared = self._rhythm()  # what the band plays together

    def song(self) -> ProducedSong:
        rng = self.rng
        kinds = list(rng.choice(["chords", "strum", "pad", "arpeggio", "riff", "lead", "chords"],
                                size=int(rng.integers(2, 5)), replace=False))  # fmt: skip
        if rng.random() < 0.75:
            kinds.append("bass")
        parts = []
        for kind in kinds:
            notes = self._layer(str(kind))
            if len(notes) >= self.bars:
                program = int(rng.choice(PROGRAMS[str(kind)]))
                parts.append(Part(_stem_of(str(kind), program), program, notes))
        if not parts:
            return self.song()
        return ProducedSong(parts, self.bpm, self.beats_per_bar, self.bars)

    def _harmony(self) -> NDArray[np.int64]:
        """(slot,) scale degree of the chord; each section has its loop of one to eight bars."""
        rng = self.rng
        degrees = np.empty(self.bars * self.bar_slots, dtype=np.int64)
        middle = self.slots * ((self.beats_per_bar + 1) // 2)
        for section in (0, 1):
            loop = int(rng.choice([1, 2, 4, 4, 4, 8]))
            held = int(rng.choice([1, 1, 1, 2]))  # bars a chord
            chords = rng.choice([0, 0, 3, 4, 5, 1, 2, 6], size=2 * loop)
            chords[0] = 0 if rng.random() < 0.6 else chords[0]
            split = rng.random() < 0.25  # two chords in some bars
            for bar in range(self.bars):
                if self.form[bar // 4] != section:
                    continue
                first = bar // held % loop
                where = slice(bar * self.bar_slots, (bar + 1) * self.bar_slots)
                degrees[where] = chords[first]
                if split and (bar % 2 or loop == 1):
                    degrees[where.start + middle : where.stop] = chords[loop + first]
        return degrees

    def _rhythm(self) -> NDArray[np.bool_]:
        """(slot,) onsets: a pattern of one or two bars for each section, with rare changes."""
        bar = self.bar_slots
        patterns = [self._pattern(), self._pattern()]
        if self.rng.random() < 0.5:
            patterns[1] = patterns[0]
        group = [np.resize(pattern, 4 * bar) for pattern in patterns]
        onsets = np.concatenate([group[section] for section in self.form])[: self.bars * bar]
        changed = self.rng.random(len(onsets)) < self.rng.choice([0.0, 0.02, 0.06])
        changed &= np.arange(len(onsets)) % self.unit == 0
        return onsets ^ changed

    def _pattern(self) -> NDArray[np.bool_]:
        """(slot,) onsets in one or two bars."""
        rng, bar, unit = self.rng, self.bar_slots, self.unit
        length = bar * int(rng.choice([1, 1, 2]))
        manner = rng.choice(["steady", "off", "additive", "additive", "sparse", "known"])
        pattern = np.zeros(length, dtype=bool)
        if manner == "steady":
            pattern[:: int(rng.choice([unit, max(unit, self.slots // 2), self.slots]))] = True
        elif manner == "off":
            pattern[self.slots - self.slots // 2 :: self.slots] = True
        elif manner == "known" and self.slots == 4 and self.beats_per_bar == 4:
            known = "".join(KNOWN[int(rng.integers(len(KNOWN)))] for _ in range(2))
            pattern = np.array([c == "x" for c in known])
            if unit == 2:  # the rhythm of one bar, spread over two
                pattern = np.stack([pattern, np.zeros_like(pattern)], axis=1).ravel()
        elif manner == "sparse":
            pattern[0] = rng.random() < 0.8
            pattern[unit * rng.integers(length // unit, size=int(rng.integers(1, 3)))] = True
        else:
            now = 0 if rng.random() < 0.8 else unit * int(rng.integers(1, self.slots // unit + 1))
            while now < length:
                pattern[now] = True
                now += unit * int(rng.choice([1, 2, 2, 3, 3, 3, 4, 6]))
        return pattern

    def _layer(self, kind: str) -> NDArray[np.float64]:
        rng = self.rng
        together = rng.random() < (0.5 if kind in ("bass", "riff", "chords", "strum") else 0.1)
        onsets = self.shared.copy() if together else self._rhythm()
        if kind == "pad":
            onsets = np.diff(self.degrees, prepend=-1) != 0
            onsets[:: self.bar_slots * int(rng.choice([1, 2, 4]))] = True
        elif kind == "arpeggio":
            onsets[:] = False
            onsets[:: self.unit * int(rng.choice([1, 1, 2]))] = True
        elif kind == "lead":
            onsets = self._phrases()
        elif kind == "strum" and rng.random() < 0.6:
            onsets[:: self.slots] |= rng.random(len(onsets[:: self.slots])) < 0.9
        onsets &= self._sections(kind)
        slots = np.flatnonzero(onsets)
        if len(slots) == 0:
            return np.empty((0, 4))
        gaps = np.diff(slots, append=len(onsets)).astype(np.float64)
        held = {"pad": 1.0, "lead": 0.9, "arpeggio": 1.5}.get(
            kind, float(rng.choice([0.3, 0.6, 0.95]))
        )
        lengths = np.minimum(gaps * held, 4 * self.bar_slots) / self.slots
        return self._play(kind, slots, np.maximum(lengths, 0.08))

    def _phrases(self) -> NDArray[np.bool_]:
        """(slot,) onsets of a sung line: phrases of two bars that begin early, late or on time."""
        rng = self.rng
        line = np.zeros(self.bars * self.bar_slots, dtype=bool)
        phrase = self._rhythm()[: 2 * self.bar_slots]
        phrase &= rng.random(len(phrase)) < 0.8
        phrase[int(len(phrase) * rng.uniform(0.55, 0.9)) :] = False
        for bar in range(0, self.bars, 2):
            if rng.random() < 0.3:
                phrase = np.roll(phrase, self.unit * int(rng.integers(-2, 3)))
            start = bar * self.bar_slots
            line[start : start + len(phrase)] = phrase[: len(line) - start]
        return line

    def _sections(self, kind: str) -> NDArray[np.bool_]:
        """(slot,) where the layer plays: it may rest for groups of four bars."""
        often = 0.88 if kind in ("chords", "strum", "pad", "riff") else 0.8
        plays = self.rng.random(len(self.form)) < often
        return np.repeat(plays, 4 * self.bar_slots)[: self.bars * self.bar_slots]

    def _play(
        self, kind: str, slots: NDArray[np.int64], lengths: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Onsets -> notes (note, 4) with pitches of the harmony, accents and a hand's timing."""
        rng = self.rng
        late = rng.normal(0, 0.006)  # this player's place against the beat, seconds
        spread = float(rng.choice([0.0, 0.003, 0.008, 0.015]))
        accent = rng.uniform(0, 25)
        base = rng.uniform(60, 95)
        order = rng.permutation(int(rng.integers(3, 6)))
        walk = 7
        notes = []
        for count, (slot, length) in enumerate(zip(slots, lengths, strict=True)):
            degree = int(self.degrees[min(slot + self.push, len(self.degrees) - 1)])
            beat = self._swung(int(slot)) + (late + rng.normal(0, spread)) * self.bpm / 60
            loud = base + accent * (slot % self.slots == 0) + rng.normal(0, 6)
            if kind == "bass":
                walk = int(rng.choice([0, 0, 0, 0, 4, 7, 2]))
                pitches = [self._pitch(degree + walk, 36)]
            elif kind == "arpeggio":
                pitches = [self._pitch(degree + 2 * int(order[count % len(order)]), 60)]
            elif kind == "lead":
                walk = int(np.clip(walk + rng.integers(-2, 3), 0, 14))
                on_chord = rng.random() < 0.4
                pitches = [self._pitch(degree + 7 if on_chord else walk, 60)]
            elif kind == "riff":
                root = self._pitch(degree + int(order[count % len(order)]) * (count % 3 == 2), 40)
                pitches = [root, root + 7]
            else:
                pitches = [self._pitch(degree + step, 52) for step in (0, 2, 4)]
                pitches += [pitches[0] + 12, pitches[1] + 12] if kind == "strum" else []
            stroke = rng.uniform(0.0, 0.012) * self.bpm / 60 if kind == "strum" else 0.0
            for string, pitch in enumerate(pitches):
                notes.append((max(0.0, beat + string * stroke), length, pitch, loud))
        array = np.array(notes, dtype=np.float64)
        array[:, 3] = np.clip(array[:, 3], 25, 127)
        return array[np.argsort(array[:, 0], kind="stable")]

    def _swung(self, slot: int) -> float:
        """Beats from the start of a slot; every second slot (or pair of slots) comes late."""
        late = self.swing if self.slots == 4 and slot // self.swung % 2 else 0.0
        return (slot + late * self.swung) / self.slots

    def _pitch(self, degree: int, lowest: int) -> int:
        octave, step = divmod(degree, 7)
        return lowest + self.key + 12 * octave + self.scale[step]


def _stem_of(kind: str, program: int) -> str:
    if kind in ("bass", "lead"):
        return kind
    return "guitar" if 24 <= program <= 31 else "keys" if program < 24 else "other"
