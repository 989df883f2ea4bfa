"""The whole way from style files to training batches, on two small songs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from restem.audio.beats import BeatGrid
from restem.dataset.batches import BatchMaker
from restem.dataset.features import bytes_to_mels, make_features, mels_to_bytes
from restem.dataset.packed import PackedSongs
from restem.dataset.songs import read_songs
from restem.errors import UserError
from restem.tokens import (
    PHASES,
    TokenConfig,
    context_level_db,
    density_value,
    loudness_value,
    normalise,
    phase_features,
)

LIBRARY, FONT = Path("/usr/share/mma/lib"), Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
pytestmark = pytest.mark.skipif(
    not (shutil.which("mma") and shutil.which("fluidsynth") and FONT.exists()),
    reason="Debian's packages mma, fluidsynth and timgm6mb-soundfont are not all installed",
)


def _plan(out, songs, split="train"):
    from restem.dataset.render_plan import RenderPlan

    return RenderPlan(LIBRARY, (FONT,), out, songs, seconds=7.0, takes=2, split=split)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    from restem.dataset.rendered import render_songs

    out = tmp_path_factory.mktemp("songs")
    assert list(render_songs(_plan(out, 2), 1))[-1] == (2, 2)
    return out


def test_what_cannot_be_rendered_is_said_before_any_work(songs, tmp_path):
    from dataclasses import replace

    from restem.dataset.rendered import render_songs

    out = tmp_path / "out"
    no_font = tmp_path / "font.sf2"
    no_font.write_bytes(b"RIFF....WAVEfmt ")
    plan = _plan(out, 1)
    style = tmp_path / "zoom" / "stdlib" / "bossanova.mma"
    style.parent.mkdir(parents=True)
    style.write_text("DefGroove Metronome\n")
    for wrong, words in (
        (replace(plan, mma_library=out.parent / "zoom" / "stdlib"), "holds no MMA style files"),
        (replace(plan, mma_library=out.parent / "zoom"), "no MMA styles for songs of the split"),
        (replace(plan, groove_midi=tmp_path), "has no info.csv"),
        (replace(plan, soundfonts=(tmp_path / "no.sf2",)), "No SoundFont at"),
        (replace(plan, soundfonts=(no_font,)), "is no SoundFont"),
        (replace(plan, leadsheets=tmp_path / "no"), "no folder"),
        (replace(plan, songs=0), "at least 1"),
        (replace(_plan(songs, 2), seed=5), "another plan"),
        (replace(_plan(songs, 3), leadsheets=tmp_path), "another plan"),
        (replace(_plan(songs, 3), soundfonts=_plan(songs, 3).soundfonts * 2), "another plan"),
    ):
        with pytest.raises(UserError, match=words):
            list(render_songs(wrong, 2))
    assert not out.exists()


@pytest.fixture(scope="module")
def features(songs, tmp_path_factory):
    out = tmp_path_factory.mktemp("features")
    assert list(make_features(songs, out, TokenConfig(), 1))[-1] == (2, 2)
    return out


def test_songs_of_a_plan_without_its_material_may_go_on(songs, tmp_path):
    from restem.dataset.render_plan import PLAN, check_plan

    numbers = (songs / PLAN).read_text().splitlines()[0]
    (tmp_path / PLAN).write_text(numbers)  # as it was before 0.16.0
    check_plan(_plan(tmp_path, 2))
    (tmp_path / PLAN).write_text(numbers.replace("seed 0", "seed 9"))
    with pytest.raises(UserError, match="another plan"):
        check_plan(_plan(tmp_path, 2))


def test_features_of_another_song_of_the_same_number_are_not_taken(songs, features, tmp_path):
    assert list(make_features(songs, features, TokenConfig(), 1)) == [], "all is made"
    other = tmp_path / "songs"
    other.mkdir()
    record = json.loads((songs / "00001.json").read_text()) | {"id": "00000"}
    (other / "00000.json").write_text(json.dumps(record))
    before = (features / "00000.json").read_bytes()
    with pytest.raises(UserError, match="holds another song"):
        list(make_features(other, features, TokenConfig(), 1))
    assert (features / "00000.json").read_bytes() == before
    record = json.loads((songs / "00000.json").read_text())
    record["takes"][0]["source"] = "another performance"
    (other / "00000.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="holds another song"):
        list(make_features(other, features, TokenConfig(), 1))


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


def test_a_composition_that_mma_does_not_finish_is_replaced_and_named(tmp_path, monkeypatch):
    from restem.dataset import compose
    from restem.dataset.rendered import render_songs

    run, calls, reasons = compose.subprocess.run, [], []

    def first_one_endless(words, **how):
        calls.append(words)
        if len(calls) == 1:
            raise compose.subprocess.TimeoutExpired(words, how["timeout"])
        return run(words, **how)

    monkeypatch.setattr(compose.subprocess, "run", first_one_endless)
    assert list(render_songs(_plan(tmp_path, 1), 1, reasons.append))[-1] == (1, 1)
    (reason,) = reasons
    assert "MMA did not finish" in reason and "in song 00000" in reason
    assert (tmp_path / "00000.json").exists()


def _packed(features, split="train"):
    return PackedSongs.of(read_songs(features, split), TokenConfig(), torch.device("cpu"))


def test_batches_depend_on_the_step_alone(features):
    config, songs = TokenConfig(), _packed(features)
    makers = [BatchMaker(songs, config, seed=3) for _ in range(2)]
    makers[1].batch(0, 4)
    first, second = makers[0].batch(5, 4), makers[1].batch(5, 4)
    for name, size in (("stem", config.stem_values), ("context", config.context_values)):
        a, b = getattr(first, name), getattr(second, name)
        assert a.shape == (4, config.window, size) and a.dtype == torch.float32
        assert torch.equal(a, b)
        assert a.isfinite().all() and a.min() >= -1.3 and a.max() < 5
    np.testing.assert_allclose(np.linalg.norm(first.text, axis=1), 1, atol=1e-2)
    assert first.phase.shape == (4, config.window, config.phases)
    assert torch.equal(first.given, first.phase[:, :, PHASES] > 0)


def test_given_windows_show_an_anchor_from_elsewhere(features):
    """Marks, stem and beat phase of an anchor belong to one other place of the same take."""
    config = TokenConfig()
    batch = BatchMaker(_packed(features), config, seed=0).batch(1, 40)
    phase, given = batch.phase.numpy(), batch.given.numpy()
    marks = phase[:, :, PHASES:]
    anchored = marks[:, :, 1].any(axis=1)
    assert 0.2 < anchored.mean() < 0.8 and (~given.any(axis=1)).any()
    assert (marks[anchored][:, : config.anchor, 0] == 1).all()
    assert not marks[:, config.anchor :, 1].any()
    known = phase[anchored, 0, PHASES - 1] == 1  # the beat is told
    turns = np.unwrap(np.arctan2(phase[anchored, :, 0], phase[anchored, :, 1])[known])
    steps = np.diff(turns, axis=1)
    inside = np.delete(steps, config.anchor - 1, axis=1)
    assert inside.std(axis=1).max() < 0.01  # steady but at the joint
    assert np.abs(steps[:, config.anchor - 1] - inside.mean(axis=1)).max() > 0.1


def test_a_window_holds_the_song_at_the_level_of_its_whole(features):
    """Without augmentation: the frames of one place, its beat phase, and decibels to the level."""
    config, songs = TokenConfig(), read_songs(features, "train")
    batch = BatchMaker(_packed(features), config, seed=3, augment=False).batch(2, 12)
    columns = slice(config.spectrogram.mels)
    mixes = []
    for song in songs:
        steps = np.asarray(song.context[:, :, columns])
        power = (10 ** (bytes_to_mels(steps) / 10) * (steps > 0)).sum(axis=0)
        level = context_level_db(10 * np.log10(power[::16] + 1e-12))
        mixes.append((song.record, normalise(10 * np.log10(power + 1e-12), level, config)))
    found = 0
    for context, phase in zip(batch.context.numpy(), batch.phase.numpy(), strict=True):
        shown = context.reshape(config.window_frames, -1)
        for record, mix in mixes:
            starts = np.arange(len(mix) - config.window_frames + 1)
            near = [np.abs(mix[s : s + 8] - shown[:8]).max() < 0.01 for s in starts]
            if not any(near):
                continue  # another song, or not all stems of this one
            start = int(starts[near][0])
            np.testing.assert_allclose(shown, mix[start : start + len(shown)], atol=0.01)
            grid = BeatGrid(record["beats"], record["positions"], record["beats_per_bar"], 1.0)
            expected = phase_features(grid, config.token_times(start))
            np.testing.assert_allclose(phase[:, :PHASES], expected, atol=5e-3)
            found += 1
    assert found >= 3  # a third of the windows hold all stems


def test_density_and_loudness_are_told_as_they_are(features):
    """Halves of the windows are told; those that are get the hits and the power of their stems."""
    config = TokenConfig()
    batch = BatchMaker(_packed(features), config, seed=4, augment=False).batch(1, 64)
    assert 0.2 < batch.controls[:, 0].mean() < 0.8 and not batch.controls[:, 4:].any()
    stem = batch.stem.numpy()
    seconds = config.window_frames / config.spectrogram.frame_rate
    for i in np.flatnonzero(batch.controls[:, 0]):
        hits = (np.diff(stem[i].mean(axis=1)) > 0.15).sum() / seconds
        assert float(batch.controls[i, 1]) == pytest.approx(density_value(hits), abs=1e-3)
    for i in np.flatnonzero(batch.controls[:, 2]):
        db = stem[i].reshape(-1, config.spectrogram.columns)[:, :96] * config.scale_db - 45.0
        power = (10 ** (db / 10)).sum(axis=1).mean()
        assert float(batch.controls[i, 3]) == pytest.approx(loudness_value(power), abs=1e-3)


def test_packed_songs_can_be_joined(features):
    songs = read_songs(features, "train")
    config, cpu = TokenConfig(), torch.device("cpu")
    parts = [PackedSongs.of([song], config, cpu) for song in songs]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.joined(part)
    whole = _packed(features)
    for name in ("stem", "context", "phase", "text", "controls"):
        a, b = (getattr(BatchMaker(s, config, seed=1).batch(0, 16), name) for s in (joined, whole))
        assert torch.equal(a, b), name


def test_a_base_model_learns_the_sum_of_context_and_stem(features):
    config, songs = TokenConfig(), _packed(features)
    stems = BatchMaker(songs, config, seed=3, augment=False).batch(2, 8)
    mixes = BatchMaker(songs, config, seed=3, augment=False, target="mix").batch(2, 8)
    assert not mixes.given.any() and (mixes.context == config.silence).all()

    def powers(tokens, columns):
        values = tokens.numpy().reshape(8, config.window_frames, columns) * config.scale_db
        return 10 ** ((values + config.centre_db) / 10)[:, :, :96]

    floor = 10 ** (config.quiet_db / 10)
    stem, context = powers(stems.stem, config.spectrogram.columns), powers(stems.context, 96)
    mix = powers(mixes.stem, config.spectrogram.columns)
    loud = np.maximum(stem, context) > 100 * floor
    np.testing.assert_allclose(mix[loud], (stem + context)[loud], rtol=0.03)


def test_the_whole_mix_is_learned_with_the_context_heard(features):
    config, songs = TokenConfig(), _packed(features)
    stems = BatchMaker(songs, config, seed=3, augment=False).batch(2, 8)
    base = BatchMaker(songs, config, seed=3, augment=False, target="mix").batch(2, 8)
    whole = BatchMaker(songs, config, seed=3, augment=False, target="whole").batch(2, 8)
    assert torch.equal(whole.stem, base.stem) and torch.equal(whole.context, stems.context)
    assert stems.partial is None and base.partial is None and not whole.given.any()
    columns = (8, config.window, config.frames_per_token, -1)
    mels = whole.partial.reshape(columns)[..., : config.spectrogram.mels]
    assert torch.equal(mels, whole.context.reshape(columns))
    assert (whole.stem >= whole.partial - 1e-5).all() and (whole.stem > whole.partial + 0.1).any()


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
