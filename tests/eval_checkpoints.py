"""Small checkpoints in the layouts of the published ones, and something to listen to."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from restem.evaluation.embeddings.frontend import slaney_mel
from restem.evaluation.embeddings.panns import VARIANTS, Cnn14
from restem.evaluation.embeddings.vggish import VggishNetwork

TAGGERS = ("MSD_musicnn", "MTT_musicnn", "MTT_vgg")
needs_taggers = pytest.mark.skipif(
    find_spec("musicnn") is None, reason="NOT TESTED: run `pip install --no-deps musicnn==0.1.0`"
)
STRIDES = (31, 7, 3, 1)


def small_checkpoint(build, variant=None):
    """Random weights of a module's layout whose files are small: overlapping views."""
    random = np.random.default_rng(0)
    with torch.device("meta"):
        module = build(variant) if variant else build()
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
        rate, n_fft, high_hz = variant.sample_rate, variant.n_fft, variant.high_hz
        tensors["logmel_extractor.melW"] = slaney_mel(rate, n_fft, 64, 50.0, high_hz)
        tensors["bn0.running_mean"] = torch.full((64,), -40.0)
        tensors["bn0.running_var"] = torch.full((64,), 200.0)
    return tensors


def write_checkpoints(folder):
    """A file for each embedding that needs one."""
    sampler = {"indexes_per_class": [np.arange(3), np.arange(2, dtype=np.int32)], "queue": []}
    for name, variant in VARIANTS.items():
        stored = {"iteration": 1, "model": small_checkpoint(Cnn14, variant), "sampler": sampler}
        torch.save(stored, folder / f"{name}.pth", _use_new_zipfile_serialization=False)
    torch.save(small_checkpoint(VggishNetwork), folder / "vggish.pth")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 40e6


def music(rate, seconds=5.11, seed=0):
    """A chord under decaying noise bursts."""
    clock = np.arange(int(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * f * clock) for f in (220.0, 277.2, 329.6)) * 0.1
    noise = np.random.default_rng(seed).standard_normal(len(clock))
    return chord + 0.2 * noise * np.exp(-(clock % 0.5) / 0.05)
