"""What words say of note values and chords, on parts whose notes are known."""

from __future__ import annotations

import numpy as np
import pytest

from restem.symbolic.articulation import (
    A_BAR,
    arpeggios,
    as_worded,
    beats_between,
    fifths,
    held,
    steps_to_strike,
)
from restem.symbolic.rolls import ONSET, SOUND

BARS = np.array([[0, 48, 4, 4], [48, 36, 3, 4]])


def part(*notes: tuple[int, int, int], steps: int = 84) -> np.ndarray:
    """Planes of notes (first step, step after the last, pitch)."""
    planes = np.zeros((2, steps, 128), bool)
    for start, end, pitch in notes:
        planes[ONSET, start, pitch] = True
        planes[SOUND, start:end, pitch] = True
    return planes


def listed(planes: np.ndarray) -> list[tuple[int, int]]:
    return [(int(step), int(pitch)) for step, pitch in np.argwhere(planes[ONSET])]


@pytest.mark.parametrize(
    ("words", "beats"),
    [
        ("Add a walking upright bass", 1.0),
        ("a bass in eighth notes", 0.5),
        ("Busy slap bass with SIXTEENTH notes", 0.25),
        ("block chords on the piano, one per bar", A_BAR),
        ("long held bass notes", A_BAR),
        ("long, soft notes", A_BAR),
        ("Add organ pads", A_BAR),
        ("half notes on the bass", 2.0),
        ("bass on every beat", 1.0),
        ("Add a funky bass line", None),
        ("a bass line without eighth notes", None),
        ("don't play a walking bass", None),
        ("Add a jazz guitar", None),
        ("a bass for a long song", None),
    ],
)
def test_note_values_are_read_from_words(words: str, beats: float | None) -> None:
    assert beats_between(words) == beats


def test_strokes_are_counted_from_each_bar_line() -> None:
    def struck(words: str, stem: str = "bass") -> list[int]:
        steps = steps_to_strike(BARS, words, stem)
        assert steps is not None
        return np.flatnonzero(steps).tolist()

    assert struck("walking bass") == [0, 12, 24, 36, 48, 60, 72]
    assert struck("half notes") == [0, 24, 48, 72]
    assert struck("one chord per bar", "keys") == [0, 48]
    assert steps_to_strike(BARS, "walking", "drums") is None
    assert steps_to_strike(BARS, "funky", "bass") is None
    assert steps_to_strike(BARS, "arpeggios in eighth notes", "guitar") is None


def test_notes_are_held_to_the_next_stroke_or_bar() -> None:
    short = part((0, 3, 40), (12, 14, 43), (48, 50, 38))
    assert held(short, BARS, A_BAR)[SOUND, :, 40].sum() == 12  # the next stroke ends it
    long = held(short, BARS, 1.0)
    assert np.flatnonzero(long[SOUND, :, 43]).tolist() == list(range(12, 24))
    assert np.flatnonzero(held(short, BARS, A_BAR)[SOUND, :, 43]).tolist() == list(range(12, 48))
    assert np.flatnonzero(held(short, BARS, A_BAR)[SOUND, :, 38]).tolist() == list(range(48, 84))
    assert listed(long) == listed(short)


def test_broken_chords_go_up_and_down_and_ring() -> None:
    chord = part(*((0, 40, pitch) for pitch in (48, 52, 55)), (48, 60, 50))
    broken = arpeggios(chord, 0.5)
    assert listed(broken)[:7] == [
        (0, 48),
        (6, 52),
        (12, 55),
        (18, 52),
        (24, 48),
        (30, 52),
        (36, 55),
    ]
    assert listed(broken)[7:] == [(48, 50), (54, 50)]
    assert broken[SOUND, 39, 48] and not broken[SOUND, 40].any()
    assert not (broken[ONSET] & ~broken[SOUND]).any()


def test_power_chords_are_root_fifth_and_octave_low_on_the_guitar() -> None:
    triad = part(*((0, 24, pitch) for pitch in (55, 59, 62, 67)))  # G major
    assert listed(fifths(triad)) == [(0, 43), (0, 50), (0, 55)]
    inverted = part(*((0, 24, pitch) for pitch in (52, 55, 60)))  # C major over E
    assert listed(fifths(inverted)) == [(0, 48), (0, 55), (0, 60)]
    third = part((0, 24, 52), (0, 24, 55))  # E and G over a C in the bass, or over an E
    for bass, root in ((36, 48), (40, 40)):
        assert listed(fifths(third, [part((0, 24, bass), (0, 24, bass + 7))]))[0] == (0, root)
    assert fifths(triad)[SOUND, 23].sum() == 3 and not fifths(triad)[SOUND, 24].any()


def test_a_bass_that_is_told_to_walk_stays_a_bass() -> None:
    line = part((0, 12, 40), (12, 24, 67), (24, 36, 79))
    assert listed(as_worded(line, [], BARS, "walking", "bass")) == [(0, 40), (12, 55), (24, 55)]
    assert listed(as_worded(line, [], BARS, "funky", "bass")) == listed(line)


def test_only_what_the_words_name_is_changed() -> None:
    chord = part(*((0, 24, pitch) for pitch in (55, 59, 62)))
    for words, stem in (
        ("strummed guitar", "guitar"),
        ("power chords", "keys"),
        ("arpeggios", "bass"),
        ("no power chords", "guitar"),
        ("walking", "drums"),
    ):
        assert np.array_equal(as_worded(chord, [], BARS, words, stem), chord), (words, stem)
    assert listed(as_worded(chord, [], BARS, "distorted power chords", "guitar"))[0] == (0, 43)
    assert len(listed(as_worded(chord, [], BARS, "arpeggiated sixteenths", "keys"))) == 8
