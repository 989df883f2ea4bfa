"""The measures of parts, on parts whose scores can be told by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from restem.symbolic import measures
from restem.symbolic.corpora import Piece
from restem.symbolic.rolls import flat, roll_from_notes
from restem.symbolic.scoring import (
    Trial,
    by_source,
    interval,
    looped,
    references,
    score,
    training_marks,
    trials,
)

BARS = np.array([(i * 48, 48, 4, 4) for i in range(16)])


def planes(notes: list, steps: int = 768) -> np.ndarray:
    return flat(roll_from_notes(np.array(notes).reshape(-1, 3), steps))


def every(step: int, pitch: int, offset: int = 0, length: int = 3) -> list:
    return [[s, s + length, pitch] for s in range(offset, 768 - length, step)]


def test_density_and_grid() -> None:
    both = planes(every(12, 36) + every(12, 42))
    assert measures.density(both, BARS) == pytest.approx(1.0, abs=0.02)
    assert measures.grid_agreement(both, BARS) == 1.0
    assert measures.grid_agreement(planes(every(12, 36, offset=1)), BARS) == 0.0
    assert measures.grid_agreement(planes(every(12, 36) + every(12, 38, offset=4)), BARS) == 1.0
    assert np.isnan(measures.grid_agreement(planes([]), BARS))


def test_accents_follow_the_context() -> None:
    rng = np.random.default_rng(0)
    steps = np.sort(rng.choice(700, 120, replace=False))
    context = {"bass": planes([[s, s + 1, 40] for s in steps])}
    same = planes([[s, s + 1, 36] for s in steps])
    assert measures.accent_agreement(same, context) == pytest.approx(1.0)
    apart = planes([[s, s + 1, 36] for s in np.setdiff1d(np.arange(700), steps)[::6]])
    assert measures.accent_agreement(apart, context) < 0
    assert np.isnan(measures.accent_agreement(same, {}))
    assert np.isnan(measures.accent_agreement(planes([]), context))


def test_pitch_agreement_counts_octaves_and_only_what_sounds_nearby() -> None:
    chord = planes([[0, 48, p] for p in (60, 64, 67)] + [[96, 144, p] for p in (62, 65, 69)])
    context = {"guitar": chord, "drums": planes(every(12, 38))}
    assert measures.pitch_agreement(planes([[0, 12, 36], [96, 108, 50]]), context) == 1.0
    assert measures.pitch_agreement(planes([[0, 12, 37]]), context) == 0.0
    assert measures.pitch_agreement(planes([[0, 12, 36], [12, 24, 37]]), context) == 0.5
    assert np.isnan(measures.pitch_agreement(planes([[300, 310, 37]]), context))
    assert np.isnan(measures.pitch_agreement(chord, {"drums": chord}))


def test_bars_repeat_copy_and_transpose() -> None:
    riff = [[0, 6, 40], [12, 18, 43]]
    part = planes(riff + [[48 + s, 48 + e, p + 2] for s, e, p in riff] + [[96, 100, 40]])
    marks = measures.bar_marks(part, BARS[:4], True)
    assert marks[0] == marks[1] != marks[2] and marks[3] == b""
    assert (
        measures.bar_marks(part, BARS[:2], False)[0] != measures.bar_marks(part, BARS[:2], False)[1]
    )
    assert measures.distinct_bars(marks) == pytest.approx(2 / 3)
    assert measures.copied_share(marks, {marks[2]}) == pytest.approx(1 / 3)
    assert np.isnan(measures.distinct_bars([b"", b""]))


def test_statistics_of_an_empty_part_and_of_different_ones() -> None:
    assert not measures.statistics(planes([]), BARS, True).any()
    rock = measures.statistics(planes(every(24, 36) + every(24, 38, 12)), BARS, True)
    assert rock[0] == pytest.approx(1.0, abs=0.02) and rock[7:9].tolist() == pytest.approx(
        [0.5, 0.5], abs=0.02
    )


def song(seed: int, corpus: str = "a", split: str = "train") -> Piece:
    """A song whose drums strike exactly where its bass does, at random places."""
    rng = np.random.default_rng(seed)
    pattern = np.sort(rng.choice(48, 6, replace=False))
    steps = [int(s + 48 * bar) for bar in range(16) for s in pattern]
    parts = {
        "drums": planes([[s, s + 1, 36] for s in steps]),
        "bass": planes([[s, s + 1, 40] for s in steps]),
    }
    return Piece(f"song {seed}", corpus, split, f"style {seed}", parts, BARS)


def test_the_table_puts_the_true_part_first() -> None:
    training = [song(seed) for seed in range(20)]
    tests = trials([song(seed, split="test") for seed in range(100, 110)], "drums", 8)
    assert len(tests) == 8
    rows = references(tests, training, "drums")
    table = score(rows, tests, "drums", training_marks(training, "drums"))
    assert table["true part"]["accents"] == pytest.approx(1.0)
    assert table["true part"]["accents"] > 3 * abs(table["true part"]["swapped"])
    assert table["true part"]["frechet"] == pytest.approx(0, abs=1e-6)
    assert table["true part"]["density ratio"] == pytest.approx(1)
    assert table["true part"]["from"] == table["true part"]["to"] == pytest.approx(1)
    for name in ("random song", "retrieval", "commonest bar"):
        assert table[name]["accents"] < 0.7 and table[name]["copied bars"] == 1.0
    assert table["retrieval"]["accents"] > table["random song"]["accents"]
    assert table["true part"]["copied bars"] == 0.0


def test_the_interval_draws_whole_style_files() -> None:
    """Two files of eight alike songs say no more than two songs would."""
    names = [f"{'AB'[i % 2]}/groove/{i}:1" for i in range(16)]
    tests = [Trial(replace(song(0), name=n), np.zeros(0), {}, []) for n in names]
    groups = by_source(tests)
    assert [g.tolist() for g in groups] == [list(range(0, 16, 2)), list(range(1, 16, 2))]
    values = np.arange(16) % 2 * 1.0
    assert interval(lambda chosen: float(values[chosen].mean()), groups) == (0.0, 1.0)
    alone = interval(
        lambda chosen: float(values[chosen].mean()), [np.array([i]) for i in range(16)]
    )
    assert 0.2 < alone[0] < 0.5 < alone[1] < 0.8


def test_looping() -> None:
    bar = planes([[0, 1, 36]], 48)
    assert np.flatnonzero(looped(bar, 120)[0, :, 36]).tolist() == [0, 48, 96]
    assert looped(bar, 20).shape == (2, 20, 128)
