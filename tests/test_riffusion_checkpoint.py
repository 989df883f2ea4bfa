"""Checkpoints of Stable Diffusion's layout: loaded, widened, saved, and refused when damaged."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from riffusion_tiny import PICTURE, make_checkpoint
from safetensors.torch import load_file, save_file

from restem.errors import UserError
from restem.networks.riffusion import RiffusionSettings, mode_of, sampled, widened
from restem.networks.riffusion_checkpoint import load_riffusion, save_riffusion

diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("sd") / "tiny")


@pytest.fixture
def model(folder):
    return load_riffusion(folder).with_settings(picture=PICTURE)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def _pictures(count=2):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32)).astype(np.uint8)


def test_the_widened_unet_says_what_the_pretrained_one_says(model):
    draw = torch.Generator().manual_seed(0)
    latents, other = (torch.randn(2, 4, 8, 8, generator=draw) for _ in range(2))
    text, steps = model.embed(["Add jazzy drums", ""]), torch.tensor([3, 900])
    with torch.no_grad():
        before = model.unet(latents, steps, text).sample
        wide = widened(model.unet)
        after = wide(torch.cat([latents, other], dim=1), steps, text).sample
    assert wide.config.in_channels == wide.conv_in.in_channels == 8
    assert not wide.conv_in.weight[:, 4:].any()
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)
    assert widened(wide) is wide
    wide.conv_in = torch.nn.Conv2d(9, 16, 3)
    with pytest.raises(UserError, match="takes 9 channels"):
        widened(wide)


def test_latents_are_the_vaes(model):
    pictures = _pictures()
    moments = model.moments(pictures)
    rgb = torch.from_numpy(np.repeat(pictures[:, None], 3, axis=1)).float() / 255 * 2 - 1
    theirs = model.vae.encode(rgb).latent_dist
    assert moments.shape == (2, 8, 8, 8)
    torch.testing.assert_close(mode_of(moments), theirs.mode())
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    same = theirs.sample(generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(sampled(moments, noise), same)
    assert model.scale == pytest.approx(0.18215)
    assert model.shrink == 4
    assert model.latent_shape == (4, 8, 8)


def test_a_picture_comes_out_of_a_latent(model):
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    pictures = model.pictures(latents)
    decoded = model.vae.decode(latents / 0.18215).sample.detach().numpy()
    wanted = np.clip(decoded.mean(axis=1) / 2 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(pictures, wanted, atol=1e-3)


def test_text_is_the_encoders_first_output(model, folder):
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    wanted, null = pipeline.encode_prompt("Add jazzy drums", "cpu", 1, True)
    torch.testing.assert_close(model.embed(["Add jazzy drums", ""]), torch.cat([wanted, null]))


def test_a_saved_folder_loads_in_the_instruct_pix2pix_pipeline(model, tmp_path):
    widened(model.unet)
    model = model.with_settings(target="stem", reading="R4", peak_ratio=1.5)
    for _ in range(2):  # the second time it replaces the first
        save_riffusion(model, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline.from_pretrained(tmp_path / "out")
    assert pipeline.unet.config.in_channels == 8
    again = load_riffusion(tmp_path / "out")
    assert again.settings == model.settings
    ours, theirs = model.unet.state_dict(), pipeline.unet.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert all(torch.equal(ours[key], value) for key, value in again.unet.state_dict().items())
    assert not list((tmp_path / "out").rglob("*.bin"))


def test_a_pickle_is_refused(copy):
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), copy / "unet" / "diffusion_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(UserError, match=r"unet/diffusion_pytorch_model\.bin.* is a pickle"):
        load_riffusion(copy)
    (copy / "unet" / "diffusion_pytorch_model.bin").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        load_riffusion(copy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_checkpoint_cut_short_is_named(copy, part):
    (weights,) = (copy / part).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match=f"The {part} of .* cannot be loaded") as error:
        load_riffusion(copy)
    assert "\n" not in str(error.value)


def test_shapes_that_do_not_fit_are_named(copy):
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_in.weight"] = torch.zeros(3, 3)
    save_file(tensors, weights)
    with pytest.raises(UserError, match=r"The unet of .* cannot be loaded"):
        load_riffusion(copy)
    del tensors["conv_in.weight"]
    save_file(tensors, weights)
    with pytest.raises(UserError, match=r"1 tensors are missing, such as conv_in\.weight"):
        load_riffusion(copy)


def test_parts_of_different_models_are_refused(copy):
    config = json.loads((copy / "text_encoder" / "config.json").read_text())
    shutil.rmtree(copy / "text_encoder")
    from transformers import CLIPTextConfig, CLIPTextModel

    CLIPTextModel(CLIPTextConfig(**config | {"hidden_size": 64})).save_pretrained(
        copy / "text_encoder"
    )
    with pytest.raises(UserError, match="text of width 32, the text encoder gives 64"):
        load_riffusion(copy)


def test_a_vae_of_another_kind_is_refused(copy):
    shutil.rmtree(copy / "vae")
    diffusers.AutoencoderKL(
        block_out_channels=(8, 16, 16), latent_channels=8, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    ).save_pretrained(copy / "vae")  # fmt: skip
    with pytest.raises(UserError, match=r"The VAE of .* has latents of 8 channels, not of 4; give"):
        load_riffusion(copy)


def test_a_tokenizer_that_is_missing_or_too_long_is_named(copy):
    config = copy / "tokenizer" / "tokenizer_config.json"
    words = json.loads(config.read_text())
    for changed in ({"model_max_length": 78}, {"model_max_length": 10**30}):
        config.write_text(json.dumps(words | changed))
        with pytest.raises(UserError, match=r"The tokenizer of .* is not complete or does not fit"):
            load_riffusion(copy)
    for path in (copy / "tokenizer").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="tokenizer"):
        load_riffusion(copy)
    (copy / "tokenizer").rmdir()
    with pytest.raises(UserError, match="has no folder tokenizer; give a Stable Diffusion"):
        load_riffusion(copy)


def test_what_is_no_checkpoint_is_named(tmp_path, copy):
    with pytest.raises(UserError, match="no folder unet"):
        load_riffusion(tmp_path)
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("scaled_linear", "linear"))
    with pytest.raises(UserError, match="noise schedule is 'linear'"):
        load_riffusion(copy)
    with pytest.raises(UserError, match="cannot be loaded"):
        load_riffusion("nobody/no-such-model")
    with pytest.raises(UserError, match="neither a folder nor a name"):
        load_riffusion(tmp_path / "nothing")


def test_the_scheduler_that_riffusion_ships_with_is_understood(copy, model):
    """Stable Diffusion 1.x checkpoints name PNDM, on the same schedule."""
    diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
        skip_prk_steps=True, set_alpha_to_one=False,
    ).save_pretrained(copy / "scheduler")  # fmt: skip
    found = load_riffusion(copy)
    assert found.schedule == model.schedule
    assert isinstance(found.scheduler, diffusers.DDIMScheduler)


def test_damaged_settings_are_named(copy):
    (copy / "restem.json").write_text('{"picture": {}, "target": "bass"}')
    with pytest.raises(UserError, match="names 'bass'"):
        load_riffusion(copy)
    (copy / "restem.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        load_riffusion(copy)
    assert RiffusionSettings.from_dict(RiffusionSettings().to_dict()) == RiffusionSettings()


def test_no_space_while_saving_leaves_the_old_folder(model, tmp_path, monkeypatch):
    save_riffusion(model, tmp_path / "out")
    old = sorted(path.stat().st_size for path in (tmp_path / "out").rglob("*.safetensors"))

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(model.unet), "save_pretrained", full)
    with pytest.raises(UserError, match="No space left on device"):
        save_riffusion(model, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    again = sorted(path.stat().st_size for path in (tmp_path / "out").rglob("*.safetensors"))
    assert again == old


def test_a_hubs_model_has_its_own_settings(folder, tmp_path):
    snapshot = tmp_path / "models--me--drums" / "snapshots" / ("a" * 40)
    shutil.copytree(folder, snapshot)
    settings = RiffusionSettings(target="stem", stem="bass", peak_ratio=3.0, picture=PICTURE)
    (snapshot / "restem.json").write_text(json.dumps(settings.to_dict()))
    (tmp_path / "models--me--drums" / "refs").mkdir()
    (tmp_path / "models--me--drums" / "refs" / "main").write_text("a" * 40)
    script = (
        "from restem.networks.riffusion_checkpoint import load_riffusion\n"
        "s = load_riffusion('me/drums').settings\nprint(s.target, s.stem, s.peak_ratio)"
    )
    elsewhere = os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=elsewhere
    )
    assert done.stdout.split() == ["stem", "bass", "3.0"], done.stderr
    (snapshot / "restem.json").unlink()  # as of somebody else's
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=elsewhere
    )
    assert done.stdout.split() == ["mix", "drums", "1.0"], done.stderr


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    model, tmp_path, monkeypatch, error
):
    save_riffusion(model, tmp_path / "out")
    real, calls = os.replace, []

    def second_fails(*names):
        calls.append(names)
        if len(calls) == 2:
            raise error
        return real(*names)

    monkeypatch.setattr("restem.networks.riffusion_checkpoint.os.replace", second_fails)
    with pytest.raises((UserError, KeyboardInterrupt)):
        save_riffusion(model, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors").is_file()
