"""The tracker's network against its ONNX file, and its training on a few small made songs."""

from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("mido")

from restem.audio import tracking  # noqa: E402
from restem.dataset import tracker_mixes, tracker_songs  # noqa: E402
from restem.dataset.tracker_songs import TrackerSong  # noqa: E402
from restem.networks.tracker import BeatTracker, TrackerConfig, export_onnx  # noqa: E402
from restem.training_tracker import (  # noqa: E402
    TrainingPlan,
    averaged_network,
    batch_of_crops,
    load_songs,
    train,
)

SMALL = TrackerConfig(front=(4, 4, 4), width=8, dilations=(1, 2, 4))


def made_song(bpm, seed, split="train"):
    """Two stems of band powers: a chord on every beat, a bass on every downbeat."""
    rng = np.random.default_rng(seed)
    count = 32
    beats = np.arange(count) * 60 / bpm
    frames = int(count * 60 / bpm * 50) + 1
    powers = np.full((2, frames, 80), -60.0) + rng.normal(0, 2, (2, frames, 80))
    decay = -1.5 * np.arange(40)[:, None]
    for index, beat in enumerate(np.rint(beats * 50).astype(int)):
        length = min(40, frames - beat)
        powers[0, beat : beat + length, 30:50] = decay[:length]
        if index % 4 == 0:
            powers[1, beat : beat + length, :12] = decay[:length] + 5
    positions = np.arange(count) % 4 + 1
    return TrackerSong(
        powers.astype(np.float16), ["guitar", "bass"], beats, positions, split, "made"
    )


def test_network_and_features_agree_on_their_sizes():
    assert TrackerConfig().bands == tracking.BANDS
    assert TrackerConfig().reach <= tracking.REACH


def test_output_depends_on_its_reach_and_no_further():
    network = BeatTracker(SMALL).eval()
    features = torch.randn(1, 60, 80, requires_grad=True)
    network(features)[0, 30].sum().backward()
    seen = np.flatnonzero(features.grad[0].abs().sum(dim=1).numpy())
    assert (seen.min(), seen.max()) == (30 - SMALL.reach, 30 + SMALL.reach)


def test_exported_network_computes_the_same(tmp_path):
    torch.manual_seed(0)
    network = BeatTracker(SMALL)
    for _ in range(3):  # so that the running statistics are not the identity
        network(torch.randn(4, 50, 80) * 2 + 1)
    export_onnx(network, tmp_path / "tracker.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["tracker.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "tracker.onnx")
    for frames in (3, 77, 400):
        features = np.random.default_rng(frames).standard_normal((1, frames, 80), np.float32)
        (log_odds,) = session.run(None, {"features": features})
        with torch.no_grad():
            expected = network.eval()(torch.from_numpy(features)).numpy()
        np.testing.assert_allclose(log_odds, expected, atol=1e-4)


def test_shipped_network_is_small_and_equals_its_safetensors():
    models = resources.files("restem").joinpath("models")
    assert len(models.joinpath("tracker.onnx").read_bytes()) < 4e6
    network = averaged_network(Path(str(models.joinpath("tracker.safetensors"))))
    features = np.random.default_rng(0).normal(-0.5, 0.8, (1500, 80)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(features)[None])[0].numpy()
    np.testing.assert_allclose(tracking.beat_log_odds(features), expected, atol=1e-4)


def test_targets_lie_on_the_beats_of_the_stretched_loop():
    song = made_song(100, 0)
    assert tracker_mixes.loop_frames(song) == pytest.approx(32 * 30.0)
    source = np.arange(900) * 0.9 + 500.0  # passes the loop's end
    targets = tracker_mixes.beat_targets(song, source)
    expected = (np.arange(510, 1309, 30) - 500) / 0.9
    peaks = np.flatnonzero(
        (targets[1:-1, 0] > targets[:-2, 0]) & (targets[1:-1, 0] >= targets[2:, 0])
    )
    assert np.abs(peaks + 1 - expected[: len(peaks)]).max() <= 0.51
    assert len(peaks) == len(expected)
    downs = targets[:, 1] > 0.5
    assert (targets[downs, 0] > 0.5).all() and 6 <= downs.sum() <= 15
    heard = tracker_mixes.looped_decibels(song, 0, source, 0.0)[:, 35]
    onset = np.flatnonzero(np.diff(heard) > 15)  # the chord is where the target says
    assert np.abs(onset[:, None] + 1 - expected).min(axis=1).max() <= 1.2


def test_crops_are_finite_varied_and_repeatable():
    songs = [made_song(bpm, bpm) for bpm in (80, 120, 150)]
    shown = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        crop = tracker_mixes.random_crop(songs[seed % 3], 300, rng, songs[(seed + 1) % 3])
        again = tracker_mixes.random_crop(
            songs[seed % 3], 300, np.random.default_rng(seed), songs[(seed + 1) % 3]
        )
        np.testing.assert_array_equal(crop.features, again.features)
        assert crop.features.shape == (300, 80) and crop.targets.shape == (300, 2)
        assert np.isfinite(crop.features).all()
        assert crop.targets.min() >= 0 and crop.targets.max() <= 1
        assert (crop.targets[crop.weight == 0] == 0).all()
        shown.append(crop.weight.mean())
    assert 0.7 < np.mean(shown) < 1.0  # some crops hold a song's beginning or end


def test_songs_survive_being_stored(tmp_path):
    song = made_song(90, 1, split="validation")
    tracker_songs.save(song, tmp_path / "produced-0001.npz")
    read = load_songs(tmp_path, "validation")["produced"][0]
    np.testing.assert_array_equal(read.powers, song.powers)
    np.testing.assert_array_equal(read.positions, song.positions)
    assert (read.kinds, read.split, read.source) == (song.kinds, song.split, song.source)


def test_a_small_training_learns_and_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.setattr("restem.training_tracker.TrackerConfig", lambda: SMALL)
    songs = {"produced": [made_song(bpm, bpm) for bpm in (90, 110, 130)]}
    plan = TrainingPlan(steps=60, batch=4, frames=200, warm_up=5, rate=5e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    losses = [loss for _, loss in train(songs, plan, tmp_path / "whole")]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])

    class Interrupted(Exception):
        pass

    monkeypatch.setattr("restem.training_tracker.TrainingPlan.checkpoint_seconds", -1.0)
    with pytest.raises(Interrupted):
        for step, _ in train(songs, TrainingPlan(**vars(plan) | {"checkpoint_seconds": -1.0}),
                             tmp_path / "parts"):  # fmt: skip
            if step == 30:
                raise Interrupted
    resumed = [loss for _, loss in train(songs, plan, tmp_path / "parts")]
    torch.set_num_threads(threads)
    assert len(resumed) == 30
    whole = averaged_network(tmp_path / "whole" / "last.safetensors")
    parts = averaged_network(tmp_path / "parts" / "last.safetensors")
    features = batch_of_crops(songs, plan, 0)[0]
    with torch.no_grad():
        assert torch.isfinite(whole(features)).all()
        np.testing.assert_allclose(losses[30], resumed[0], rtol=0.05)
        assert (whole(features) - parts(features)).abs().mean() < 1.0
