"""A checkpoint in, an ONNX model that runs without torch out; and a model in, its network out."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from restem.diffusion.checkpoints import ema_weights
from restem.errors import UserError
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.symbolic import cells
from restem.symbolic.model import RollModel

INPUTS = ["cells", "context", "place", "text", "t"]
HALF = "_half"


def export_model(checkpoint: Path, folder: Path, description: dict[str, Any]) -> None:
    """Write `STEM.onnx` (weights in half precision, computed in single) and `STEM.json`.

    Raises UserError, and makes no folder, if it is no checkpoint of a part.
    """
    weights, meta = ema_weights(checkpoint)
    if not {"network", "stem"} <= meta.keys():
        raise UserError(
            f"{checkpoint} is not of restem midi train for a part; name one that is, or add "
            "--touch if it is of --stem touch."
        )
    network = EmbeddedNetwork(NetworkConfig(**meta["network"]))
    network.load_state_dict({k: v.half().float() for k, v in weights.items()})
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{meta['stem']}.part"
    _write_onnx(network, partial)
    _shrink(partial)
    os.replace(partial, folder / f"{meta['stem']}.onnx")
    (folder / f"{meta['stem']}.json").write_text(
        json.dumps({**description, **meta}, indent=2) + "\n"
    )


def network_of(model: RollModel) -> EmbeddedNetwork:
    """The network of an exported model, in single precision, to train further.

    The file keeps weights in the order of the trace and turns some of them, so a network of random
    weights is traced to see which is which. Raises UserError for a file of another network.
    """
    network = EmbeddedNetwork(NetworkConfig(**model.description["network"]))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    with tempfile.TemporaryDirectory() as place:
        _write_onnx(network, Path(place, "random.onnx"))
        random = onnx.load(str(Path(place, "random.onnx"))).graph.initializer
    stored = onnx.load(str(model.network)).graph.initializer
    own = {name: p.detach().numpy() for name, p in network.named_parameters()}
    found = {}
    for there, here in zip(stored, random, strict=False):
        array, mark = numpy_helper.to_array(there), numpy_helper.to_array(here)
        for name, values in own.items():
            if np.array_equal(mark, values):
                found[name] = torch.from_numpy(array.astype(np.float32))
            elif np.array_equal(mark, values.T):
                found[name] = torch.from_numpy(array.T.astype(np.float32).copy())
    try:
        network.load_state_dict(found)
    except RuntimeError:
        raise UserError(
            f"{model.network} is not a network that can be trained further; "
            "start from a model of restem midi export."
        ) from None
    return network


def _write_onnx(network: EmbeddedNetwork, path: Path) -> None:
    config = network.config
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
        str(path),
        input_names=INPUTS,
        output_names=["log_odds"],
        opset_version=20,
        dynamo=False,
        dynamic_axes={**free, "text": {0: "window"}, "t": {0: "window"}},
    )


def _shrink(path: Path) -> None:
    """Store large weights in half precision, widened again as they are loaded, and short names."""
    model = onnx.load(str(path))
    kept, casts = [], []
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype != np.float32 or array.size < 256:
            kept.append(weight)
            continue
        half = array.astype(np.float16)
        if not np.isfinite(half).all():
            raise UserError("A weight is too large for half precision; train with a lower rate.")
        kept.append(numpy_helper.from_array(half, weight.name + HALF))
        casts.append(
            helper.make_node("Cast", [weight.name + HALF], [weight.name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    short = {
        name: f"v{index}" for index, name in enumerate(n for node in nodes for n in node.output)
    }
    short |= {name: name for name in ("log_odds", "")}
    for node in nodes:
        node.name = ""
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
    del model.graph.initializer[:], model.graph.node[:], model.graph.value_info[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
