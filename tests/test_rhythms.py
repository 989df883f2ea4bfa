"""What words say of rhythms: note values, and beats to strike at."""

from __future__ import annotations

import numpy as np
import pytest
from midi_builders import part

from restem.symbolic.articulation import as_worded
from restem.symbolic.rhythms import A_BAR, A_BEAT, HALF_A_BAR, rhythm_of, steps_to_strike
from restem.symbolic.rolls import SOUND

BARS = np.array([[0, 48, 4, 4], [48, 36, 3, 4]])


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
        ("reggae, long bass notes, offbeat guitar", "bass", A_BAR),
        ("eighth notes", "drums", None),
        ("one chord a bar", "keys", A_BAR),
        ("one note in each bar", "bass", A_BAR),
        ("sustained bass", "bass", A_BAR),
        ("Add sustained organ", "keys", A_BAR),
        ("a walking bass that approaches each new chord on beat 4", "bass", A_BEAT),
        ("eighth notes except on beat four", "bass", 6),
        ("on every beat except beat 1", "bass", A_BEAT),
        ("don't stop walking", "bass", A_BEAT),
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
        ("palm-muted chugs", "guitar", 6),
        ("a palm muted riff under the keys", "guitar", 6),
        ("chugging metal guitar in sixteenths", "guitar", 3),
        ("palm-muted power chords, one per bar", "guitar", A_BAR),
        ("palm-muted single notes", "guitar", None),
        ("palm-muted funk guitar", "guitar", None),
        ("syncopated chugs", "guitar", None),
        ("no chugs", "guitar", None),
        ("keys over the chugging guitar", "keys", None),
        ("a guitar that chugs along", "guitar", None),
    ],
)
def test_note_values_are_read_from_words(words: str, stem: str, value: int | None) -> None:
    rhythm = rhythm_of(words, stem)
    assert rhythm.value == value and not rhythm.beats
    assert rhythm.is_long == (value in (A_BAR, HALF_A_BAR, 24))


def struck(words: str, stem: str = "bass", bars: np.ndarray = BARS) -> list[int] | None:
    steps = steps_to_strike(bars, rhythm_of(words, stem))
    return None if steps is None else np.flatnonzero(steps).tolist()


SIX_EIGHTHS = np.array([[0, 36, 6, 8], [36, 36, 6, 8]])


def test_strokes_are_counted_from_each_bar_line() -> None:
    assert struck("walking bass") == [0, 12, 24, 36, 48, 60, 72]
    assert struck("half notes") == [0, 24, 48, 72]
    assert struck("one chord per bar", "keys") == [0, 48]
    assert struck("two notes per bar") == [0, 24, 48, 66]
    assert struck("on every beat", bars=SIX_EIGHTHS) == [0, 18, 36, 54]
    assert struck("eighth notes", bars=SIX_EIGHTHS)[:4] == [0, 6, 12, 18]
    assert struck("walking", "drums") is None
    assert struck("funky") is None


def test_beats_that_are_named_are_struck() -> None:
    off = [6, 18, 30, 42, 54, 66, 78]
    assert struck("chords on the off-beat", "guitar") == off
    assert struck("reggae skank", "guitar") == off
    assert struck("an off-beat bass") == off
    assert struck("reggae, long bass notes, offbeat guitar", "guitar") == off
    assert struck("reggae organ bubble", "keys") == off
    assert struck("bubbling dub organ", "keys") == struck("organ bubble", "keys") == off
    for words in ("bubbly synth arpeggio", "bubbling synth", "bubble-gum pop piano"):
        assert struck(words, "keys") is None
    assert struck("off-beat chops", "guitar", SIX_EIGHTHS) == [9, 27, 45, 63]
    assert struck("bass on beats one and three") == [0, 24, 48, 72]
    assert struck("chords on 2 and 4", "keys") == [12, 36, 60]
    assert struck("on beat 2 and on beat 4", "keys") == [12, 36, 60]
    assert struck("on beats 1, 2 and 4", "keys") == [0, 12, 36, 48, 60]
    assert struck("stabs on the backbeat", "keys") == [12, 36, 60]
    assert struck("only on the first beat of each bar", "keys") == [0, 48]
    assert struck("on beats one and four", "keys", SIX_EIGHTHS) == [0, 18, 36, 54]
    assert struck("on beat five", "keys", np.array([[0, 60, 5, 4]])) == [48]


def test_beats_of_an_upbeat_are_the_last_of_a_bar() -> None:
    upbeat = np.array([[0, 36, 3, 4], [36, 48, 4, 4]])  # beats two, three and four, then a bar
    assert struck("on beats one and three", bars=upbeat) == [12, 36, 60]
    assert struck("on two and four", bars=upbeat) == [0, 24, 48, 72]


def test_notes_at_named_beats_are_as_long_as_is_said() -> None:
    for words, value in (
        ("whole notes on beat one", A_BAR),
        ("half notes on beats one and three", 24),
        ("sustained chords on the first beat of each bar", A_BAR),
    ):
        rhythm = rhythm_of(words, "keys")
        assert rhythm.value == value and rhythm.is_long and rhythm.beats[0] == 0, words
    short = part((0, 6, 60), (48, 54, 62))
    long = as_worded(short, [], BARS, "whole notes on beat one", "keys")
    assert long[SOUND, :48, 60].all() and long[SOUND, 48:, 62].all()


@pytest.mark.parametrize(
    "words",
    [
        "start on the first beat",
        "not on the off-beat",
        "a melody with a strong downbeat",
        "the drums are on two and four",
        "on one and two bars later",
        "a part that rests on beat 4",
        "leaves out beat 1",
        "leave beat one empty",
        "no note on beat 3",
        "accents on the off-beats",
        "with an off-beat feel",
        "an offbeat, quirky part",
        "downstrokes and upstrokes",
        "a blues on one, four and five",
        "two and four-bar phrases",
        "on beats 1-3",
        "ghost notes between beats 2 and 4",
        "a line that supports the reggae skank",
    ],
)
def test_words_beside_a_beat_name_no_rhythm(words: str) -> None:
    assert struck(words) is None
