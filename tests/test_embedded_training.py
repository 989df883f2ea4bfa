"""Training of the embedded network on features: exact resume, processes that agree, clear words."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from gloo_processes import join
from safetensors.torch import save_file

from restem import Inserter
from restem.cli import main
from restem.dataset.batches import BatchMaker
from restem.dataset.draws import Share
from restem.dataset.packed import PackedSongs
from restem.dataset.songs import read_songs
from restem.diffusion.checkpoints import in_one, read_checkpoint
from restem.diffusion.curve import Curve
from restem.errors import UserError
from restem.networks.train_embedded import EmbeddedTraining, batch_loss, new_network, train
from restem.tokens import PITCHED, TokenConfig

SETTINGS = EmbeddedTraining(Path(), Path(), 5, batch=2, width=48, blocks=1, warmup=2)
FRAMES = 700


def _write_features(folder, songs=3, first=0, pitched=False):
    """Random features, as `restem dataset features` has them, of two stems and two takes a song."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = (PITCHED if pitched else TokenConfig()).spectrogram.columns
    for number in range(first, first + songs):
        rng = np.random.default_rng(number)
        name = f"{number:05d}"
        record = {
            "id": name, "split": "train", "bpm": 120.0, "beats_per_bar": 4,
            "beats": [0.5 * i for i in range(14)], "positions": ([1, 2, 3, 4] * 4)[:14],
            "stems": [{"kind": "bass"}, {"kind": "keys"}],
            "takes": [{"level_db": -6.0 - take} for take in range(2)],
        }  # fmt: skip
        targets = [
            {"source": own, "stem": kind, "context": [1 - own, 2], "level_db": -6.0}
            for own, kind in enumerate(("bass", "keys"))
        ]
        made = {"tones": 4} if pitched else {"context": 2, "drums": 2}
        for kind, rows in made.items():
            loud = rng.integers(0, 150, (rows, FRAMES, 1)) + rng.integers(0, 60, columns)
            np.save(folder / f"{name}.{kind}.npy", loud.astype(np.uint8))
        text = rng.standard_normal((2, 8, 384)) / np.sqrt(384)
        np.save(folder / f"{name}.text.npy", text.astype(np.float16))
        record |= {"targets": targets} if pitched else {}
        (folder / f"{name}.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return _write_features(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def whole(features, tmp_path_factory):
    """The folder of a run that was not interrupted."""
    out = tmp_path_factory.mktemp("whole")
    list(train(replace(SETTINGS, data=features, out=out)))
    return out


def _checkpoint(folder):
    return folder / "checkpoint.safetensors"


def _words(features, out, *more):
    sizes = ["--width", "96", "--blocks", "1", "--batch", "2", "--steps", "5"]
    return ["train", "embedded", "--data", str(features), "-o", str(out), *sizes, *more]


# ---- one run, interrupted or shared ----


@pytest.mark.parametrize("stops", [{1: None, 3: signal.SIGTERM}, {2: signal.SIGINT, 4: None}])
def test_an_interrupted_run_ends_in_the_same_bytes(features, whole, tmp_path, stops):
    """Stopped by a signal, and by closing the generator: all that is drawn is the step's."""
    settings = replace(SETTINGS, data=features, out=tmp_path)
    for stop, number in stops.items():
        run = train(replace(settings, resume=_checkpoint(tmp_path).exists()))
        for step, _ in run:
            if step == stop and number is None:
                run.close()
            elif step == stop:
                os.kill(os.getpid(), number)
                with pytest.raises(KeyboardInterrupt, match=f"step {stop} is saved"):
                    next(run)
                break
    steps = [step for step, _ in train(replace(settings, resume=True))]
    assert steps == list(range(max(stops) + 1, 6))
    assert _checkpoint(tmp_path).read_bytes() == _checkpoint(whole).read_bytes()


@pytest.mark.parametrize("distil", [False, True])
def test_shares_of_a_step_are_together_the_whole_of_it(features, distil):
    """The same windows with the same noise; losses count by the tokens that are not given."""
    songs = PackedSongs.of(read_songs(features, "train"), TokenConfig(), torch.device("cpu"))
    maker = BatchMaker(songs, TokenConfig(), 0)
    settings = replace(SETTINGS, data=features)
    network, teacher = new_network(settings), new_network(settings) if distil else None
    null = torch.zeros(1, 384)
    halves = [Share(0, 2), Share(1, 2)]
    whole, parts = maker.batch(3, 6), [maker.batch(3, 3, share) for share in halves]
    for name in ("stem", "context", "phase", "text", "controls", "given", "song"):
        together = torch.cat([getattr(part, name) for part in parts])
        torch.testing.assert_close(together, getattr(whole, name), msg=name)
    new = [float((~part.given).sum()) for part in parts]
    with torch.no_grad():
        losses = [
            float(batch_loss(network, part, null, 0, 3, teacher, share))
            for part, share in zip(parts, halves, strict=True)
        ]
        expected = float(batch_loss(network, whole, null, 0, 3, teacher))
    assert np.average(losses, weights=new) == pytest.approx(expected, rel=1e-3)


def _one_of_two(rank, port, settings, stop, told):
    """What a process does that torchrun starts; `stop`: after which step the second is told to."""
    join(rank, port)
    if rank == 1:
        Curve.add = None  # the first one writes alone
    losses = []
    try:
        for step, loss in train(settings):
            losses.append(loss)
            assert torch.distributed.get_backend() == "gloo"
            if rank == 1 and step == stop:
                os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt as stopped:
        told.put(str(stopped))
    else:
        told.put(losses[-1])


def _by_two(settings, stop=None):
    """What both processes say in the end: the last loss, or at which step they stopped."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")  # the libraries take long to load
    told = fork.SimpleQueue()
    started = [
        fork.Process(target=_one_of_two, args=(n, port, settings, stop, told)) for n in (0, 1)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(300)
    assert [process.exitcode for process in started] == [0, 0]
    return [told.get() for _ in started]


def _assert_close(ours, theirs):
    (ours, _), (theirs, _) = (read_checkpoint(_checkpoint(folder)) for folder in (ours, theirs))
    assert ours.keys() == theirs.keys()
    for name in ours:
        if not name.startswith("optimizer"):
            assert float((ours[name] - theirs[name]).abs().max()) < 1e-5, name


def test_two_processes_are_one_with_twice_the_batch(features, tmp_path, monkeypatch):
    """Also if one of them alone is told to stop, and one process with twice the batch goes on."""
    pytest.importorskip("accelerate")
    # Sums over a batch are rounded otherwise in its halves; in half precision by far more.
    monkeypatch.setattr("restem.networks.train_embedded._quick_in_half", lambda: False)
    settings = replace(SETTINGS, data=features, batch=4)
    losses = [loss for _, loss in train(replace(settings, out=tmp_path / "one"))]
    two = replace(settings, batch=2, out=tmp_path / "two")
    assert _by_two(two) == pytest.approx([losses[-1]] * 2, abs=1e-5)
    _assert_close(tmp_path / "two", tmp_path / "one")
    said = _by_two(replace(two, out=tmp_path / "parts"), stop=2)
    (row,) = (tmp_path / "two" / "curve.csv").read_text().splitlines()[1:]  # of the first process
    step, loss, *_ = row.split(",")
    assert int(step) == len(losses) and float(loss) == pytest.approx(np.mean(losses), abs=1e-5)
    assert said[0] == said[1] and "is saved; go on with --resume" in said[0]
    last = int(read_checkpoint(_checkpoint(tmp_path / "parts"))[1]["step"])
    assert last in (2, 3) and f"step {last} " in said[0]
    list(train(replace(settings, out=tmp_path / "parts", resume=True)))
    _assert_close(tmp_path / "parts", tmp_path / "one")


def test_of_several_processes_the_first_alone_speaks(features, tmp_path, capfd, monkeypatch):
    assert main(_words(features, tmp_path / "first")) == 0
    assert "step 5 of 5" in capfd.readouterr().err
    monkeypatch.setenv("RANK", "1")
    assert main(_words(features, tmp_path / "second")) == 0
    assert capfd.readouterr().err == ""


def test_several_processes_need_accelerate(features, tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert main(_words(features, tmp_path / "one")) == 0
    capsys.readouterr()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(_words(features, tmp_path / "two")) == 2
    assert "need accelerate to share a step; pip install" in capsys.readouterr().err


# ---- other targets ----


@pytest.mark.parametrize("target", ["whole", "mix"])
def test_models_of_whole_mixes_are_exported_and_put_no_stem_into_a_song(
    features, tmp_path, capsys, target
):
    run, model, out = tmp_path / "run", tmp_path / "model", tmp_path / "out"
    assert main([*_words(features, run), "--target", target, "--steps", "2"]) == 0
    assert main(["train", "export", str(_checkpoint(run)), "-o", str(model)]) == 0
    described = json.loads((model / "model.json").read_text())
    assert described["stems"] == [] and described["target"] == target and "songs" not in described
    song = 0.1 * np.sin(np.arange(44100) / 30)
    soundfile.write(tmp_path / "song.wav", song, 44100)
    capsys.readouterr()
    words = ["insert", str(tmp_path / "song.wav"), "Add drums", "--model", str(model)]
    assert main([*words, "-o", str(out)]) == 2
    sentence = "makes whole mixes and no stem alone; choose one that was trained with --target stem"
    assert sentence in capsys.readouterr().err and not out.exists()
    with pytest.raises(UserError, match="whole mixes and no stem"):
        Inserter.load(model).insert(song, 44100, "Add drums")


# ---- features that are not as they should be ----


def test_a_run_goes_on_with_its_own_songs_and_more_of_them_alone(features, tmp_path, capsys):
    data, out = shutil.copytree(features, tmp_path / "features"), tmp_path / "out"
    assert main(_words(data, out, "--steps", "2")) == 0
    resume = _words(tmp_path / "moved", out, "--resume")
    data.rename(tmp_path / "moved")
    assert main([*resume, "--steps", "3"]) == 0
    _write_features(tmp_path / "moved", songs=1, first=7)  # rendered beside training
    assert main([*resume, "--steps", "4"]) == 0
    before = _checkpoint(out).read_bytes()
    capsys.readouterr()
    (tmp_path / "moved" / "00007.json").rename(tmp_path / "kept.json")
    others = _write_features(tmp_path / "others", first=20)
    for folder in (tmp_path / "moved", others):
        assert main([*_words(folder, out, "--resume"), "--steps", "5"]) == 2
        (said,) = capsys.readouterr().err.strip().splitlines()
        assert f"was trained on songs that {folder} does not hold; give that data again" in said
    assert _checkpoint(out).read_bytes() == before
    (tmp_path / "kept.json").rename(tmp_path / "moved" / "00007.json")
    assert main(resume) == 0


def test_pitched_training_goes_on_with_more_songs_too(tmp_path, monkeypatch):
    """Whose medians then are others."""
    usual = "restem.networks.train_embedded.usual_playing"
    monkeypatch.setattr(usual, lambda maker: {"bass": (len(maker.songs), 0.0)})
    data = _write_features(tmp_path / "features", songs=1, pitched=True)
    settings = replace(SETTINGS, data=data, out=tmp_path / "out", steps=1, pitched=True)
    list(train(settings))
    _write_features(data, songs=1, first=1, pitched=True)
    assert [step for step, _ in train(replace(settings, steps=2, resume=True))] == [2]
    _write_features(data, songs=2, first=2, pitched=True)
    (data / "00000.json").unlink()
    with pytest.raises(UserError, match="was trained on songs that"):
        list(train(replace(settings, steps=3, resume=True)))


def test_checkpoints_without_the_songs_they_saw_go_on(features, whole, tmp_path):
    tensors, meta = read_checkpoint(_checkpoint(whole))
    about = json.loads(meta["meta"])
    assert len(about.pop("songs")) == 8 * 3
    save_file(tensors, _checkpoint(tmp_path), in_one(meta | {"meta": json.dumps(about)}))
    settings = replace(SETTINGS, data=features, out=tmp_path, steps=6, resume=True)
    assert [step for step, _ in train(settings)] == [6]


def test_a_loss_that_is_not_finite_names_its_songs(features, tmp_path):
    data = shutil.copytree(features, tmp_path / "features")
    for path in data.glob("*.json"):
        record = json.loads(path.read_text())
        record["takes"] = [{"level_db": float("nan")} for _ in record["takes"]]
        path.write_text(json.dumps(record))
    words = r"loss is not finite at step 0 on the batch of 0000\d(, 0000\d)?; lower"
    with pytest.raises(UserError, match=words):
        list(train(replace(SETTINGS, data=data, out=tmp_path / "out")))


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def _holed(path):
    array = np.load(path)
    array[1, 2, 3] = np.nan
    np.save(path, array)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("drums", _cut),
        ("drums", lambda path: path.write_text("what is this?")),
        ("drums", lambda path: path.write_bytes(b"")),
        ("drums", lambda path: np.save(path, np.load(path)[:1])),
        ("drums", lambda path: np.save(path, np.load(path)[:, :300])),
        ("context", lambda path: np.save(path, np.load(path).astype(np.float32))),
        ("context", Path.unlink),
        ("text", _cut),
        ("text", _holed),
        ("tones", _cut),
        ("tones", lambda path: np.save(path, np.load(path)[:2])),
    ],
)
def test_damaged_features_are_named(tmp_path, capsys, kind, damage):
    data = _write_features(tmp_path / "features", pitched=kind == "tones")
    path = data / f"00001.{kind}.npy"
    damage(path)
    more = ["--pitched"] if kind == "tones" else []
    assert main(_words(data, tmp_path / "out", *more)) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert f"{path} is missing or damaged; remove {data / '00001.json'} and make" in said
    assert not (tmp_path / "out").exists()


def test_features_of_the_other_kind_are_not_called_damaged(tmp_path, capsys):
    data = _write_features(tmp_path / "features", pitched=True)
    assert main(_words(data, tmp_path / "out")) == 2
    assert "train on them with --pitched" in capsys.readouterr().err
