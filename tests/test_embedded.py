"""The embedded network in torch and as ONNX."""

import json
import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from restem.cli import main
from restem.dataset.batches import Batch
from restem.errors import UserError
from restem.generation import rescaled
from restem.kits import Kits
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.networks.export import (
    INPUTS,
    example_inputs,
    network_from_model,
    start_from,
    write_8_bit_onnx,
    write_onnx,
)
from restem.networks.onnx_model import OnnxModel
from restem.networks.train_embedded import _guided_answer, batch_loss
from restem.tokens import CONTROLS, PHASES, TokenConfig

TOKENS = TokenConfig()
WEIGHTS = Path(__file__).parents[1] / "weights" / "restem-drums"  # of the packaged network


def _tiny(spread=0.9):
    torch.manual_seed(0)
    sizes = {"width": 32, "blocks": 2, "heads": 2, "spread": spread, "controls": CONTROLS}
    config = NetworkConfig(TOKENS.stem_values, TOKENS.context_values, TOKENS.phases, **sizes)
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
    inputs = example_inputs(TOKENS, windows, seed=windows, controls=CONTROLS)
    with torch.no_grad():
        expected = network(*inputs).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(_run(tmp_path / "network.onnx", inputs), expected, atol=1e-4)


def test_other_lengths_run_too(tmp_path):
    network = _tiny()
    write_onnx(network, TOKENS, tmp_path / "network.onnx")
    inputs = tuple(
        x[:, :50] if x.ndim == 3 else x for x in example_inputs(TOKENS, controls=CONTROLS)
    )
    with torch.no_grad():
        expected = network(*inputs).numpy()
    np.testing.assert_allclose(_run(tmp_path / "network.onnx", inputs), expected, atol=1e-4)


def test_the_shipped_network_is_the_shipped_weights_in_8_bits(tmp_path):
    model = OnnxModel.load()
    write_8_bit_onnx(network_from_model(WEIGHTS), model.tokens, tmp_path / "network.onnx")
    inputs = example_inputs(model.tokens, 2, controls=model.controls)
    again, shipped = (_run(f / "network.onnx", inputs) for f in (tmp_path, model.folder))
    np.testing.assert_allclose(again, shipped, atol=1e-5)
    assert (model.folder / "network.onnx").stat().st_size <= 28e6


@pytest.mark.parametrize("t", [0.99, 0.8, 0.2])
def test_8_bits_change_little_of_what_the_weights_say(t):
    """On real drums, noised: less than 3 % of the spread of the answer."""
    model = OnnxModel.load()
    kits = Kits.load(model.folder, model.tokens.silence)
    picked = kits.stem[: 8 * (len(kits.stem) // 8) : len(kits.stem) // 8][:8]
    clean = (kits.silence + picked.astype(np.float32) / 40).reshape(2, 128, -1)
    noise = np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
    mels = clean.reshape(2, 128, 4, -1)[..., :96].reshape(2, 128, -1)
    place = np.zeros((2, 128, model.tokens.phases), np.float32)
    text = np.pad(kits.text[:2].astype(np.float32), ((0, 0), (0, model.controls)))
    inputs = ((1 - t) * clean + t * noise, mels, place, text)
    with torch.no_grad():
        expected = network_from_model(WEIGHTS).eval()(
            *map(torch.from_numpy, inputs), torch.full((2,), t)
        )
    error = model.predict(*inputs, t) - expected.numpy()
    assert np.sqrt(np.mean(error**2)) < 0.03 * expected.numpy().std()


def test_every_input_is_heard():
    network = _tiny()
    inputs = list(example_inputs(TOKENS, controls=CONTROLS))
    inputs[3][:, 384:] = 0.4
    with torch.no_grad():
        before = network(*inputs)
        for i in range(len(inputs)):
            changed = [x.clone() for x in inputs]
            changed[i] = changed[i] * 0.5 + 0.1
            assert (network(*changed) - before).abs().max() > 1e-4, INPUTS[i]
        told = [x.clone() for x in inputs]
        told[3][:, 384:] = 1.0
        assert (network(*told) - before).abs().max() > 1e-4


def test_a_network_that_adds_nothing_gives_the_best_guess_for_gaussian_cells():
    """E[x | x_t] = (1-t) s^2 x_t / ((1-t)^2 s^2 + t^2) for cells of N(0, s^2) on the straight path:
    the draws agree, and nothing is taken from x_t at t = 1 or changed at t = 0."""
    network = _tiny(spread=0.5)
    torch.nn.init.zeros_(network.stem_out.weight)
    _, context, phase, text, _ = example_inputs(TOKENS, 1, controls=CONTROLS)
    rng = np.random.default_rng(0)
    clean = torch.from_numpy(0.5 * rng.standard_normal((1, 128, TOKENS.stem_values))).float()
    noise = torch.from_numpy(rng.standard_normal(clean.shape)).float()
    for t in (0.0, 0.3, 0.7, 1.0):
        x_t = (1 - t) * clean + t * noise
        with torch.no_grad():
            guess = network(x_t, context, phase, text, torch.tensor([t]))
        slope = float((clean * x_t).sum() / (x_t**2).sum())  # the least squares of 60,000 draws
        assert float((guess / x_t).mean()) == pytest.approx(slope, abs=0.02)


def test_weights_of_a_narrower_input_can_be_begun_with(tmp_path):
    """A model without marks gives the same with marks that are not set."""
    torch.manual_seed(0)
    old = EmbeddedNetwork(NetworkConfig(8, 6, 15, width=32, blocks=1, heads=2)).eval()
    torch.nn.init.normal_(old.stem_out.weight, std=0.1)
    new = EmbeddedNetwork(NetworkConfig(8, 6, 17, width=32, blocks=1, heads=2)).eval()
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({k: v.half() for k, v in old.state_dict().items()}, folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps({"network": old.config.to_dict()}))
    start_from(new, folder)
    stem, context, phase = torch.randn(1, 4, 8), torch.randn(1, 4, 6), torch.randn(1, 4, 15)
    wider = torch.cat([phase, torch.zeros(1, 4, 2)], dim=2)
    text, t = torch.randn(1, 384), torch.tensor([0.5])
    with torch.no_grad():
        expected = old.half().float()(stem, context, phase, text, t)
        np.testing.assert_allclose(new(stem, context, wider, text, t), expected, atol=1e-5)


@pytest.mark.parametrize(("values", "width", "fits"), [(5, 32, True), (8, 48, False)])
def test_a_base_model_begins_with_all_but_its_bands(tmp_path, values, width, fits):
    old = EmbeddedNetwork(NetworkConfig(8, 6, 17, width=32, blocks=1, heads=2))
    save_file({k: v.half() for k, v in old.state_dict().items()}, tmp_path / "weights.safetensors")
    (tmp_path / "model.json").write_text(json.dumps({"network": old.config.to_dict()}))
    new = EmbeddedNetwork(NetworkConfig(values, 6, 17, width=width, blocks=1, heads=2))
    before = new.stem_in.weight.clone()
    if not fits:
        with pytest.raises(UserError, match="other sizes"):
            start_from(new, tmp_path)
        return
    start_from(new, tmp_path)
    torch.testing.assert_close(new.stem_in.weight, before)
    torch.testing.assert_close(new.blocks[0].qkv.weight, old.blocks[0].qkv.weight.half().float())


def test_a_folder_without_weights_is_named(capsys):
    folder = OnnxModel.load().folder
    assert main(["train", "export", str(folder), "-o", str(folder)]) == 2
    assert "has no weights.safetensors" in capsys.readouterr().err


def test_weights_alone_become_a_model_that_runs(tmp_path):
    """The packaged weights without their network give the packaged network's answers."""
    packaged = OnnxModel.load()
    assert main(["train", "export", str(WEIGHTS), "-o", str(tmp_path / "model")]) == 0
    controls = packaged.controls
    inputs = [x.numpy() for x in example_inputs(packaged.tokens, 1, controls=controls)][:4]
    made = OnnxModel.load(tmp_path / "model").predict(*inputs, 0.9)
    np.testing.assert_allclose(made, packaged.predict(*inputs, 0.9), atol=1e-5)


def _batch(seed=0, windows=3):
    draw = torch.Generator().manual_seed(seed)
    sizes = ((128, TOKENS.stem_values), (128, TOKENS.context_values), (128, TOKENS.phases))
    stem, context, phase = (torch.randn(windows, *size, generator=draw) for size in sizes)
    text = torch.randn(windows, 384, generator=draw)
    given = torch.zeros(windows, 128, dtype=torch.bool)
    given[0, :40] = True
    given[1] = True  # a window of which all is shown
    return Batch(stem, context, phase, text, torch.rand(windows, CONTROLS, generator=draw), given)


def test_what_is_given_costs_nothing_and_the_rest_by_its_noise():
    """With a network that answers 0, the loss is the mean of x^2 / t^2, at most 25 x^2."""
    batch, null = _batch(), torch.zeros(1, 384)
    times = []

    class Nothing(torch.nn.Module):
        def forward(self, stem, context, phase, text, t):
            times.append(t)
            return torch.zeros_like(stem)

    loss = float(batch_loss(Nothing(), batch, null, 0, 5))
    weight = torch.clamp(1 / times[0] ** 2, max=25.0)[:, None, None] * ~batch.given[:, :, None]
    expected = (weight * batch.stem**2).sum() / ((~batch.given).sum() * TOKENS.stem_values)
    assert loss == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("scale", [1.0, 3.0, 8.0])
def test_a_network_learns_the_answers_that_generation_guides(scale):
    """The teacher's answer to a told guidance is `generation.rescaled` of the led one, above
    GUIDED_ABOVE alone."""
    teacher, batch, null = _tiny(), _batch(), torch.randn(1, 384)
    shown = torch.randn_like(batch.stem)
    t = torch.tensor([0.95, 0.9, 0.5])
    octaves = torch.full((3,), math.log2(scale))
    found = _guided_answer(teacher, batch, shown, t, null, octaves).numpy()
    assert np.isfinite(found).all()
    text = torch.cat([batch.text, batch.controls], dim=1)
    nowhere = batch.phase.clone()
    nowhere[:, :, :PHASES] = 0
    silent = torch.full_like(batch.context, TOKENS.silence)
    empty = torch.cat([null.expand(3, -1), torch.zeros(3, CONTROLS)], dim=1)
    with torch.no_grad():
        plain = teacher(shown, batch.context, batch.phase, text, t).numpy()
        nothing = teacher(shown, silent, nowhere, empty, t).numpy()
    led = nothing + scale * (plain - nothing)
    new = slice(40, None)
    np.testing.assert_allclose(found[0, new], rescaled(led[0], plain[0], new)[new], atol=2e-3)
    np.testing.assert_allclose(found[2], plain[2], atol=1e-5)


def test_a_width_that_its_heads_cannot_share_is_refused(tmp_path, capsys):
    words = ["train", "embedded", "--data", str(tmp_path), "-o", str(tmp_path / "run")]
    assert main([*words, "--width", "64"]) == 2
    assert "multiple of 12" in capsys.readouterr().err and not (tmp_path / "run").exists()
