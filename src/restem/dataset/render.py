"""Note arrays in, mono waveforms out: FluidSynth in process, then a random room and tone."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, lfilter

from restem.dataset.compose import Part
from restem.errors import UserError

SAMPLE_RATE = 44100
_SETTINGS = {
    "synth.dynamic-sample-loading": 1,
    "synth.reverb.active": 0,
    "synth.chorus.active": 0,
}
KITS = {
    "standard": 0,
    "room": 8,
    "power": 16,
    "electronic": 24,
    "tr-808": 25,
    "jazz": 32,
    "brush": 40,
    "orchestra": 48,
}


class Renderer:
    """Plays parts through SoundFonts, each part on a synthesiser of its own.

    A used synthesiser keeps a little of what it played, so that a song would depend on those before
    it; a new one that loads only the sounds it needs costs 20 ms.
    """

    def __init__(self, soundfonts: list[Path]) -> None:
        try:
            import fluidsynth
        except ImportError:
            raise UserError(
                "Rendering needs pyfluidsynth and the FluidSynth library; "
                "install Debian's fluidsynth and restem[dataset]."
            ) from None
        missing = [str(path) for path in soundfonts if not path.is_file()]
        if missing or not soundfonts:
            raise UserError(f"No SoundFont at {', '.join(missing) or 'any given path'}.")
        if os.name == "posix":  # FluidSynth draws its dither from there when it is first used
            ctypes.CDLL(None).srand(1)
        self._new_synth = fluidsynth.Synth
        self._soundfonts = soundfonts

    @property
    def fonts(self) -> int:
        return len(self._soundfonts)

    def render(
        self, part: Part, bpm_quarter: float, samples: int, font: int, cents: float = 0.0
    ) -> np.ndarray:
        """Mono float32 (sample,) of one part; `cents` detunes pitched parts."""
        synth = self._new_synth(gain=0.5, samplerate=float(SAMPLE_RATE))
        try:
            for name, value in _SETTINGS.items():
                synth.setting(name, value)
            handle = synth.sfload(str(self._soundfonts[font]))
            drums = part.kind == "drums"
            channel = 9 if drums else 0
            synth.program_select(channel, handle, 128 if drums else 0, part.program)
            if cents and not drums:
                synth.pitch_bend(channel, int(np.clip(cents / 200, -1, 1) * 8191))
            pieces, now = [], 0
            for time, on, pitch, velocity in _events(part.notes, 60 / bpm_quarter, samples):
                if time > now:
                    pieces.append(synth.get_samples(time - now))
                    now = time
                if on:
                    synth.noteon(channel, pitch, velocity)
                else:
                    synth.noteoff(channel, pitch)
            pieces.append(synth.get_samples(samples - now))
        finally:
            synth.delete()
        stereo = np.concatenate(pieces).reshape(-1, 2)
        return stereo.mean(axis=1).astype(np.float32) / 32768


def _events(
    notes: np.ndarray, seconds_per_quarter: float, samples: int
) -> list[tuple[int, bool, int, int]]:
    events = []
    for start, duration, pitch, velocity in notes:
        on = round(start * seconds_per_quarter * SAMPLE_RATE)
        off = round((start + duration) * seconds_per_quarter * SAMPLE_RATE)
        if on < samples:
            events.append((on, True, int(pitch), int(np.clip(velocity, 1, 127))))
            events.append((min(max(off, on + 64), samples), False, int(pitch), 0))
    return sorted(events)


def room(waveform: np.ndarray, seconds: float, wet: float, rng: np.random.Generator) -> np.ndarray:
    """The waveform in a room: exponentially decaying noise as its impulse response."""
    length = int(seconds * SAMPLE_RATE)
    decay = 10 ** (-3 * np.arange(length) / length)
    response = (rng.standard_normal(length) * decay).astype(np.float32)
    response = lfilter([0.35], [1, -0.65], response).astype(np.float32)  # walls damp the treble
    response /= np.sqrt(np.sum(response**2)) + 1e-9
    tail = fftconvolve(waveform, response)[: len(waveform)].astype(np.float32)
    return waveform + np.float32(wet) * tail


def tone(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A gentle random low and high shelf (first order, up to 6 dB each)."""
    for corner in (rng.uniform(120, 400), rng.uniform(2000, 6000)):
        a = float(np.exp(-2 * np.pi * corner / SAMPLE_RATE))
        low = lfilter([1 - a], [1, -a], waveform).astype(np.float32)
        gain = 10 ** (rng.uniform(-6, 6) / 20)
        waveform = low + np.float32(gain) * (waveform - low)
    return waveform


def saturate(waveform: np.ndarray, drive: float) -> np.ndarray:
    """Soft clipping as of tape or a bus compressor, at unchanged level."""
    peak = float(np.abs(waveform).max()) + 1e-9
    shaped = np.tanh(drive * waveform / peak)
    level = np.sqrt(np.mean(waveform**2) / (np.mean(shaped**2) + 1e-12))
    return (shaped * level).astype(np.float32)
