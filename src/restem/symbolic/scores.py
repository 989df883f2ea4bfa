"""A file name in, a song out: MIDI or Guitar Pro, told apart by the file's first bytes."""

from __future__ import annotations

from pathlib import Path

from restem.errors import UserError
from restem.symbolic.guitar_pro import read_guitar_pro, refuse_newer
from restem.symbolic.midi_files import read_midi
from restem.symbolic.song import Song

SUFFIXES = (".mid", ".midi", ".gp3", ".gp4", ".gp5")


def read_song(path: str | Path, name: str | None = None) -> Song:
    """The song of a MIDI or a Guitar Pro 3 to 5 file; UserError says what is wrong with others.

    `name` is for messages, where the owner knows the file by another than its own.
    """
    path = Path(path)
    name = name or path.name
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a MIDI or Guitar Pro file.")
    try:
        with path.open("rb") as file:
            first = file.read(32)
    except OSError as error:
        raise UserError(
            f"Could not read {name}: {error.strerror or error}; check the name of the file."
        ) from None
    refuse_newer(name, first)
    # A Guitar Pro file begins with the length of its version's name, then the name.
    if b"GUITAR PRO" in first or first[1:].startswith(b"CLIPBOARD GP"):
        return read_guitar_pro(path, name)
    return read_midi(path, name)
