"""One network of bass, guitar and keys: its cells, its batches and its first weights."""

# ruff: noqa: E402  (torch may be missing, and is looked for first)

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")

from restem.composing import Composer
from restem.errors import UserError
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.symbolic import cells, shared
from restem.symbolic.bernoulli import BinaryNoise
from restem.symbolic.corpora import Piece
from restem.symbolic.corpus_file import RollBatches, load_corpus, save_corpus
from restem.symbolic.export_rolls import export_model
from restem.symbolic.model import CELL_SCALE, TEXT_VALUES, RollModel
from restem.symbolic.rolls import flat, roll_from_notes
from restem.symbolic.shared_training import SharedBatches, shared_network
from restem.symbolic.train_rolls import RollTraining, batch_loss, train
from restem.text import EMBEDDING_SIZE, TextEncoder

BARS = np.array([(i * 48, 48, 4, 4) for i in range(8)])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs of one stem: a low bass on the quarters, guitars on sixteenths, high keys on halves."""
    played = {"bass": (range(0, 384, 12), 36), "guitar": (range(0, 384, 3), 56)}
    played["keys"] = (range(0, 384, 24), 76)
    pieces = []
    for stem, (steps, pitch) in played.items():
        for song in range(3):
            own = roll_from_notes(np.array([[s, s + 2, pitch + song] for s in steps]), 384)
            other = roll_from_notes(np.array([[s, s + 4, 48] for s in range(0, 384, 24)]), 384)
            parts = {stem: flat(own), "other": flat(other)}
            pieces.append(Piece(f"{stem} {song}", "heard", "train", "", parts, BARS))
    path = tmp_path_factory.mktemp("corpus") / "c.npz"
    save_corpus(pieces, path)
    return path


@pytest.mark.parametrize("stem", shared.STEMS)
def test_cells_of_a_part_keep_their_pitches_among_those_of_all(stem: str) -> None:
    low, high = cells.RANGES[stem]
    own = np.random.default_rng(0).random((3, 5, cells.values_of(stem))) < 0.1
    wide = shared.widened(own, stem)
    assert wide.shape == (3, 5, shared.VALUES) and wide.sum() == own.sum()
    assert np.array_equal(shared.narrowed(wide, stem), own)
    step = np.zeros((1, 2, cells.TOKEN_STEPS, high - low), bool)
    step[0, 1, 4, 7] = True  # sounding in the fifth step, pitch low + 7
    found = np.argwhere(shared.widened(step.reshape(1, -1), stem).reshape(2, cells.TOKEN_STEPS, -1))
    assert found.tolist() == [[1, 4, low + 7 - shared.LOW]]


def test_batches_hold_each_stem_in_turn_with_its_own_noise(corpus: Path) -> None:
    batches = SharedBatches(load_corpus(corpus), 0)
    batches.densities = {"bass": 0.1, "guitar": 0.2, "keys": 0.3}
    batch = batches.batch(5, 7)
    assert batch.clean.shape == (7, cells.WINDOW, shared.VALUES)
    assert batch.context.shape == (7, cells.WINDOW, shared.CONTEXT_VALUES)
    rates = batch.density.ravel().tolist()
    assert sorted({round(rate, 1): rates.count(rate) for rate in rates}.values()) == [2, 2, 3]
    for row, rate in enumerate(rates):
        stem = {0.1: "bass", 0.2: "guitar", 0.3: "keys"}[round(rate, 1)]
        assert (batch.place[row, :, 14:16] == shared.CODES[stem]).all()
        outside = batch.real[row].sum() - shared.narrowed(batch.real[row], stem).sum()
        assert outside == 0, "cells of pitches that the stem has not are not to be found"


def test_a_shared_network_begins_as_that_of_one_stem(corpus: Path) -> None:
    torch.manual_seed(0)
    sizes = (cells.values_of("guitar"), cells.context_values("guitar"), cells.PLACES, TEXT_VALUES)
    own = EmbeddedNetwork(NetworkConfig(*sizes, width=32, blocks=1, heads=2))
    torch.nn.init.normal_(own.stem_out.weight)
    batch = RollBatches(load_corpus(corpus), "guitar", 0).batch(0, 2)
    wide = shared_network(own, "guitar")
    text, place = torch.from_numpy(batch.text), torch.from_numpy(batch.place)
    context = batch.context.copy()
    context[..., : -shared.CONTEXT_VALUES] = 0
    t = torch.tensor([0.2, 0.9])
    clean = batch.clean.astype(np.float32) * CELL_SCALE
    with torch.no_grad():
        before = own(torch.from_numpy(clean), torch.from_numpy(context), place, text, t).numpy()
        after = wide(
            torch.from_numpy(shared.widened(clean, "guitar")),
            torch.from_numpy(shared.context_of(context)),
            place,
            text,
            t,
        ).numpy()
    assert shared.narrowed(after, "guitar") == pytest.approx(before, abs=1e-5)
    planes = after.reshape(2, cells.WINDOW, 2, cells.TOKEN_STEPS, -1)
    octave = planes[..., :12] - planes[..., 12:24]
    assert np.abs(octave).max() < 1e-5


def test_it_learns_which_stem_it_is_told_and_runs_without_torch(
    corpus: Path, tmp_path: Path
) -> None:
    settings = RollTraining(
        corpus, shared.FILE, tmp_path / "run", steps=200, batch=9, width=32, blocks=1, heads=2,
        learning_rate=1e-2,
    )  # fmt: skip
    losses = [loss for _, loss in train(settings)]
    assert np.mean(losses[-20:]) < 0.6 * losses[0]
    folder = tmp_path / "model"
    export_model(tmp_path / "run" / "checkpoint.safetensors", folder, {"name": "test"})
    assert sorted(path.name for path in folder.iterdir()) == ["pitched.json", "pitched.onnx"]
    notes, pitch = {}, {}
    for stem in shared.STEMS:
        model = RollModel.load(stem, folder, heard=True)
        assert model.noise.density == model.description["noise"]["density"]
        shape = (1, cells.WINDOW)
        noise = np.random.default_rng(0).random((*shape, cells.values_of(stem))) < 0.01
        place = cells.places(BARS)[None, : cells.WINDOW].copy()
        place[..., -1] = 1
        text = np.zeros((1, TEXT_VALUES), np.float32)
        text[0, :EMBEDDING_SIZE] = TextEncoder.load().encode([""])[0]
        around = np.zeros((*shape, cells.context_values(stem)), bool)
        odds = model.log_odds(noise, around, place, text, 0.0)
        assert odds.shape == noise.shape
        onsets = 1 / (1 + np.exp(-odds[0, :, : cells.onsets_of(stem)]))
        low, high = cells.RANGES[stem]
        by_pitch = onsets.reshape(-1, high - low).sum(axis=0)
        notes[stem] = by_pitch.sum()
        pitch[stem] = (by_pitch * np.arange(low, high)).sum() / by_pitch.sum()
        assert Composer.is_in(folder, stem) and Composer.load(stem, folder).model.file == "pitched"
    assert notes["guitar"] > 2 * max(notes["bass"], notes["keys"])
    assert pitch["bass"] + 10 < min(pitch["guitar"], pitch["keys"])


def test_a_stem_that_the_network_lacks_and_a_damaged_description_are_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "pitched.onnx").write_bytes(b"no")
    (tmp_path / "pitched.json").write_text(json.dumps({"parts": {"bass": {}}}))
    with pytest.raises(UserError, match="no model of drums"):
        RollModel.load("drums", tmp_path, heard=True)
    with pytest.raises(UserError, match="no model of bass"):  # for songs of notes it will not do
        RollModel.load("bass", tmp_path)
    with pytest.raises(UserError, match="damaged"):
        _ = RollModel.load("keys", tmp_path, heard=True).description
    assert not Composer.is_in(tmp_path, "drums")


def test_the_loss_takes_the_density_of_each_window(corpus: Path) -> None:
    batches = SharedBatches(load_corpus(corpus), 0)
    batches.densities = dict.fromkeys(shared.STEMS, 0.02)
    batch = batches.batch(0, 3)
    network = shared_network(
        EmbeddedNetwork(
            NetworkConfig(
                cells.values_of("guitar"), cells.context_values("guitar"), cells.PLACES,
                TEXT_VALUES, 32, 1, 2,
            )
        ),
        "guitar",
    )  # fmt: skip
    torch.nn.init.normal_(network.stem_out.weight)
    noise = BinaryNoise(density=0.02)
    alike = batch_loss(network, batch, noise, 0, 0).item()
    assert batch_loss(network, replace(batch, density=None), noise, 0, 0).item() == alike
    fuller = replace(batch, density=np.full((3, 1, 1), 0.4, np.float32))
    assert batch_loss(network, fuller, noise, 0, 0).item() != alike
