"""A MIDI file in, a WAV of it out, through the FluidSynth program if it is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from restem.errors import UserError

MOST_PEAK, BLOCK = 0.98, 1 << 20

# Where Linux distributions and Homebrew put General MIDI SoundFonts.
_PLACES = (
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/opt/homebrew/share/fluid-synth/sf2",
    "/usr/local/share/fluidsynth",
)
_FIRST = ("default-GM.sf2", "FluidR3_GM.sf2")


def check_synth(soundfont: Path | None) -> Path:
    """The SoundFont to play with; UserError says what to install if something is missing."""
    if shutil.which("fluidsynth") is None:
        raise UserError(
            "--render needs FluidSynth; install it with apt install fluidsynth or brew "
            "install fluid-synth."
        )
    if soundfont is not None:
        if not soundfont.is_file():
            raise UserError(f"There is no SoundFont {soundfont}; check the name of the file.")
        with soundfont.open("rb") as file:
            head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] not in (b"sfbk", b"DLS "):  # FluidSynth would ignore it
            raise UserError(f"{soundfont} is no SoundFont; name a .sf2 file.")
        return soundfont
    fonts = [path for place in _PLACES for path in sorted(Path(place).glob("*.sf2"))]
    fonts.sort(key=lambda path: _FIRST.index(path.name) if path.name in _FIRST else len(_FIRST))
    if not fonts:
        raise UserError(
            "--render needs a General MIDI SoundFont; install one, for example apt "
            "install fluid-soundfont-gm, or name one with --soundfont."
        )
    return fonts[0]


def render(midi: Path, wav: Path, soundfont: Path) -> None:
    """Write 44.1 kHz stereo audio of a MIDI file, softer where it would clip; UserError if
    FluidSynth fails."""
    with tempfile.TemporaryDirectory() as folder:
        loud = Path(folder) / "song.wav"
        settings = ["-r", "44100", "-g", "0.6", "-T", "wav", "-O", "float", "-F", str(loud)]
        done = subprocess.run(
            ["fluidsynth", "-n", "-i", "-q", *settings, str(soundfont), str(midi)],
            capture_output=True,
            text=True,
            check=False,
        )
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        unread = any("Failed to load" in line for line in said)  # it plays another one, and is glad
        if unread:
            raise UserError(f"FluidSynth cannot read {soundfont}; name another with --soundfont.")
        if done.returncode or not loud.is_file() or not loud.stat().st_size:
            raise UserError(f"FluidSynth could not play the song: {said[-1]}.")
        _write_quietened(loud, wav)


def _write_quietened(loud: Path, wav: Path) -> None:
    """Floats as 16 bits, all of them as much softer as the loudest needs, block by block."""
    peak = max(float(np.abs(block).max(initial=0.0)) for block in soundfile.blocks(loud, BLOCK))
    gain = min(1.0, MOST_PEAK / max(peak, 1e-9))
    with (
        soundfile.SoundFile(loud) as source,
        soundfile.SoundFile(
            wav, "w", source.samplerate, source.channels, "PCM_16", format="WAV"
        ) as target,
    ):
        for block in source.blocks(BLOCK):
            target.write(block * gain)
