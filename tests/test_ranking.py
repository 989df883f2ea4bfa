"""The ranker on parts whose faults are known, and takes by the shipped model."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from restem import BeatGrid, Inserter, cli
from restem.insertion import Order
from restem.ranking import ranked
from restem.takes import _fits, make_takes

RATE = 44100
BEATS = np.arange(16) * 0.5


def hits(times, level=0.5):
    """Bursts of noise that die away, at the given times of 8 s."""
    rng = np.random.default_rng(1)
    out = np.zeros(8 * RATE)
    for time in np.asarray(times)[np.asarray(times) < 7.8]:
        start = round(time * RATE)
        out[start : start + 4410] += rng.normal(0, level, 4410) * np.exp(-np.arange(4410) / 800)
    return out


@pytest.fixture(scope="module")
def context():
    """A chord on each beat, with a soft attack."""
    time = np.arange(8 * RATE) / RATE
    tone = np.sin(2 * np.pi * 220 * time) + np.sin(2 * np.pi * 330 * time)
    return 0.3 * tone * np.exp(-4 * (time % 0.5))


ALIGNED = np.sort(np.concatenate([BEATS, BEATS[::2] + 0.25]))


@pytest.mark.parametrize(
    "worse",
    [
        hits(ALIGNED + 0.12),
        hits(ALIGNED + 0.31),
        hits(ALIGNED * 0.9),
        hits(ALIGNED * 1.13),
        hits(ALIGNED, 20.0),
        hits(ALIGNED, 0.002),
        np.zeros(8 * RATE),
        np.random.default_rng(0).normal(0, 0.1, 8 * RATE),
    ],
    ids=["late", "off the beat", "too fast", "too slow", "too loud", "too soft", "silent", "noise"],
)
def test_an_aligned_take_is_preferred(context, worse):
    order = ranked(np.stack([worse, hits(ALIGNED)]), context, RATE, BEATS)
    assert [fit.take for fit in order] == [1, 0]
    assert order[0].score > order[1].score


def test_of_equals_the_new_one_comes_second(context):
    other = np.sort(np.concatenate([BEATS, BEATS[1::2] + 0.25]))
    order = ranked(np.stack([hits(ALIGNED), hits(ALIGNED), hits(other)]), context, RATE, BEATS)
    assert sorted(fit.take for fit in order) == [0, 1, 2]
    assert order[2].novelty < 0.01  # the copy is last


def test_no_beats_and_silence_are_no_error(context):
    for takes in (np.zeros((2, 8 * RATE)), np.stack([hits(ALIGNED)] * 2)):
        assert len(ranked(takes, context, RATE, np.zeros(0))) == 2
        assert np.isfinite([f.score for f in ranked(takes, context * 0, RATE, BEATS)]).all()


def test_takes_are_what_single_insertions_make(context):
    inserter = Inserter.load()
    grid = BeatGrid.from_bpm(120, 0.0, 2.0)
    takes = list(make_takes(inserter, context[: 2 * RATE], RATE, Order("Add drums", steps=2), 3,
                            seed=5, beats=grid))  # fmt: skip
    table = takes[0].settings["takes"]
    assert sorted(row["seed"] for row in table) == [5, 6, 7]
    for row, take in zip(table, takes, strict=True):
        assert row["seed"] == take.settings["seed"]
    single = inserter.insert(
        context[: 2 * RATE], RATE, "Add drums", steps=2, seed=table[1]["seed"], beats=grid
    )
    np.testing.assert_array_equal(single.stem, takes[1].stem[:, 0])


def test_the_command_numbers_the_takes_and_mixes_the_best(context, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sf.write("song.wav", context[: 2 * RATE], RATE, subtype="PCM_16")
    words = ["insert", "song.wav", "Add drums", "--bpm", "120", "--steps", "1", "-o", "out"]
    assert cli.main([*words, "--takes", "3"]) == 0
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == [*(f"song.drums.{n}.wav" for n in (1, 2, 3)), "song.drums.json",
                     "song.mix.wav", "song.png"]  # fmt: skip
    read = {n: sf.read(f"out/song.{n}.wav", dtype="int16")[0].astype(int)
            for n in ("drums.1", "drums.2", "mix")}  # fmt: skip
    original = sf.read("song.wav", dtype="int16")[0]
    assert np.array_equal(read["mix"] - read["drums.1"], original)
    assert not np.array_equal(read["drums.1"], read["drums.2"])
    record = json.loads(Path("out/song.drums.json").read_text())
    assert [row["take"] for row in record["takes"]] == [1, 2, 3]
    assert record["seed"] == record["takes"][0]["seed"] and record["request"]["takes"] == 3
    assert "Take 1: seed" in capsys.readouterr().out
    assert cli.main([*words, "--takes", "17"]) == 2


def test_long_takes_are_compared_by_their_beginning(context, monkeypatch):
    good = hits(ALIGNED)
    grid = BeatGrid.from_bpm(120.0, 0.0, 8.0)
    heard = SimpleNamespace(mono=context, beats=grid)
    takes = [np.roll(good, RATE // 5), good]
    order = Order("Add drums")
    assert _fits(heard, order, takes, RATE)[0].take == 1
    monkeypatch.setattr("restem.takes.LONGEST_COMPARED_S", 4.0)
    seen = []
    monkeypatch.setattr("restem.takes.ranked", lambda *given: seen.append(given) or [])
    _fits(heard, order, takes, RATE)
    waves, song, _, beats = seen[0]
    assert {len(wave) for wave in waves} == {len(song)} == {4 * RATE} and beats.max() < 4
    assert all(wave.base is not None for wave in waves)  # views, no copies
