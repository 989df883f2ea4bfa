"""The leak meter reads nothing in clean pairs, rises with the stem that is let in, and its
augmentation leaks as much as it says."""

import json

import dataset_folders as folders
import numpy as np
import pytest
from scipy.stats import spearmanr

from restem.cli import main
from restem.dataset.leak_probe import (
    Leak,
    fit_probe,
    high_band_fit,
    leak_matched,
    packaged_probe,
)
from restem.evaluation.intervals import scored_mean

RATE, SAMPLES = 44100, 225_351


def high_band_gain(context, stem):
    return high_band_fit(context, stem).gain


def pair(seed):
    """A context (plucked chords, a shaker) and drums that share its beat, but no sound."""
    rng = np.random.default_rng(seed)
    time = np.arange(SAMPLES) / RATE
    beat = rng.uniform(0.35, 0.6)
    phase = time % beat
    pluck = np.exp(-6 * phase) * sum(
        np.sin(2 * np.pi * hz * time) for hz in rng.uniform(80, 1500, 5)
    )
    shaker = rng.standard_normal(SAMPLES) * np.exp(-40 * (time % (beat / 2)))
    noise = rng.standard_normal(SAMPLES)
    drums = noise * np.exp(-15 * ((time + beat * rng.choice([0, 0.5])) % beat))
    drums += 2 * np.sin(2 * np.pi * 60 * time) * np.exp(-20 * phase)
    return 0.05 * pluck + 0.02 * shaker, 0.15 * drums


@pytest.fixture(scope="module")
def pairs():
    return [pair(seed) for seed in range(50)]


LEVELS = (-np.inf, -30.0, -20.0, -10.0)


def test_the_meter_rises_with_the_leak_and_is_zero_without(pairs):
    scores = np.array([
        [packaged_probe().leak(c + s * 10 ** (level / 20), s).residual for level in LEVELS]
        for c, s in pairs
    ])  # fmt: skip
    ranks = np.tile(np.arange(len(LEVELS)), (len(pairs), 1))
    assert spearmanr(ranks.ravel(), scores.ravel())[0] >= 0.9
    # noises that have nothing in common; the packaged meter also takes off what a band has
    clean = scored_mean([high_band_gain(c, s) for c, s in pairs])
    assert clean.low <= 0 <= clean.high
    assert abs(scores[:, 0].mean()) < 0.001 and np.abs(scores[:, 0]).max() < 0.02
    # it is the gain itself
    assert scores[:, 1:].mean(axis=0) == pytest.approx([0.0316, 0.1, 0.316], rel=0.1)


def test_the_mean_of_the_residual_rises_from_minus_sixty(pairs):
    levels = (-np.inf, -60, -50, -40, -30, -20, -10)
    means = [np.mean([high_band_gain(c + s * 10 ** (level / 20), s) for c, s in pairs[:20]])
             for level in levels]  # fmt: skip
    assert np.all(np.diff(means) > 0)


def test_the_probe_fitted_on_some_songs_hears_leaks_in_others(pairs):
    probe = fit_probe(pairs[:30])
    readings = np.array([
        [probe.leak(c + s * 10 ** (level / 20), s).probe for level in (-np.inf, -20, -10, 0)]
        for c, s in pairs[30:]
    ])  # fmt: skip
    means = readings.mean(axis=0)
    assert np.all(np.diff(means) > 0) and abs(means[0]) < 0.1


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_what_clean_contexts_read_is_taken_off(pairs, share):
    """Contexts of any loudness that begin a little in phase with the stem, or not at all."""
    loudness = np.geomspace(0.3, 10, len(pairs))
    alike = []
    for (context, stem), loud in zip(pairs, loudness, strict=True):
        whole = loud * context
        alike.append((whole + share * high_band_fit(whole, stem).rest * stem, stem))
    probe = fit_probe(alike[::2])
    assert probe.clean_share == pytest.approx(share, abs=0.01)
    shares = [probe.leak(c, s).residual / high_band_fit(c, s).rest for c, s in alike[1::2]]
    fresh = scored_mean(shares)
    assert abs(fresh.value) < 3 * np.hypot(probe.clean_share_error, (fresh.high - fresh.low) / 4)


def test_silence_leaks_nothing(pairs):
    context, stem = pairs[0]
    for a, b in ((context, stem * 0), (context * 0, stem), (stem * 0, stem * 0)):
        assert packaged_probe().leak(a, b) == Leak(0.0, 0.0)


def test_the_augmentation_leaks_at_the_level_that_it_draws(pairs):
    context, stem = pairs[1]
    rng = np.random.default_rng(0)
    leaky = leak_matched(context + stem, context, rng, np.array([0.1]))
    # tilted by up to 6 dB, so the high band reads between half and twice of it
    assert 0.05 <= high_band_gain(leaky, stem) <= 0.2
    assert np.array_equal(
        leak_matched(context + stem, context, np.random.default_rng(1)),
        leak_matched(context + stem, context, np.random.default_rng(1)),
    )
    levels = [high_band_gain(leak_matched(context + stem, context, rng), stem) for _ in range(40)]
    assert max(levels) < 0.7 and np.mean(np.array(levels) > 0.003) > 0.6
    assert leak_matched(context + stem, context, rng, np.array([-0.2])) == pytest.approx(context)


def test_a_dataset_is_measured(tmp_path, capsys):
    folders.rendered(tmp_path / "songs", songs=5, seconds=5.0)
    words = ["dataset", "build", "--source", f"rendered={tmp_path / 'songs'}", "--captioner",
             "source", "--clip-samples", "44100", "-o", str(tmp_path / "out")]  # fmt: skip
    assert main(words) == 0
    capsys.readouterr()
    assert (
        main(["dataset", "leakage", str(tmp_path / "out"), "--json", str(tmp_path / "l.json")]) == 0
    )
    said = capsys.readouterr().out
    assert "stems" in said and " 25 " in said and "Fewer than" not in said
    clips = json.loads((tmp_path / "l.json").read_text())
    assert len(clips) == 25 and set(clips[0]) == {"id", "made_by", "stem", "residual", "probe"}
    assert main([*words, "--max-leak", "-1"]) == 2
    assert "kept out: 25 (leak)" in capsys.readouterr().out


def test_the_probe_is_fitted_by_a_command(tmp_path, capsys):
    folders.rendered(tmp_path / "few", songs=3, seconds=6.0)
    out = tmp_path / "probe.json"
    assert main(["dataset", "fit-leak-probe", str(tmp_path / "few"), "-o", str(out)]) == 2
    folders.rendered(tmp_path / "many", songs=20, seconds=6.0, splits=("train",))
    assert main(["dataset", "fit-leak-probe", str(tmp_path / "many"), "-o", str(out)]) == 0
    values = json.loads(out.read_text())
    assert set(values) == {"clean", "clean_share", "clean_share_error", "weights"}
    assert abs(values["clean_share"]) < 0.02 and 0 < values["clean_share_error"] < 0.02
