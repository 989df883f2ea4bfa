"""A training checkpoint in, a model folder out: 8-bit ONNX to run, fp16 weights to fine-tune."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from restem.diffusion.checkpoints import ema_weights
from restem.errors import UserError
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.tokens import TokenConfig

INPUTS = ["stem", "context", "phase", "text", "t"]


def network_from_checkpoint(path: Path) -> tuple[EmbeddedNetwork, dict[str, Any]]:
    """The network with a checkpoint's averaged weights, and what the checkpoint says of itself."""
    weights, meta = ema_weights(path)
    try:
        network = EmbeddedNetwork(NetworkConfig(**meta["network"]))
        network.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError):
        raise UserError(
            f"{path} is no checkpoint of `restem train embedded`; export it with the command that "
            "belongs to what made it."
        ) from None
    return network.eval(), meta


def network_from_model(folder: Path) -> EmbeddedNetwork:
    """The network of a model folder from its fp16 weights, in fp32, for fine-tuning."""
    for name in ("model.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} has no {name}. Give a folder of `restem train export`; the packaged "
                "model's weights lie in the repository's weights/restem-drums."
            )
    try:
        weights = load_file(folder / "weights.safetensors")
        description = json.loads((folder / "model.json").read_text())
        network = EmbeddedNetwork(NetworkConfig(**description["network"]))
        network.load_state_dict({k: v.float() for k, v in weights.items()})
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(
            f"The model in {folder} is damaged or of another kind ({str(error).splitlines()[0]}); "
            "export it again."
        ) from None
    return network


def unpack_model(source: Path, folder: Path) -> None:
    """A model folder that holds fp16 weights and `model.json` alone, made ready to run."""
    network = network_from_model(source)
    description = json.loads((source / "model.json").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    tokens = TokenConfig.from_dict(description["tokens"])
    write_8_bit_onnx(network, tokens, folder / "network.onnx")
    if source != folder:
        shutil.copyfile(source / "model.json", folder / "model.json")


def start_from(network: EmbeddedNetwork, folder: Path) -> None:
    """Begin with a model folder's weights, with nothing on inputs that it did not have.

    Layers in and out of a picture with another number of bands begin anew. Raises
    UserError if the networks differ in more than that.
    """
    fresh, old = network.state_dict(), network_from_model(folder).state_dict()
    name = "phase_in.0.weight"
    wider = torch.zeros_like(fresh[name])
    known = old[name][:, : wider.shape[1]]
    if fresh.keys() != old.keys() or known.shape[0] != wider.shape[0]:
        raise UserError(f"The model in {folder} has other sizes; train with its width and blocks.")
    wider[:, : known.shape[1]] = known
    old[name] = wider
    for name in ("context_in.0.weight", "stem_in.weight", "stem_out.weight", "stem_out.bias"):
        if old[name].shape != fresh[name].shape:
            old[name] = fresh[name]
    network.load_state_dict(old)


def export_model(checkpoint: Path, folder: Path, description: dict[str, Any]) -> None:
    """Write `network.onnx`, `weights.safetensors` and `model.json` into `folder`.

    The ONNX network holds the fp16 weights that lie beside it, rounded to 8 bits.
    """
    network, meta = network_from_checkpoint(checkpoint)
    meta.pop("songs", None)  # by which training is resumed
    if meta.get("target") in ("mix", "whole"):
        description = {**description, "stems": []}  # it makes whole mixes only
    elif meta["tokens"].get("stems"):
        description = {**description, "stems": list(meta["tokens"]["stems"])}
    halves = {k: v.half().contiguous() for k, v in network.state_dict().items()}
    network.load_state_dict({k: v.float() for k, v in halves.items()})
    folder.mkdir(parents=True, exist_ok=True)
    write_8_bit_onnx(network, TokenConfig.from_dict(meta["tokens"]), folder / "network.onnx")
    save_file(halves, folder / "weights.part")
    os.replace(folder / "weights.part", folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps({**description, **meta}, indent=2) + "\n")


def example_inputs(
    tokens: TokenConfig, windows: int = 2, seed: int = 0, controls: int = 0
) -> tuple[torch.Tensor, ...]:
    """Random inputs of the right shapes, in the order of INPUTS; no control is told."""
    draw = torch.Generator().manual_seed(seed)
    shapes = [
        (windows, tokens.window, tokens.stem_values),
        (windows, tokens.window, tokens.context_values),
        (windows, tokens.window, tokens.phases),
        (windows, 384),
    ]
    arrays = [torch.randn(shape, generator=draw) for shape in shapes]
    words = torch.nn.functional.normalize(arrays[3])
    arrays[3] = torch.cat([words, torch.zeros(windows, controls)], dim=1)
    return (*arrays, torch.rand(windows, generator=draw))


def write_onnx(network: EmbeddedNetwork, tokens: TokenConfig, path: Path) -> None:
    """Trace the network with free batch and token axes; under a temporary name, then renamed."""
    free = {name: {0: "window", 1: "token"} for name in INPUTS[:3]}
    free |= {"text": {0: "window"}, "t": {0: "window"}, "clean": {0: "window", 1: "token"}}
    partial = path.with_suffix(".part")
    torch.onnx.export(
        network.eval(),
        example_inputs(tokens, controls=network.config.controls),
        str(partial),
        input_names=INPUTS,
        output_names=["clean"],
        dynamic_axes=free,
        opset_version=20,
        dynamo=False,
    )
    os.replace(partial, path)


def write_8_bit_onnx(network: EmbeddedNetwork, tokens: TokenConfig, path: Path) -> None:
    """`write_onnx` with the linear layers' weights in 8 bits and their products in integers.

    Each output has a scale of its own, and inputs are scaled as they come. Weights keep to 7 of the
    bits, since processors without VNNI let sums of two products overflow (ONNX Runtime,
    "Quantize ONNX models", section on `reduce_range`).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as place:
        plain, ready = Path(place, "plain.onnx"), Path(place, "ready.onnx")
        write_onnx(network, tokens, plain)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        partial = path.with_suffix(".part")
        quantize_dynamic(
            ready,
            partial,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        os.replace(partial, path)
