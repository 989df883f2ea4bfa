"""Sampling against diffusers' InstructPix2Pix pipeline; insertion of clips of any length."""

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

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
from restem.riffusion.insertion import ClipInsertion, insert_clip

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


# ---- the command line ----


@pytest.fixture
def song(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples = np.round(np.stack([_song(1.1), _song(1.1, 1)], axis=1) * 20000).astype(np.int16)
    soundfile.write("song.wav", samples, 44100, "PCM_16")
    return samples


@pytest.fixture
def clicks(monkeypatch):
    """In place of the model's work: a click, and a list of how it was asked."""
    asked = []

    def insert_clip(model, samples, rate, instruction, *, sampling, seed, progress):
        asked.append((sampling, seed))
        progress(0.5, "denoising")
        stem = np.zeros_like(samples)
        stem[1000] = 0.25
        settings = {"instruction": instruction, "stem": model.settings.stem, "stem_level_db": -20.0}
        return ClipInsertion(stem, rate, settings)

    monkeypatch.setattr("restem.riffusion.insertion.insert_clip", insert_clip)
    return asked


def _run(*words, verb=("insert",)):
    verb = [*verb, "song.wav", "Add drums"]
    return main([*verb, *map(str, words)])


def _files(folder="restem-out"):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _refused(capsys):
    """The one sentence of an error after which nothing is written."""
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("restem: error: ") and "Traceback" not in error
    assert not Path("restem-out").exists()
    return error


def _variant(folder, tmp_path, channels=None, **settings):
    """A copy of a checkpoint with a UNet of so many channels and other settings."""
    model = load_riffusion(folder).with_settings(**settings)
    if channels:
        first = model.unet.conv_in
        model.unet.conv_in = torch.nn.Conv2d(channels, first.out_channels, 3, padding=1)
        model.unet.register_to_config(in_channels=channels)
    save_riffusion(model, tmp_path / "variant")
    return tmp_path / "variant"


NAMES = ["song.drums.json", "song.drums.wav", "song.mix.wav", "song.png"]
VERBS = [("insert",), ("riffusion", "insert")]


def test_insert_with_a_riffusion_folder_writes_all_its_files(folder, song, capsys):
    assert _run("--model", folder, "--steps", 2) == 0
    output = capsys.readouterr()
    assert sorted(Path(line).name for line in output.out.splitlines()[:4]) == NAMES
    assert "these beats" in output.out and "To correct it" not in output.out
    stem, mix = (
        soundfile.read(f"restem-out/song.{name}.wav", dtype="int16")[0] for name in ("drums", "mix")
    )
    assert np.array_equal(mix.astype(int) - stem, song) and stem.any()
    record = json.loads(Path("restem-out/song.drums.json").read_text())
    assert record["steps"] == 2 and record["instruction"] == "Add drums"
    assert (record["text_guidance"], record["context_guidance"]) == (7.5, 1.5)
    assert record["model"] == folder.name and record["song"]["file"] == "song.wav"
    made = _files()
    assert _run("--model", folder, "--steps", 2) == 2
    assert "is there already; add --force" in capsys.readouterr().err
    assert _run("--model", folder, "--steps", 2, "--force", verb=VERBS[1]) == 0
    assert sorted(made) == NAMES and _files() == made


def test_the_papers_scales_are_the_defaults_and_all_can_be_set(folder, song, clicks):
    assert _run("--model", folder) == 0
    assert _run(
        "--model", folder, "--steps", 3, "--text-guidance", 2, "--context-guidance", 0,
        "--sampler", "euler", "--device", "cpu", "--seed", 7, "--gain", -6, "--bpm", 90, "--force",
    ) == 0  # fmt: skip
    assert clicks == [
        (SamplingSettings(20, 7.5, 1.5, "ddim"), 0),
        (SamplingSettings(3, 2.0, 0.0, "euler"), 7),
    ]
    stem = soundfile.read("restem-out/song.drums.wav")[0]
    assert stem.max() == pytest.approx(0.25 * 10 ** (-6 / 20), abs=1e-4)
    assert json.loads(Path("restem-out/song.drums.json").read_text())["bpm"] == 90


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--density", 1], "does not know --density; leave it out"),
        (["--dynamics", 0], "does not know --dynamics"),
        (["--tight", 0.5], "does not know --tight"),
        (["--like", "song.wav"], "does not know --like"),
        (["--takes", 2], "does not know --takes"),
        (["--region", "0-1"], "does not know --region"),
        (["--guidance", 2], "give --text-guidance and --context-guidance"),
        (["--revision", "v2"], "leave out --revision"),
        (["--stem", "bass"], "makes drums, not bass; leave out --stem"),
        (["--steps", 0], "'0' is not a whole number from 1 to 1000"),
        (["--text-guidance", "nan"], "'nan' is not a number from 0 to 100"),
        (["--seed", -1], "'-1' is not a whole number"),
        (["--device", "mars"], "The device mars cannot be used"),
    ],
)
def test_what_riffusion_does_not_know_is_refused(folder, song, clicks, capsys, words, sentence):
    assert _run("--model", folder, *words) == 2
    assert sentence in _refused(capsys) and not clicks


def test_other_models_refuse_what_is_riffusions(song, capsys):
    for words in (["--text-guidance", 1], ["--sampler", "ddim"], ["--revision", "v2"]):
        assert _run(*words) == 2
        assert f"{words[0]} is for Riffusion models" in _refused(capsys)
    assert _run(verb=VERBS[1]) == 2
    assert "`restem insert` takes the other models" in _refused(capsys)


def test_what_is_no_model_is_told_what_one_is(song, capsys, recwarn):
    Path("empty").mkdir()
    for name in ("empty", "nowhere", "song.wav", "./no/where"):
        assert _run("--model", name) == 2
        error = _refused(capsys)
        assert f"{name} is no model" in error and "model_index.json" in error
    assert _run("--model", "no/where") == 2
    assert "no/where is no folder here, so it is taken for a Riffusion" in _refused(capsys)
    assert not recwarn.list


@pytest.mark.parametrize("library", ["torch", "diffusers"])
def test_without_the_libraries_the_install_line_is_told(folder, song, monkeypatch, capsys, library):
    monkeypatch.setitem(sys.modules, library, None)
    assert _run("--model", folder) == 2
    assert "pip install 'restem[riffusion]'" in _refused(capsys)


@pytest.mark.parametrize("verb", VERBS)
def test_a_model_on_the_hub_has_revisions(folder, song, clicks, monkeypatch, verb):
    asked = []

    def load(model, revision):
        asked.append((model, revision))
        return load_riffusion(folder)

    monkeypatch.setattr("restem.networks.riffusion_checkpoint.load_riffusion", load)
    assert _run("--model", "some-one/drums_1.0", "--revision", "v2", verb=verb) == 0
    assert asked == [("some-one/drums_1.0", "v2")]
    record = json.loads(Path("restem-out/song.drums.json").read_text())
    assert (record["model"], record["revision"]) == asked[0]


def test_the_stem_is_that_of_the_model(folder, song, clicks, capsys, tmp_path):
    model = _variant(folder, tmp_path, stem="vocals")
    assert _run("--model", model, "--pack") == 2
    assert "leave it out for vocals" in _refused(capsys)
    assert _run("--model", model) == 0
    assert {"song.vocals.wav", "song.vocals.json"} < set(_files())
    model = _variant(folder, tmp_path, stem="x/../../drums")
    assert _run("--model", model, "--force") == 2
    assert "names the stem 'x/../../drums'" in capsys.readouterr().err


def test_restyle_takes_a_riffusion_folder(folder, song, clicks, capsys):
    own = (song * 0.4).astype(np.int16)
    soundfile.write("own.wav", own, 44100, "PCM_16")
    words = ["--without", "own.wav", "--model", folder]
    assert _run(*words, "--takes", 2, verb=["restyle"]) == 2
    assert "does not know --takes" in _refused(capsys)
    assert _run(*words, "--steps", 3, verb=["restyle"]) == 0
    assert clicks[0][0].steps == 3
    assert sorted(_files()) == ["song.background.wav", *NAMES]
    stem, mix = (
        soundfile.read(f"restem-out/song.{name}.wav", dtype="int16")[0] for name in ("drums", "mix")
    )
    assert np.array_equal(mix.astype(int) - stem, own)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("channels", "reading", "sentence"),
    [
        (None, "R1", "has not been fine-tuned for insertion: its UNet takes 4 channels"),
        (None, "R4", "reading R4 needs 8; train it with `restem train riffusion`"),
        (9, "R1", "its UNet takes 9 channels where reading R1 needs 8; give a model"),
        (8, "R2", "its UNet takes 8 channels where reading R2 needs 4; give a model"),
    ],
)
def test_a_unet_of_other_channels_is_named(
    base, song, tmp_path, capsys, verb, channels, reading, sentence
):
    model = _variant(base, tmp_path, channels, reading=reading)
    assert _run("--model", model, "--steps", 1, verb=verb) == 2
    assert sentence in _refused(capsys)
    with pytest.raises(UserError, match="This checkpoint"):
        insert_clip(load_riffusion(model), _song(), 44100, "Add drums")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_breaks_off_leaves_earlier_results(
    folder, song, clicks, monkeypatch, capsys, verb, stop
):
    code, words = (130, "stopped") if isinstance(stop, KeyboardInterrupt) else (2, "No space left")

    def fail(*_):
        raise stop

    with monkeypatch.context() as patch:
        patch.setattr("restem.results.save_picture", fail)
        assert _run("--model", folder, verb=verb) == code
        assert words in capsys.readouterr().err and not Path("restem-out").exists()
    assert _run("--model", folder, verb=verb) == 0
    before = _files()
    monkeypatch.setattr("restem.results.save_picture", fail)
    assert _run("--model", folder, "--seed", 1, "--gain", 3, "--force", verb=verb) == code
    assert _files() == before


def test_a_full_disk_leaves_nothing(folder, song, clicks, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        code = _run("--model", folder, verb=VERBS[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2 and "Could not write song.drums.wav" in _refused(capsys)


def test_a_clip_of_a_fifth_of_a_second_goes_through(folder, song, clicks):
    soundfile.write("song.wav", song[:8820], 44100, "PCM_16")
    assert _run("--model", folder) == 0


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
