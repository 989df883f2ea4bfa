"""Embeddings: one conformance test for all, and each against an independent path to its numbers."""

import pickle
from importlib.util import find_spec
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from restem.errors import UserError
from restem.evaluation.embeddings import NAMES, load_embedding
from restem.evaluation.embeddings.musicnn import Musicnn
from restem.evaluation.embeddings.panns import VARIANTS, Cnn14
from restem.evaluation.embeddings.tensorflow_checkpoint import read_tensorflow_checkpoint
from restem.evaluation.embeddings.vggish import VggishNetwork, magnitude_frames, mel_filters

TAGGERS = ("MSD_musicnn", "MTT_musicnn", "MTT_vgg")
SHAPES = {  # role, rate, dimensions, rows for 5.11 s, classes
    "MSD_musicnn": ("clip", 16000, 200, 1, 50),
    "MTT_musicnn": ("clip", 16000, 200, 1, 50),
    "MTT_vgg": ("frame", 16000, 256, 2, 50),
    "panns-cnn14-16k": ("clip", 16000, 2048, 1, 527),
    "panns-cnn14-32k": ("clip", 32000, 2048, 1, 527),
    "vggish": ("frame", 16000, 128, 5, 0),
}
needs_taggers = pytest.mark.skipif(
    find_spec("musicnn") is None, reason="NOT TESTED: run `pip install --no-deps musicnn==0.1.0`"
)
STRIDES = (31, 7, 3, 1)


def small_checkpoint(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Random weights of a module's layout whose files are small: overlapping views."""
    random = np.random.default_rng(0)
    tensors = {}
    for name, wanted in module.state_dict().items():
        strides = STRIDES[-wanted.dim() :] if wanted.dim() else ()
        size = 1 + sum((n - 1) * stride for n, stride in zip(wanted.shape, strides, strict=True))
        if name.endswith(("running_var", "bn1.weight", "bn2.weight")):
            values = random.uniform(0.8, 1.6, size)
        elif wanted.dim() > 1:
            values = random.standard_normal(size) * np.sqrt(2 / wanted[0].numel())
        else:
            values = random.standard_normal(size) * 0.05
        base = torch.tensor(values.astype(np.float32)).to(wanted.dtype)
        tensors[name] = base.as_strided(wanted.shape, strides)
    if "logmel_extractor.melW" in tensors:  # as published: filters are filters, levels near -40 dB
        tensors["logmel_extractor.melW"] = module.state_dict()["logmel_extractor.melW"].clone()
        tensors["bn0.running_mean"] = torch.full((64,), -40.0)
        tensors["bn0.running_var"] = torch.full((64,), 200.0)
    return tensors


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A file for each embedding that needs one, in the layouts of the published ones."""
    folder = tmp_path_factory.mktemp("weights")
    sampler = {"indexes_per_class": [np.arange(3), np.arange(2, dtype=np.int32)], "queue": []}
    for name, variant in VARIANTS.items():
        stored = {"iteration": 1, "model": small_checkpoint(Cnn14(variant)), "sampler": sampler}
        torch.save(stored, folder / f"{name}.pth", _use_new_zipfile_serialization=False)
    torch.save(small_checkpoint(VggishNetwork()), folder / "vggish.pth")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 40e6
    return folder


def music(rate, seconds=5.11, seed=0):
    """A chord under decaying noise bursts."""
    clock = np.arange(int(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * f * clock) for f in (220.0, 277.2, 329.6)) * 0.1
    noise = np.random.default_rng(seed).standard_normal(len(clock))
    return chord + 0.2 * noise * np.exp(-(clock % 0.5) / 0.05)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=needs_taggers) for n in TAGGERS] + list(NAMES[3:])
)
def test_every_embedding_keeps_the_protocol(name, checkpoints):
    role, rate, dimensions, rows, classes = SHAPES[name]
    embedding = load_embedding(name, None if name in TAGGERS else checkpoints / f"{name}.pth")
    assert (embedding.name, embedding.role) == (name, role)
    assert (embedding.sample_rate, embedding.dimensions) == (rate, dimensions)
    assert len(embedding.weights_sha256) == 64
    assert embedding.published is {"vggish": False}.get(name, True if name in TAGGERS else None)

    first, again = embedding.embed(music(rate)), embedding.embed(music(rate))
    assert first.features.shape == (rows, dimensions)
    assert first.features.dtype == np.float32
    assert np.array_equal(first.features, again.features)
    if classes:
        assert first.logits.shape == (classes,)
        assert first.logits.dtype == np.float32
        assert np.array_equal(first.logits, again.logits)
    else:
        assert first.logits is None
    noise = np.random.default_rng(1).standard_normal(int(5.11 * rate))
    assert not np.allclose(embedding.embed(noise).features, first.features, rtol=0.01)
    assert embedding.embed(noise[: rate // 10]).features.shape == (1, dimensions)
    for odd in (noise * 100, noise * 0):  # far too loud, and silence
        assert np.all(np.isfinite(embedding.embed(odd).features))
    for bad in (noise[:0], np.stack([noise] * 2), np.append(noise, np.nan)):
        with pytest.raises(ValueError, match="mono"):
            embedding.embed(bad)


# --- musicnn ---------------------------------------------------------------------------------


@needs_taggers
@pytest.mark.parametrize("name", TAGGERS)
def test_taggers_agree_with_tensorflow(name):
    """Stored: outputs of TensorFlow 2.21 running the package's own code on these numbers."""
    patches = np.random.RandomState(0).uniform(0, 3, (2, 187, 96)).astype(np.float32)
    expected = np.load(Path(__file__).with_name("eval_musicnn_tensorflow.npz"))
    with torch.inference_mode():
        features, logits = Musicnn(name)._network(torch.tensor(patches))
    assert features.numpy() == pytest.approx(expected[f"{name}_features"], abs=2e-5)
    assert logits.numpy() == pytest.approx(expected[f"{name}_logits"], abs=2e-5)


@needs_taggers
def test_taggers_cut_the_log_mel_of_librosa_into_patches():
    waveform = music(16000) * 3
    mel = librosa.feature.melspectrogram(
        y=waveform.astype(np.float32), sr=16000, n_fft=512, hop_length=256, n_mels=96,
        pad_mode="reflect",
    )  # fmt: skip
    log_mel = np.log10(10000 * mel.T + 1)
    tagger = Musicnn("MTT_vgg")
    patches = tagger._patches(torch.tensor(waveform.astype(np.float32))).numpy()
    assert patches.shape == (2, 187, 96)
    assert patches[0] == pytest.approx(log_mel[:187], abs=1e-3)
    assert patches[1] == pytest.approx(log_mel[-187:], abs=1e-3)
    short = tagger._patches(torch.tensor(waveform[:16000].astype(np.float32))).numpy()
    assert short.shape == (1, 187, 96)
    assert short[0, 63:126] == pytest.approx(short[0, :63])  # 63 frames, repeated


@needs_taggers
def test_tagger_hears_drums_in_drums():
    from_labels = {"drums": 5, "violin": 12}  # places in the package's list of MagnaTagATune tags
    clock = np.arange(3 * 16000) / 16000
    noise = np.random.default_rng(0).standard_normal(len(clock))
    beat = 0.5 * noise * np.exp(-(clock % 0.25) / 0.03)
    beat += 0.8 * np.sin(2 * np.pi * 60 * clock) * np.exp(-(clock % 0.5) / 0.08)
    logits = Musicnn("MTT_musicnn").embed(beat).logits
    assert logits[from_labels["drums"]] > logits[from_labels["violin"]] + 1


@needs_taggers
def test_tensorflow_reader_refuses_damage(tmp_path):
    whole = Path(find_spec("musicnn").submodule_search_locations[0]) / "MTT_vgg"
    index, data = (whole / ".index").read_bytes(), (whole / ".data-00000-of-00001").read_bytes()
    assert read_tensorflow_checkpoint(whole / ".index", whole / ".data-00000-of-00001")[
        "1CNN/kernel"
    ].shape == (3, 3, 1, 128)
    folder = tmp_path / "MTT_vgg"
    folder.mkdir()
    for bad_index, bad_data in [
        (index[:-1], data),
        (b"text", data),
        (index, data[: len(data) // 2]),
    ]:
        (folder / ".index").write_bytes(bad_index)
        (folder / ".data-00000-of-00001").write_bytes(bad_data)
        with pytest.raises(UserError, match="no TensorFlow checkpoint"):
            load_embedding("MTT_vgg", tmp_path)
    with pytest.raises(UserError, match="no weights at"):
        load_embedding("MTT_musicnn", tmp_path)


# --- CNN14 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(VARIANTS))
def test_cnn14_agrees_with_a_transcription_on_librosas_mel(name, checkpoints):
    """The paper's table I written out with functions, and librosa's spectrogram in dB."""
    variant = VARIANTS[name]
    waveform = music(variant.sample_rate).astype(np.float32)
    weights = torch.load(checkpoints / f"{name}.pth", weights_only=False)["model"]
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=variant.sample_rate, n_fft=variant.n_fft, hop_length=variant.hop, n_mels=64,
        fmin=50, fmax=variant.high_hz, pad_mode="reflect",
    )  # fmt: skip
    decibels = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None)

    def norm(x, prefix):
        parts = [
            weights[f"{prefix}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")
        ]
        return F.batch_norm(x, *parts)

    with torch.inference_mode():
        x = norm(torch.tensor(decibels)[None], "bn0").transpose(1, 2)[None]  # (1, 1, time, mel)
        for block in range(1, 7):
            for layer in (1, 2):
                prefix = f"conv_block{block}"
                x = F.conv2d(x, weights[f"{prefix}.conv{layer}.weight"], padding=1)
                x = F.relu(norm(x, f"{prefix}.bn{layer}"))
            x = F.avg_pool2d(x, 2 if block < 6 else 1)
        x = x.mean(3)
        x = F.relu(
            F.linear(x.max(2).values + x.mean(2), weights["fc1.weight"], weights["fc1.bias"])
        )
        logits = F.linear(x, weights["fc_audioset.weight"], weights["fc_audioset.bias"])
    heard = load_embedding(name, checkpoints / f"{name}.pth").embed(waveform)
    assert np.abs(x.numpy()).max() > 0.1
    assert heard.features == pytest.approx(x.numpy(), rel=1e-3, abs=1e-4 * float(x.abs().max()))
    assert heard.logits == pytest.approx(logits.numpy()[0], rel=1e-3, abs=1e-3)


def test_cnn14_has_the_published_parameters():
    """527 classes; 80.75 million parameters in the paper's table, without the Fourier matrices."""
    shapes = {
        name: tuple(value.shape)
        for name, value in Cnn14(VARIANTS["panns-cnn14-32k"]).state_dict().items()
    }
    assert shapes["spectrogram_extractor.stft.conv_real.weight"] == (513, 1, 1024)
    assert shapes["logmel_extractor.melW"] == (513, 64)
    assert shapes["conv_block6.conv1.weight"] == (2048, 1024, 3, 3)
    assert shapes["fc_audioset.weight"] == (527, 2048)
    learned = [
        np.prod(shape, dtype=int)
        for name, shape in shapes.items()
        if not name.startswith(("spectrogram_extractor", "logmel_extractor"))
        and not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ]
    assert sum(learned) == 80_753_615


# --- VGGish ----------------------------------------------------------------------------------


def test_vggish_front_end_written_out():
    samples = music(16000, 0.5).astype(np.float32)
    frame = 7
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    direct = np.abs(np.fft.rfft(samples[frame * 160 : frame * 160 + 400] * window, 512))
    frames = magnitude_frames(torch.tensor(samples)).numpy()
    assert frames.shape == (1 + (len(samples) - 400) // 160, 257)
    assert frames[frame] == pytest.approx(direct, abs=1e-4)

    filters = mel_filters().numpy()
    assert filters.shape == (257, 64)
    assert not np.any(filters[0])
    mels = 1127 * np.log(1 + np.arange(257) * 31.25 / 700)
    low, high = 1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700)
    step = (high - low) / 65
    for band, spectrum_bin in [(0, 5), (20, 40), (63, 230)]:
        distance = abs(mels[spectrum_bin] - (low + (band + 1) * step))
        assert filters[spectrum_bin, band] == pytest.approx(max(0, 1 - distance / step), abs=1e-6)


def test_vggish_agrees_with_a_transcription(checkpoints):
    weights = torch.load(checkpoints / "vggish.pth", weights_only=True)
    waveform = music(16000, 2.5)
    log_mel = torch.log(
        magnitude_frames(torch.tensor(waveform.astype(np.float32))) @ mel_filters() + 0.01
    )
    with torch.inference_mode():
        x = torch.stack([log_mel[:96], log_mel[96:192]])[:, None]
        for layer, pool in [(0, True), (3, True), (6, False), (8, True), (11, False), (13, True)]:
            x = F.relu(
                F.conv2d(
                    x,
                    weights[f"features.{layer}.weight"],
                    weights[f"features.{layer}.bias"],
                    padding=1,
                )
            )
            x = F.max_pool2d(x, 2) if pool else x
        x = x.permute(0, 2, 3, 1).reshape(2, -1)
        for layer in (0, 2, 4):
            x = F.linear(
                x, weights[f"embeddings.{layer}.weight"], weights[f"embeddings.{layer}.bias"]
            )
            x = F.relu(x) if layer < 4 else x
    heard = load_embedding("vggish", checkpoints / "vggish.pth").embed(waveform)
    assert heard.features == pytest.approx(x.numpy(), rel=1e-3, abs=1e-4)
    assert np.any(heard.features < 0)  # the last ReLU is removed
    assert sum(p.numel() for p in VggishNetwork().parameters()) == 72_141_184


# --- weights ---------------------------------------------------------------------------------


class _Trap:
    def __reduce__(self):
        return (Path.touch, (Path("trap-was-sprung"),))


def test_checkpoints_are_read_without_running_their_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for writer in (torch.save, lambda what, path: path.write_bytes(pickle.dumps(what, 2))):
        writer({"model": _Trap()}, tmp_path / "evil.pth")
        with pytest.raises(UserError, match="cannot be read as weights"):
            load_embedding("vggish", tmp_path / "evil.pth")
    assert not (tmp_path / "trap-was-sprung").exists()


def test_safetensors_are_read_too(checkpoints, tmp_path):
    from safetensors.torch import save_file

    tensors = torch.load(checkpoints / "vggish.pth", weights_only=True)
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, tmp_path / "v.safetensors"
    )
    waveform = music(16000, 1)
    expected = load_embedding("vggish", checkpoints / "vggish.pth").embed(waveform)
    heard = load_embedding("vggish", tmp_path / "v.safetensors").embed(waveform)
    assert np.array_equal(heard.features, expected.features)


def test_wrong_weights_are_named_in_one_sentence(checkpoints, tmp_path):
    def refused(tensors, complaint):
        torch.save(tensors, tmp_path / "w.pth")
        with pytest.raises(UserError, match=complaint) as caught:
            load_embedding("vggish", tmp_path / "w.pth")
        assert "\n" not in str(caught.value)

    right = torch.load(checkpoints / "vggish.pth", weights_only=True)
    bias = "embeddings.4.bias"
    refused({**right, bias: torch.zeros(127)}, r"embeddings.4.bias has the shape \(127,\)")
    refused({**right, bias: torch.full((128,), torch.nan)}, "embeddings.4.bias is not finite")
    refused({n: v for n, v in right.items() if n != bias}, "lack embeddings.4.bias;")
    refused({**right, "extra": torch.zeros(1)}, "hold the unknown extra")
    refused(torch.zeros(3), "no table of weights")
    (tmp_path / "w.pth").write_bytes((checkpoints / "vggish.pth").read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be read"):
        load_embedding("vggish", tmp_path / "w.pth")
    with pytest.raises(UserError, match="no weights at"):
        load_embedding("vggish", tmp_path / "nowhere.pth")
    with pytest.raises(UserError, match="needs its checkpoint"):
        load_embedding("panns-cnn14-16k")
    with pytest.raises(UserError, match="There is no embedding clap"):
        load_embedding("clap")
