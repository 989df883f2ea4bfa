"""Bars that mean one figure come back as one; the others stay as they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from restem.symbolic import cells
from restem.symbolic.arrange import fill
from restem.symbolic.figures import likeness, taken_figures
from restem.symbolic.measures import bar_marks, distinct_bars, onsets
from restem.symbolic.model import RollModel
from restem.symbolic.rolls import ONSET, flat, roll_from_notes
from restem.symbolic.wishes import Wishes

SIXTEEN = np.array([(i * 48, 48, 4, 4) for i in range(16)])


def bars_like(figure: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """A figure with one stroke in eight missing and as many struck elsewhere, anew in each bar."""
    out = []
    for _ in range(count):
        bar = figure.copy()
        bar[rng.choice(np.flatnonzero(figure), max(figure.sum() // 8, 1), replace=False)] = False
        bar[rng.choice(np.flatnonzero(~figure), max(figure.sum() // 8, 1), replace=False)] = True
        out.append(bar)
    return out


def test_likeness_is_the_f_measure() -> None:
    a, b = np.zeros((2, 12), bool)
    a[:4], b[2:8] = True, True
    assert likeness(a, b) == 2 * 2 / (4 + 6) and likeness(a, a) == 1
    assert likeness(a, ~a) == 0 and likeness(np.zeros(3, bool), np.zeros(3, bool)) == 1


def test_two_figures_among_bars_that_differ_by_chance_are_found() -> None:
    rng = np.random.default_rng(0)
    one, two = np.zeros((2, 48), bool)
    one[::3], two[1::3] = True, True
    bars = bars_like(one, 5, rng) + bars_like(two, 3, rng)
    taken = taken_figures(bars, np.zeros(8, bool), 0.3)
    assert len(set(taken[:5])) == 1 and len(set(taken[5:])) == 1
    assert taken[0] < 5 <= taken[5]


def test_a_fill_stays_and_what_is_settled_is_taken_and_never_changed() -> None:
    rng = np.random.default_rng(1)
    figure, fill_ = np.zeros((2, 48), bool)
    figure[::6], fill_[36:] = True, True
    bars = [figure, *bars_like(figure, 6, rng), fill_]
    settled = np.array([True] + [False] * 7)
    assert taken_figures(bars, settled, 0.3).tolist() == [0] * 7 + [7]
    assert taken_figures(bars, ~settled, 0.3)[1:].tolist() == list(range(1, 8))


def test_bars_of_other_lengths_are_never_taken_and_rests_stay_rests() -> None:
    long, short, rest = np.ones(48, bool), np.ones(36, bool), np.zeros(48, bool)
    taken = taken_figures([long, short, rest, rest, long], np.zeros(5, bool), 0.2)
    assert taken.tolist()[:2] == [0, 1] and taken[2] == taken[3] and taken[4] == 0
    assert taken_figures([], np.zeros(0, bool), 0.2).tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0.0, 1.0))
def test_whoever_is_taken_takes_itself(seed: int, count: int, worth: float) -> None:
    rng = np.random.default_rng(seed)
    bars = [rng.random(24) < 0.4 for _ in range(count)]
    settled = rng.random(count) < 0.3
    taken = taken_figures(bars, settled, worth)
    assert (taken[taken] == taken).all() and (taken[settled] == np.flatnonzero(settled)).all()
    fewer = taken_figures(bars, settled, worth + 0.5)
    assert len(set(fewer)) <= len(set(taken))


def song() -> dict[str, np.ndarray]:
    """Sixteen bars of piano chords on each beat, four chords that come back."""
    chords = ([57, 60, 64], [53, 57, 60], [60, 64, 67], [55, 59, 62])
    notes = [
        [48 * bar + 12 * beat, 48 * bar + 12 * beat + 11, pitch]
        for bar in range(16)
        for beat in range(4)
        for pitch in chords[bar % 4]
    ]
    return {"other": flat(roll_from_notes(np.array(notes), 16 * 48))}


def test_packaged_parts_repeat_their_bars_and_keep_their_number_of_notes() -> None:
    context = song()
    for stem, most in (("drums", 0.5), ("bass", 0.8), ("guitar", 0.85)):
        made = fill(RollModel.load(stem), context, SIXTEEN, Wishes("rock"))
        rhythms = {onsets(made)[48 * b : 48 * b + 48].tobytes() for b in range(16)}
        assert 1 <= len(rhythms) <= 8
        assert distinct_bars(bar_marks(made, SIXTEEN, stem != "drums")) <= most
        fuller = fill(RollModel.load(stem), context, SIXTEEN, Wishes("rock", fullness=2.0))
        assert 1.4 < fuller[ONSET].sum() / made[ONSET].sum() < 2.6


def test_harmony_is_all_that_sounds_but_drums() -> None:
    grid = cells.token_grid(SIXTEEN[:1])
    piano, drums = np.zeros((2, 2, 48, 128), bool)
    piano[1, 6:18, 60], piano[1, 12:18, 67], drums[:, :, 36] = True, True, True
    found = cells.harmony({"other": piano, "drums": drums}, grid)
    assert found.shape == (8, 12)
    assert [np.flatnonzero(token).tolist() for token in found] == [[], [0], [0, 7]] + [[]] * 5


def test_long_parts_do_not_grow_emptier() -> None:
    bars = np.array([(i * 48, 48, 4, 4) for i in range(64)])
    context = {"other": np.tile(song()["other"], (1, 4, 1))}
    for stem in ("drums", "bass"):
        struck = [
            onsets(fill(RollModel.load(stem), context, bars, Wishes("rock", seed=seed)))
            for seed in range(2)
        ]
        quarters = np.mean(struck, axis=0).reshape(4, -1).sum(axis=1)
        assert quarters[-1] > 0.8 * quarters[0]
