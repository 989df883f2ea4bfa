"""A checkpoint's path comes in; its tensors, checked name by name and shape by shape, go out."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restem.errors import UserError

Tensors = Mapping[str, torch.Tensor]

# Old training checkpoints keep NumPy arrays of a sampler beside the weights. These are the names
# that such arrays are stored under; building an array runs nobody's code.
_ARRAY_PARTS: list[Any] = [
    (np.empty(0).__reduce__()[0], "numpy.core.multiarray._reconstruct"),
    (np.empty(0).__reduce__()[0], "numpy._core.multiarray._reconstruct"),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.ndarray,
    np.dtype,
    *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQfd"},
]


HUB = "hub:"


def local_file(place: str) -> Path:
    """The path that `place` names: a path, or "hub:OWNER/REPOSITORY/FILE" on the Hugging Face hub,
    downloaded once (package huggingface_hub). Raises UserError if the file cannot be had.
    """
    if not place.startswith(HUB):
        return Path(place)
    owner, _, rest = place.removeprefix(HUB).partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file):
        raise UserError(f"{place} is no file on the hub; write {HUB}OWNER/REPOSITORY/FILE.")
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise UserError("Downloads need `pip install huggingface_hub`, or give a path.") from error
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except Exception as error:  # the hub's client raises a dozen types
        raise UserError(
            f"{place} cannot be downloaded ({_first_line(error)}); give the path of the file."
        ) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tensors(path: Path) -> Tensors:
    """Tensors by name from a .safetensors file, or from a torch checkpoint read without its code.

    A torch checkpoint may be a state dict or hold one under "model" or "state_dict". Only plain
    data is unpickled (`weights_only`). Raises UserError for a missing or unreadable file.
    """
    stored = _stored(path)
    for key in ("model", "state_dict"):
        if isinstance(stored, dict) and isinstance(stored.get(key), dict):
            stored = stored[key]
    if not isinstance(stored, dict):
        raise UserError(f"{path} holds no table of weights; give the published checkpoint.")
    return {name: value for name, value in stored.items() if isinstance(value, torch.Tensor)}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name from a torch checkpoint that holds plain NumPy arrays, read without its code.

    Raises UserError for a missing or unreadable file.
    """
    stored = _stored(path)
    found = stored.items() if isinstance(stored, dict) else ()
    return {name: value for name, value in found if isinstance(value, np.ndarray)}


def _stored(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"There are no weights at {path}; give the path of the downloaded file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(_ARRAY_PARTS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a dozen types for damaged files
        raise UserError(
            f"{path} cannot be read as weights ({_first_line(error)}); download it again."
        ) from error


def fill(module: torch.nn.Module, tensors: Tensors, source: str) -> None:
    """Make the tensors the module's own, which must want just these names and shapes.

    The module may have been built on torch's "meta" device, so that nothing is drawn at random
    only to be replaced. Counters of batch normalisation may be missing. Raises UserError naming
    what differs.
    """
    wanted = module.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(tensors) - counters)
    unknown = sorted(set(tensors) - set(wanted))
    if missing or unknown:
        kind, names = ("lack", missing) if missing else ("hold the unknown", unknown)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise UserError(f"The weights in {source} {kind} {names[0]}{more}; they are another model.")
    for name, value in tensors.items():
        if value.shape != wanted[name].shape:
            raise UserError(
                f"In the weights in {source} {name} has the shape {tuple(value.shape)} instead of "
                f"{tuple(wanted[name].shape)}; they are another model."
            )
        if not torch.isfinite(value).all():
            raise UserError(f"In the weights in {source} {name} is not finite; download it again.")
    own = {n: v.float() if v.is_floating_point() else v for n, v in tensors.items()}
    module.load_state_dict(own, strict=False, assign=True)
    module.eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
