"""Networks for rolls whose answers are known by construction, in place of trained ones."""

from __future__ import annotations

from pathlib import Path

from restem.symbolic.bernoulli import BinaryNoise
from restem.symbolic.model import RollModel


class Known(RollModel):
    """A network with a rule in place of weights; `seen` is for what it was shown."""

    def __init__(self, stem: str) -> None:
        super().__init__(Path("nowhere"), stem)
        self.__dict__["noise"] = BinaryNoise(32, density=0.02)
        self.__dict__["sha256"] = "0" * 64
        self.__dict__["description"] = {"densities": [0.5, 1.0, 1.5]}
        self.__dict__["seen"] = []
