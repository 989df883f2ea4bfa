"""Riffusion's training: the reference recipe's numbers, exact resume, processes that agree."""

import json
import multiprocessing
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gloo_processes import join
from riffusion_reference import reference_loss
from riffusion_tiny import PICTURE, make_checkpoint, make_pairs

from restem.cli import main
from restem.dataset.pairs import read_pairs
from restem.diffusion.checkpoints import read_checkpoint
from restem.diffusion.training import TrainingConfig
from restem.errors import UserError
from restem.networks.riffusion import widened
from restem.networks.riffusion_batches import Batches, Draws
from restem.networks.riffusion_checkpoint import load_riffusion
from restem.networks.riffusion_latents import LatentBatch, LatentCache, make_latents, pair_pictures
from restem.networks.train_riffusion import (
    DROPOUT,
    RiffusionTraining,
    make_trainer,
    recipe_loss,
    train,
)

diffusers = pytest.importorskip("diffusers")
accelerate = pytest.importorskip("accelerate")
SETTINGS = RiffusionTraining("", Path(), Path(), steps=12, batch=2, warmup=3, learning_rate=1e-3)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("riffusion")
    make_checkpoint(folder / "model")
    make_pairs(folder / "pairs")
    return folder


def _settings(base, out, **changes):
    given = {"model": str(base / "model"), "data": base / "pairs", "out": out}
    return replace(SETTINGS, **given | changes)


def _run(settings, stop_at=None):
    losses = []
    for what, step, _, loss in train(settings):
        if what == "training":
            losses.append(loss)
            if step == stop_at:
                break
    return losses


def _tensors(folder):
    return read_checkpoint(folder / "checkpoint.safetensors")[0]


def _same(ours, theirs):
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[key], theirs[key]) for key in ours)


# ---- the recipe's numbers ----


def test_loss_and_gradient_are_the_reference_steps(base):
    """All four cases of the dropout are in one batch; pixels are prepared by torch alone."""
    model = load_riffusion(base / "model")
    widened(model.unet)
    with torch.no_grad():  # what the new channels say must count
        model.unet.conv_in.weight[:, 4:].normal_(std=0.1)
    pairs = read_pairs(base / "pairs", "train", "drums")[:4]
    draw = torch.Generator().manual_seed(1)
    draws = Draws(
        *(torch.randn(4, 4, 8, 8, generator=draw) for _ in range(2)),
        torch.tensor([0.0, 0.3, 0.72, 0.9999]),
        torch.tensor([0.02, 0.07, 0.12, 0.6]),
    )
    pictures = [pair_pictures(model, pair)[0] for pair in pairs]
    rgb = torch.from_numpy(np.stack(pictures))[:, :, None].expand(-1, -1, 3, -1, -1)
    rgb = 2 * (rgb.float() / 255) - 1
    prompts = [pair.instruction for pair in pairs]
    scheduler = diffusers.DDPMScheduler.from_config(model.scheduler.config)
    theirs = reference_loss(
        model.unet, model.vae, model.text_encoder, model.tokenizer, scheduler,
        rgb[:, 0], rgb[:, 1], prompts, draws,
    )  # fmt: skip
    theirs.backward()
    gradient = {k: v.grad.clone() for k, v in model.unet.named_parameters()}
    model.unet.zero_grad()
    moments = torch.stack([model.moments(picture) for picture in pictures])
    batch = LatentBatch(moments[:, 0], moments[:, 1, :4], prompts, [])
    ours = recipe_loss(model.unet, model, batch, model.embed(prompts), model.embed([""]), draws)
    ours.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for name, parameter in model.unet.named_parameters():
        torch.testing.assert_close(parameter.grad, gradient[name], rtol=1e-4, atol=1e-6)


def test_the_learning_rate_is_the_common_cosine():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1e-4)
    theirs = diffusers.optimization.get_scheduler(
        "cosine", optimizer, num_warmup_steps=500, num_training_steps=3000
    )
    config = TrainingConfig(3000, 1e-4, 500, schedule="cosine")
    for step in range(3000):
        if step % 97 == 0 or step in (499, 500, 2999):
            assert config.rate(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()
    constant = TrainingConfig(3000, 1e-4, 500, schedule="constant")
    assert constant.rate(499) == constant.rate(2999) == 1e-4


def test_the_defaults_are_the_papers():
    settings = RiffusionTraining("m", Path(), Path())
    found = (settings.steps, settings.batch, settings.learning_rate, settings.warmup)
    assert found == (300_000, 4, 1e-4, 500)
    assert (settings.reading, settings.target) == ("R1", "mix")
    assert (settings.accumulation, settings.lora, settings.eight_bit) == (1, 0, False)
    assert DROPOUT == 0.05


def test_the_optimiser_is_the_papers(base, tmp_path):
    model = load_riffusion(base / "model")
    settings = RiffusionTraining("m", Path(), tmp_path)
    trainer = make_trainer(model, LatentCache(tmp_path, []), settings, accelerate.Accelerator())
    config = trainer.config
    assert (config.steps, config.learning_rate, config.warmup) == (300_000, 1e-4, 500)
    assert (config.betas, config.weight_decay, config.clip) == ((0.9, 0.999), 0.02, 1.0)
    assert (config.ema, config.schedule) == (0.9999, "cosine")
    (group,) = trainer.optimizer.param_groups
    assert (group["betas"], group["weight_decay"]) == ((0.9, 0.999), 0.02)
    assert isinstance(trainer.optimizer.optimizer, torch.optim.AdamW)
    less = make_trainer(
        model, LatentCache(tmp_path, []), replace(settings, ema=False), accelerate.Accelerator()
    )
    assert less.config.ema is None


def test_every_pair_is_seen_once_an_epoch_with_fresh_noise(base, tmp_path):
    pairs = read_pairs(base / "pairs", "train", "drums")
    model = load_riffusion(base / "model")
    for _ in make_latents(model, pairs, tmp_path / "latents"):
        pass
    one = Batches(LatentCache(tmp_path / "latents", pairs), 5, seed=3)
    seen = [one.get(part) for part in range(400)]
    for batch, _ in seen:
        assert sorted(batch.names) == sorted(pair.name for pair in pairs)
    assert len({tuple(batch.names) for batch, _ in seen}) > 50
    draws = torch.cat([draws.dropout for _, draws in seen]).numpy()
    times = torch.cat([draws.timestep for _, draws in seen]).numpy()
    for numbers in (draws, times):
        assert np.abs(np.sort(numbers) - np.linspace(0, 1, 2000)).max() < 0.03
    noise = torch.stack([draws.noise for _, draws in seen])
    assert abs(float(noise.mean())) < 0.01
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    halves = [Batches(one.cache, 5, 3, process, 2).get(7) for process in (0, 1)]
    assert halves[1][0].names == seen[15][0].names
    assert torch.equal(halves[0][1].noise, seen[14][1].noise)


# ---- whole runs ----


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return out, _run(_settings(base, out))


def test_it_leaves_a_folder_for_diffusers(base, whole):
    out, losses = whole
    assert len(losses) == 12
    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline.from_pretrained(out / "model")
    model = load_riffusion(out / "model")
    average = {k[4:]: v for k, v in _tensors(out).items() if k.startswith("ema.")}
    for name, value in pipeline.unet.state_dict().items():
        torch.testing.assert_close(value, average[name])
    assert pipeline.unet.conv_in.weight[:, 4:].any()
    assert model.settings.picture == PICTURE
    assert model.settings.peak_ratio > 1
    untouched = load_riffusion(base / "model").vae.state_dict()
    assert _same(pipeline.vae.state_dict(), untouched)


@pytest.mark.parametrize(
    "stop", sorted(np.random.default_rng(11).permutation(np.arange(1, 12))[:10])
)
def test_an_interrupted_run_ends_in_the_same_bytes(base, whole, tmp_path, stop):
    out = tmp_path / "parts"
    out.mkdir()
    (out / "latents-mix").symlink_to(whole[0] / "latents-mix")
    _run(_settings(base, out), stop_at=stop)
    assert not (out / "model").exists()
    assert len(_run(_settings(base, out, resume=True))) == 12 - stop
    assert _same(_tensors(out), _tensors(whole[0]))


def test_eight_bit_adam_resumes_too(base, whole, tmp_path):
    pytest.importorskip("bitsandbytes")
    for out in (tmp_path / "whole", tmp_path / "parts"):
        out.mkdir()
        (out / "latents-mix").symlink_to(whole[0] / "latents-mix")
    _run(_settings(base, tmp_path / "whole", steps=6, eight_bit=True))
    _run(_settings(base, tmp_path / "parts", steps=6, eight_bit=True), stop_at=3)
    _run(_settings(base, tmp_path / "parts", steps=6, eight_bit=True, resume=True))
    assert any(t.dtype == torch.uint8 for t in _tensors(tmp_path / "whole").values())
    assert _same(_tensors(tmp_path / "parts"), _tensors(tmp_path / "whole"))


def test_accumulated_parts_are_one_larger_batch(base, tmp_path):
    _run(_settings(base, tmp_path / "one", steps=3, batch=4))
    _run(_settings(base, tmp_path / "two", steps=3, batch=2, accumulation=2))
    _close(_tensors(tmp_path / "one"), _tensors(tmp_path / "two"))


def _close(ours, theirs):
    for name in ours:
        if not name.startswith("optimizer"):
            assert float((ours[name] - theirs[name]).abs().max()) < 1e-5, name


def _one_of_two(rank, port, settings):
    """What a process does that `accelerate launch` starts."""
    join(rank, port)
    backends = {torch.distributed.get_backend() for _ in train(settings)}
    assert backends == {"gloo"}


def test_two_processes_are_one_with_twice_the_batch(base, whole, tmp_path):
    for out in (tmp_path / "one", tmp_path / "two"):
        out.mkdir()
    (tmp_path / "one" / "latents-mix").symlink_to(whole[0] / "latents-mix")
    _run(_settings(base, tmp_path / "one", steps=3, batch=4))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = _settings(base, tmp_path / "two", steps=3, batch=2)
    fork = multiprocessing.get_context("fork")  # the libraries take long to load
    started = [fork.Process(target=_one_of_two, args=(n, port, settings)) for n in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(300)
    assert [process.exitcode for process in started] == [0, 0]
    assert (tmp_path / "two" / "model" / "model_index.json").is_file()
    _close(_tensors(tmp_path / "one"), _tensors(tmp_path / "two"))


@pytest.mark.parametrize(
    "changes",
    [
        {"reading": "R2"},
        {"reading": "R3", "target": "stem"},
        {"reading": "R4"},
        {"checkpointing": True, "ema": False},
        {"lora": 2, "target": "stem"},
    ],
    ids=str,
)
def test_the_options_train_and_save(base, tmp_path, changes):
    losses = _run(_settings(base, tmp_path, steps=4, batch=5, warmup=1, **changes))
    assert np.isfinite(losses).all()
    model = load_riffusion(tmp_path / "model")
    assert model.settings.reading == changes.get("reading", "R1")
    assert model.settings.target == changes.get("target", "mix")
    channels = 4 if changes.get("reading") in ("R2", "R3") else 8
    assert model.unet.config.in_channels == channels
    before = load_riffusion(base / "model").unet.state_dict()
    after = model.unet.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[k], after[k]) for k in before if "to_q" in k)


def test_the_direct_reading_learns(base, tmp_path):
    """R2 without noise must soon say the targets of five pairs better than at first."""
    losses = _run(_settings(base, tmp_path, steps=40, batch=5, reading="R2", learning_rate=5e-3))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_checkpointing_does_not_change_the_gradient(base, tmp_path, whole):
    (tmp_path / "latents-mix").symlink_to(whole[0] / "latents-mix")
    losses = _run(_settings(base, tmp_path, checkpointing=True))
    np.testing.assert_allclose(losses, whole[1], rtol=1e-5)


@pytest.fixture
def _fresh_accelerator():
    """The library keeps the first precision of a process for good."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.usefixtures("_fresh_accelerator")
def test_half_precision_stays_near(base, tmp_path, whole):
    (tmp_path / "latents-mix").symlink_to(whole[0] / "latents-mix")
    losses = _run(_settings(base, tmp_path, precision="bf16"))
    assert losses != whole[1]
    np.testing.assert_allclose(losses, whole[1], rtol=0.05)
    assert all(tensor.dtype == torch.float32 for tensor in _tensors(tmp_path).values())


def test_stem_and_context_add_up_to_the_mix_with_one_reference(base):
    model = load_riffusion(base / "model")
    pair = read_pairs(base / "pairs", "train", "drums")[0]
    mix, ratio = pair_pictures(model, pair)
    stem, _ = pair_pictures(model.with_settings(target="stem"), pair)
    assert mix.shape == stem.shape == (2, 32, 32)
    assert ratio > 1
    assert mix.min() == 0  # the loudest spot of both is black
    assert stem[0].astype(int).sum() > mix[0].astype(int).sum()  # less sound is whiter


# ---- bad input ----


def test_a_loss_that_is_not_finite_names_the_batch(base, tmp_path):
    from safetensors.torch import load_file, save_file

    settings = _settings(base, tmp_path, steps=2)
    _run(settings)
    good = (tmp_path / "checkpoint.safetensors").read_bytes()
    shard = tmp_path / "latents-mix" / "00000.safetensors"
    tensors = load_file(shard)
    tensors["target"][:] = float("nan")
    shard.unlink()
    save_file(tensors, shard)
    from restem.networks import riffusion_latents

    riffusion_latents._opened.cache_clear()
    with pytest.raises(UserError, match=r"not finite at step 2 on the batch of p\d, p\d; lower"):
        _run(replace(settings, steps=4, resume=True))
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == good


def test_a_dataset_without_the_stem_or_the_files(base, tmp_path):
    with pytest.raises(UserError, match="no pairs for the stem bass; it has drums"):
        _run(_settings(base, tmp_path, stem="bass"))
    with pytest.raises(UserError, match=r"no pairs\.jsonl"):
        read_pairs(tmp_path, "train", "drums")
    data = make_pairs(tmp_path / "pairs", count=2)
    (data / "p0.mix.flac").unlink()
    with pytest.raises(UserError, match=r"The pair p0 lacks its file .*p0\.mix\.flac"):
        read_pairs(data, "train", "drums")
    with pytest.raises(UserError, match="no pairs of the split dev"):
        read_pairs(data, "dev", "drums")
    index = data / "pairs.jsonl"
    index.write_text(json.dumps({"name": "x", "mix": "x"}))
    with pytest.raises(UserError, match=r"Line 1 of .* has no text 'context'"):
        read_pairs(data, "train", "drums")
    index.write_text("[1]")
    with pytest.raises(UserError, match=r"Line 1 of .* is not a JSON object"):
        read_pairs(data, "train", "drums")


def test_clips_that_do_not_fit_are_named(base, tmp_path):
    data = make_pairs(tmp_path / "short", count=2, seconds=0.3)
    with pytest.raises(UserError, match=r"The pair p0 cannot be used: .* shorter than 0\.62 s"):
        _run(_settings(base, tmp_path / "out", data=data))
    import soundfile

    soundfile.write(data / "p0.mix.flac", np.zeros(50000), 44100)
    with pytest.raises(UserError, match="Mix and context of the pair p0 differ"):
        _run(_settings(base, tmp_path / "other", data=data))


def test_latents_of_something_else_are_refused(base, tmp_path):
    _run(_settings(base, tmp_path, steps=1))
    (tmp_path / "checkpoint.safetensors").unlink()
    shutil.rmtree(tmp_path / "model")
    other = make_pairs(tmp_path / "pairs", count=4, seed=5)
    with pytest.raises(UserError, match="were made with other pairs; remove them"):
        _run(_settings(base, tmp_path, data=other))


def test_shapes_that_do_not_fit_a_reading_are_named(base, whole, tmp_path):
    with pytest.raises(UserError, match="R3 needs a UNet of 4 channels"):
        _run(_settings(base, tmp_path, model=str(whole[0] / "model"), reading="R3"))


def test_resuming_something_else_is_refused(base, whole, tmp_path):
    out = tmp_path / "copy"
    out.mkdir()
    (out / "checkpoint.safetensors").symlink_to(whole[0] / "checkpoint.safetensors")
    with pytest.raises(UserError, match="was trained with another target; give the same again"):
        _run(_settings(base, out, target="stem", resume=True))
    with pytest.raises(UserError, match="was trained with another reading; give the same again"):
        _run(_settings(base, out, reading="R2", resume=True))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--batch", "0"], "--batch must be at least 1, not 0"),
        (["--rate", "nan"], "--rate must lie between 0 and 1"),
        (["--resume"], "There is no checkpoint at"),
    ],
)
def test_bad_options_are_named(base, tmp_path, capsys, words, sentence):
    given = ["train", "riffusion", "--model", base / "model", "--data", base / "pairs"]
    assert main([*map(str, given), "-o", str(tmp_path), *words]) == 2
    assert sentence in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_full_disk_loses_nothing(base, tmp_path, monkeypatch):
    settings = _settings(base, tmp_path, steps=2)
    _run(settings)
    good = (tmp_path / "checkpoint.safetensors").read_bytes()

    def full(_tensors, path, metadata=None):
        Path(path).write_bytes(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("restem.diffusion.checkpoints.save_file", full)
    with pytest.raises(UserError, match=r"No space left on device.* The last checkpoint stays"):
        _run(replace(settings, steps=4, resume=True))
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == good
    assert not list(tmp_path.glob("*.part"))
    monkeypatch.setattr("restem.networks.riffusion_latents.save_file", full)
    with pytest.raises(UserError, match=r"Could not write 00000\.safetensors"):
        _run(_settings(base, tmp_path / "new"))
    assert [path.name for path in (tmp_path / "new" / "latents-mix").iterdir()] == ["index.json"]
