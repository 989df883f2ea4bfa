"""The embeddings' networks against TensorFlow's outputs, transcriptions and librosa."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from eval_checkpoints import TAGGERS, music, needs_taggers, write_checkpoints
from torch.nn import functional as F

from restem.errors import UserError
from restem.evaluation.embeddings import embedding_from_words, load_embedding
from restem.evaluation.embeddings.musicnn import Musicnn
from restem.evaluation.embeddings.panns import VARIANTS, Cnn14
from restem.evaluation.embeddings.vggish import VggishNetwork, magnitude_frames, mel_filters


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_checkpoints(folder)
    return folder


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
    with torch.device("meta"):
        network = Cnn14(VARIANTS["panns-cnn14-32k"])
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
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
    with torch.device("meta"):
        network = VggishNetwork()
    assert sum(parameter.numel() for parameter in network.parameters()) == 72_141_184


def test_a_checkpoint_comes_from_the_hubs_cache(checkpoints, tmp_path, monkeypatch):
    """The hub's client finds the file where it keeps downloads, without a network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    commit = "0" * 40
    kept = tmp_path / "models--someone--listening"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(commit)
    (kept / "snapshots" / commit).mkdir(parents=True)
    (kept / "snapshots" / commit / "vggish.pth").symlink_to(checkpoints / "vggish.pth")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    heard = embedding_from_words("vggish=hub:someone/listening/vggish.pth")
    own = load_embedding("vggish", checkpoints / "vggish.pth")
    assert heard.weights_sha256 == own.weights_sha256
    with pytest.raises(UserError, match="cannot be downloaded"):
        embedding_from_words("vggish=hub:someone/listening/other.pth")
    with pytest.raises(UserError, match="OWNER/REPOSITORY/FILE"):
        embedding_from_words("vggish=hub:vggish.pth")
