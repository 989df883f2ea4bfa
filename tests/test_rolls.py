"""Notes, rolls and notes again: nothing that the grid can hold is lost."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restem.symbolic.rolls import (
    ONSET,
    SOUND,
    STEPS_PER_QUARTER,
    bars_in_steps,
    flat,
    notes_from_roll,
    notes_in_steps,
    on_grid,
    planes_from_notes,
    roll_from_notes,
    snapped,
    steps_from_ticks,
    ticks_from_steps,
    ticks_of_step,
)


def ordered(notes: list) -> list:
    return sorted([list(n) for n in notes], key=lambda n: (n[0], n[2], n[1]))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 70), st.integers(1, 30), st.integers(60, 63)), max_size=40)
)
def test_any_notes_come_back(raw: list[tuple[int, int, int]]) -> None:
    notes = ordered([(start, start + length, pitch) for start, length, pitch in raw])
    roll = roll_from_notes(np.array(notes).reshape(-1, 3), 100)
    assert notes_from_roll(roll).tolist() == notes


def test_layers_are_as_many_as_notes_overlap() -> None:
    notes = [[0, 10, 60], [2, 4, 60], [3, 12, 60], [10, 11, 60], [0, 10, 61]]
    assert roll_from_notes(np.array(notes), 20).shape == (3, 2, 20, 128)
    assert roll_from_notes(np.zeros((0, 3)), 5).shape == (1, 2, 5, 128)
    # Doubled notes stay double.
    twice = [[0, 5, 60], [0, 5, 60]]
    assert notes_from_roll(roll_from_notes(np.array(twice), 9)).tolist() == twice


def test_repeated_notes_stay_apart_and_long_ones_whole() -> None:
    repeated, held = [[0, 3, 60], [3, 6, 60], [6, 9, 60]], [[0, 9, 60]]
    first, second = (roll_from_notes(np.array(n), 12) for n in (repeated, held))
    assert np.array_equal(first[:, SOUND], second[:, SOUND])
    assert first[:, ONSET].sum() == 3 and second[:, ONSET].sum() == 1
    assert notes_from_roll(first).tolist() == repeated
    assert notes_from_roll(second).tolist() == held


def test_pitches_at_the_edges_do_not_run_into_each_other() -> None:
    notes = ordered([(0, 100, p) for p in range(128)] + [(100, 120, 0), (119, 120, 127)])
    assert notes_from_roll(roll_from_notes(np.array(notes), 120)).tolist() == notes


def test_an_onset_cell_without_sound_is_a_note_of_one_step_and_sound_alone_is_none() -> None:
    roll = np.zeros((1, 2, 8, 128), bool)
    roll[0, ONSET, 2, 60] = True
    roll[0, SOUND, 4:6, 60] = True
    assert notes_from_roll(roll).tolist() == [[2, 3, 60]]


def test_notes_past_the_end_are_cut_or_left_out_and_empty_ones_refused() -> None:
    roll = roll_from_notes(np.array([[6, 20, 60], [10, 12, 61]]), 10)
    assert notes_from_roll(roll).tolist() == [[6, 10, 60]]
    with pytest.raises(ValueError, match="at least one step"):
        roll_from_notes(np.array([[3, 3, 60]]), 10)


@pytest.mark.parametrize("ticks", [24, 48, 89, 96, 120, 192, 384, 480, 960, 1024, 25_200])
def test_steps_and_ticks_agree(ticks: int) -> None:
    steps = np.arange(20_000 * STEPS_PER_QUARTER, step=7)
    there = ticks_from_steps(steps, ticks)
    assert np.array_equal(steps_from_ticks(there, ticks), steps)
    assert on_grid(there, ticks).all()
    # Straight and triplet notes are on the grid, as near as this resolution has them.
    for part in (1, 2, 3, 4, 6, 12):
        exact = np.arange(48) * ticks / part
        near = np.floor(exact + 0.5).astype(int)
        assert on_grid(near, ticks).all()


def test_ticks_between_steps_are_not_on_the_grid_and_short_notes_keep_a_step() -> None:
    assert on_grid(np.array([0, 40, 41, 20]), 480).tolist() == [True, True, False, False]
    notes = np.array([[40, 41, 60, 90], [475, 700, 61, 90]])
    assert notes_in_steps(notes, 480).tolist() == [[1, 2, 60], [12, 18, 61]]


@pytest.mark.parametrize(
    "pattern",
    [
        [0, 3, 6, 9],
        [0, 6],
        [0, 4, 8],
        [0, 8],
        [0, 4, 6, 10],
        [0, 2, 4, 6, 8, 10],
    ],
)
def test_loose_playing_is_moved_to_what_was_meant(pattern: list[int]) -> None:
    rng = np.random.default_rng(0)
    meant = np.array([12 * beat + place for beat in range(64) for place in pattern])
    played = meant + rng.normal(0, 0.25, len(meant))
    assert np.mean(snapped(played) == meant) > 0.97
    assert np.array_equal(snapped(meant), meant)


def test_one_beat_of_triplets_in_a_straight_song() -> None:
    beats = [[0, 3, 6, 9]] * 15 + [[0, 4, 8]] + [[0, 3, 6, 9]] * 4
    meant = np.array([12 * i + place for i, beat in enumerate(beats) for place in beat])
    assert np.array_equal(
        snapped(meant + np.random.default_rng(1).normal(0, 0.1, len(meant))), meant
    )
    assert len(snapped(np.zeros(0))) == 0


def test_flat_keeps_the_onsets_of_all_layers() -> None:
    roll = roll_from_notes(np.array([[0, 10, 60], [4, 6, 60]]), 12)
    assert np.flatnonzero(flat(roll)[ONSET, :, 60]).tolist() == [0, 4]


def test_bars_in_steps() -> None:
    bars = np.array([[0, 1920, 4, 4], [1920, 1680, 7, 8], [3600, 15, 1, 128]])
    assert bars_in_steps(bars, 480).tolist() == [[0, 48, 4, 4], [48, 42, 7, 8]]
    assert bars_in_steps(np.array([[0, 5, 1, 128]]), 480).tolist() == [[0, 48, 4, 4]]


def test_planes_are_those_of_the_roll_without_its_layers() -> None:
    rng = np.random.default_rng(0)
    start = rng.integers(0, 120, 300)
    notes = np.stack([start, start + rng.integers(1, 60, 300), rng.integers(40, 50, 300)], axis=1)
    assert np.array_equal(planes_from_notes(notes, 100), flat(roll_from_notes(notes, 100)))
    with pytest.raises(ValueError):
        planes_from_notes(np.array([(5, 5, 60)]), 100)
    held = np.stack([np.arange(4000), np.full(4000, 4000), np.full(4000, 36)], axis=1)
    tracemalloc.start()
    assert planes_from_notes(held, 4000)[SOUND, :, 36].all()
    assert tracemalloc.get_traced_memory()[1] < 10e6, "a layer a note would be 4 GB"
    tracemalloc.stop()


@pytest.mark.parametrize("quarter", [24, 96, 100, 480, 960])
def test_the_ticks_of_a_step_are_all_that_are_read_as_it(quarter: int) -> None:
    steps = steps_from_ticks(np.arange(quarter * 20), quarter)
    for step in range(1, 200):
        ticks = np.flatnonzero(steps == step)
        assert ticks_of_step(np.array(step), quarter) == (ticks[0], ticks[-1])
