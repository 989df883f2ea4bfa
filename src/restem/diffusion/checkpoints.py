"""A checkpoint of a training run in, its tensors and what it says of itself out; and back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from restem.errors import UserError

ALL = "restem"  # the key of all metadata


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a checkpoint; UserError if it is missing, cut short or not ours."""
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            meta = json.loads(meta[ALL]) if ALL in meta else meta  # before 0.16.0 each had a key
            tensors = {key: file.get_tensor(key) for key in list(file.keys())}
    except FileNotFoundError:
        raise UserError(
            f"There is no checkpoint at {path}; train first, without --resume."
        ) from None
    except Exception as error:
        raise UserError(f"{path} is not a whole safetensors checkpoint: {error}.") from None
    if not {"meta", "step"} <= meta.keys():
        raise UserError(
            f"{path} is not a checkpoint of a training run here; give the folder of one with -o."
        )
    return tensors, meta


def write_checkpoint(path: Path, tensors: dict[str, Tensor], meta: dict[str, str]) -> None:
    """Write under a temporary name, then rename; UserError if that fails; the last one stays."""
    partial = path.with_suffix(".part")
    try:
        save_file(apart(tensors), partial, metadata=in_one(meta))
        os.replace(partial, path)
    except Exception as error:
        partial.unlink(missing_ok=True)
        left = "The last checkpoint stays" if path.exists() else "There is none from before"
        raise UserError(f"Could not save {path}: {error}. {left}.") from error


def check_room(path: Path, size: int) -> None:
    """UserError if there is no room for two checkpoints of `size` bytes: while one is replaced both
    are there."""
    there = path.stat().st_size if path.exists() else 0
    free = shutil.disk_usage(path.parent).free
    if there + free < 2 * size:
        raise UserError(
            f"A checkpoint takes {size / 1e9:.3g} GB, twice that while it is replaced, but "
            f"{path.parent} has {free / 1e9:.3g} GB left; make room, or give another folder."
        )


def check_same(path: Path, stored: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """UserError that names what the checkpoint at `path` was trained with another of."""
    if changed := [key for key in now if stored.get(key, now[key]) != now[key]]:
        raise UserError(
            f"{path} was trained with another {' and another '.join(changed)}; "
            "give the same again, or another folder with -o."
        )


def in_one(meta: dict[str, str]) -> dict[str, str]:
    """Metadata under one key, as `read_checkpoint` takes it apart: safetensors writes several in an
    order of its own, so that equal runs would not give equal files."""
    return {ALL: json.dumps(meta)}


def ema_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights of a checkpoint by parameter name, and what was stored about them."""
    tensors, meta = read_checkpoint(path)
    return {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}, json.loads(meta["meta"])


def final_weights(path: Path) -> dict[str, Tensor]:
    """The weights by parameter name that a finished run is for: averaged, if it kept an average."""
    tensors, _ = read_checkpoint(path)
    kind = "ema." if any(key.startswith("ema.") for key in tensors) else "weights."
    return {k.removeprefix(kind): v for k, v in tensors.items() if k.startswith(kind)}


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
