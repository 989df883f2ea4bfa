"""What a training of Riffusion cannot use is refused before it encodes, and nothing is lost."""

import json
import shutil
import sys

import numpy as np
import pytest
import soundfile
import test_riffusion_training
import torch
from riffusion_tiny import make_checkpoint, make_pairs
from safetensors.torch import load_file, save_file
from test_riffusion_training import _run, _same, _settings, _tensors

from restem.cli import main
from restem.dataset.pairs import read_pairs
from restem.errors import UserError
from restem.networks.riffusion_checkpoint import load_riffusion
from restem.networks.train_riffusion import train

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

base = test_riffusion_training.base  # a small checkpoint and its pairs


@pytest.fixture(scope="module")
def done(base, tmp_path_factory):
    """A finished run of two steps."""
    out = tmp_path_factory.mktemp("done")
    _run(_settings(base, out, steps=2))
    return out


@pytest.fixture
def copy(done, tmp_path):
    return shutil.copytree(done, tmp_path / "copy")


def _bytes(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _refused(settings, sentence):
    """Refused with that sentence before a single pair is encoded."""
    with pytest.raises(UserError, match=sentence) as error:
        next(train(settings))
    assert "\n" not in str(error.value)
    assert not list(settings.out.glob("latents-*"))


# ---- what lies in the way ----


def test_the_pretrained_checkpoint_is_not_replaced(base, tmp_path, capsys):
    model = shutil.copytree(base / "model", tmp_path / "model")
    before = _bytes(tmp_path)
    given = ["--model", model, "--data", base / "pairs", "-o", tmp_path, "--steps", "1"]
    assert main(["train", "riffusion", *map(str, given)]) == 2
    assert f"{model} is there already and is not a result of this run" in capsys.readouterr().err
    assert _bytes(tmp_path) == before


@pytest.mark.parametrize("kind", ["file", "link", "no mark", "damaged mark", "other run"])
def test_a_model_of_others_is_not_replaced_on_resume(base, copy, kind):
    model, mark = copy / "model", copy / "model" / "training.json"
    if kind in ("file", "link"):
        shutil.rmtree(model)
        model.write_text("mine") if kind == "file" else model.symlink_to("nowhere")
    elif kind == "no mark":
        mark.unlink()
    else:
        mark.write_text("{" if kind == "damaged mark" else json.dumps({"seed": 5}))
    shutil.rmtree(copy / "latents-mix")
    before = _bytes(copy)
    _refused(_settings(base, copy, steps=3, resume=True), "is not a result of this run")
    assert _bytes(copy) == before


def test_the_result_of_the_same_run_is_replaced(base, copy):
    old = load_riffusion(copy / "model").unet.state_dict()
    _run(_settings(base, copy, steps=4, resume=True))
    new = load_riffusion(copy / "model").unet.state_dict()
    assert not torch.equal(old["conv_in.weight"], new["conv_in.weight"])
    _run(_settings(base, copy, steps=3, resume=True))  # fewer than it has had
    assert "- Steps: 4 of 2 pairs" in (copy / "model" / "README.md").read_text()


def test_a_checkpoint_in_the_way_is_named_first(base, copy):
    shutil.rmtree(copy / "latents-mix")
    _refused(_settings(base, copy), r"checkpoint\.safetensors is there already; go on .* --resume")
    path = copy / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    _refused(_settings(base, copy, resume=True), "is not a whole safetensors checkpoint")
    save_file({"weights.x": torch.zeros(1)}, path, {"meta": "{}", "step": "1"})
    _refused(_settings(base, copy, resume=True), r"the network has no weights\.x")


# ---- another run ----


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_another_base_model_is_refused_on_resume(base, tmp_path, part):
    settings = _settings(base, tmp_path / "out", steps=4, lora=2)
    _run(settings, stop_at=1)
    other = shutil.copytree(base / "model", tmp_path / "other")
    (weights,) = (other / part).glob("*.safetensors")
    save_file({k: 1.01 * v for k, v in load_file(weights).items()}, weights, {"format": "pt"})
    with pytest.raises(UserError, match="was trained with another base model; give the same"):
        _run(_settings(base, tmp_path / "out", lora=2, model=str(other), resume=True))
    moved = shutil.copytree(base / "model", tmp_path / "moved")
    _run(_settings(base, tmp_path / "out", steps=4, lora=2, model=str(moved), resume=True))


def test_other_sentences_or_sounds_are_refused_on_resume(base, copy, tmp_path):
    data = shutil.copytree(base / "pairs", tmp_path / "pairs")
    index = data / "pairs.jsonl"
    index.write_text(index.read_text().replace("Add drums", "Play drums"))
    with pytest.raises(UserError, match="was trained with another set of sentences; give"):
        _run(_settings(base, copy, steps=3, data=data, resume=True))
    shutil.rmtree(copy / "latents-mix")
    shutil.copy(data / "p1.mix.flac", data / "p0.mix.flac")
    _refused(
        _settings(base, copy, steps=3, data=data, resume=True),
        "another set of pairs and another set of sentences",
    )


def test_a_checkpoint_of_an_earlier_version_goes_on(base, copy):
    """It knows no hashes, but the median of the pairs' peaks."""
    from safetensors import safe_open

    path = copy / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        everything = json.loads(file.metadata()["restem"])
    meta = json.loads(everything["meta"])
    for key in ("base model", "set of pairs", "set of sentences"):
        del meta[key]
    everything["meta"] = json.dumps({**meta, "peak_ratio": 2.0})
    save_file(load_file(path), path, {"restem": json.dumps(everything)})
    shutil.rmtree(copy / "model")
    assert len(_run(_settings(base, copy, steps=3, resume=True))) == 1


# ---- what is missing or does not fit ----


def test_a_network_or_library_that_cannot_be_used_is_named_first(base, tmp_path, monkeypatch):
    from restem.networks import train_riffusion

    out = tmp_path / "out"
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    _refused(_settings(base, out, eight_bit=True), "8-bit Adam needs bitsandbytes")
    monkeypatch.setitem(sys.modules, "peft", None)
    _refused(_settings(base, out, lora=2), "LoRA needs peft")
    assert not out.exists()

    def inpainting(*given):
        model = load_riffusion(*given)
        model.unet.conv_in = torch.nn.Conv2d(9, 16, 3, padding=1)
        model.unet.register_to_config(in_channels=9)
        return model

    monkeypatch.setattr(train_riffusion, "load_riffusion", inpainting)
    _refused(_settings(base, out), "takes 9 channels; give one that takes 4 or 8")
    assert not out.exists()


def test_pairs_with_nothing_to_learn_are_refused(base, tmp_path):
    data = make_pairs(tmp_path / "pairs", count=3)
    for n in range(3):
        shutil.copy(data / f"p{n}.context.flac", data / f"p{n}.mix.flac")
    for target in ("mix", "stem"):
        settings = _settings(base, tmp_path / "out", data=data, target=target)
        _refused(settings, f"Every {target} of the 2 pairs is silent or equal to its context")
        assert not settings.out.exists()
    silence = np.zeros_like(soundfile.read(data / "p1.mix.flac")[0])
    soundfile.write(data / "p1.mix.flac", silence, 44100)
    _refused(_settings(base, tmp_path / "out", data=data), "nothing to learn")
    make_pairs(data, count=2)
    shutil.copy(data / "p0.context.flac", data / "p0.mix.flac")
    index = data / "pairs.jsonl"
    index.write_text(index.read_text().replace('"test"', '"train"'))
    _run(_settings(base, tmp_path / "out", data=data, steps=1))  # one that sounds is enough


def test_a_list_without_pairs_is_named(tmp_path):
    (tmp_path / "pairs.jsonl").write_text("\n")
    with pytest.raises(UserError, match=r"pairs\.jsonl is empty; write one pair a line"):
        read_pairs(tmp_path, "train", "drums")


# ---- damage ----


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle", "fewer"])
def test_damaged_latents_are_made_anew(base, copy, capsys, damage):
    shard = copy / "latents-mix" / "00000.safetensors"
    good = load_file(shard)
    data = shard.read_bytes()
    shard.unlink()  # a mapped file must not change
    if damage == "pickle":
        torch.save(good, shard)
    elif damage == "fewer":
        save_file({key: value[:-1].contiguous() for key, value in good.items()}, shard)
    else:
        shard.write_bytes(data[:-500] if damage == "cut" else b"")
    given = ["--model", base / "model", "--data", base / "pairs", "-o", copy, "--steps", "3",
             "--batch", "2", "--warmup", "3", "--rate", "1e-3", "--resume"]  # fmt: skip
    assert main(["train", "riffusion", *map(str, given)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert f"restem: note: {shard} is damaged; its 5 pairs are encoded again." in said
    assert _same(load_file(shard), good)


def test_latents_damaged_while_it_trains_are_named(base, copy):
    running = train(_settings(base, copy, steps=4, resume=True))
    while next(running)[0] != "training":
        pass
    shard = copy / "latents-mix" / "00000.safetensors"
    shard.unlink()
    shard.write_bytes(b"x")
    with pytest.raises(UserError, match=r"00000\.safetensors is damaged .*; start again, and it"):
        list(running)


# ---- the last moments ----


def test_ctrl_c_while_the_model_is_written_says_how_to_go_on(base, tmp_path, monkeypatch, capsys):
    def stop(*_args, **_named):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("restem.networks.riffusion_checkpoint._put_in_place", stop)
        given = ["--model", base / "model", "--data", base / "pairs", "-o", out, "--steps", "2"]
        words = ["train", "riffusion", *map(str, given)]
        assert main(words) == 130
    said = capsys.readouterr().err
    assert "stopped; the last step is saved; run the same command with --resume" in said
    kept = ["checkpoint.safetensors", "curve.csv", "latents-mix"]
    assert sorted(path.name for path in out.iterdir()) == kept
    before = _tensors(out)
    assert main([*words, "--resume"]) == 0
    assert (out / "model" / "model_index.json").is_file() and _same(_tensors(out), before)


def test_the_model_card_says_what_it_is(base, done, tmp_path):
    text = (done / "model" / "README.md").read_text()
    for words in ("fine-tuned model", "5 pairs of the folder `pairs`, stem drums",
                  "Steps: 2 of 2 pairs", "target mix, reading R1", "CreativeML OpenRAIL-M",
                  "Pipeline` loads this", "had no licence file"):  # fmt: skip
        assert words in text
    assert str(base) not in text
    licensed = make_checkpoint(tmp_path / "riffusion-v1")
    (licensed / "LICENSE.txt").write_text("the terms")
    pairs = read_pairs(base / "pairs", "train", "drums")
    settings = _settings(base, tmp_path / "out", model=str(licensed), steps=1, reading="R2")
    list(train(settings, pairs))
    text = (settings.out / "model" / "README.md").read_text()
    assert "`riffusion-v1`" in text and "[LICENSE.txt](LICENSE.txt)" in text
    assert "On: 5 pairs, stem drums" in text and "Pipeline` does not load" in text
    assert (settings.out / "model" / "LICENSE.txt").read_text() == "the terms"
    with pytest.raises(ValueError, match="Incorrect configuration"):
        _insert_with_diffusers(settings.out / "model")
    assert _insert_with_diffusers(done / "model")


def _insert_with_diffusers(folder):
    from PIL import Image

    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    return pipeline("Add drums", image=Image.new("RGB", (32, 32)), num_inference_steps=1).images
