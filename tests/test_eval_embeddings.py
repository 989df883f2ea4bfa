"""Embeddings: one conformance test for all, and what is refused when their weights are read."""

import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from eval_checkpoints import TAGGERS, music, needs_taggers, write_checkpoints

from restem.errors import UserError
from restem.evaluation.embeddings import NAMES, load_embedding
from restem.evaluation.embeddings.tensorflow_checkpoint import read_tensorflow_checkpoint
from restem.evaluation.embeddings.weights import read_tensors

SHAPES = {  # role, rate, dimensions, rows for 5.11 s, classes
    "MSD_musicnn": ("clip", 16000, 200, 1, 50),
    "MTT_musicnn": ("clip", 16000, 200, 1, 50),
    "MTT_vgg": ("frame", 16000, 256, 2, 50),
    "panns-cnn14-16k": ("clip", 16000, 2048, 1, 527),
    "panns-cnn14-32k": ("clip", 32000, 2048, 1, 527),
    "vggish": ("frame", 16000, 128, 5, 0),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_checkpoints(folder)
    return folder


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
    noise = np.random.default_rng(1).standard_normal(rate)
    assert not np.allclose(embedding.embed(noise).features, first.features, rtol=0.01)
    assert embedding.embed(noise[: rate // 10]).features.shape == (1, dimensions)
    for odd in (noise * 100, noise * 0):  # far too loud, and silence
        assert np.all(np.isfinite(embedding.embed(odd).features))
    for bad in (noise[:0], np.stack([noise] * 2), np.append(noise, np.nan)):
        with pytest.raises(ValueError, match="mono"):
            embedding.embed(bad)


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


def test_safetensors_and_wrapped_state_dicts_are_read_too(tmp_path):
    from safetensors.torch import save_file

    tensors = {"a.weight": torch.randn(3, 2), "a.bias": torch.randn(3)}
    save_file(tensors, tmp_path / "w.safetensors")
    torch.save({"epoch": 3, "state_dict": tensors}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        read = read_tensors(tmp_path / name)
        assert sorted(read) == ["a.bias", "a.weight"]
        assert all(torch.equal(read[key], tensors[key]) for key in read)
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be read as weights"):
        read_tensors(tmp_path / "w.safetensors")


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
