"""Notes in seconds and beats become rolls and come back."""

import numpy as np
import pytest

from restem.audio.beats import BeatGrid
from restem.audio.pitch_notes import PitchNotes
from restem.symbolic.on_beats import bars_of, notes_in_seconds, planes_heard


def heard(starts, ends, pitches):
    return PitchNotes(np.array(starts), np.array(ends), np.array(pitches), np.full(len(starts), 90))


def test_bars_begin_at_the_downbeats_and_the_first_may_be_short():
    grid = BeatGrid(np.arange(9) * 0.5, np.array([3, 4, 1, 2, 3, 4, 1, 2, 3]), 4)
    expected = [(0, 24, 2, 4), (24, 48, 4, 4), (72, 36, 3, 4)]
    assert bars_of(grid).tolist() == [list(row) for row in expected]


@pytest.mark.parametrize("parts", [3, 4])
def test_notes_played_loosely_lie_where_they_were_meant(parts):
    rng = np.random.default_rng(parts)
    times = np.cumsum(np.r_[0.2, np.linspace(0.6, 0.45, 31)])  # a tempo that rises
    grid = BeatGrid(times, np.arange(32) % 4 + 1, 4)
    places = np.arange(2, 30 * parts) / parts
    starts = np.interp(places, np.arange(32), times)
    pitches = 40 + np.arange(len(places)) % 12
    loose = np.sort(starts + rng.normal(0, 0.008, len(starts)))
    planes = planes_heard(heard(loose, loose + 0.1, pitches), grid)
    rows, back = notes_in_seconds(planes, grid)
    assert rows[:, 2].tolist() == pitches.tolist()
    np.testing.assert_allclose(back[:, 0], starts, atol=1e-9)
    assert (back[:, 1] > back[:, 0]).all()


def test_what_lies_outside_of_the_beats_is_left_out_and_no_notes_are_no_notes():
    grid = BeatGrid.from_bpm(120, 0.0, 4.0)
    assert not planes_heard(heard([], [], []), grid).any()
    late = planes_heard(heard([1.0, 60.0], [1.2, 61.0], [40, 41]), grid)
    rows, _ = notes_in_seconds(late, grid)
    assert rows[0].tolist()[::2] == [24, 40]
