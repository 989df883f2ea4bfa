"""Folders of Hydrogen drum kits in, kits that play note arrays as mono waveforms out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import soundfile
import soxr

from restem.dataset.compose import Part
from restem.dataset.render import SAMPLE_RATE
from restem.errors import UserError

SECONDS = 4.0  # of a sample; longer ones fade out
_CHOKED = {42: 46, 44: 46}  # a closed or trodden hat ends an open one
# General MIDI's drums by the names that kits use, the first match counts.
_NAMES = (
    (44, r"pedal"),
    (46, r"(hat|hh).*(open|op\b|semi|swish|free)|open.*(hat|hh)|ohh"),
    (42, r"hat|hh"),
    (36, r"kick|bass ?drum|\bbd"),
    (37, r"stick|rim ?click"),
    (39, r"clap"),
    (38, r"snare"),
    (43, r"tom.*(low|floor)|(low|floor).*tom|drum 1\b"),
    (47, r"tom.*(mid|2)|mid.*tom|drum 2\b"),
    (50, r"tom.*(hi|1)|hi.*tom"),
    (47, r"\btom\b"),
    (53, r"\bbell|cup"),
    (52, r"china"),
    (55, r"splash"),
    (51, r"ride"),
    (49, r"crash|cymbal"),
    (56, r"cowbell"),
    (54, r"tambourine"),
    (70, r"maraca|shaker"),
)
# What plays a drum that a kit lacks.
_INSTEAD = {
    35: 36, 40: 38, 41: 43, 45: 43, 48: 47, 57: 49, 59: 51, 53: 51, 55: 49, 52: 49, 44: 42,
    46: 42, 47: 43, 50: 47, 69: 70, 82: 70,
}  # fmt: skip
_ELECTRONIC = re.compile(r"synth|electr|analog|techno", re.IGNORECASE)


@dataclass(frozen=True)
class SampleKit:
    """A kit: for each General MIDI drum its instruments, each a list of layers, softest first.

    A layer is (highest velocity 0..1, waveform (sample,) float32 at SAMPLE_RATE).
    """

    name: str
    electronic: bool
    sounds: dict[int, list[list[tuple[float, np.ndarray]]]]

    def render(
        self, part: Part, bpm_quarter: float, samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Mono float32 (sample,) of a drum part; where a kit has several drums of a kind, `rng`
        chooses one for the song. Drums that it lacks are played by their like or left out."""
        chosen = {
            pitch: offered[int(rng.integers(len(offered)))]
            for pitch, offered in sorted(self.sounds.items())
        }
        out = np.zeros(samples, np.float32)
        open_hat: tuple[int, np.ndarray] | None = None
        for start, _, pitch, velocity in part.notes[np.argsort(part.notes[:, 0], kind="stable")]:
            at = round(float(start) * 60 / bpm_quarter * SAMPLE_RATE)
            drum = _drum(int(pitch), chosen)
            if drum is None or at >= samples:
                continue
            share = float(np.clip(velocity, 1, 127)) / 127
            layers = chosen[drum]
            wave = next((w for top, w in layers if share <= top), layers[-1][1]) * np.float32(share)
            if open_hat is not None and drum in _CHOKED:
                _choke(out, *open_hat, at)
            if drum in (*_CHOKED, *_CHOKED.values()):
                open_hat = (at, wave) if drum == 46 else None
            end = min(samples, at + len(wave))
            out[at:end] += wave[: end - at]
        return out


def read_kits(folder: Path) -> list[SampleKit]:
    """All kits in a folder of Hydrogen's kit folders that have kick, snare and hat, by name.

    Raises UserError if there are none.
    """
    kits = []
    for path in sorted(folder.glob("*/drumkit.xml")):
        tree = _parsed(path)
        sounds: dict[int, list[list[tuple[float, np.ndarray]]]] = {}
        for instrument in tree.iter("instrument"):
            pitch = _pitch(instrument.findtext("name") or "")
            layers = _layers(instrument, path.parent) if pitch else []
            if pitch and layers:
                sounds.setdefault(pitch, []).append(layers)
        if {36, 38, 42} <= sounds.keys():
            words = path.parent.name + " " + (tree.findtext("info") or "")
            kits.append(SampleKit(path.parent.name, bool(_ELECTRONIC.search(words)), sounds))
    if not kits:
        raise UserError(f"{folder} holds no Hydrogen drum kits with kick, snare and hi-hat.")
    return kits


def _parsed(path: Path) -> ElementTree.Element:
    """Newer kits declare a namespace, which would be part of each name."""
    text = path.read_text(errors="replace")
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    try:
        return ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is not a drum kit of Hydrogen: {error}.") from None


def _pitch(name: str) -> int | None:
    return next((p for p, words in _NAMES if re.search(words, name, re.IGNORECASE)), None)


def _layers(instrument: ElementTree.Element, folder: Path) -> list[tuple[float, np.ndarray]]:
    """Layers by rising velocity; instruments of one sample name it without a layer."""
    volume = float(instrument.findtext("volume") or 1)
    found = []
    for layer in [*instrument.iter("layer"), instrument]:
        name = layer.findtext("filename")
        if name and (folder / name).is_file():
            gain = float(layer.findtext("gain") or 1) * volume
            top = float(layer.findtext("max") or 1)
            found.append((top, np.float32(gain) * _sample(folder / name)))
    return sorted(found, key=lambda pair: pair[0])


def _sample(path: Path) -> np.ndarray:
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(wave.mean(axis=1), rate, SAMPLE_RATE)[: int(SECONDS * SAMPLE_RATE)]
    fade = min(len(mono), SAMPLE_RATE // 20)
    mono[len(mono) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.asarray(mono, np.float32)


def _drum(pitch: int, sounds: dict) -> int | None:
    for _ in range(3):
        if pitch in sounds:
            return pitch
        if pitch not in _INSTEAD:
            return None
        pitch = _INSTEAD[pitch]
    return None


def _choke(out: np.ndarray, began: int, wave: np.ndarray, at: int) -> None:
    """Take away what an open hat would still sound after `at`, over 10 ms."""
    rest = wave[at - began : len(out) - began].copy()
    fade = min(len(rest), SAMPLE_RATE // 100)
    rest[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    out[at : at + len(rest)] -= rest
