"""A missing stem for a song, asked for in a sentence; the names here load when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restem.audio.beats import BeatGrid
    from restem.errors import UserError
    from restem.insertion import Inserter, Insertion

__version__ = "0.19.0"
__all__ = ["BeatGrid", "Inserter", "Insertion", "UserError", "__version__"]

_HOME = {
    "BeatGrid": "restem.audio.beats",
    "Inserter": "restem.insertion",
    "Insertion": "restem.insertion",
    "UserError": "restem.errors",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `import restem` and `restem --help` stay quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'restem' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
