"""Pairs of clips in, a folder of VAE moments out; numbers of pairs in, tensors for training out.

The VAE is frozen, so its work is done once. What is kept of a target is mean and log variance, so
that every training step still draws its own sample of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from restem.audio.files import atomic_path, cannot_write
from restem.audio.riffusion_image import clip_pictures, mel_magnitude
from restem.dataset.pairs import Pair
from restem.errors import UserError
from restem.networks.riffusion import Riffusion, mode_of

SHARD_PAIRS = 64  # 12 MB at Riffusion's size; what is lost at most when the work is interrupted
INDEX = "index.json"


@dataclass(frozen=True)
class LatentBatch:
    """Moments (pair, 8, h, w) of targets, unscaled modes (pair, 4, h, w) of contexts, sentences."""

    moments: Tensor
    context: Tensor
    sentences: list[str]
    names: list[str]


@dataclass(frozen=True)
class LatentCache:
    """The latents of `pairs` in `folder`, complete."""

    folder: Path
    pairs: Sequence[Pair]

    def batch(self, numbers: Sequence[int]) -> LatentBatch:
        """The latents and sentences of some pairs; UserError if a file is damaged."""
        moments, context = [], []
        for number in numbers:
            shard, place = number // SHARD_PAIRS, number % SHARD_PAIRS
            moments.append(self._read(shard, "target", place))
            context.append(self._read(shard, "context", place))
        chosen = [self.pairs[number] for number in numbers]
        sentences, names = [p.instruction for p in chosen], [p.name for p in chosen]
        return LatentBatch(torch.stack(moments), torch.stack(context), sentences, names)

    def peak_ratio(self) -> float:
        """Median of (loudest spot of the pair) / (loudest spot of its context)."""
        shards = -(-len(self.pairs) // SHARD_PAIRS)
        ratios = torch.cat([self._read(shard, "ratio", slice(None)) for shard in range(shards)])
        sounding = ratios[ratios > 0]
        return float(sounding.median()) if len(sounding) else 1.0

    def _read(self, shard: int, key: str, place: int | slice) -> Tensor:
        path = _shard_path(self.folder, shard)
        try:
            found: Tensor = _open(path).get_slice(key)[place]
        except Exception as error:  # safetensors has a kind of its own
            raise UserError(
                f"{path} is damaged ({error}); start again, and it is made anew."
            ) from None
        return found


def make_latents(
    model: Riffusion,
    pairs: Sequence[Pair],
    folder: Path,
    process: int = 0,
    processes: int = 1,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[int, int]]:
    """Encode what is not in `folder` yet, yielding (pairs done, pairs); every process does a share.

    A damaged file is made anew, and `note` is told its name. Raises UserError if `folder` holds
    latents of other pairs, another VAE or other pictures, or if a clip is unusable.
    """
    _claim(folder, _identity(model, pairs), process)
    shards = range(process, -(-len(pairs) // SHARD_PAIRS), processes)
    for shard in shards:
        path = _shard_path(folder, shard)
        chosen = pairs[shard * SHARD_PAIRS : (shard + 1) * SHARD_PAIRS]
        whole = path.exists() and _is_whole(path, len(chosen), model.latent_shape)
        if path.exists() and not whole:
            note(f"{path} is damaged; its {len(chosen)} pairs are encoded again.")
        if not whole:
            tensors = _encode(model, chosen)
            with atomic_path(path) as part:
                try:
                    save_file(tensors, part)
                except Exception as error:  # safetensors has a kind of its own for a full disk
                    raise cannot_write(path, OSError(str(error))) from error
        yield min((shard + 1) * SHARD_PAIRS, len(pairs)), len(pairs)


def _is_whole(path: Path, pairs: int, latent: tuple[int, int, int]) -> bool:
    """Whether a shard has all its bytes and the shapes that are expected; its header tells."""
    channels, *size = latent
    wanted = {
        "target": [pairs, 2 * channels, *size],
        "context": [pairs, channels, *size],
        "ratio": [pairs],
    }
    try:
        with safe_open(path, framework="pt") as shard:
            return {key: shard.get_slice(key).get_shape() for key in list(shard.keys())} == wanted
    except Exception:  # safetensors has a kind of its own
        return False


def _encode(model: Riffusion, pairs: Sequence[Pair]) -> dict[str, Tensor]:
    found: dict[str, list[Tensor]] = {"target": [], "context": [], "ratio": []}
    for pair in pairs:
        pictures, ratio = pair_pictures(model, pair)
        moments = model.moments(pictures).float().cpu()
        found["target"].append(moments[0])
        found["context"].append(mode_of(moments[1]))
        found["ratio"].append(torch.tensor(ratio))
    return {key: torch.stack(values).contiguous() for key, values in found.items()}


def pair_pictures(model: Riffusion, pair: Pair) -> tuple[np.ndarray, float]:
    """Pictures (2, mel, frame) uint8 of target and context with one reference, and its ratio.

    The ratio is that of the reference, the loudest spot of the two, to the context's own loudest;
    0 if the context is silent. Raises UserError, with the pair's name, for an unusable clip.
    """
    config = model.settings.picture
    mix, context = pair.load(config.sample_rate)
    target = mix if model.settings.target == "mix" else mix - context
    try:
        pictures, peak = clip_pictures([target, context], config)
    except UserError as error:
        raise UserError(f"The pair {pair.name} cannot be used: {error}") from None
    own = float(mel_magnitude(context, config)[:, : config.frames].max())
    return np.stack(pictures), peak / own if own > 0 else 0.0


def _identity(model: Riffusion, pairs: Sequence[Pair]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.vae.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy())
    listed = "\n".join(pair.fingerprint for pair in pairs)
    return {
        "vae": digest.hexdigest(),
        "pairs": hashlib.sha256(listed.encode()).hexdigest(),
        "picture": model.settings.picture.to_dict(),
        "target": model.settings.target,
    }


def _claim(folder: Path, identity: dict[str, Any], process: int) -> None:
    path = folder / INDEX
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise UserError(f"{path} is damaged; remove the folder {folder}.") from None
        changed = sorted(key for key in identity if found.get(key) != identity[key])
        if changed:
            raise UserError(
                f"The latents in {folder} were made with other {' and '.join(changed)}; "
                "remove them or choose another folder."
            )
    elif process == 0:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        with atomic_path(path) as part:
            part.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
    else:
        folder.mkdir(parents=True, exist_ok=True)


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.safetensors"


def _open(path: Path) -> Any:
    """A shard mapped into memory; it stays open, since batches are drawn from all shards."""
    about = path.stat()  # a shard made anew is another one
    return _opened(path, about.st_ino, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=128)
def _opened(path: Path, *_of_this: int) -> Any:
    return safe_open(path, framework="pt").__enter__()
