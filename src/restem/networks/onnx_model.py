"""A folder with an exported network in, a denoiser on NumPy arrays out; runs without torch."""

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
from restem.tokens import TokenConfig

EMBEDDED = "embedded"
_KEYS = ("name", "stems", "steps", "guidance", "logits", "tokens")


@dataclass(frozen=True)
class OnnxModel:
    """One exported insertion network and the description that came with it.

    The folder holds `network.onnx` and `model.json` (name, tokens, stems, steps, guidance).
    `threads` work on one call; 0 means all cores.
    """

    folder: Path
    threads: int = 0

    @classmethod
    def load(cls, model: str | Path = EMBEDDED, threads: int = 0) -> OnnxModel:
        """The model in the package ("embedded") or that of a folder; UserError if it is not one."""
        folder = Path(model)
        if model == EMBEDDED:
            folder = Path(str(resources.files("restem"))) / "models" / "embedded"
        for name in ("network.onnx", "model.json"):
            if not (folder / name).is_file():
                raise UserError(f"{folder} is not a restem model: it has no {name}.")
        loaded = cls(folder, threads)
        try:
            missing = [key for key in _KEYS if key not in loaded.description]
            if missing:
                raise ValueError(f"it does not say {', '.join(missing)}")
            _ = loaded.tokens
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{folder / 'model.json'} is damaged: {error}.") from None
        return loaded

    @cached_property
    def description(self) -> dict:
        """What `model.json` says."""
        return dict(json.loads((self.folder / "model.json").read_text()))

    @cached_property
    def tokens(self) -> TokenConfig:
        return TokenConfig.from_dict(self.description["tokens"])

    @property
    def controls(self) -> int:
        """How many numbers about the playing follow the sentence vector; 0 for older models."""
        return int(self.description.get("network", {}).get("controls", 0))

    @property
    def distilled(self) -> bool:
        """Whether it has learned guided answers, so that it is asked but once."""
        return bool(self.description.get("distilled", False))

    def usual(self, stem: str) -> tuple[float, float] | None:
        """Density and loudness that were usual for a stem in training, if the model tells."""
        told = self.description.get("usual", {}).get(stem)
        return None if told is None else (float(told[0]), float(told[1]))

    @cached_property
    def sha256(self) -> str:
        """Hash of the network file, so that a result names what made it."""
        return hashlib.sha256((self.folder / "network.onnx").read_bytes()).hexdigest()

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.threads
        try:
            return onnxruntime.InferenceSession(
                str(self.folder / "network.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise UserError(f"{self.folder / 'network.onnx'} is damaged: {error}.") from None

    def predict(
        self, stem: np.ndarray, context: np.ndarray, phase: np.ndarray, text: np.ndarray, t: float
    ) -> np.ndarray:
        """The clean stem (window, token, value) that the network sees in x_t, all float32.

        Each window has its own sentence vector, and controls where the model has some, in `text`
        (window, 384 + controls).
        """
        count = len(stem)
        feed = {
            "stem": stem,
            "context": context,
            "phase": phase,
            "text": text,
            "t": np.full(count, t),
        }
        feed = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in feed.items()}
        return np.asarray(self._session.run(None, feed)[0])
