"""The roll network learns, resumes, and runs as ONNX as it does in torch."""

# ruff: noqa: E402  (torch may be missing, and is looked for first)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")

from restem.cli import main
from restem.diffusion.checkpoints import ema_weights
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.symbolic import cells
from restem.symbolic.bernoulli import BinaryNoise, noised
from restem.symbolic.corpora import Piece
from restem.symbolic.corpus_file import save_corpus
from restem.symbolic.export_rolls import export_model, network_of
from restem.symbolic.model import CELL_SCALE, TEXT_VALUES, RollModel
from restem.symbolic.rolls import flat, planes_from_notes, roll_from_notes
from restem.symbolic.train_rolls import RollTraining, batch_loss, train

BARS = np.array([(i * 48, 48, 4, 4) for i in range(16)])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs whose drums strike where the bass does."""
    pieces = []
    for seed in range(8):
        steps = np.sort(np.random.default_rng(seed).choice(768, 150, replace=False))
        parts = {
            kind: flat(roll_from_notes(np.array([[s, s + 1, pitch] for s in steps]), 768))
            for kind, pitch in (("drums", 36), ("bass", 40))
        }
        pieces.append(Piece(f"song {seed}", "test", "train", "", parts, BARS))
    path = tmp_path_factory.mktemp("corpus") / "c.npz"
    save_corpus(pieces, path)
    return path


def settings(corpus: Path, out: Path, **changes: object) -> RollTraining:
    tiny = RollTraining(
        corpus, "drums", out, steps=80, batch=4, width=32, blocks=1, heads=2, learning_rate=1e-2
    )
    return replace(tiny, **changes)


def test_the_loss_falls_and_a_resumed_run_repeats_an_uninterrupted_one(
    corpus: Path, tmp_path: Path
) -> None:
    losses = [loss for _, loss in train(settings(corpus, tmp_path / "whole"))]
    assert np.mean(losses[-10:]) < 0.3 * losses[0]
    runner = train(settings(corpus, tmp_path / "halves"))
    for _ in range(40):
        next(runner)
    runner.close()
    rest = [loss for _, loss in train(settings(corpus, tmp_path / "halves", resume=True))]
    assert rest == pytest.approx(losses[40:], rel=1e-3)


def test_training_falls_to_the_true_conditional(tmp_path: Path) -> None:
    """Drums strike at eight beats of ten where the bass plays E, at two where it plays A."""
    rng, beats, pieces = np.random.default_rng(5), np.arange(0, 768, 12), []
    for number in range(60):
        low = rng.random(64) < 0.5
        struck = beats[rng.random(64) < np.where(low, 0.8, 0.2)]
        notes = {
            "bass": np.stack([beats, beats + 6, np.where(low, 40, 45)], axis=1),
            "drums": np.stack([struck, struck + 1, np.full(len(struck), 36)], axis=1),
        }
        parts = {kind: planes_from_notes(n, 768) for kind, n in notes.items()}
        pieces.append(Piece(f"{number}", "test", "train", "", parts, BARS))
    save_corpus(pieces, tmp_path / "c.npz")
    toy = settings(tmp_path / "c.npz", tmp_path, steps=250, batch=8, learning_rate=1e-2)
    losses = [loss for _, loss in train(toy)]
    export_model(tmp_path / "checkpoint.safetensors", tmp_path / "model", {"name": "toy"})
    model = RollModel.load("drums", tmp_path / "model")
    grid = cells.token_grid(BARS)
    odds = []
    for piece in pieces[:8]:
        context = cells.context_cells({"bass": piece.parts["bass"]}, "drums", grid)
        noise = rng.random((len(context), cells.values_of("drums"))) < model.noise.density
        none = np.zeros((1, TEXT_VALUES), np.float32)
        place = cells.places(BARS)[None].astype(np.float32)
        said = model.log_odds(noise[None], context[None], place, none, model.noise.survival()[-1])
        drums = cells.cells_from_planes(piece.parts["drums"], "drums", grid)
        odds.append((said[0], drums, piece.parts["bass"][0][beats, 40]))
    kick = int(np.argmax(np.sum([drums.sum(axis=0) for _, drums, _ in odds], axis=0)))
    at = [int(np.flatnonzero(grid[:, 0] == beat)[0]) for beat in beats]
    for low, truth in ((True, 0.8), (False, 0.2)):
        chance = [1 / (1 + np.exp(-said[at, kick][bass == low])) for said, _, bass in odds]
        assert np.mean(np.concatenate(chance)) == pytest.approx(truth, abs=0.06)
    assert np.mean(losses[-20:]) < 0.7 * losses[0]


def test_onnx_says_what_torch_says(corpus: Path, tmp_path: Path) -> None:
    for _ in train(settings(corpus, tmp_path, steps=3)):
        pass
    export_model(tmp_path / "checkpoint.safetensors", tmp_path / "model", {"name": "test"})
    weights, meta = ema_weights(tmp_path / "checkpoint.safetensors")
    network = EmbeddedNetwork(NetworkConfig(**meta["network"]))
    network.load_state_dict({k: v.half().float() for k, v in weights.items()})
    model, rng = RollModel.load("drums", tmp_path / "model"), np.random.default_rng(0)
    assert (
        model.noise.density == meta["noise"]["density"] and len(model.description["densities"]) == 3
    )
    x = rng.random((3, 40, cells.values_of("drums"))) < 0.02
    context = rng.random((3, 40, cells.context_values("drums"))) < 0.02
    place = rng.standard_normal((3, 40, cells.PLACES)).astype(np.float32)
    text = rng.standard_normal((3, TEXT_VALUES)).astype(np.float32) / 20
    ours = model.log_odds(x, context, place, text, 0.4)
    with torch.no_grad():
        theirs = network.eval()(
            torch.from_numpy(x).float() * CELL_SCALE,
            torch.from_numpy(context).float() * CELL_SCALE,
            torch.from_numpy(place),
            torch.from_numpy(text),
            torch.full((3,), 0.6),
        ).numpy()
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(theirs).max()
    again = network_of(model).state_dict()
    assert all(torch.equal(again[name], value) for name, value in network.state_dict().items())


def test_bernoulli_arithmetic_is_the_same_for_tensors() -> None:
    rng, noise = np.random.default_rng(0), BinaryNoise(10)
    clean, uniform, a = rng.random((5, 4)) < 0.3, rng.random((5, 4)), noise.survival()[4]
    ours = noised(clean, a, noise.density, uniform)
    theirs = noised(torch.from_numpy(clean).double(), a, noise.density, torch.from_numpy(uniform))
    assert np.array_equal(ours, theirs.numpy())


def test_the_loss_leaves_out_given_and_void_cells(corpus: Path) -> None:
    from restem.symbolic.corpus_file import RollBatches, load_corpus

    batch = RollBatches(load_corpus(corpus), "drums", 0).batch(0, 4)
    network = EmbeddedNetwork(
        NetworkConfig(
            cells.values_of("drums"),
            cells.context_values("drums"),
            cells.PLACES,
            TEXT_VALUES,
            32,
            1,
            2,
        )
    )
    nothing = replace(batch, real=np.zeros_like(batch.real))
    assert batch_loss(network, nothing, BinaryNoise(), 0, 0).item() == 0
    assert batch_loss(network, batch, BinaryNoise(), 0, 0).item() > 1
    l1 = batch_loss(network, batch, replace(BinaryNoise(), loss="l1"), 0, 0).item()
    assert l1 == pytest.approx(cells.values_of("drums") / 2, rel=0.05)  # all odds are even at first


def test_damaged_models_are_refused(tmp_path: Path) -> None:
    from restem.errors import UserError

    (tmp_path / "drums.onnx").write_bytes(b"no")
    (tmp_path / "drums.json").write_text("{")
    model = RollModel.load("drums", tmp_path)
    with pytest.raises(UserError, match="damaged"):
        _ = model.noise
    empty = np.zeros((1, 1, 1), np.float32)
    with pytest.raises(UserError, match="damaged"):
        model.log_odds(empty, empty, empty, empty, 0.5)


@pytest.mark.parametrize(
    "words",
    [["--batch", "0"], ["--seed", "-1"], ["--rate", "-1"], ["--steps", "0"], ["--steps", "many"]],
)
def test_numbers_that_make_no_training_are_refused(
    corpus: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture
) -> None:
    told = ["midi", "train", "--stem", "drums", "--corpus", str(corpus), "-o", str(tmp_path / "m")]
    assert main([*told, *words]) == 2
    assert words[1] in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
