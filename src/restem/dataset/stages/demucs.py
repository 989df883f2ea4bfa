"""A mix in, drums, bass, other and vocals out, by Hybrid Transformer Demucs (`demucs-infer`).

S. Rouard, F. Massa, A. Défossez, "Hybrid transformers for music source separation", ICASSP 2023.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restem.errors import UserError

ENDING = ".th"

# Signatures of htdemucs_ft and the stem that each was fine-tuned for.
SPECIALISTS = {"f7e0c4bc": "drums", "d12395a8": "bass", "92cfc3b6": "other", "04573f0d": "vocals"}


class Demucs:
    """Implements `Separator` with one published `.th` checkpoint, or a folder of several.

    The four files of `htdemucs_ft` are specialists: each counts only for the stem that it is best
    at, after the weights of the published bag; a folder of any other number is averaged. Songs are
    cut into the network's own segments with a quarter of overlap and no random shifts, so that the
    same song gives the same stems.
    """

    def __init__(self, path: Path, device: str | None = None) -> None:
        files = sorted(path.glob(f"*{ENDING}")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            raise UserError(
                f"There is no Demucs checkpoint at {path}; give a .th file or a folder of them."
            )
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        digest = hashlib.sha256()
        self._models: list[tuple[str | None, Any]] = []
        for file in files:
            data_hash = hashlib.sha256(file.read_bytes()).hexdigest()
            _check_name(file, data_hash)
            digest.update(data_hash.encode())
            special = SPECIALISTS.get(file.stem.split("-")[0])
            self._models.append((special, _load(file).to(self._device).eval()))
        self.stems = tuple(str(s) for s in self._models[0][1].sources)
        self.name = f"demucs-{digest.hexdigest()[:12]}"

    def separate(self, mix: np.ndarray) -> dict[str, np.ndarray]:
        from demucs_infer.apply import apply_model  # type: ignore[import-untyped]

        waves = torch.from_numpy(np.ascontiguousarray(mix.T, dtype=np.float32))
        # The networks were trained on songs of mean 0 and deviation 1.
        mono = waves.mean(dim=0)
        mean, scale = mono.mean(), mono.std() + 1e-8
        normal = ((waves - mean) / scale)[None]
        special = {name for name, _ in self._models if name}
        found: dict[str, list[torch.Tensor]] = {name: [] for name in self.stems}
        with torch.inference_mode():
            for own, model in self._models:
                out = apply_model(
                    model, normal, shifts=0, split=True, overlap=0.25, device=self._device
                )[0]
                for name, wave in zip(self.stems, out, strict=True):
                    if own == name or (own is None and name not in special):
                        found[name].append(wave.cpu())
        return {
            name: (torch.stack(waves).mean(dim=0) * scale + mean).T.numpy()
            for name, waves in found.items()
            if waves
        }


def _load(path: Path) -> Any:
    """The model of a published checkpoint.

    Such a file names its class and is unpickled with code; `weights_only` with that one class
    allowed keeps it from running any other.
    """
    from demucs_infer.hdemucs import HDemucs  # type: ignore[import-untyped]
    from demucs_infer.htdemucs import HTDemucs  # type: ignore[import-untyped]
    from demucs_infer.states import load_model  # type: ignore[import-untyped]

    allowed: list[Any] = [HTDemucs, HDemucs]
    allowed += [
        (cls, f"demucs.{cls.__name__.lower()}.{cls.__name__}") for cls in (HTDemucs, HDemucs)
    ]
    try:
        with torch.serialization.safe_globals([*allowed, *_fractions()]):
            package = torch.load(path, map_location="cpu", weights_only=True)
        return load_model(package)
    except Exception as error:  # the unpickler raises whatever a file that is none leads it to
        line = (str(error).splitlines() or [""])[0][:120]
        raise UserError(f"{path} is no Demucs checkpoint ({line}); download it again.") from error


def _fractions() -> list[Any]:
    """The segment's length is stored as a Fraction."""
    from fractions import Fraction

    return [Fraction]


def _check_name(path: Path, sha256: str) -> None:
    """Published files carry the first eight digits of their hash ("f7e0c4bc-bc3fe64a.th")."""
    _, dash, promised = path.stem.partition("-")
    if dash and len(promised) == 8 and not sha256.startswith(promised):
        raise UserError(f"{path.name} is damaged: its hash begins with {sha256[:8]}; get it again.")
