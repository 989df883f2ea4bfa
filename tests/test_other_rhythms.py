"""Songs in rhythms that their style does not have: all parts alike, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

from restem.symbolic import other_rhythms
from restem.symbolic.other_rhythms import changed
from restem.symbolic.rolls import ONSET, SOUND

EIGHTH, QUARTER = 6, 12


def song(places: list[int], bars: int = 8, length: int = 48) -> tuple[np.ndarray, dict]:
    """A kick at `places` of each bar, and a bass that sounds until the next one begins."""
    rows = np.array([(i * length, length, length // QUARTER, 4) for i in range(bars)])
    drums, bass = (np.zeros((2, bars * length, 128), bool) for _ in range(2))
    struck = [start + place for start in rows[:, 0].tolist() for place in places]
    for start, end in zip(struck, [*struck[1:], bars * length], strict=True):
        drums[:, start, 36] = True
        bass[ONSET, start, 40] = True
        bass[SOUND, start:end, 40] = True
    return rows, {"drums": drums, "bass": bass}


def only(monkeypatch: pytest.MonkeyPatch, slow: float = 0, fast: float = 0, swung: float = 0):
    """Leave only the changes with these chances; the bar line is always moved."""
    for name, chance in (("SLOW", slow), ("FAST", slow + fast), ("SWUNG", swung)):
        monkeypatch.setattr(other_rhythms, name, chance)


def _is(whole: np.ndarray, start: int, piece: np.ndarray, steps: int) -> bool:
    return np.array_equal(whole[:, start : start + steps], piece)


def steps_struck(planes: np.ndarray) -> list[int]:
    return np.flatnonzero(planes[ONSET].any(axis=1)).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_parts_that_strike_together_still_do(seed: int) -> None:
    bars, parts = song([0, 18, 24, 42])
    rows, out = changed(bars, parts, np.random.default_rng(seed))
    assert steps_struck(out["bass"]) == steps_struck(out["drums"])
    assert len(steps_struck(out["bass"])) > 4
    assert (np.diff(rows[:, 0]) == 48).all() and (rows[:, 1] == 48).all()
    assert all(planes.shape[1] == len(rows) * 48 for planes in out.values())
    assert not (out["bass"][ONSET] & ~out["bass"][SOUND]).any()


def test_the_bar_line_moves_by_whole_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    bars, parts = song([0, 30])
    found = set()
    for seed in range(30):
        rows, out = changed(bars, parts, np.random.default_rng(seed))
        steps = len(rows) * 48
        same = [m for m in range(0, 48, QUARTER) if _is(parts["drums"], m, out["drums"], steps)]
        assert len(same) == 1
        found.add(same[0])
    assert found == {0, 12, 24, 36}


def test_half_and_twice_the_tempo(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, parts = song([0, 12, 24, 36])
    only(monkeypatch, slow=1)
    rows, out = changed(bars, parts, np.random.default_rng(0))
    assert len(rows) >= 15 and set(np.diff(steps_struck(out["bass"]))) == {24}
    only(monkeypatch, fast=1)
    rows, out = changed(bars, parts, np.random.default_rng(0))
    assert len(rows) in (3, 4) and set(np.diff(steps_struck(out["bass"]))) == {6}


def test_sixteenths_are_not_played_twice_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a sixteenth does not lie on the grid."""
    only(monkeypatch, fast=1)
    bars, parts = song([0, 3, 9, 15])
    out = changed(bars, parts, np.random.default_rng(0))[1]
    assert {3, 6} <= set(np.diff(steps_struck(out["bass"])).tolist())


def test_straight_eighths_swing_and_swung_ones_become_straight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, swung=1)
    straight, swung = list(range(0, 48, EIGHTH)), [0, 8, 12, 20, 24, 32, 36, 44]
    for before, offsets in ((straight, {0, 8}), (swung, {0, 6})):
        bars, parts = song(before)
        out = changed(bars, parts, np.random.default_rng(0))[1]
        assert {step % QUARTER for step in steps_struck(out["drums"])} == offsets
        assert len(steps_struck(out["drums"])) >= 7 * 8


def test_a_stretch_that_changes_its_metre_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, parts = song([0, 12])
    bars[-1, 1] = 36
    rows, out = changed(bars, parts, np.random.default_rng(0))
    assert rows is bars and out is parts
