"""A checkpoint of a training run in, its tensors and what it says of itself out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from restem.errors import UserError

ALL = "restem"  # the key of all metadata


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a checkpoint; UserError if it is missing or cut short."""
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            meta = json.loads(meta[ALL]) if ALL in meta else meta  # before 0.16.0 each had a key
            return {key: file.get_tensor(key) for key in list(file.keys())}, meta
    except FileNotFoundError:
        raise UserError(
            f"There is no checkpoint at {path}; train first, without --resume."
        ) from None
    except Exception as error:
        raise UserError(f"{path} is not a whole safetensors checkpoint: {error}.") from None


def in_one(meta: dict[str, str]) -> dict[str, str]:
    """Metadata under one key, as `read_checkpoint` takes it apart: safetensors writes several in an
    order of its own, so that equal runs would not give equal files."""
    return {ALL: json.dumps(meta)}


def ema_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights of a checkpoint by parameter name, and what was stored about them."""
    tensors, meta = read_checkpoint(path)
    return {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}, json.loads(meta["meta"])


def apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in one piece each; 8-bit Adam shares its tables among parameters."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        shared = tensor.data_ptr() in seen
        seen.add(tensor.data_ptr())
        found[name] = tensor.clone() if shared else tensor.contiguous()
    return found


def fitting(tensors: dict[str, Tensor], name: str, parameter: Tensor) -> Tensor:
    """The tensor of that name; UserError if there is none of the parameter's shape."""
    found = tensors.get(name)
    if found is None or found.shape != parameter.shape:
        have = "nothing" if found is None else tuple(found.shape)
        raise UserError(
            f"The checkpoint does not fit: {name} is {have}, not {tuple(parameter.shape)}."
        )
    return found
