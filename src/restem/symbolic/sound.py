"""A MIDI file in, a WAV of it out, through the FluidSynth program if it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from restem.errors import UserError

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
    """Write 44.1 kHz stereo audio of a MIDI file; UserError if FluidSynth fails."""
    done = subprocess.run(
        [
            "fluidsynth",
            "-n",
            "-i",
            "-q",
            "-r",
            "44100",
            "-g",
            "0.6",
            "-T",
            "wav",
            "-F",
            str(wav),
            str(soundfont),
            str(midi),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not wav.is_file() or not wav.stat().st_size:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise UserError(f"FluidSynth could not play the song: {reason[-1]}.")
