"""What words say of note values and chords, on parts whose notes are known."""

from __future__ import annotations

import numpy as np
import pytest

from restem.symbolic.articulation import (
    A_BAR,
    A_BEAT,
    HALF_A_BAR,
    arpeggios,
    as_worded,
    fifths,
    held,
    is_held,
    note_value,
    one_line,
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
    ("words", "stem", "value"),
    [
        ("Add a walking upright bass", "bass", A_BEAT),
        ("a bass in eighth notes", "bass", 6),
        ("Busy slap bass with SIXTEENTH notes", "bass", 3),
        ("bass in quarter notes", "bass", 12),
        ("Add a bass playing quarters", "bass", 12),
        ("three quarters of the time", "bass", None),
        ("play in three quarters time", "bass", None),
        ("steady quarter notes of the root", "bass", 12),
        ("block chords on the piano, one per bar", "keys", A_BAR),
        ("long held bass notes", "bass", A_BAR),
        ("Add organ pads", "keys", A_BAR),
        ("half notes on the bass", "bass", 24),
        ("two chords per bar", "guitar", HALF_A_BAR),
        ("bass on every beat", "bass", A_BEAT),
        ("instead of eighth notes, play whole notes", "bass", A_BAR),
        ("mostly quarter notes with an occasional sixteenth note", "bass", 12),
        ("nothing but eighth notes", "bass", 6),
        ("Add a funky bass line", "bass", None),
        ("a bass line without eighth notes", "bass", None),
        ("don't play a walking bass", "bass", None),
        ("start at the eighth bar", "bass", None),
        ("at a walking pace", "bass", None),
        ("Add a bass under the sustained organ chords", "bass", None),
        ("a bass that leaves room for the synth pads", "bass", None),
        ("a long sustained groove", "bass", None),
        ("dotted quarter notes", "bass", None),
        ("eighth-note triplets", "bass", None),
        ("jazz with a walking bass", "guitar", None),
        ("reggae, long bass notes, offbeat guitar", "guitar", None),
        ("reggae, long bass notes, offbeat guitar", "bass", A_BAR),
        ("eighth notes", "drums", None),
        ("one chord a bar", "keys", A_BAR),
        ("one note in each bar", "bass", A_BAR),
        ("sustained bass", "bass", A_BAR),
        ("sustain each note for a whole bar", "keys", A_BAR),
        ("four notes per bar", "bass", A_BEAT),
        ("four to the bar guitar", "guitar", A_BEAT),
        ("eight notes per bar", "bass", 6),
        ("a bass in 1/8 notes", "bass", 6),
        ("guitar with a lot of sustain", "guitar", None),
        ("stop walking, play freely", "bass", None),
        ("a non-stop walking bass", "bass", A_BEAT),
        ("a chord on each beat", "keys", A_BEAT),
        ("a walking bass with accents on two and four", "bass", A_BEAT),
    ],
)
def test_note_values_are_read_from_words(words: str, stem: str, value: int | None) -> None:
    assert note_value(words, stem) == value
    assert is_held(words, stem) == (value in (A_BAR, HALF_A_BAR, 24))


def test_strokes_are_counted_from_each_bar_line() -> None:
    def struck(words: str, stem: str = "bass", bars: np.ndarray = BARS) -> list[int]:
        steps = steps_to_strike(bars, words, stem)
        assert steps is not None
        return np.flatnonzero(steps).tolist()

    assert struck("walking bass") == [0, 12, 24, 36, 48, 60, 72]
    assert struck("half notes") == [0, 24, 48, 72]
    assert struck("one chord per bar", "keys") == [0, 48]
    assert struck("two notes per bar") == [0, 24, 48, 66]
    compound = np.array([[0, 36, 6, 8], [36, 36, 6, 8]])
    assert struck("on every beat", bars=compound) == [0, 18, 36, 54]
    assert struck("eighth notes", bars=compound)[:4] == [0, 6, 12, 18]
    assert struck("chords on the off-beat", "guitar") == [6, 18, 30, 42, 54, 66, 78]
    assert struck("reggae skank", "guitar") == [6, 18, 30, 42, 54, 66, 78]
    assert struck("off-beat chops", "guitar", compound) == [9, 27, 45, 63]
    assert struck("bass on beats one and three") == [0, 24, 48, 72]
    assert struck("chords on 2 and 4", "keys") == [12, 36, 60]
    assert struck("stabs on the backbeat", "keys") == [12, 36, 60]
    assert struck("only on the first beat of each bar", "keys") == [0, 48]
    for words in (
        "start on the first beat",
        "not on the off-beat",
        "a melody with a strong downbeat",
        "the drums are on two and four",
        "on one and two bars later",
    ):
        assert steps_to_strike(BARS, words, "keys") is None, words
    assert steps_to_strike(BARS, "walking", "drums") is None
    assert steps_to_strike(BARS, "funky", "bass") is None
    assert steps_to_strike(BARS, "arpeggios in eighth notes", "guitar") is None


def test_notes_are_held_to_the_next_stroke_or_bar() -> None:
    notes = part((0, 3, 40), (12, 14, 43), (48, 84, 38), (60, 62, 38))
    long = held(notes, BARS)
    for pitch, sounds in ((40, range(12)), (43, range(12, 48)), (38, range(48, 84))):
        assert np.flatnonzero(long[SOUND, :, pitch]).tolist() == list(sounds)
    assert listed(long) == listed(notes)


def test_broken_chords_go_up_and_down_and_ring() -> None:
    chord = part(*((0, 10, pitch) for pitch in (48, 52, 55)), (12, 20, 52), (24, 30, 53))
    broken = arpeggios(chord, BARS, 6)
    first, second = [(0, 48), (6, 52), (12, 55), (18, 52)], [(at, 53) for at in (24, 30, 36, 42)]
    assert listed(broken) == first + second
    assert broken[SOUND, 23, 48] and not broken[SOUND, 24:, 48].any()
    assert not (broken[ONSET] & ~broken[SOUND]).any()
    strummed = part(*((at, at + 2, pitch) for at in range(48, 84, 6) for pitch in (48, 52, 55)))
    assert [pitch for _, pitch in listed(arpeggios(strummed, BARS, 6))] == [48, 52, 55, 52, 48, 52]


def test_power_chords_are_root_fifth_and_octave_low_on_the_guitar() -> None:
    triad = part(*((0, 24, pitch) for pitch in (55, 59, 62, 67)))  # G major
    assert listed(fifths(triad)) == [(0, 43), (0, 50), (0, 55)]
    inverted = part(*((0, 24, pitch) for pitch in (52, 55, 60)))  # C major over E
    assert listed(fifths(inverted)) == [(0, 48), (0, 55), (0, 60)]
    third = part((0, 24, 52), (0, 24, 55))  # E and G over a C in the bass, or over an E
    for bass, root in ((36, 48), (40, 40)):
        assert listed(fifths(third, [part((0, 24, bass), (0, 24, bass + 7))]))[0] == (0, root)
    assert fifths(triad)[SOUND, 23].sum() == 3 and not fifths(triad)[SOUND, 24].any()


def test_a_bass_is_one_line_in_its_register() -> None:
    line = part((0, 6, 35), (6, 12, 64), (12, 18, 40), (18, 24, 24), (24, 30, 55))
    as_given = line.copy()
    assert listed(one_line(line)) == [(0, 35), (6, 52), (12, 40), (18, 36), (24, 55)]
    assert np.array_equal(line, as_given)
    chords = part((0, 20, 40), (0, 8, 52), (12, 24, 43), (12, 14, 47), (24, 36, 45))
    low = one_line(chords)
    assert listed(low) == [(0, 40), (12, 43), (24, 45)]
    assert np.flatnonzero(low[SOUND, :, 40]).tolist() == list(range(12)), "to the next stroke"
    assert np.array_equal(one_line(low), low)
    high = part((0, 12, 52), (12, 24, 55), (24, 36, 59))  # as it is, an octave lower
    assert listed(as_worded(high, [], BARS, "funky", "bass")) == [(0, 40), (12, 43), (24, 47)]
    assert not one_line(part()).any()


def test_a_walking_bass_walks() -> None:
    still = part(*((12 * beat, 12 * beat + 12, 45) for beat in range(4)), (48, 60, 40))
    song = part(*((0, 48, pitch) for pitch in (57, 60, 64)), (48, 84, 52))  # A minor, E
    pitches = [pitch for _, pitch in listed(as_worded(still, [song], BARS, "walking", "bass"))]
    assert pitches[0] == 45 and pitches[4] == 40, "downbeats stay"
    assert (np.diff(pitches) != 0).all()
    assert {pitch % 12 for pitch in pitches[1:3]} <= {9, 0, 4} and abs(pitches[3] - 40) <= 2
    for words in ("bass in quarter notes", "no walking bass, quarter notes"):
        assert listed(as_worded(still, [song], BARS, words, "bass")) == listed(still)
    moving = part((0, 12, 45), (12, 24, 48), (24, 36, 52), (36, 48, 43), (48, 60, 40))
    assert listed(as_worded(moving, [song], BARS, "walking", "bass")) == listed(moving)
    assert listed(as_worded(still, [], BARS, "walking", "bass")) == listed(still)


def test_only_what_the_words_name_is_changed() -> None:
    chord = part(*((0, 24, pitch) for pitch in (55, 59, 62)))
    for words, stem in (
        ("strummed guitar", "guitar"),
        ("power chords", "keys"),
        ("no power chords", "guitar"),
        ("walking", "drums"),
    ):
        assert np.array_equal(as_worded(chord, [], BARS, words, stem), chord), (words, stem)
    assert listed(as_worded(chord, [], BARS, "distorted power chords", "guitar"))[0] == (0, 43)
    assert len(listed(as_worded(chord, [], BARS, "arpeggiated sixteenths", "keys"))) == 16
