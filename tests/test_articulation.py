"""What words say of chords and lines, on parts whose notes are known."""

from __future__ import annotations

import numpy as np
import pytest
from midi_builders import part

from restem.symbolic.articulation import (
    arpeggios,
    as_worded,
    fifths,
    held,
    on_strings,
    one_line,
)
from restem.symbolic.rolls import ONSET, SOUND

BARS = np.array([[0, 48, 4, 4], [48, 36, 3, 4]])


def listed(planes: np.ndarray) -> list[tuple[int, int]]:
    return [(int(step), int(pitch)) for step, pitch in np.argwhere(planes[ONSET])]


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
    assert listed(fifths(triad, [], BARS)) == [(0, 43), (0, 50), (0, 55)]
    inverted = part(*((0, 24, pitch) for pitch in (52, 55, 60)))  # C major over E
    assert listed(fifths(inverted, [], BARS)) == [(0, 48), (0, 55), (0, 60)]
    third = part((0, 24, 52), (0, 24, 55))  # E and G over a C in the bass, or over an E
    for bass, root in ((36, 48), (40, 40)):
        assert listed(fifths(third, [part((0, 24, bass), (0, 24, bass + 7))], BARS))[0] == (0, root)
    assert (
        fifths(triad, [], BARS)[SOUND, 23].sum() == 3
        and not fifths(triad, [], BARS)[SOUND, 24].any()
    )


def test_power_chords_stand_on_the_chord_of_the_song() -> None:
    guess = part(*((0, 24, p) for p in (57, 60, 64, 65)), (24, 25, 60), (25, 48, 57), (25, 48, 64))
    minor = part(*((0, 48, pitch) for pitch in (45, 57, 60)), (30, 48, 64))
    made = as_worded(guess, [minor], BARS, "power chords", "guitar")
    power = (45, 52, 57)
    assert listed(made) == [(at, pitch) for at in (0, 24) for pitch in power], "a step is no stroke"


def test_chugs_are_short_fifths_unless_something_else_is_named() -> None:
    triad = part(*((at, at + 6, pitch) for at in (0, 6) for pitch in (64, 67, 72)))  # C
    for words in ("palm-muted chugs", "chugging rhythm guitar", "a palm muted riff"):
        made = as_worded(triad, [], BARS, words, "guitar")
        assert listed(made) == [(at, pitch) for at in (0, 6) for pitch in (48, 55, 60)], words
        assert np.flatnonzero(made[SOUND].any(axis=1)).tolist() == [0, 1, 2, 6, 7, 8]
    assert as_worded(triad, [], BARS, "palm-muted single notes", "guitar")[ONSET].sum() == 2
    broken = as_worded(triad, [], BARS, "palm-muted arpeggio", "guitar")
    assert broken[ONSET].sum(axis=1).max() == 1
    for words in ("palm-muted funk guitar", "a guitar over the chugging bass", "no chugs"):
        assert np.array_equal(as_worded(triad, [], BARS, words, "guitar")[ONSET], triad[ONSET])


def test_an_organ_bubble_is_short_chords_near_middle_c() -> None:
    made = as_worded(LOOSE, [SONG], BARS, "reggae organ bubble", "keys")
    strokes = [np.flatnonzero(made[ONSET, step]) for step in (6, 18, 30, 42)]
    for stroke, names in zip(strokes, ({9, 0, 4}, {9, 0, 4}, {5, 9, 0}, {5, 9, 0}), strict=True):
        assert set((stroke % 12).tolist()) == names and len(stroke) == 3
        assert stroke.min() >= 52 and stroke.max() <= 69
    assert made[SOUND].any(axis=1).sum() <= 12, "sixteenths"


@pytest.mark.parametrize(
    "words",
    ["long chords", "one chord per bar", "whole-note chords", "sustained chords", "big chords"],
)
def test_long_chords_are_full_and_all_of_one_size(words: str) -> None:
    cluster = part(
        *((0, 6, pitch) for pitch in (52, 53, 60, 64, 69, 71, 72)), (48, 54, 36), (48, 50, 83)
    )
    minor = ((0, 48, 45), (0, 48, 60), (0, 48, 64), (18, 24, 71))  # a B in passing
    seventh = tuple((48, 84, pitch) for pitch in (43, 53, 59, 62))  # G7
    made = as_worded(cluster, [part(*minor, *seventh)], BARS, f"add a piano, {words}", "keys")
    first, second = (np.flatnonzero(made[ONSET, step]) for step in (0, 48))
    assert made[ONSET].sum() == len(first) + len(second) == 8
    assert first[0] == 45 and set((first % 12).tolist()) == {9, 0, 4}
    assert second[0] == 43 and set((second % 12).tolist()) == {7, 11, 2, 5}
    for chord in (first, second):
        assert chord[1] >= 55 and chord[3] <= 74 and np.diff(chord).min() > 1
    assert abs(first[3] - second[3]) <= 4
    assert made[SOUND, :84].sum(axis=1).tolist() == [4] * 84, "held over"
    assert np.array_equal(as_worded(cluster, [], BARS, "no big chords", "keys"), cluster)


def test_a_long_chord_where_the_song_rests_is_the_nearest() -> None:
    lone = part((0, 6, 60), (48, 54, 61))
    song = part(*((0, 48, pitch) for pitch in (45, 60, 64)))
    made = as_worded(lone, [song], BARS, "long piano chords", "keys")
    assert np.array_equal(made[ONSET, 0], made[ONSET, 48])
    assert listed(as_worded(lone, [], BARS, "long piano chords", "keys")) == listed(lone)


A_MINOR, F = (45, 57, 60, 64), (41, 57, 60, 65)
SONG = part(*((0, 24, pitch) for pitch in A_MINOR), *((24, 48, pitch) for pitch in F))
LOOSE = part(
    (6, 12, 77), (18, 24, 45), *((18, 24, p) for p in (69, 72, 76, 77, 81)), (30, 31, 72),
    *((42, 48, p) for p in (41, 53, 69, 72, 77)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "stem", "counts", "lowest", "highest"),
    [
        ("reggae skank", "guitar", {3}, 55, 76),
        ("choppy stabs", "keys", {3}, 55, 76),
        ("soft pads", "keys", {3}, 52, 74),
        ("strummed acoustic guitar", "guitar", {4, 5, 6}, 43, 72),
    ],
)
def test_chords_are_full_and_in_one_position(
    words: str, stem: str, counts: set[int], lowest: int, highest: int
) -> None:
    made = as_worded(LOOSE, [SONG], BARS, words, stem)
    strokes = [np.flatnonzero(made[ONSET, step]) for step in (6, 18, 30, 42)]
    assert sum(map(len, strokes)) == made[ONSET].sum()
    for stroke, names in zip(strokes, ({9, 0, 4}, {9, 0, 4}, {5, 9, 0}, {5, 9, 0}), strict=True):
        assert len(stroke) in counts and set((stroke % 12).tolist()) == names
        assert lowest <= stroke.min() and stroke.max() <= highest
        assert np.diff(stroke).max() <= 9, "nothing is left out between"
    assert np.abs(np.diff([stroke.max() for stroke in strokes])).max() <= 5
    assert made[SOUND, 30:33].any(axis=1).all(), "a sixteenth at least"
    single = as_worded(LOOSE, [SONG], BARS, f"single note {words}", stem)
    if "strum" not in words and "skank" not in words and "pads" not in words:
        assert single[ONSET].sum() == 4


def test_a_strum_stands_on_its_root_if_that_is_low() -> None:
    triad = part(*((0, 24, pitch) for pitch in (64, 67, 60)))
    assert listed(as_worded(triad, [], BARS, "strummed guitar", "guitar"))[0] == (0, 48)


def test_without_song_a_lone_note_is_the_nearest_chord() -> None:
    chord = part((6, 12, 72), *((18, 24, p) for p in (60, 65, 69)), (54, 60, 76))
    made = as_worded(chord, [], BARS, "guitar stabs", "guitar")
    for step in (6, 18, 54):
        assert set((np.flatnonzero(made[ONSET, step]) % 12).tolist()) == {0, 5, 9}
    lone = part((6, 12, 72))
    assert listed(as_worded(lone, [], BARS, "guitar stabs", "guitar")) == [(6, 72)]


def test_a_guitar_has_six_strings_and_one_hand() -> None:
    piano = part(*((0, 48, pitch) for pitch in (40, 47, 52, 56, 59, 64, 67, 71, 76)))
    played = on_strings(piano)
    # The lowest, then from above one of each name (E is there): G, B, G sharp; then doubled ones.
    assert listed(played) == [(0, pitch) for pitch in (40, 56, 64, 67, 71, 76)]
    assert played[SOUND, 47].sum() == 6
    ringing = part((0, 48, 40), (6, 48, 47), (12, 48, 64), (12, 48, 66), (24, 48, 50))
    assert np.array_equal(on_strings(ringing), ringing), "five strings may ring"
    chords = part(*((0, 40, p) for p in (45, 52, 57)), *((24, 48, p) for p in (43, 50, 59)))
    moved = on_strings(chords)
    assert listed(moved) == listed(chords)
    assert not moved[SOUND, 24:, 45].any() and moved[SOUND, 47, 43]
    picked = on_strings(part(*((at, 48, 40 + at) for at in range(0, 24, 3))))
    assert picked[SOUND].sum(axis=1).max() == 6 and listed(picked)[-1] == (21, 61)
    assert not picked[SOUND, 20:, 40].any() and picked[SOUND, 47, 61], "the oldest goes first"
    worded = as_worded(piano, [], BARS, "rock", "guitar")
    assert np.array_equal(worded, played)


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


def test_a_bass_that_is_filled_in_has_the_register_of_the_rest() -> None:
    own = part(*((12 * beat, 12 * beat + 12, 55 + beat) for beat in range(3)))  # a high one
    low = part((48, 60, 38), (60, 72, 45), (72, 84, 41))
    assert listed(one_line(low, own)) == [(48, 50), (60, 57), (72, 53)]
    assert listed(as_worded(low, [], BARS, "", "bass", own)) == listed(one_line(low, own))
    assert listed(one_line(low, part())) == listed(low)
    deep = part(*((12 * beat, 12 * beat + 12, 4) for beat in range(3)))
    wide = part((48, 60, 24), (60, 72, 52), (72, 84, 52))
    assert listed(one_line(wide, deep)) == [(48, 0), (60, 4), (72, 4)], "no pitch below 0"
    song = part((48, 84, 60), (48, 84, 64))
    walking = [p for _, p in listed(as_worded(wide, [song], BARS, "walking", "bass", deep))]
    assert walking[2] != walking[1]


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
    for toneless in ([], [part()]):
        assert listed(as_worded(still, toneless, BARS, "walking", "bass")) == listed(still)
    # A first note has none before it, and a last one none after it.
    ends = part((12, 24, 45), (24, 36, 48), (36, 48, 43), (48, 60, 40), (60, 72, 45), (72, 84, 40))
    assert listed(as_worded(ends, [song], BARS, "walking", "bass")) == listed(ends)


def test_a_simple_bass_has_the_root_at_each_bar_line() -> None:
    bars = np.array([[48 * bar, 48, 4, 4] for bar in range(6)])
    line = part((0, 24, 45), (24, 48, 45), (92, 110, 41), (240, 264, 40), steps=288)
    chords = ((45, 60, 64), (48, 52, 55), (41, 57, 60), (43, 59, 62), (), (40, 56, 59))
    song = part(*((48 * i, 48 * i + 48, p) for i, c in enumerate(chords) for p in c), steps=288)
    made = as_worded(line, [song], bars, "add a simple rock bass", "bass")
    added = sorted(set(listed(made)) - set(listed(line)))
    assert [(step, pitch % 12) for step, pitch in added] == [(48, 0), (144, 7)]
    assert all(36 <= pitch <= 51 for _, pitch in added)
    assert made[SOUND, 48:92].any(axis=1).all() and made[SOUND, 144:192].any(axis=1).all()
    assert not made[SOUND, 192:240].any(), "the song rests"
    assert made[SOUND].sum(axis=1).max() == 1
    held_over = part((0, 24, 36), (100, 220, 43), (240, 264, 40), steps=288)
    ended = as_worded(held_over, [song], bars, "simple", "bass")
    assert ended[ONSET, 144, 43] and ended[SOUND, 191, 43] and not ended[SOUND, 192:240].any()
    low = part((0, 24, 29), (100, 120, 29), (240, 264, 29), steps=288)  # no B below its E
    deep = as_worded(low, [part((48, 96, 47), (48, 96, 54), steps=288)], bars, "simple", "bass")
    assert np.flatnonzero(deep[ONSET, 48]).tolist() == [35]
    for end, added in ((60, False), (46, True)):  # a push that is held, and a short off-beat
        early = part((0, 24, 45), (42, end, 48), (240, 264, 40), steps=288)
        assert as_worded(early, [song], bars, "simple", "bass")[ONSET, 48].any() == added
    for words in ("funky", "simple bass on beats 2 and 4", "a simple bass with many rests"):
        assert listed(as_worded(line, [song], bars, words, "bass"))[:2] == listed(line)[:2]
        assert not as_worded(line, [song], bars, words, "bass")[ONSET, 144].any(), words


def test_only_what_the_words_name_is_changed() -> None:
    chord = part(*((0, 24, pitch) for pitch in (55, 59, 62)))
    for words, stem in (
        ("strummed keys", "keys"),
        ("power chords", "keys"),
        ("no power chords", "guitar"),
        ("walking", "drums"),
    ):
        assert np.array_equal(as_worded(chord, [], BARS, words, stem), chord), (words, stem)
    assert listed(as_worded(chord, [], BARS, "distorted power chords", "guitar"))[0] == (0, 43)
    assert len(listed(as_worded(chord, [], BARS, "arpeggiated sixteenths", "keys"))) == 16
