"""A kind of collection and its path in, its songs, licence and citation out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from restem.dataset.sources.magnatagatune import MagnaTagATune
from restem.dataset.sources.musdb import Musdb18
from restem.dataset.sources.musiccaps import MusicCaps
from restem.dataset.sources.protocol import Source
from restem.dataset.sources.rendered_songs import RenderedSongs
from restem.dataset.sources.song_folder import SongFolder
from restem.dataset.sources.stem_folders import MoisesDB, Slakh2100, StemFolders
from restem.errors import UserError

__all__ = ["KINDS", "Source", "open_source"]

# The word before the "=" of --source, and what opens the path behind it.
KINDS: dict[str, Callable[[Path], Source]] = {
    "musdb18": Musdb18,
    "slakh2100": Slakh2100,
    "moisesdb": MoisesDB,
    "stems": StemFolders,
    "musiccaps": MusicCaps,
    "magnatagatune": MagnaTagATune,
    "songs": SongFolder,
    "rendered": RenderedSongs,
}


def open_source(text: str) -> Source:
    """The source of "KIND=PATH"; UserError for another form, an unknown kind or a missing path."""
    kind, _, path = text.partition("=")
    if kind not in KINDS or not path:
        raise UserError(f"A source is written KIND=PATH; kinds are {', '.join(KINDS)}.")
    if not Path(path).exists():
        raise UserError(f"There is no {path} for the source {kind}; check its name.")
    return KINDS[kind](Path(path))
