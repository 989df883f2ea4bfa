"""A corpus of rolls in, a network that predicts one part's binary cells out; then as ONNX.

The network is that of the audio side (networks.embedded), fed with binary cells instead of mel
frames and read as log-odds; so are the training loop, its averaged weights and its resuming.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restem.diffusion.training import Trainer, TrainingConfig, ema_weights
from restem.errors import UserError
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.symbolic import cells
from restem.symbolic.bernoulli import BinaryNoise, noised
from restem.symbolic.corpus_file import RollBatch, RollBatches, load_corpus
from restem.symbolic.model import CELL_SCALE, TEXT_VALUES

INPUTS = ["cells", "context", "place", "text", "t"]


@dataclass(frozen=True)
class RollTraining:
    """What to train on and for how long.

    Without a `noise`, cells are tossed with the density that they have in the corpus: the network
    then never sees rolls that are much fuller or emptier than music.
    """

    corpus: Path
    stem: str
    out: Path
    steps: int = 3000
    batch: int = 32
    seed: int = 0
    width: int = 160
    blocks: int = 5
    heads: int = 5
    learning_rate: float = 1e-3
    noise: BinaryNoise | None = None
    resume: bool = False


def train(settings: RollTraining) -> Iterator[tuple[int, float]]:
    """Train by the settings, yielding (step, loss); the checkpoint lies in `settings.out`."""
    torch.manual_seed(settings.seed)
    batches = RollBatches(load_corpus(settings.corpus, "train"), settings.stem, settings.seed)
    rates, densities = _statistics(batches)
    noise = settings.noise or replace(BinaryNoise(), density=round(float(rates.mean()), 5))
    network = EmbeddedNetwork(
        NetworkConfig(
            cells.values_of(settings.stem),
            cells.context_values(settings.stem),
            cells.PLACES,
            TEXT_VALUES,
            settings.width,
            settings.blocks,
            settings.heads,
        )
    )
    # Begin at the frequency of each cell: sparse cells are otherwise most of the early loss.
    clipped = np.clip(rates, 1e-5, 0.5)
    network.stem_out.bias.data = torch.from_numpy(np.log(clipped / (1 - clipped))).float()
    meta = {
        "network": network.config.to_dict(),
        "noise": noise.to_dict(),
        "stem": settings.stem,
        "densities": densities,
        "seed": settings.seed,
        "batch": settings.batch,
        "pieces": len(batches.pieces),
    }
    trainer = Trainer(
        network,
        lambda net, step: batch_loss(
            net, batches.batch(step, settings.batch), noise, settings.seed, step
        ),
        TrainingConfig(
            settings.steps, settings.learning_rate, warmup=min(200, settings.steps // 10)
        ),
        settings.out,
        meta,
    )
    if settings.resume:
        trainer.resume()
    yield from trainer.run()


def batch_loss(
    network: nn.Module, batch: RollBatch, noise: BinaryNoise, seed: int, step: int
) -> Tensor:
    """Cross-entropy (or L1) of the cells that are to be found, summed over a token's cells."""
    rng = np.random.default_rng((seed, step, 1))
    t = rng.integers(1, noise.steps + 1, len(batch.clean))
    survival = noise.survival()[t].astype(np.float32)
    uniform = rng.random(batch.clean.shape, dtype=np.float32)
    noisy = noised(batch.clean, survival[:, None, None], np.float32(noise.density), uniform)
    shown = np.where(batch.real, noisy, batch.clean)
    with torch.autocast("cpu", torch.bfloat16):
        odds = network(
            torch.from_numpy(shown.astype(np.float32)) * CELL_SCALE,
            torch.from_numpy(batch.context) * CELL_SCALE,
            torch.from_numpy(batch.place),
            torch.from_numpy(batch.text),
            torch.from_numpy(1 - survival),
        )
    clean, real = torch.from_numpy(batch.clean).float(), torch.from_numpy(batch.real)
    if noise.loss == "l1":
        each = (torch.sigmoid(odds.float()) - clean).abs()
    else:
        each = F.binary_cross_entropy_with_logits(odds.float(), clean, reduction="none")
    tokens = real.any(dim=2).sum().clamp(min=1)
    return torch.where(real, each, 0.0).sum() / tokens


def _statistics(batches: RollBatches, windows: int = 400) -> tuple[np.ndarray, list[float]]:
    """How often each cell is set, and the 20th, 50th and 80th percentile of onsets a token."""
    rng = np.random.default_rng((batches.seed, 7))
    total, count, densities = np.zeros(cells.values_of(batches.stem)), 1.0, []
    for _ in range(windows):
        clean, real = batches.window(rng)[:2]
        inside = real.any(axis=1)
        if inside.any():
            total += clean[inside].sum(axis=0)
            count += inside.sum()
            densities.append(cells.density(clean[inside], batches.stem))
    return total / count, [round(float(x), 4) for x in np.percentile(densities, [20, 50, 80])]


def export_model(checkpoint: Path, folder: Path, description: dict[str, Any]) -> None:
    """Write `STEM.onnx` (weights in half precision, computed in single) and `STEM.json`."""
    weights, meta = ema_weights(checkpoint)
    config = NetworkConfig(**meta["network"])
    network = EmbeddedNetwork(config)
    network.load_state_dict({k: v.half().float() for k, v in weights.items()})
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{meta['stem']}.part"
    shapes = [
        (2, cells.WINDOW, config.stem_values),
        (2, cells.WINDOW, config.context_values),
        (2, cells.WINDOW, config.phases),
        (2, config.text),
        (2,),
    ]
    free = {name: {0: "window", 1: "token"} for name in [*INPUTS[:3], "log_odds"]}
    torch.onnx.export(
        network.eval(),
        tuple(torch.zeros(shape) for shape in shapes),
        str(partial),
        input_names=INPUTS,
        output_names=["log_odds"],
        opset_version=20,
        dynamo=False,
        dynamic_axes={**free, "text": {0: "window"}, "t": {0: "window"}},
    )
    halve(partial)
    os.replace(partial, folder / f"{meta['stem']}.onnx")
    (folder / f"{meta['stem']}.json").write_text(
        json.dumps({**description, **meta}, indent=2) + "\n"
    )


def halve(path: Path) -> None:
    """Store the large weights of an ONNX file in half precision, widened again as it is loaded."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    kept, casts = [], []
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype != np.float32 or array.size < 256:
            kept.append(weight)
            continue
        kept.append(numpy_helper.from_array(array.astype(np.float16), weight.name + "_half"))
        casts.append(
            helper.make_node(
                "Cast", [weight.name + "_half"], [weight.name], to=onnx.TensorProto.FLOAT
            )
        )
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    if not math.isfinite(sum(float(np.abs(numpy_helper.to_array(w)).max(initial=0)) for w in kept)):
        raise UserError("A weight is too large for half precision; train with a lower rate.")
    onnx.save(model, str(path))
