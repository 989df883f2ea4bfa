"""A folder with exported roll networks in, predictors of binary cells out; runs without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime

from restem.errors import UserError
from restem.symbolic import shared
from restem.symbolic.bernoulli import BinaryNoise
from restem.text import EMBEDDING_SIZE

PACKAGED = "embedded"
TEXT_VALUES = EMBEDDING_SIZE + 2  # a style's vector, then two zeros that once asked for a density
CELL_SCALE = 4.0  # cells are rare: at 1 their sum would drown in the other inputs


@dataclass(frozen=True)
class RollModel:
    """The network of one stem: `STEM.onnx` and its description `STEM.json` in a folder.

    With a `file` these are `FILE.onnx` and `FILE.json`, of several stems (`symbolic.shared`).
    """

    folder: Path
    stem: str
    file: str = ""

    @classmethod
    def load(cls, stem: str, folder: str | Path = PACKAGED, *, heard: bool = False) -> RollModel:
        """The model in the package ("embedded") or in a folder; UserError if it is not there.

        For what is `heard` of a recording a network of several stems will do too.
        """
        place = Path(folder)
        if folder == PACKAGED:
            place = Path(str(resources.files("restem"))) / "models" / "midi"
        together = heard and stem in shared.STEMS and is_model(place, shared.FILE)
        if together and not is_model(place, stem):
            return cls(place, stem, shared.FILE)
        for ending in ("onnx", "json"):
            if not (place / f"{stem}.{ending}").is_file():
                raise UserError(
                    f"{place} has no model of {stem}: {stem}.{ending} is missing; make "
                    "it with restem midi train and restem midi export."
                )
        return cls(place, stem)

    @property
    def network(self) -> Path:
        """The file of the network."""
        return self.folder / f"{self.file or self.stem}.onnx"

    @cached_property
    def description(self) -> dict:
        """What the model's file says of this stem."""
        path = self.network.with_suffix(".json")
        try:
            found = dict(json.loads(path.read_text()))
            own = found.pop("parts")[self.stem] if self.file else {}
            return {**found, **own}
        except (ValueError, KeyError) as error:
            raise UserError(f"{path} is damaged: {error}.") from None

    @cached_property
    def noise(self) -> BinaryNoise:
        """The noise it was trained with."""
        return BinaryNoise(**self.description["noise"])

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.network.read_bytes()).hexdigest()

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # One thread adds in one order on every machine: the same seed gives the same notes.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = self.network
        try:
            return onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise UserError(f"{path} is damaged: {error}.") from None

    def log_odds(
        self,
        cells: np.ndarray,
        context: np.ndarray,
        place: np.ndarray,
        text: np.ndarray,
        survival: float,
    ) -> np.ndarray:
        """Log-odds of the clean cells (window, token, value) given noisy ones at a_t = survival.

        Shapes: cells (window, token, value), context (window, token, ...), place (window, token,
        17), text (window, 386).
        """
        if self.file:
            cells, context = shared.widened(cells, self.stem), shared.context_of(context)
            place = shared.told(place, self.stem)
        feed = {
            "cells": cells.astype(np.float32) * CELL_SCALE,
            "context": context.astype(np.float32) * CELL_SCALE,
            "place": place,
            "text": text,
            "t": np.full(len(cells), 1 - survival),
        }
        feed = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in feed.items()}
        odds = np.asarray(self._session.run(None, feed)[0])
        return shared.narrowed(odds, self.stem) if self.file else odds


def is_model(folder: Path, name: str) -> bool:
    """Whether a folder holds a network and its description by a name."""
    return all((folder / f"{name}.{ending}").is_file() for ending in ("onnx", "json"))
