"""Single lines, octaves, registers, short notes and strummed strings, on parts that are known."""

from __future__ import annotations

import numpy as np
import pytest
from midi_builders import part

from restem.composing import _played
from restem.symbolic.articulation import as_worded
from restem.symbolic.lines import shortened
from restem.symbolic.rolls import ONSET, SOUND
from restem.symbolic.strumming import string_delays

BARS = np.array([[0, 48, 4, 4], [48, 36, 3, 4]])
TRIADS = part(*((at, at + 24, p) for at in (0, 24) for p in (55, 59, 62)))


def listed(planes: np.ndarray) -> list[tuple[int, int]]:
    return [(int(step), int(pitch)) for step, pitch in np.argwhere(planes[ONSET])]


@pytest.mark.parametrize(
    ("words", "stem", "first"),
    [
        ("single note riff", "guitar", [62]),
        ("piano melody, single notes", "keys", [62]),
        ("rock piano with left hand octaves", "keys", [43, 55, 59, 62]),
        ("guitar in octaves", "guitar", [50, 62]),
        ("bass in octaves", "bass", [43, 55]),
        ("an octave higher", "keys", [67, 71, 74]),
        ("two octaves higher", "keys", [79, 83, 86]),
        ("keys on the upper octaves", "keys", [79, 83, 86]),
        ("guitar an octave lower", "guitar", [43, 47, 50]),
        ("guitar high up the neck", "guitar", [67, 71, 74]),
        ("piano in a high register", "keys", [79, 83, 86]),
        ("keys in the low register", "keys", [43, 47, 50]),
        ("not in the high register", "keys", [55, 59, 62]),
        ("power chords", "keys", [55, 59, 62]),
    ],
)
def test_lines_octaves_and_registers(words: str, stem: str, first: list[int]) -> None:
    made = as_worded(TRIADS, [], BARS, words, stem)
    assert np.flatnonzero(made[ONSET, 0]).tolist() == first
    assert not (made[ONSET] & ~made[SOUND]).any()


def test_what_a_register_puts_beyond_the_neck_comes_back() -> None:
    wide = part((0, 12, 42), (12, 24, 66), (24, 36, 86))
    higher = as_worded(wide, [], BARS, "guitar an octave higher", "guitar")
    assert listed(higher) == [(0, 54), (12, 78), (24, 86)]


def test_a_part_that_lies_high_goes_higher_up_the_neck() -> None:
    high = part(*((0, 12, p) for p in (60, 64, 67)), (12, 24, 72))
    assert listed(as_worded(high, [], BARS, "guitar high up the neck", "guitar")) == [
        (0, 72), (0, 76), (0, 79), (12, 84)
    ]  # fmt: skip
    higher = part(*((0, 12, p) for p in (68, 72, 75)))
    assert np.array_equal(as_worded(higher, [], BARS, "guitar high up the neck", "guitar"), higher)


def test_a_single_line_takes_small_steps() -> None:
    leaping = part(
        (0, 6, 69), (6, 12, 53), (12, 18, 72), (12, 18, 64), (18, 24, 53), (18, 24, 57),
        (24, 30, 83), (30, 36, 55), (36, 42, 81), (36, 42, 60), (42, 48, 41),
    )  # fmt: skip
    for words, stem in (("guitar playing single notes", "guitar"), ("piano melody", "keys")):
        line = listed(as_worded(leaping, [], BARS, words, stem))
        assert [step for step, _ in line] == list(range(0, 48, 6))
        pitches = np.array([pitch for _, pitch in line])
        assert np.abs(np.diff(pitches)).max() <= 7, (words, pitches)
        for step, pitch in line:
            assert leaping[ONSET, step, pitch % 12 :: 12].any(), "a note of the stroke"
        assert 55 <= np.median(pitches) <= 76
    assert not as_worded(part(), [], BARS, "piano melody", "keys").any()


def test_a_skank_is_short() -> None:
    for words, stem in (("reggae skank", "guitar"), ("staccato chords", "keys")):
        made = as_worded(TRIADS, [], BARS, words, stem)
        assert made[SOUND].any(axis=1).nonzero()[0].tolist() == [0, 1, 2, 24, 25, 26]
        assert {step for step, _ in listed(made)} == {0, 24}
    dense = shortened(part((0, 4, 60), (4, 8, 60), (8, 9, 60), (9, 20, 64)))
    assert dense[SOUND].any(axis=1).nonzero()[0].tolist() == [0, 1, 4, 5, 8, 9, 10, 11]
    assert as_worded(TRIADS, [], BARS, "half note stabs", "keys")[SOUND, 23].any(), (
        "as long as said"
    )


def test_strings_follow_one_another_down_on_the_beat_and_up_off_it() -> None:
    rows = np.array([(at, at + 6, p) for at in (0, 6, 12) for p in (52, 55, 59, 64)])
    rows = np.concatenate([rows, [(18, 24, 40), (18, 24, 47)]])
    times = rows[:, :2] / 24
    late = string_delays(rows, times, BARS, 5)
    down, up = late[:4], late[4:8]
    assert np.allclose([down.sum(), up.sum()], 0) and not late[12:].any(), "fifths at once"
    for gaps in (np.diff(down), -np.diff(up)):
        assert ((gaps >= 0.004) & (gaps <= 0.007)).all()
    assert np.array_equal(late, string_delays(rows, times, BARS, 5))
    assert not np.array_equal(late, string_delays(rows, times, BARS, 6))
    fast = string_delays(rows, rows[:, :2] / 240, BARS, 5)
    assert 0 < np.ptp(fast) <= 0.0125 + 1e-9, "half the note at most"


def test_strummed_notes_stay_in_order_and_apart() -> None:
    rows = np.array([(at, at + 3, p) for at in range(0, 48, 3) for p in (52, 55, 59, 64, 67, 71)])
    times = rows[:, :2] / 24
    late = string_delays(rows, times, BARS, 1)
    hard = np.full(len(rows), 90)
    notes = _played(rows, times, hard, 1, 0.0, (0.0, 9.0), late)
    assert (np.diff(notes.starts) >= 0).all() and (notes.ends > notes.starts).all()
    for pitch in np.unique(notes.pitches):
        same = notes.pitches == pitch
        assert (notes.ends[same][:-1] <= notes.starts[same][1:]).all()
    tight = _played(rows, times, hard, 1, 1.0, (0.0, 9.0), late)
    assert np.array_equal(tight.starts, times[:, 0])
