"""`restem midi train --paper`: the settings of the cited work, from a DadaGP tree to a song."""

# ruff: noqa: E402  (torch may be missing, and is looked for first)

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")

from midi_builders import band, events_of, note, save, to_bytes
from tablatures import band_score, write

from restem.cli import main
from restem.dataset.compose import split_of
from restem.symbolic import cells
from restem.symbolic.bernoulli import PAPER
from restem.symbolic.corpus_file import RollBatches, load_corpus
from restem.symbolic.model import CELL_SCALE, RollModel
from restem.symbolic.parts import STEMS
from restem.symbolic.train_rolls import batch_loss


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chunks of a song like DadaGP's, to train on."""
    return gathered(tmp_path_factory.mktemp("paper"), "train")


def gathered(folder: Path, split: str) -> Path:
    title = next(f"a - song {n}" for n in range(99) if split_of(f"a - song {n}") == split)
    write(band_score(33), folder / "songs" / "A" / f"{title}.gp4")
    file = folder / "c.npz"
    assert main(["midi", "corpus", "--dadagp", str(folder / "songs"), "-o", str(file)]) == 0
    return file


def kit(folder: Path) -> Path:
    """A song of two bars of drums."""
    strokes = [stroke for beat in range(8) for stroke in note(9, 36, 480 * beat, 480 * beat + 60)]
    return save(folder, to_bytes([strokes]), "kit.mid")


def trained(corpus: Path, out: Path, stem: str, steps: int, *words: str) -> int:
    told = ["midi", "train", "--paper", "--stem", stem, "--corpus", str(corpus), "-o", str(out)]
    return main([*told, "--batch", "2", "--steps", str(steps), *words])


def test_the_noise_is_that_of_the_cited_work() -> None:
    """T = 100, linear, a fair coin, L1 and the plug-in posterior (arXiv 2303.08385)."""
    assert (PAPER.steps, PAPER.schedule, PAPER.density) == (100, "linear", 0.5)
    assert (PAPER.loss, PAPER.posterior) == ("l1", "plug-in")
    survival = PAPER.survival()
    beta = 1 - survival[1:] / survival[:-1]
    assert beta[[0, -1]] == pytest.approx([0.001, 0.2]) and np.ptp(np.diff(beta)) < 1e-9
    assert survival[-1] < 1e-4  # all that is left of a part is noise


def test_the_corpus_is_cut_into_chunks_of_three_channels(corpus: Path) -> None:
    pieces = load_corpus(corpus)
    assert [len(piece.bars) for piece in pieces] == [16, 16]
    assert all(set(piece.parts) == set(STEMS) for piece in pieces)


@pytest.mark.parametrize("stem", STEMS)
def test_two_channels_are_clean_and_the_third_is_noise(corpus: Path, stem: str) -> None:
    batch = RollBatches(load_corpus(corpus), stem, 0).batch(0, 24)
    assert cells.around(stem) == tuple(other for other in STEMS if other != stem)
    shown: dict[str, torch.Tensor] = {}

    def network(noisy, context, place, text, t):
        shown.update(noisy=noisy / CELL_SCALE, context=context / CELL_SCALE, t=t)
        return torch.zeros_like(noisy)

    loss = batch_loss(network, batch, PAPER, 0, 0)
    assert np.array_equal(shown["context"], batch.context)
    parts = np.split(batch.context, [cells.values_of(cells.around(stem)[0])], axis=2)
    assert all(part.any() for part in parts)
    late = shown["t"].numpy() > 0.9  # of a part that is almost all noise half the cells are set
    noisy = shown["noisy"].numpy()[late][batch.real[late]]
    assert late.sum() >= 3 and noisy.mean() == pytest.approx(0.5, abs=0.05)
    assert batch.clean[late][batch.real[late]].mean() < 0.1
    # Even odds are half a cell wrong everywhere by L1; by cross-entropy it would be log 2.
    assert float(loss) == pytest.approx(0.5 * batch.real.sum() / batch.real.any(axis=2).sum())


def test_training_by_the_paper_runs_resumes_and_makes_a_model_that_inserts(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    assert trained(corpus, run, "drums", 1) == 0
    # Another noise is another model, and no way to go on.
    words = ["midi", "train", "--stem", "drums", "--corpus", str(corpus), "-o", str(run)]
    capsys.readouterr()
    assert main([*words, "--batch", "2", "--steps", "2", "--resume"]) == 2
    assert "another noise" in capsys.readouterr().err
    assert trained(corpus, run, "drums", 2, "--resume") == 0
    assert "step 2 of 2" in capsys.readouterr().err
    assert main(["midi", "export", str(run / "checkpoint.safetensors"), "-o", str(model)]) == 0
    made = RollModel.load("drums", model)
    assert made.noise == PAPER and made.stem == "drums"
    described = json.loads((model / "drums.json").read_text())
    assert described["splits"] == ["train"] and described["stem"] == "drums"
    told = ["midi", "export", str(run / "checkpoint.safetensors"), "--touch"]
    assert main([*told, "-o", str(tmp_path / "touch")]) == 2
    assert "leave out --touch" in capsys.readouterr().err and not (tmp_path / "touch").exists()
    song, out = save(tmp_path, band(2)), tmp_path / "out.mid"
    told = ["midi", "insert", str(song), "--stem", "drums", "--model", str(model)]
    assert main([*told, "--steps", "2", "-o", str(out)]) == 0
    assert events_of(out.read_bytes())[:-1] == events_of(song.read_bytes())


def test_settings_named_beside_paper_replace_its_own(corpus: Path, tmp_path: Path) -> None:
    words = ["--noise-steps", "3", "--prior", "0.024", "--posterior", "mixed"]
    assert trained(corpus, tmp_path, "bass", 1, *words) == 0
    path = str(tmp_path / "checkpoint.safetensors")
    assert main(["midi", "export", path, "-o", str(tmp_path / "model")]) == 0
    noise = RollModel.load("bass", tmp_path / "model").noise
    assert (noise.steps, noise.density, noise.posterior) == (3, 0.024, "mixed")
    assert (noise.schedule, noise.loss) == ("linear", "l1")
    words = ["midi", "insert", str(kit(tmp_path)), "--stem", "bass"]
    # The default of 32 steps is as many as the model's noise has.
    assert main([*words, "--model", str(tmp_path / "model"), "-o", str(tmp_path / "o.mid")]) == 0


def test_a_corpus_without_songs_to_train_on_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = gathered(tmp_path, "test")
    assert trained(file, tmp_path / "run", "drums", 1) == 2
    assert "for validation and test only" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
