"""The embedded network in torch and as ONNX."""

import numpy as np
import onnxruntime
import pytest
import torch

from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.networks.export import (
    INPUTS,
    example_inputs,
    network_from_model,
    write_onnx,
)
from restem.networks.onnx_model import OnnxModel
from restem.tokens import TokenConfig

TOKENS = TokenConfig()


def _tiny():
    torch.manual_seed(0)
    config = NetworkConfig(
        TOKENS.stem_values, TOKENS.context_values, TOKENS.phases, width=32, blocks=2, heads=2
    )
    network = EmbeddedNetwork(config).eval()
    torch.nn.init.normal_(network.stem_out.weight, std=0.1)
    return network


def _run(path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {n: x.numpy() for n, x in zip(INPUTS, inputs, strict=True)})[0]


@pytest.mark.parametrize("windows", [1, 3])
def test_the_onnx_file_gives_what_torch_gives(tmp_path, windows):
    network = _tiny()
    write_onnx(network, TOKENS, tmp_path / "network.onnx")
    inputs = example_inputs(TOKENS, windows, seed=windows)
    with torch.no_grad():
        expected = network(*inputs).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(_run(tmp_path / "network.onnx", inputs), expected, atol=1e-4)


def test_other_lengths_run_too(tmp_path):
    network = _tiny()
    write_onnx(network, TOKENS, tmp_path / "network.onnx")
    inputs = tuple(x[:, :50] if x.ndim == 3 else x for x in example_inputs(TOKENS))
    with torch.no_grad():
        expected = network(*inputs).numpy()
    np.testing.assert_allclose(_run(tmp_path / "network.onnx", inputs), expected, atol=1e-4)


def test_the_shipped_weights_are_one_model_in_two_files():
    """The fp32 ONNX network and the fp16 weights beside it agree within 1e-4."""
    model = OnnxModel.load()
    network = network_from_model(model.folder).eval()
    inputs = example_inputs(model.tokens, 2)
    with torch.no_grad():
        expected = network(*inputs).numpy()
    by_onnx = _run(model.folder / "network.onnx", inputs)
    np.testing.assert_allclose(by_onnx, expected, atol=1e-4)
    assert (model.folder / "network.onnx").stat().st_size <= 40e6


def test_every_input_is_heard():
    network = _tiny()
    inputs = list(example_inputs(TOKENS))
    with torch.no_grad():
        before = network(*inputs)
        for i in range(len(inputs)):
            changed = [x.clone() for x in inputs]
            changed[i] = changed[i] * 0.5 + 0.1
            assert (network(*changed) - before).abs().max() > 1e-4, INPUTS[i]
