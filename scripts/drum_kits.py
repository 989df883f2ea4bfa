"""Drum kits as single strokes: from SoundFonts, sample kits or a formula, played by adding.

`train_drum_notes.py` makes its training sound with these: kits can be mixed, tuned and damped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import soundfile as sf
from scipy.signal import butter, resample_poly, sosfilt

from restem.dataset.compose import Part
from restem.dataset.render import KITS, SAMPLE_RATE, Renderer

# General MIDI pitch -> place in drum_notes.PITCHES: what it is heard as.
HEARD = {
    **dict.fromkeys((35, 36), 0),
    **dict.fromkeys((37, 38, 39, 40), 1),
    **dict.fromkeys((42, 44), 2),
    46: 3,
    **dict.fromkeys((47, 48, 50), 4),
    **dict.fromkeys((41, 43, 45), 5),
    **dict.fromkeys((49, 52, 55, 57), 6),
    **dict.fromkeys((51, 53, 59), 7),
}
NOT_GENERAL_MIDI = (48, 50, 52)  # a half-open hat, a crash's edge and a ride in AVL's drum kits
VELOCITIES = (10, 25, 42, 60, 80, 100, 120)  # of the strokes taken from a SoundFont
APART_S = 3.0
# Names of Hydrogen's instruments, tried in this order -> General MIDI pitches; () is left out.
NAMES = (
    (r"roll|choke|swish|flink|tambo|agogo|cow|clave|shake|zap|fx|whistle|click|semi|^\d+$", ()),
    (r"opaco|conga|djembe|sangban|dunun|kenkeni|bongo|wood|glass|maraca|snap|cajon|^drum \d", ()),
    (r"crash.?ride|ride.?crash|cymbal \d", ()),
    (r"stick|rim ?click", (37,)),
    (r"clap", (39,)),
    (r"snare", (38, 40)),
    (r"(hat|hh).*(ped|pd|foot)|(ped|pd|foot).*(hat|hh)", (44,)),
    (r"(hat|hh).*(op|free)|op\w* (hat|hh)|side ohh", (46,)),
    (r"hat|hh", (42,)),
    (r"floor|\btom.?low|low tom", (41, 43, 45)),
    (r"\btom.?(mid|2)|mid\w* tom", (47, 45)),
    (r"\btom", (48, 50)),
    (r"kick|bass ?drum", (36, 35)),
    (r"bell|cup", (53,)),
    (r"ride", (51, 59)),
    (r"crash|china|splash|cymbal", (49, 57, 55, 52)),
)


@dataclass(frozen=True)
class Kit:
    """Strokes of a kit: pitch -> (velocity it was struck with, mono wave).

    A stroke of another velocity is the nearest one times their ratio. `tuning`: place in HEARD ->
    (samples kept of 20, seconds of damping, gain).
    """

    name: str
    strokes: dict[int, list[tuple[float, np.ndarray]]]
    tuning: dict[int, tuple[int, float, float]] = field(default_factory=dict)
    _tuned: dict[tuple[int, float], np.ndarray] = field(default_factory=dict)

    def pitch_like(self, pitch: int, rng: np.random.Generator) -> int | None:
        """This pitch, or one that sounds the same kind; None if the kit has none."""
        if pitch in self.strokes:
            return pitch
        alike = [p for p in self.strokes if HEARD[p] == HEARD[pitch]]
        return alike[int(rng.integers(len(alike)))] if alike else None

    def stroke(self, pitch: int, velocity: float) -> np.ndarray:
        struck, wave = min(self.strokes[pitch], key=lambda s: abs(s[0] - velocity))
        if HEARD[pitch] in self.tuning:
            if (pitch, struck) not in self._tuned:
                kept, damp, gain = self.tuning[HEARD[pitch]]
                new = resample_poly(wave, kept, 20)
                new *= gain * np.exp(-np.arange(len(new)) / (damp * SAMPLE_RATE))
                self._tuned[pitch, struck] = new.astype(np.float32)
            wave = self._tuned[pitch, struck]
        return wave * np.float32(velocity / struck)


def soundfont_kit(renderer: Renderer, font: int, kit: str) -> Kit:
    """A kit of a General MIDI SoundFont."""
    return _cut_apart(renderer, font, Part("drums", KITS[kit], np.empty((0, 4))), f"{font} {kit}")


def drum_soundfont_kit(path: Path) -> Kit:
    """The kit of a SoundFont of drums alone, without the pitches that it gives to other strokes."""
    kit = _cut_apart(Renderer([path]), 0, Part("kit", 0, np.empty((0, 4))), path.stem)
    return Kit(kit.name, {p: own for p, own in kit.strokes.items() if p not in NOT_GENERAL_MIDI})


def general_midi_kit(path: Path) -> Kit:
    """The first drum kit of a General MIDI SoundFont."""
    return _cut_apart(Renderer([path]), 0, Part("drums", 0, np.empty((0, 4))), path.stem)


def _cut_apart(renderer: Renderer, font: int, part: Part, name: str) -> Kit:
    """All pitches and velocities one after the other, cut apart."""
    pairs = [(pitch, velocity) for pitch in HEARD for velocity in VELOCITIES]
    notes = np.array([(i * APART_S, 0.3, p, v) for i, (p, v) in enumerate(pairs)])
    size = int(APART_S * SAMPLE_RATE)
    wave = renderer.render(Part(part.kind, part.program, notes), 60, size * len(pairs), font)
    strokes: dict[int, list] = {}
    for (pitch, velocity), piece in zip(pairs, wave.reshape(len(pairs), size), strict=True):
        if np.abs(piece).max() > 1e-3:
            strokes.setdefault(pitch, []).append((velocity, faded(piece)))
    return Kit(name, strokes)


def samples_kit(folder: Path, first: int, every: int) -> Kit:
    """Some of a folder of single strokes that are told apart by the names of their files."""
    strokes: dict[int, list] = {}
    paths = [p for p in folder.iterdir() if p.suffix in (".ogg", ".flac")]
    for path in sorted(paths)[first::every]:
        name = path.stem.replace("_", " ")
        pitches = next((p for pattern, p in NAMES if re.search(pattern, name)), ())
        pitch = next((p for p in pitches if p not in strokes), None)
        if pitch is not None:
            strokes[pitch] = [(127.0, sample(path))]
    return Kit(f"{folder.name} {first}", strokes)


def named_kit(folder: Path, names: dict[int, str]) -> Kit:
    """Strokes of a folder: pitch -> a file's name, whose `_soft` sibling is struck with 64."""
    strokes: dict[int, list] = {}
    for pitch, name in names.items():
        soft = folder / f"{name.replace('_hard', '_soft')}.flac"
        layers = [(127.0, sample(folder / f"{name}.flac"))]
        strokes[pitch] = layers + [(64.0, sample(soft))] * (soft.exists() and "_hard" in name)
    return Kit(folder.parent.name, strokes)


def hydrogen_kit(folder: Path) -> Kit:
    """A kit from its drumkit.xml and the samples beside it."""
    text = (folder / "drumkit.xml").read_text(encoding="utf-8", errors="replace")
    root = ElementTree.fromstring(re.sub(r'xmlns(:\w+)?="[^"]*"', "", text))
    strokes: dict[int, list] = {}
    for instrument in root.iter("instrument"):
        name = (instrument.findtext("name") or "").lower()
        pitches = next((p for pattern, p in NAMES if re.search(pattern, name)), ())
        pitch = next((p for p in pitches if p not in strokes), None)
        layers = instrument.findall(".//layer") or [instrument]
        if pitch is None or not layers[0].findtext("filename"):
            continue
        loud = float(instrument.findtext("volume") or 1)
        for layer in layers:
            path = folder / (layer.findtext("filename") or "")
            if path.exists():
                most = float(layer.findtext("max") or 1)
                middle = 127 * (float(layer.findtext("min") or 0) + most) / 2
                velocity = 127.0 if len(layers) == 1 else max(middle, 1.0)
                gain = loud * float(layer.findtext("gain") or 1) * velocity / 127
                strokes.setdefault(pitch, []).append((velocity, sample(path) * np.float32(gain)))
    return Kit(folder.name, strokes)


def synthesised_kit(rng: np.random.Generator, name: str) -> Kit:
    """Drums by formula: falling tones, tones with noise, noise and clashing partials in a band."""
    tune, ring = rng.uniform(0.8, 1.3), rng.uniform(0.6, 1.6)
    kick = _skin(rng.uniform(38, 65), rng.uniform(1.5, 6), rng.uniform(0.04, 0.25), rng)
    strokes = {36: kick, 37: _skin(rng.uniform(400, 1700), 1.1, 0.02, rng)}
    wires = _noise(rng.uniform(0.03, 0.15), rng.uniform(800, 3000), 14000, 0, rng)
    strokes[38] = _sum(_skin(rng.uniform(150, 260), 1.4, 0.06, rng), wires * rng.uniform(0.4, 2))
    for pitch, hertz in ((41, 75), (45, 110), (48, 150), (50, 190)):
        fall = rng.uniform(1.05, 1.6)
        strokes[pitch] = _skin(hertz * tune, fall, ring * rng.uniform(0.08, 0.3), rng)
    low, tones = rng.uniform(3000, 7000), int(rng.integers(0, 9))
    strokes[42] = _noise(rng.uniform(0.02, 0.08), low, 18000, tones, rng)
    strokes[46] = _noise(rng.uniform(0.08, 0.35), low, 18000, tones, rng)
    for pitch in (49, 57, 55):
        low, long = rng.uniform(1000, 4000), rng.uniform(0.2, 0.8)
        strokes[pitch] = _noise(long, low, 17000, int(rng.integers(0, 30)), rng)
    for pitch in (51, 53):
        body = _noise(rng.uniform(0.2, 0.7), rng.uniform(1500, 4000), 16000, 12, rng)
        ping = _skin(rng.uniform(2000, 6000), 1.02, rng.uniform(0.02, 0.3), rng)
        strokes[pitch] = _sum(body * rng.uniform(0.3, 1), ping)
    levels = {
        pitch: 10 ** (rng.normal(-8 if pitch in (42, 46, 51) else 0, 3) / 20) for pitch in strokes
    }
    return Kit(name, {p: [(127.0, faded(w * np.float32(levels[p])))] for p, w in strokes.items()})


def _skin(hertz: float, fall: float, decay: float, rng: np.random.Generator) -> np.ndarray:
    """A tone that falls to `hertz` from `fall` times as high, with overtones and a click."""
    time = np.arange(int(min(8 * decay + 0.05, APART_S) * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = hertz * (1 + (fall - 1) * np.exp(-time / rng.uniform(0.005, 0.06)))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    wave = np.sin(phase) * np.exp(-time / decay)
    for ratio in (1.59, 2.14, 2.65):  # modes of a round skin
        wave += rng.uniform(0, 0.4) * np.sin(ratio * phase) * np.exp(-time / (decay / ratio**2))
    click = _noise(rng.uniform(0.001, 0.01), rng.uniform(300, 3000), 12000, 0, rng)
    return _sum(np.tanh(wave * rng.uniform(0.5, 3)).astype(np.float32), click * rng.uniform(0, 0.6))


def _noise(
    decay: float, low: float, high: float, tones: int, rng: np.random.Generator
) -> np.ndarray:
    """Noise and some partials between two frequencies in Hz, dying away; peak of 1."""
    size = int(min(8 * decay + 0.05, APART_S) * SAMPLE_RATE)
    time = np.arange(size) / SAMPLE_RATE
    band = butter(2, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos")
    wave = sosfilt(band, rng.standard_normal(size))
    for hertz in rng.uniform(low, min(3 * low, high), tones):
        wave += rng.uniform(0, 0.5) * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6.3))
    wave *= np.exp(-time / decay) * np.minimum(time / rng.uniform(0.0003, 0.002), 1)
    return (wave / np.abs(wave).max()).astype(np.float32)


def _sum(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    size = max(len(first), len(second))
    return np.pad(first, (0, size - len(first))) + np.pad(second, (0, size - len(second)))


def sample(path: Path) -> np.ndarray:
    """A file as a mono stroke that begins where it is first heard."""
    data, rate = sf.read(path, dtype="float32", always_2d=True)
    wave = data.mean(axis=1)
    if rate != SAMPLE_RATE:
        wave = resample_poly(wave, SAMPLE_RATE, rate).astype(np.float32)
    heard = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max(initial=0))
    first = max(int(heard[0]) - 20, 0) if len(heard) else 0
    return faded(wave[first : first + int(APART_S * SAMPLE_RATE)])


def faded(wave: np.ndarray) -> np.ndarray:
    """Without the end that nobody hears; the last 50 ms go to zero."""
    heard = np.flatnonzero(np.abs(wave) > 1e-3 * np.abs(wave).max(initial=0))
    wave = wave[: int(heard[-1]) + 1 if len(heard) else 1].copy()
    ramp = min(len(wave), SAMPLE_RATE // 20)
    wave[len(wave) - ramp :] *= np.linspace(1, 0, ramp, dtype=np.float32)
    return wave


def level(kit: Kit, pitches: list[int]) -> float:
    """Largest RMS in 50 ms, of the loudest of these pitches, struck with 100."""
    size, best = SAMPLE_RATE // 20, 1e-6
    for pitch in pitches:
        head = kit.stroke(pitch, 100)[: 4 * size]
        head = np.pad(head, (0, -len(head) % size)).reshape(-1, size)
        best = max(best, float(np.sqrt((head**2).mean(axis=1)).max()))
    return best


def play(
    notes: list[tuple[float, int, float]], seconds: float, kit: Kit, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[float, int, float]]]:
    """(time, pitch, velocity) in order -> the wave, and the notes that the kit could play."""
    wave = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    played, chosen = [], {}
    open_hat: tuple[int, np.ndarray] | None = None
    for time, pitch, velocity in notes:
        if pitch not in chosen:
            chosen[pitch] = kit.pitch_like(pitch, rng)
        own = chosen[pitch]
        if own is None:
            continue
        at = round(time * SAMPLE_RATE)
        stroke = kit.stroke(own, velocity)[: max(len(wave) - at, 0)]
        if HEARD[own] in (2, 3):
            if open_hat is not None:
                _choke(wave, *open_hat, at)
            open_hat = (at, stroke) if HEARD[own] == 3 else None
        wave[at : at + len(stroke)] += stroke
        played.append((time, own, velocity))
    return wave, played


def _choke(wave: np.ndarray, start: int, stroke: np.ndarray, at: int) -> None:
    """Take out what an open hat still rings after `at`, within 20 ms."""
    rest = stroke[max(at - start, 0) :]
    gone = np.minimum(np.arange(len(rest), dtype=np.float32) / (0.02 * SAMPLE_RATE), 1)
    wave[at : at + len(rest)] -= rest * gone
