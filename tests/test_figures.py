"""Bars that mean one figure come back as one; the others stay as they are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from known_networks import Known

from restem.symbolic import cells
from restem.symbolic.arrange import fill
from restem.symbolic.figures import likeness, settle, taken_as_full, taken_figures
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
    taken = taken_figures(bars, [4] * 8, np.zeros(8, bool), 0.3)
    assert len(set(taken[:5])) == 1 and len(set(taken[5:])) == 1
    assert taken[0] < 5 <= taken[5]


def test_a_fill_stays_and_what_is_settled_is_taken_and_never_changed() -> None:
    rng = np.random.default_rng(1)
    figure, fill_ = np.zeros((2, 48), bool)
    figure[::6], fill_[36:] = True, True
    bars = [figure, *bars_like(figure, 6, rng), fill_]
    settled = np.array([True] + [False] * 7)
    assert taken_figures(bars, [4] * 8, settled, 0.3).tolist() == [0] * 7 + [7]
    assert taken_figures(bars, [4] * 8, ~settled, 0.3)[1:].tolist() == list(range(1, 8))


def test_bars_of_other_metres_are_never_taken_and_rests_stay_rests() -> None:
    full, rest = np.ones(48, bool), np.zeros(48, bool)
    metres = [(48, 4, 4), (45, 15, 16), (48, 4, 4), (48, 4, 4), (48, 4, 4)]
    taken = taken_figures([full, full, rest, rest, full], metres, np.zeros(5, bool), 0.2)
    assert taken.tolist()[:2] == [0, 1] and taken[2] == taken[3] and taken[4] == 0
    assert taken_figures([], [], np.zeros(0, bool), 0.2).tolist() == []


def test_what_bars_have_in_common_does_not_become_all_that_is_left() -> None:
    thin, thick = np.zeros((2, 48), bool)
    thin[::12], thick[::6] = True, True
    bars = [thin] * 3 + [thick] * 3
    few = taken_figures(bars, [4] * 6, np.array([True] * 3 + [False] * 3), 2.0)
    assert few.tolist() == [0, 1, 2, 0, 0, 0]
    settled = np.array([True] * 3 + [False] * 3)
    assert taken_as_full(bars, [4] * 6, settled, 2.0)[3:].min() >= 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0.0, 1.0))
def test_whoever_is_taken_takes_itself(seed: int, count: int, worth: float) -> None:
    rng = np.random.default_rng(seed)
    bars = [rng.random(24) < 0.4 for _ in range(count)]
    settled = rng.random(count) < 0.3
    taken = taken_figures(bars, [4] * count, settled, worth)
    assert (taken[taken] == taken).all() and (taken[settled] == np.flatnonzero(settled)).all()
    fewer = taken_figures(bars, [4] * count, settled, worth + 0.5)
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


def test_packaged_parts_repeat_their_bars_and_keep_their_number_of_notes(monkeypatch) -> None:
    context = song()
    for stem in ("drums", "guitar"):
        made = fill(RollModel.load(stem), context, SIXTEEN, Wishes("rock"))
        with monkeypatch.context() as patch:
            patch.setattr("restem.symbolic.arrange.settle", lambda *_: None)
            tossed = fill(RollModel.load(stem), context, SIXTEEN, Wishes("rock"))
        assert distinct(made, stem) <= 0.75 * distinct(tossed, stem)
        assert 0.8 < made[ONSET].sum() / tossed[ONSET].sum() < 1.25


def distinct(planes: np.ndarray, stem: str) -> float:
    """Share of bars that differ; of a part with pitches in rhythm, which is what figures take."""
    seen = planes if stem == "drums" else planes.any(axis=2, keepdims=True)
    return distinct_bars(bar_marks(seen, SIXTEEN, pitched=False))


class Tossing(Known):
    """Strikes each beat or each half-beat of a bar, as the toss of a cell decides, at any pitch."""

    def log_odds(
        self,
        x: np.ndarray,
        context: np.ndarray,
        place: np.ndarray,
        text: np.ndarray,
        survival: float,
    ) -> np.ndarray:
        self.__dict__["seen"].append(x)
        rng = np.random.default_rng(len(self.__dict__["seen"]) // 40)
        low, high = cells.RANGES[self.stem]
        out = np.full((*x.shape[:2], cells.values_of(self.stem) // (high - low), high - low), -9.0)
        out[:, :, 0] = rng.normal(-2.5, 0.1, (x.shape[1], high - low))
        return out.reshape(x.shape)


def test_rhythm_is_taken_pitches_are_painted_to_it_and_harmony_brings_bars_back() -> None:
    model = Tossing("bass")
    made = fill(model, song(), SIXTEEN, Wishes(steps=4))
    bars = made[:, :, :].reshape(2, 16, 48, 128)
    struck = bars[ONSET].any(axis=2)
    assert len({bar.tobytes() for bar in struck}) <= 4
    assert struck[:, np.arange(48) % 6 != 0].sum() == 0
    same = [np.array_equal(struck[b], struck[b - 4]) for b in range(4, 16)]
    again = [np.array_equal(bars[:, b], bars[:, b - 4]) for b in range(4, 16)]
    assert any(same) and all(a for a, s in zip(again, same, strict=True) if s)
    assert not np.array_equal(bars[:, 0], bars[:, 1])  # another chord


class Recorder:
    """A painter that paints nothing and says which tokens it was told to leave."""

    def __init__(self, second_look: bool) -> None:
        self.model, self.wishes = SimpleNamespace(stem="bass"), Wishes(second_look=second_look)
        self.known = np.zeros(0, bool)

    def struck(self, values: np.ndarray) -> np.ndarray:
        onsets_alone = values[:, : cells.onsets_of("bass")]
        return np.asarray(onsets_alone.reshape(len(values), cells.TOKEN_STEPS, -1).any(axis=2))

    def paint_strokes(self, values, known, window, steps, rng) -> None:
        self.known = known


def test_bars_that_have_the_rhythm_of_their_figure_keep_their_pitches_but_for_a_second_look() -> (
    None
):
    notes = [[48 * bar + 12 * beat, 48 * bar + 12 * beat + 6, 40 + bar % 3]
             for bar in range(8) for beat in range(4)]  # fmt: skip
    notes[4 * 5 + 2][:2] = [48 * 5 + 30, 48 * 5 + 36]  # in the sixth bar one stroke is elsewhere
    bars = SIXTEEN[:8]
    grid = cells.token_grid(bars)
    part = flat(roll_from_notes(np.array(notes), 8 * 48))
    values = cells.cells_from_planes(part, "bass", grid)
    nothing = np.zeros(len(grid), bool)
    for second_look in (False, True):
        recorder = Recorder(second_look)
        settle(recorder, values.copy(), nothing, ~nothing, slice(0, len(grid)), bars,
               np.zeros((len(grid), 12)), np.random.default_rng(0))  # fmt: skip
        painted = ~recorder.known.reshape(8, -1)
        assert painted[5].all() and (np.delete(painted, 5, axis=0) == second_look).all()


def test_the_expected_number_is_asked_of_the_song_and_not_of_what_was_made() -> None:
    shown: list[np.ndarray] = []

    class Spied(Tossing):
        def log_odds(self, x, context, place, text, survival):
            if survival == self.noise.survival()[-1] and len(x) == 1:
                shown.append(place[0, :, cells.PLACE_KNOWN] > 0)
            return super().log_odds(x, context, place, text, survival)

    fill(Spied("drums"), song(), SIXTEEN, Wishes(steps=4))
    assert len(shown) == 6 and not np.any(shown)  # three windows, with the words and without
    shown.clear()
    own = np.zeros((2, 16 * 48, 128), bool)
    own[:, : 2 * 48 : 6, 36] = True
    fill(Spied("drums"), {**song(), "drums": own}, SIXTEEN, Wishes(steps=4), region=(2, 16))
    assert [known.sum() for known in shown][:4] == [0, 0, 16, 16] and not np.any(shown[4:])
    shown.clear()
    own[:, 48:] = False  # its second bar rests, which says nothing of how full the rest should be
    fill(Spied("drums"), {**song(), "drums": own}, SIXTEEN, Wishes(steps=4), region=(2, 16))
    assert [known.sum() for known in shown][:4] == [0, 0, 8, 8]


def test_a_bar_that_a_window_cut_takes_a_figure_in_the_next_one() -> None:
    waltz = np.array([(i * 36, 36, 3, 4) for i in range(12)])
    values = np.zeros((72, cells.values_of("drums")), bool)
    values[:, [0, 100, 200]] = True
    values[63, 0], values[65, 50] = False, True
    painter = SimpleNamespace(model=SimpleNamespace(stem="drums"))
    done, asked, harmony = np.arange(72) < 64, np.ones(72, bool), np.zeros((72, 12), bool)
    rng = np.random.default_rng(0)
    settle(painter, values, done, asked, slice(36, 72), waltz, harmony, rng)
    assert np.array_equal(values[60:66], values[54:60])
    values[65, 50] = True
    settle(painter, values, np.ones(72, bool), asked, slice(36, 72), waltz, harmony, rng)
    assert values[65, 50]  # what is done stays


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
    struck = [
        onsets(fill(RollModel.load("drums"), context, bars, Wishes("rock", seed=seed)))
        for seed in range(2)
    ]
    quarters = np.mean(struck, axis=0).reshape(4, -1).sum(axis=1)
    assert quarters[-1] > 0.8 * quarters[0]  # 0.65 while windows looked at those before them
