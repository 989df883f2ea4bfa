"""Notes are played at their pitch, when and as long as they say."""

import librosa
import numpy as np
import pytest

from restem.audio.pitch_notes import PitchNotes
from restem.audio.sampler import RELEASE_S, play_notes

RATE = 44100


def notes(*rows):
    """(start, end, pitch) or (start, end, pitch, velocity) each."""
    table = np.array([(*row, 100)[:4] for row in rows], dtype=float).reshape(-1, 4)
    return PitchNotes(table[:, 0], table[:, 1], table[:, 2].astype(int), table[:, 3].astype(int))


@pytest.mark.parametrize(
    "program, pitch",
    [(32, 40), (33, 28), (33, 45), (36, 50), (25, 52), (27, 64), (0, 60), (16, 69)],
)
def test_a_note_has_its_pitch(program, pitch):
    wave = play_notes(notes((0.0, 1.0, pitch)), program, RATE, RATE)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(RATE), 4 * RATE))  # quarters of a Hz
    strongest = np.argmax(spectrum) / 4
    ratio = strongest / librosa.midi_to_hz(pitch)  # an organ also sounds an octave below
    partial = 0.5 if ratio < 0.75 else round(ratio)
    assert abs(12 * np.log2(ratio / partial)) < 0.15


def test_a_note_sounds_from_its_start_to_its_end_alone():
    wave = play_notes(notes((0.5, 1.0, 45)), 33, 2 * RATE, RATE)
    end = round((1.0 + RELEASE_S) * RATE) + 1
    assert not wave[: RATE // 2].any() and not wave[end:].any()
    assert np.abs(wave[RATE // 2 : RATE]).max() > 0.02
    assert np.abs(np.diff(wave[RATE:end])).max() < 0.02  # it fades and does not click


def test_a_held_note_goes_on_as_long_as_it_says():
    wave = play_notes(notes((0.0, 9.0, 60)), 16, 9 * RATE, RATE)  # an organ
    early, late = (np.sqrt(np.mean(wave[t * RATE : (t + 1) * RATE] ** 2)) for t in (1, 8))
    assert 0.7 < late / early < 1.4


def test_harder_notes_are_louder_and_notes_add_up():
    soft, hard = (play_notes(notes((0, 1, 50, v)), 33, RATE, RATE) for v in (40, 120))
    assert np.abs(hard).max() > 3 * np.abs(soft).max()
    both = play_notes(notes((0, 1, 50), (0.25, 1, 57)), 33, RATE, RATE)
    each = [play_notes(notes(row), 33, RATE, RATE) for row in ((0, 1, 50), (0.25, 1, 57))]
    np.testing.assert_allclose(both, sum(each), atol=1e-6)


def test_the_end_cuts_what_sounds_on_and_no_notes_are_silence():
    long = play_notes(notes((0.0, 2.0, 45)), 33, 2 * RATE, RATE)
    short = play_notes(notes((0.0, 2.0, 45)), 33, RATE // 2, RATE)
    np.testing.assert_array_equal(short, long[: RATE // 2])
    assert not play_notes(notes(), 33, 1000, RATE).any()


def test_what_begins_before_the_first_sample_is_heard_from_there_on():
    whole = play_notes(notes((0.3, 1.0, 45), (0.6, 1.0, 50)), 33, 2 * RATE, RATE)
    late = play_notes(notes((-0.2, 0.5, 45), (0.1, 0.5, 50), (-3, -2, 52)), 33, RATE, RATE)
    np.testing.assert_array_equal(late, whole[RATE // 2 : RATE // 2 + RATE])


def test_sound_effects_have_no_samples():
    with pytest.raises(ValueError, match="program 125"):
        play_notes(notes((0, 1, 60)), 125, RATE, RATE)
