"""A separator's name in, a separator out; mixes in, their stems out."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from restem.errors import UserError

NAMES = "none, drums[=MODEL.onnx], spleeter, demucs=CHECKPOINT"


class Separator(Protocol):
    """A network that takes stems out of a mix."""

    @property
    def name(self) -> str:
        """With a hash of the weights, so that other weights mean other work."""

    @property
    def stems(self) -> tuple[str, ...]:
        """What `separate` gives."""

    def separate(self, mix: np.ndarray) -> dict[str, np.ndarray]:
        """Every stem as (sample, 2) of a mix (sample, 2), float32 at 44.1 kHz."""


def open_separator(text: str) -> Separator | None:
    """The separator of a name as the command line takes it; None for "none".

    Raises UserError for an unknown name, a missing package and missing weights.
    """
    kind, _, path = text.partition("=")
    if kind == "none":
        return None
    try:
        if kind == "drums":
            from restem.audio.drums_separator import DrumsSeparator

            return DrumsSeparator(Path(path) if path else None)
        if kind == "spleeter":
            from restem.dataset.stages.spleeter import Spleeter

            return Spleeter(Path(path) if path else None)
        if kind == "demucs" and path:
            from restem.dataset.stages.demucs import Demucs

            return Demucs(Path(path))
    except ModuleNotFoundError as error:
        raise UserError(
            f"The separator {kind} needs the package {error.name}; "
            "install it with pip install 'restem[separation]'."
        ) from None
    raise UserError(f"There is no separator {text!r}; choose from {NAMES}.")
