"""The whole way from style files to training batches, on two small songs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from restem.dataset.batches import BatchMaker, read_songs
from restem.dataset.features import bytes_to_mels, make_features, mels_to_bytes
from restem.errors import UserError
from restem.tokens import PHASES, TokenConfig

LIBRARY, FONT = Path("/usr/share/mma/lib"), Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
pytestmark = pytest.mark.skipif(
    not (shutil.which("mma") and shutil.which("fluidsynth") and FONT.exists()),
    reason="Debian's packages mma, fluidsynth and timgm6mb-soundfont are not all installed",
)


def _plan(out, songs, split="train"):
    from restem.dataset.rendered import RenderPlan

    return RenderPlan(LIBRARY, (FONT,), out, songs, seconds=7.0, takes=2, split=split)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    from restem.dataset.rendered import render_songs

    out = tmp_path_factory.mktemp("songs")
    assert list(render_songs(_plan(out, 2), 1))[-1] == (2, 2)
    return out


@pytest.fixture(scope="module")
def features(songs, tmp_path_factory):
    out = tmp_path_factory.mktemp("features")
    assert list(make_features(songs, out, TokenConfig(), 1))[-1] == (2, 2)
    return out


def test_a_song_has_exact_beats_stems_and_true_words(songs):
    record = json.loads((songs / "00000.json").read_text())
    context, drums = (np.load(songs / f"00000.{kind}.npy") for kind in ("context", "drums"))
    assert context.shape == (len(record["stems"]), record["samples"])
    assert drums.shape == (len(record["takes"]), record["samples"]) and len(drums) == 2
    assert np.abs(drums[0].astype(int)).max() > 300
    steps = np.diff(record["beats"])
    np.testing.assert_allclose(steps, 60 / record["bpm"], atol=1e-5)
    assert record["positions"][: record["beats_per_bar"]] == list(
        range(1, record["beats_per_bar"] + 1)
    )
    assert record["split"] == "train"
    assert all(take["labels"]["style"] for take in record["takes"])


def test_the_rendered_drums_are_on_the_given_beats(songs):
    """The attacks at the song's beats are far stronger than those elsewhere."""
    from restem.evaluation.onsets import onset_envelope

    for path in sorted(songs.glob("*.json")):
        record = json.loads(path.read_text())
        envelope = onset_envelope(np.load(path.with_suffix(".drums.npy"))[0] / 32768, 44100)
        frames = np.round(np.array(record["beats"]) * 100).astype(int)[:, None] + np.arange(-2, 4)
        at_beats = envelope[np.clip(frames, 0, len(envelope) - 1)].max(axis=1)
        assert at_beats.mean() > 2.5 * envelope.mean()


def test_rendering_again_gives_the_same_bytes_and_does_no_work_twice(songs, tmp_path):
    from restem.dataset.rendered import render_songs

    list(render_songs(_plan(tmp_path, 1), 1))
    for name in ("00000.json", "00000.context.npy", "00000.drums.npy"):
        assert (tmp_path / name).read_bytes() == (songs / name).read_bytes()
    before = (tmp_path / "00000.json").stat().st_mtime_ns
    assert list(render_songs(_plan(tmp_path, 1), 1)) == []
    assert (tmp_path / "00000.json").stat().st_mtime_ns == before


def test_batches_depend_on_the_step_alone(features):
    config = TokenConfig()
    makers = [BatchMaker(read_songs(features, "train"), config, seed=3) for _ in range(2)]
    makers[1].batch(0, 4)
    first, second = makers[0].batch(5, 4), makers[1].batch(5, 4)
    for name, size in (("stem", config.stem_values), ("context", config.context_values)):
        a, b = getattr(first, name), getattr(second, name)
        assert a.shape == (4, config.window, size) and a.dtype == np.float32
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all() and a.min() >= -1.3 and a.max() < 5
    np.testing.assert_allclose(np.linalg.norm(first.text, axis=1), 1, atol=1e-2)
    assert first.phase.shape == (4, config.window, config.phases)
    np.testing.assert_array_equal(first.given, first.phase[:, :, PHASES] > 0)


def test_given_windows_show_an_anchor_from_elsewhere(features):
    """Marks, stem and beat phase of an anchor belong to one other place of the same take."""
    config = TokenConfig()
    maker = BatchMaker(read_songs(features, "train"), config, seed=0)
    batch = maker.batch(1, 40)
    marks = batch.phase[:, :, PHASES:]
    anchored = marks[:, :, 1].any(axis=1)
    assert 0.2 < anchored.mean() < 0.8 and (~batch.given.any(axis=1)).any()
    assert (marks[anchored][:, : config.anchor, 0] == 1).all()
    assert not marks[:, config.anchor :, 1].any()
    known = batch.phase[anchored, 0, PHASES - 1] == 1  # the beat is told
    turns = np.unwrap(np.arctan2(batch.phase[anchored, :, 0], batch.phase[anchored, :, 1])[known])
    steps = np.diff(turns, axis=1)
    inside = np.delete(steps, config.anchor - 1, axis=1)
    assert inside.std(axis=1).max() < 0.01  # steady but at the joint
    assert np.abs(steps[:, config.anchor - 1] - inside.mean(axis=1)).max() > 0.1


def test_a_base_model_learns_the_sum_of_context_and_stem(features):
    config = TokenConfig()
    songs = read_songs(features, "train")
    stems = BatchMaker(songs, config, seed=3, augment=False).batch(2, 8)
    mixes = BatchMaker(songs, config.of_mix(), seed=3, augment=False, target="mix").batch(2, 8)
    assert not mixes.given.any() and np.allclose(mixes.context, config.silence)

    def powers(tokens, columns):
        values = tokens.reshape(8, config.window_frames, columns) * config.scale_db
        return 10 ** ((values + config.centre_db) / 10)[:, :, :96]

    floor = 10 ** (config.quiet_db / 10)
    stem, context = powers(stems.stem, config.spectrogram.columns), powers(stems.context, 96)
    mix = powers(mixes.stem, 96)
    loud = np.maximum(stem, context) > 100 * floor
    np.testing.assert_allclose(mix[loud], (stem + context)[loud], rtol=0.03)


def test_training_takes_steps_and_exports(features, tmp_path):
    from restem import Inserter
    from restem.networks.export import export_model
    from restem.networks.train_embedded import EmbeddedTraining, train

    settings = EmbeddedTraining(features, tmp_path / "run", 3, batch=2, width=48, blocks=1)
    losses = [loss for _, loss in train(settings)]
    assert len(losses) == 3 and np.isfinite(losses).all()
    export_model(
        tmp_path / "run" / "checkpoint.safetensors",
        tmp_path / "model",
        {"name": "tiny", "stems": ["drums"], "steps": 2, "guidance": 1.0, "logits": [6.0, -2.0]},
    )
    song = 0.1 * np.sin(np.arange(44100) / 30)
    made = Inserter.load(tmp_path / "model").insert(song, 44100, "Add drums")
    assert made.settings["model"] == "tiny" and made.stem.shape == song.shape


def test_steps_of_half_a_decibel_hold_a_mel():
    mel = np.linspace(-80, 20, 200)
    assert np.abs(bytes_to_mels(mels_to_bytes(mel)) - mel).max() <= 0.25


def test_empty_folders_are_named(tmp_path):
    with pytest.raises(UserError, match="no rendered songs"):
        list(make_features(tmp_path, tmp_path / "out", TokenConfig(), 1))
    with pytest.raises(UserError, match="no songs of the split"):
        read_songs(tmp_path, "train")
