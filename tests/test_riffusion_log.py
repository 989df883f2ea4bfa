"""What a training run tells TensorBoard and Weights & Biases, and that it is not changed by it."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from riffusion_tiny import PICTURE, make_checkpoint, make_pairs

from restem.cli import main
from restem.dataset.pairs import read_pairs
from restem.networks.riffusion_checkpoint import load_riffusion
from restem.networks.riffusion_log import TrainingLog, _sample
from restem.networks.train_riffusion import RiffusionTraining, train

pytest.importorskip("diffusers")
tracking = pytest.importorskip("accelerate.tracking")
SETTINGS = RiffusionTraining("", Path(), Path(), steps=4, batch=2, warmup=1, learning_rate=1e-3)


class Recorder(tracking.GeneralTracker):
    """A tracker that keeps what it is given; itself the writer, with TensorBoard's methods."""

    requires_logging_directory = False

    def __init__(self, name):
        self.name, self.settings, self.logged, self.shown = name, {}, [], []
        super().__init__()

    @property
    def tracker(self):
        return self

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step=None, **_):
        self.logged.append((step, values))

    def add_image(self, name, picture, step, dataformats="CHW"):
        self.shown.append((step, name, picture, dataformats))

    def add_audio(self, name, sound, step, sample_rate=8000):
        self.shown.append((step, name, sound, sample_rate))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    make_checkpoint(folder / "model")
    make_pairs(folder / "pairs")
    return folder


def _run(base, out, **changes):
    given = {"model": str(base / "model"), "data": base / "pairs", "out": out}
    settings = replace(SETTINGS, **given | changes)
    done = list(train(settings))
    return [loss for what, _, _, loss in done if what == "training"]


def test_loss_rate_and_samples_are_logged_and_change_nothing(base, tmp_path, monkeypatch):
    monkeypatch.setattr("restem.networks.riffusion_log.SAMPLE_EVERY", 3)
    recorder = Recorder("tensorboard")
    losses = _run(base, tmp_path / "logged", log=recorder)
    assert [step for step, _ in recorder.logged] == [1, 2, 3, 4]
    assert [values["loss"] for _, values in recorder.logged] == losses
    assert [values["learning_rate"] for _, values in recorder.logged][:2] == [0, 1e-3]
    assert (recorder.settings["batch"], recorder.settings["data"]) == (2, str(base / "pairs"))
    names = [f"{kind}/p{n}" for n in range(3) for kind in ("picture", "sound")]
    assert [shown[:2] for shown in recorder.shown] == [(s, name) for s in (3, 4) for name in names]
    for _, name, found, more in recorder.shown:
        if name.startswith("picture"):
            assert (found.shape, found.dtype, more) == ((32, 32), np.uint8, "HW")
            assert found.std() > 0
        else:
            assert (found.shape, more) == ((1, PICTURE.samples), PICTURE.sample_rate)
            assert np.abs(found).max() == pytest.approx(0.9)
    _run(base, tmp_path / "silent")
    files = [tmp_path / name / "checkpoint.safetensors" for name in ("logged", "silent")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_last_samples_are_those_of_the_model_that_is_written(base, tmp_path):
    """The average is what is saved; the same noise and context give its picture again."""
    recorder = Recorder("tensorboard")
    _run(base, tmp_path, steps=2, learning_rate=0.05, log=recorder)
    model = load_riffusion(tmp_path / "model")
    pair = read_pairs(base / "pairs", "train", "drums")[0]
    log = TrainingLog(None, model, None, [pair])
    model.unet.eval()
    expected = _sample(model, log._latents(0)).picture.astype(int)
    assert np.abs(recorder.shown[0][2].astype(int) - expected).max() <= 1


def test_samples_are_of_the_validation_split_where_there_is_one(base, tmp_path):
    data = make_pairs(tmp_path / "pairs", count=5)
    rows = [json.loads(line) for line in (data / "pairs.jsonl").read_text().splitlines()]
    rows[2]["split"] = "validation"
    (data / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recorder = Recorder("tensorboard")
    _run(base, tmp_path / "out", data=data, steps=1, log=recorder)
    assert [name for _, name, *_ in recorder.shown] == ["picture/p2", "sound/p2"]


def test_wandb_gets_its_own_objects(base, tmp_path, monkeypatch):
    fake = SimpleNamespace(
        Image=lambda picture: ("image", picture.shape),
        Audio=lambda sound, sample_rate: ("audio", sound.shape, sample_rate),
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    recorder = Recorder("wandb")
    _run(base, tmp_path, steps=1, log=recorder)
    audio = ("audio", (PICTURE.samples,), PICTURE.sample_rate)
    shown = [values for _, values in recorder.logged[1:]]
    assert shown == [{f"picture/p{n}": ("image", (32, 32)), f"sound/p{n}": audio} for n in range(3)]


def test_tensorboard_writes_pictures_and_sounds(base, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _run(base, tmp_path, steps=2, log="tensorboard")
    found = EventAccumulator(str(tmp_path / "log" / "restem"))
    found.Reload()
    tags = found.Tags()
    assert {"loss", "learning_rate"} <= set(tags["scalars"])
    assert set(tags["images"]) == {f"picture/p{n}" for n in range(3)}
    assert set(tags["audio"]) == {f"sound/p{n}" for n in range(3)}


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_tracker_is_named(base, tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr("restem.networks.riffusion_log.importlib.util.find_spec", lambda _: None)
    given = ["--model", base / "model", "--data", base / "pairs", "-o", tmp_path / "out"]
    assert main(["train", "riffusion", *map(str, given), "--log", name]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"--log {name} needs {name}; install it with pip install {name}." in said
    assert not (tmp_path / "out").exists()
