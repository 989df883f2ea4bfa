"""Endless training excerpts for drum notes: levels of single strokes added as powers.

Phases are left out, so a mix of 3 s costs a millisecond where rendering it costs a second.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from drum_kits import HEARD, Kit
from scipy.signal import lfilter

from restem.audio.drum_notes import CONFIG, DRUMS, loudest
from restem.audio.spectrogram import log_mel
from restem.dataset.drums import _ROLAND

BEFORE = 3  # frames of a stroke's levels ahead of its start: the window's reach
LONGEST = 160  # frames of a stroke that are kept
LAYERS = 3  # velocities of a pitch that are kept

Stroke = tuple[float, float, np.ndarray]  # velocity, seconds from frame BEFORE on, powers


def quick_notes(folder: Path) -> list[np.ndarray]:
    """(time in s, pitch, velocity) of every training performance of the Groove MIDI Dataset."""
    with (folder / "info.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train"]
    made = [_struck((folder / r["midi"]).read_bytes(), float(r["bpm"])) for r in rows]
    return [notes for notes in made if len(notes) > 3]


def _struck(data: bytes, bpm: float) -> np.ndarray:
    """The strokes of a MIDI file at one tempo."""
    notes, at = [], 14
    ticks = int.from_bytes(data[12:14], "big")
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        at, now, status = at + 8, 0, 0
        while at < end:
            step, at = _variable(data, at)
            now += step
            if data[at] >= 0x80:
                status, at = data[at], at + 1
            if status in (0xF0, 0xF7, 0xFF):
                size, at = _variable(data, at + (status == 0xFF))
                at += size
                continue
            if status >> 4 == 9 and data[at + 1]:
                pitch = _ROLAND.get(data[at], data[at])
                if pitch in HEARD:
                    notes.append((now / ticks * 60 / bpm, pitch, data[at + 1]))
            at += 1 if status >> 4 in (12, 13) else 2
    return np.array(sorted(notes)).reshape(-1, 3)


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A MIDI quantity of variable length, and where it ends."""
    value = 0
    while True:
        value, at = value << 7 | data[at] & 127, at + 1
        if data[at - 1] < 128:
            return value, at


def strokes_of(kit: Kit, rng: np.random.Generator) -> dict[int, list[Stroke]]:
    """Powers (frame, column) of a kit's strokes, each at some place within its frame."""
    made: dict[int, list[Stroke]] = {}
    for pitch, layers in kit.strokes.items():
        few = layers[:: max(1, -(-len(layers) // LAYERS))]
        for velocity, wave in few:
            late = int(rng.integers(CONFIG.hop))
            padded = np.pad(wave[: LONGEST * CONFIG.hop], (BEFORE * CONFIG.hop + late, 0))
            peak = float(np.abs(padded).max()) + 1e-9
            levels = log_mel(padded / peak, CONFIG)
            power = np.where(levels <= CONFIG.floor_db + 0.1, 0, 10 ** (levels / 10)) * peak**2
            made.setdefault(pitch, []).append(
                (velocity, late / CONFIG.sample_rate, power.astype(np.float32))
            )
    return made


class Mixer:
    """Excerpts of performances by drums drawn from all kits."""

    def __init__(self, kits: list[dict[int, list[Stroke]]], performances: list[np.ndarray]) -> None:
        self.kits, self.performances = kits, performances
        self.loud = [{drum: _loudness(kit, drum) for drum in dict.fromkeys(DRUMS)} for kit in kits]
        self.whole = [i for i, loud in enumerate(self.loud) if all(loud.values())]

    def excerpt(self, frames: int, vary, rng: np.random.Generator) -> tuple[np.ndarray, list]:
        """Levels (frame, column) in dB with a `loudest` of 0, and notes (time, kind, velocity)."""
        notes = self.performances[int(rng.integers(len(self.performances)))]
        speed = rng.uniform(0.8, 1.25)
        length = frames / CONFIG.frame_rate
        start = notes[int(rng.integers(len(notes))), 0] * speed - rng.uniform(0, length)
        notes = notes * [speed, 1, 1] - [start, 0, 0]
        notes = notes[(notes[:, 0] > -1.2) & (notes[:, 0] < length - 0.02)]
        kit = self._kit(rng)
        power = np.zeros((frames, CONFIG.columns), np.float32)
        heard, ringing = [], None
        chosen: dict[int, tuple] = {}
        for time, pitch, velocity in vary(notes, rng):
            if pitch not in chosen:
                chosen[pitch] = self._choice(kit, int(pitch), rng)
            kind, layers, gain, shape, move, damp = chosen[pitch]
            struck, late, own = min(layers, key=lambda s: abs(s[0] - velocity))
            frame = round((time - late) * CONFIG.frame_rate)
            first = frame - BEFORE
            if kind in (2, 3):
                if ringing is not None:
                    _choke(power, ringing, frame)
                ringing = None
            cut = own[max(-first, 0) : max(frames - first, 0)]
            if len(cut):
                begin = max(first, 0)
                added = _moved(cut, move) * (shape * np.float32(gain * (velocity / struck) ** 2))
                added *= damp[begin - first : begin - first + len(cut), None]
                power[begin : begin + len(cut)] += added
                ringing = (begin, added) if kind == 3 else ringing
            if frame >= 0:
                heard.append((frame / CONFIG.frame_rate + late, kind, velocity))
        return _levels(power, rng), heard

    def _kit(self, rng: np.random.Generator) -> dict[str, tuple[int, float]]:
        """drum -> (its kit, gain in power): those of one kit, or of several as loud as its own."""
        base = self.whole[int(rng.integers(len(self.whole)))]
        mixed = rng.random() < 0.7
        drums = {}
        for drum, own in self.loud[base].items():
            donors = [i for i, loud in enumerate(self.loud) if loud[drum]]
            other = donors[int(rng.integers(len(donors)))] if mixed else base
            gain = own / self.loud[other][drum] * 10 ** (rng.normal(0, 3) / 10)
            drums[drum] = (other, gain)
        return drums

    def _choice(self, kit: dict, pitch: int, rng: np.random.Generator) -> tuple:
        """(kind, strokes, gain, equaliser, mel bands higher, fading) for a pitch of the
        performance."""
        kind = HEARD[pitch]
        other, gain = kit[DRUMS[kind]]
        strokes = self.kits[other]
        alike = [pitch] if pitch in strokes else [p for p in strokes if HEARD[p] == kind]
        alike = alike or [p for p in strokes if DRUMS[HEARD[p]] == DRUMS[kind]]
        own = alike[int(rng.integers(len(alike)))]
        bend = np.interp(np.linspace(0, 6, CONFIG.mels), np.arange(7), rng.normal(0, 3, 7))
        fine = np.repeat([bend[:24].mean(), bend[24:60].mean(), bend[60:].mean()], 7)
        shape = 10 ** (np.concatenate([bend, fine]) / 10)
        move = int(np.clip(np.rint(rng.normal(0, 2)), -5, 5))
        fading = 8.7 / (rng.uniform(0.08, 0.8) * CONFIG.frame_rate) if rng.random() < 0.3 else 0.0
        damp = 10 ** (-fading * np.maximum(np.arange(LONGEST + BEFORE + 2) - BEFORE, 0) / 10)
        return (
            HEARD[own],
            strokes[own],
            gain,
            shape.astype(np.float32),
            move,
            damp.astype(np.float32),
        )


def _loudness(kit: dict[int, list[Stroke]], drum: str) -> float:
    """Power in the loudest frame, of a drum's loudest pitch, struck with 100; 0 without one."""
    best = 0.0
    for pitch, layers in kit.items():
        if DRUMS[HEARD[pitch]] == drum:
            velocity, _, power = min(layers, key=lambda s: abs(s[0] - 100))
            most = float(power[:, : CONFIG.mels].sum(axis=1).max()) * (100 / velocity) ** 2
            best = max(best, most)
    return best


def _moved(power: np.ndarray, bands: int) -> np.ndarray:
    """(frame, column) of a stroke on a drum tuned so many mel bands higher."""
    if not bands:
        return power
    moved = power.copy()
    mel = moved[:, : CONFIG.mels]
    source = np.clip(np.arange(CONFIG.mels) - bands, 0, CONFIG.mels - 1)
    mel[:] = power[:, source]
    return moved


def _choke(power: np.ndarray, ringing: tuple[int, np.ndarray], frame: int) -> None:
    """Take out what an open hat still rings after the next hat, within 2 frames."""
    begin, added = ringing
    rest = added[max(frame - begin, 0) :]
    gone = np.minimum(np.arange(len(rest), dtype=np.float32) / 2, 1)[:, None]
    power[max(frame, begin) : max(frame, begin) + len(rest)] -= rest * gone


def _levels(power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In a room or not, pressed or not, with the roughness of phases or of a drawn picture."""
    if rng.random() < 0.5:
        decay = 10 ** (-6 / (rng.uniform(0.1, 0.9) * CONFIG.frame_rate))  # 60 dB of power
        wet = 10 ** rng.uniform(-2.2, -0.6) * (1 - decay)
        late = np.pad(power, ((1, 0), (0, 0)))[:-1]
        power = power + lfilter([wet], [1, -decay], late, axis=0).astype(np.float32)
    levels = 10 * np.log10(np.maximum(power, 1e-12))
    levels -= loudest(levels)
    if rng.random() < 0.3:
        whole = 10 * np.log10(np.maximum(power[:, : CONFIG.mels].sum(axis=1), 1e-12))
        over = np.maximum(whole - whole.max() + rng.uniform(6, 18), 0)
        levels -= (rng.uniform(0.2, 0.6) * over)[:, None].astype(np.float32)
        levels -= loudest(levels)
    rough = rng.uniform(0.5, 1.5) if rng.random() < 0.67 else rng.uniform(1.5, 4)
    levels += np.float32(rough) * rng.standard_normal(levels.shape, dtype=np.float32)
    floor = -rng.uniform(60, 80)
    return np.maximum(levels, np.float32(floor)).astype(np.float32)
