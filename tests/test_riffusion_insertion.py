"""Sampling against diffusers' InstructPix2Pix pipeline; insertion of clips of any length."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from riffusion_tiny import PICTURE, make_checkpoint

from restem.audio.riffusion_image import mel_magnitude
from restem.cli import main
from restem.errors import UserError
from restem.networks.riffusion import mode_of, widened
from restem.networks.riffusion_checkpoint import load_riffusion, save_riffusion
from restem.networks.riffusion_sampling import SamplingSettings, edit, generate
from restem.riffusion.insertion import insert_clip

diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("sd") / "tiny")


@pytest.fixture(scope="module")
def folder(base, tmp_path_factory):
    """A model of eight channels whose new weights are not zero."""
    model = load_riffusion(base)
    widened(model.unet)
    torch.manual_seed(4)
    with torch.no_grad():
        model.unet.conv_in.weight[:, 4:].normal_(std=0.2)
    out = tmp_path_factory.mktemp("trained") / "model"
    save_riffusion(model, out)
    return out


@pytest.fixture
def model(folder):
    return load_riffusion(folder)


def _noise(shape=(1, 4, 8, 8), seed=7):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _last(steps):
    *_, (done, x) = steps
    return done, x


def _song(seconds=0.7, seed=0):
    time = np.arange(int(seconds * 44100)) / 44100
    rng = np.random.default_rng(seed)
    return 0.2 * np.sin(2 * np.pi * 220 * time) + 0.02 * rng.standard_normal(len(time))


@pytest.mark.parametrize("name", ["ddim", "euler", "euler-ancestral"])
def test_a_whole_sample_is_the_pipelines(model, folder, name):
    kind = {"ddim": "DDIM", "euler": "EulerDiscrete", "euler-ancestral": "EulerAncestralDiscrete"}
    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    scheduler = getattr(diffusers, f"{kind[name]}Scheduler")
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    theirs = pipeline(
        "Add jazzy drums", image=model.pixels(picture[None]), num_inference_steps=20,
        guidance_scale=7.5, image_guidance_scale=1.5, latents=_noise(), output_type="latent",
        generator=torch.Generator().manual_seed(5),
    ).images  # fmt: skip
    generator = torch.Generator().manual_seed(5)
    context = mode_of(model.moments(picture[None]))
    done, ours = _last(
        generate(
            model, context, "Add jazzy drums", _noise(), SamplingSettings(20, 7.5, 1.5, name),
            lambda: torch.randn((1, 4, 8, 8), generator=generator),
        )
    )  # fmt: skip
    assert done == 20
    assert float((ours - theirs).abs().max()) < 1e-4 * float(theirs.abs().max())


def test_sdedit_is_image_to_image(base):
    model = load_riffusion(base)
    pipeline = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(base)
    pipeline.set_progress_bar_config(disable=True)
    start = _noise(seed=1)
    theirs = pipeline(
        "funk drums", image=start, num_inference_steps=20, strength=0.63, guidance_scale=7.5,
        output_type="latent", generator=torch.Generator().manual_seed(5),
    ).images  # fmt: skip
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(5))
    done, ours = _last(
        edit(model, start / model.scale, "funk drums", noise, SamplingSettings(20, 7.5), 0.63)
    )
    assert done == 12
    assert float((ours - theirs).abs().max()) < 1e-4 * float(theirs.abs().max())


@pytest.mark.parametrize("reading", ["R1", "R2", "R3", "R4"])
def test_every_reading_samples_from_its_own_start(base, folder, reading):
    model = load_riffusion(folder if reading in ("R1", "R4") else base)
    model = model.with_settings(reading=reading)
    context, settings = _noise(seed=2), SamplingSettings(steps=5)
    done, first = _last(generate(model, context, "Add drums", _noise(seed=3), settings))
    _, other = _last(generate(model, context, "Add drums", _noise(seed=4), settings))
    assert done == (1 if reading == "R2" else 5)
    assert first.shape == (1, 4, 8, 8)
    assert torch.equal(first, other) == (reading in ("R2", "R3"))  # these begin without noise
    _, moved = _last(generate(model, context + 1, "Add drums", _noise(seed=3), settings))
    assert not torch.allclose(first, moved)


def test_wide_latents_of_a_plain_network_are_its_own(model):
    """If what the network says of a column depends on that column alone, windows change nothing."""

    class Plain(torch.nn.Module):
        def forward(self, x, t, text):
            said = (
                0.3 * x[:, :4] + 0.1 * x[:, 4:] + 0.01 * text.mean(dim=(1, 2))[:, None, None, None]
            )
            return type("Said", (), {"sample": said})

    plain = replace(model, unet=Plain())
    wide, noise = _noise((1, 4, 8, 29), 1), _noise((1, 4, 8, 29), 2)
    settings = SamplingSettings(steps=4)
    _, whole = _last(generate(plain, wide, "x", noise, settings))
    _, part = _last(generate(plain, wide[..., 3:11], "x", noise[..., 3:11], settings))
    torch.testing.assert_close(whole[..., 3:11], part)


@pytest.mark.parametrize("target", ["mix", "stem"])
@pytest.mark.parametrize("seconds", [0.2, 0.62, 1.9])
def test_a_stem_for_a_clip_of_any_length(model, target, seconds):
    model = model.with_settings(target=target, peak_ratio=1.2)
    song = np.stack([_song(seconds), 0.5 * _song(seconds)], axis=1)
    before = song.copy()
    sampling = SamplingSettings(steps=2)
    made = insert_clip(model, song, 44100, "Add drums", sampling=sampling)
    assert made.stem.shape == song.shape
    assert np.isfinite(made.stem).all()
    assert made.stem.any()
    assert np.array_equal(song, before)
    again = insert_clip(model, song, 44100, "Add drums", sampling=sampling)
    other = insert_clip(model, song, 44100, "Add drums", sampling=sampling, seed=1)
    assert np.array_equal(made.stem, again.stem)
    assert not np.array_equal(made.stem, other.stem)


def test_what_the_mix_adds_to_the_context_is_the_stem(model, monkeypatch):
    """A model that returns the context as its mix must give silence, whatever the VAE loses."""
    model = model.with_settings(target="mix")

    def identity(model, context, *_):
        yield 1, context * model.scale

    monkeypatch.setattr("restem.riffusion.insertion.generate", identity)
    made = insert_clip(model, _song(1.5), 44100, "Add drums", sampling=SamplingSettings(steps=1))
    assert not made.stem.any()


def test_a_known_stem_comes_back(model, monkeypatch):
    """With the pictures in place of VAE and network, the stem target gives the stem's own mel."""
    model = model.with_settings(target="stem", peak_ratio=2.0)
    song = _song(1.5)
    drums = 0.3 * np.random.default_rng(5).standard_normal(len(song))
    drums *= np.exp(-20 * (np.arange(len(song)) / 44100 % 0.25))
    peak = 2.0 * float(mel_magnitude(song.astype(np.float32), PICTURE).max())
    from restem.audio.riffusion_image import picture_from_mel

    columns = -(-PICTURE.frames_of(len(song)) // 4) * 4
    wanted = mel_magnitude(np.pad(drums, (0, 882 * (columns - 1) - len(drums))), PICTURE)
    picture = picture_from_mel(wanted, peak, PICTURE).astype(np.float32)
    monkeypatch.setattr("restem.riffusion.insertion._decoded", lambda *_: picture)
    made = insert_clip(model, song, 44100, "Add drums", sampling=SamplingSettings(steps=1))
    found = mel_magnitude(made.stem.astype(np.float32), PICTURE)
    wanted = mel_magnitude(drums.astype(np.float32), PICTURE)
    error_db = 10 * np.log10(np.sum((found - wanted) ** 2) / np.sum(wanted**2))
    assert error_db < -10


def test_the_command_writes_stem_mix_and_record(folder, tmp_path, capsys):
    song = tmp_path / "song.wav"
    samples = np.round(np.stack([_song(1.1), _song(1.1, 1)], axis=1) * 20000).astype(np.int16)
    soundfile.write(song, samples, 44100, "PCM_16")
    words = ["riffusion", "insert", str(song), "Add drums", "--model", str(folder), "--steps", "2",
             "-o", str(tmp_path / "out")]  # fmt: skip
    assert main(words) == 0
    printed = capsys.readouterr().out.split()
    stem, mix = (soundfile.read(path, dtype="int16", always_2d=True)[0] for path in printed[:2])
    assert np.array_equal(mix.astype(int) - stem, samples)
    record = json.loads((tmp_path / "out" / "song.drums.json").read_text())
    assert record["steps"] == 2
    assert record["instruction"] == "Add drums"
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["--steps", "0"], "--steps must lie between 1 and 1000"),
        (["--text-guidance", "nan"], "--text-guidance must lie between 0 and 100"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--device", "mars"], "The device mars cannot be used"),
    ],
)
def test_bad_options_are_named(folder, tmp_path, capsys, changes, sentence):
    soundfile.write(tmp_path / "song.wav", _song(), 44100, "PCM_16")
    words = ["riffusion", "insert", str(tmp_path / "song.wav"), "Add drums"]
    out = tmp_path / "out"
    assert main([*words, "--model", str(folder), "-o", str(out), *changes]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in message
    assert not out.exists()


def test_bad_clips_are_named(model):
    with pytest.raises(UserError, match="is silent"):
        insert_clip(model, np.zeros(44100), 44100, "Add drums")
    with pytest.raises(UserError, match="shorter than"):
        insert_clip(model, np.ones(441), 44100, "Add drums")
    with pytest.raises(UserError, match="not numbers"):
        insert_clip(model, np.full(44100, np.nan), 44100, "Add drums")
    with pytest.raises(UserError, match="instruction is empty"):
        insert_clip(model, _song(), 44100, "  ")
    with torch.no_grad():
        model.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        insert_clip(model, _song(), 44100, "Add drums", sampling=SamplingSettings(steps=1))
