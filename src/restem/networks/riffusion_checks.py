"""What a training of Riffusion is given comes in; an error comes out before the long work begins.

Encoding every pair takes hours at the real size, so whatever can be refused is refused before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from restem.dataset.pairs import Pair
from restem.errors import UserError
from restem.networks.riffusion import Riffusion
from restem.networks.riffusion_latents import pair_pictures

RUN = "training.json"  # in a model's folder: which run wrote it
SAMPLE = 1024  # values of a tensor that are hashed: the full size has 4.3 GB of them


def check_output(out: Path, model: Path, resume: bool) -> None:
    """Refuse a new run where there are a checkpoint or a `model` already, which would be lost."""
    checkpoint = out / "checkpoint.safetensors"
    if resume:
        return
    if checkpoint.exists():
        raise UserError(
            f"{checkpoint} is there already; go on from it with --resume, or give another "
            "folder with -o."
        )
    if os.path.lexists(model):
        raise _in_the_way(model)


def check_result(model: Path, run: dict[str, Any]) -> None:
    """Refuse to replace a `model` that was not written by this run, as its `training.json` says."""
    if not os.path.lexists(model):
        return
    try:
        found = json.loads((model / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _in_the_way(model) from None
    if found != json.loads(run_text(run)):
        raise _in_the_way(model)


def run_text(run: dict[str, Any]) -> str:
    """The text of `training.json`."""
    return json.dumps(run, indent=2) + "\n"


def _in_the_way(model: Path) -> UserError:
    return UserError(
        f"{model} is there already and is not a result of this run, which would replace it; "
        "move it away, or give another folder with -o."
    )


def check_model(model: Riffusion, name: str) -> None:
    """Refuse a checkpoint that does not fit the reading or the size of the pictures."""
    reading, channels = model.settings.reading, model.unet.config.in_channels
    if reading in ("R2", "R3") and channels != 4:
        raise UserError(
            f"The reading {reading} needs a UNet of 4 channels, but "
            f"{name} has {channels}; give the pretrained checkpoint."
        )
    _, height, width = model.latent_shape
    picture = model.settings.picture
    if (height * model.shrink, width * model.shrink) != (picture.mels, picture.frames):
        raise UserError(
            f"Pictures of {picture.mels} by {picture.frames} do not fit a VAE that divides by "
            f"{model.shrink}; change picture in {name}/restem.json."
        )


def check_sound(model: Riffusion, pairs: Sequence[Pair]) -> None:
    """Refuse pairs of which not one draws anything that its context does not: nothing to learn.

    Reads clips only up to the first one that does. Raises UserError for an unusable clip too.
    """
    for pair in pairs:
        (target, context), _ = pair_pictures(model, pair)
        if target.min() < 255 and (target != context).any():
            return
    raise UserError(
        f"Every {model.settings.target} of the {len(pairs)} pairs is silent or equal to its "
        "context, so there is nothing to learn; check the files of the pairs."
    )


def identity(model: Riffusion, pairs: Sequence[Pair]) -> dict[str, str]:
    """What a resumed run must share, as hashes: the pretrained weights, the pairs, the sentences.

    A tensor is known by its shape and some of its values and not by its name, which the libraries
    have changed before.
    """
    tensors = []
    for part in (model.unet, model.vae, model.text_encoder):
        for tensor in part.parameters():
            values = tensor.detach().flatten()
            some = values[:: max(1, len(values) // SAMPLE)].float().cpu().contiguous().numpy()
            tensors.append(_hash(str(tuple(tensor.shape)).encode() + some.tobytes()))
    return {
        "base model": _hash("".join(sorted(tensors)).encode()),
        "set of pairs": _hash(json.dumps([pair.fingerprint for pair in pairs]).encode()),
        "set of sentences": _hash(json.dumps([pair.instruction for pair in pairs]).encode()),
    }


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
