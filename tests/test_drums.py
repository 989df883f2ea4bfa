"""Drum performances: reading, fitting, fills and what is said of them."""

from pathlib import Path

import mido
import numpy as np
import pytest

from restem.dataset.compose import Groove, Part
from restem.dataset.drums import (
    DrumSource,
    describe,
    fit,
    humanise,
    play_at,
    read_groove_midi,
    read_hydrogen,
    with_fills,
)
from restem.errors import UserError

FOUR = Groove(Path("x.mma"), "X", "house", 4, 4)


def _pattern(times, pitch=36, velocity=100.0):
    return np.array([[t, 0.1, pitch, velocity] for t in times])


def _source(times, quarters, fill=False):
    return DrumSource("x", "rock", 120.0, 4, quarters, fill, "train", _pattern(times))


def test_a_short_source_loops_and_a_long_one_is_cut_at_a_bar():
    looped = fit(_source([0, 1.5], 4), 16, np.random.default_rng(0))
    np.testing.assert_allclose(looped[:, 0], [0, 1.5, 4, 5.5, 8, 9.5, 12, 13.5])
    for seed in range(10):
        cut = fit(_source(np.arange(0, 64), 64), 16, np.random.default_rng(seed))
        np.testing.assert_allclose(cut[:, 0], np.arange(16))


def test_fills_replace_the_end_of_a_phrase_and_are_answered_by_a_crash():
    fill = DrumSource("f", "rock", 120.0, 4, 2.0, True, "train", _pattern([0, 0.5, 1.0, 1.5], 45))
    base = _pattern(np.arange(32), 36)
    notes = with_fills(base, [fill], FOUR, 8, np.random.default_rng(3))
    toms, crashes = notes[notes[:, 2] == 45, 0], notes[notes[:, 2] == 49, 0]
    assert len(toms) and set(np.round(toms % 16, 2)) <= {14.0, 14.5, 15.0, 15.5}
    assert all(c % 16 == 0 for c in crashes)
    kicks = notes[notes[:, 2] == 36, 0]
    assert not any(14 <= k % 16 < 16 and np.any(np.abs(toms - k) < 2) for k in kicks)


def test_playing_softly_lowers_velocities_only():
    part = Part("drums", 0, _pattern(np.arange(8), velocity=100.0))
    soft, loud = play_at(part, "soft"), play_at(part, "loud")
    assert soft.notes[:, 3].max() < 60
    assert loud.notes[:, 3].max() > 105
    np.testing.assert_array_equal(soft.notes[:, :3], part.notes[:, :3])


def test_a_hand_is_near_the_grid():
    notes = humanise(_pattern(np.arange(200)), 120.0, np.random.default_rng(0))
    late = (notes[:, 0] - np.arange(200)) * 60 / 120
    assert 0 < np.std(late) < 0.008 and notes[:, 3].min() >= 1


def test_labels_are_true_to_the_notes():
    floor = describe(_pattern(np.arange(32)), FOUR, "house", 124, "loud", "tr-808")
    assert floor.feel == "four on the floor" and floor.density == "sparse"
    times = np.concatenate([np.arange(32), np.arange(32) + 0.667])
    swung = describe(_pattern(np.sort(times), 51), FOUR, "swing", 160, "soft", "jazz")
    assert swung.feel == "swing"
    busy = describe(_pattern(np.arange(0, 32, 0.25), 42), FOUR, "funk", 100, "medium", "room")
    assert (busy.density == "busy" and busy.feel is None) or busy.feel == "straight"


def test_groove_midi_is_read_with_its_roland_pitches(tmp_path):
    midi = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    for _ in range(4):
        track += [
            mido.Message("note_on", channel=9, note=22, velocity=80, time=0),
            mido.Message("note_off", channel=9, note=22, velocity=0, time=480),
        ]
    midi.tracks.append(track)
    midi.save(tmp_path / "a.mid")
    (tmp_path / "info.csv").write_text(
        "midi,style,bpm,beat_type,time_signature,duration_s,split,drummer\n"
        "a.mid,funk,95,beat,4-4,2.5,train,d1\nb.mid,funk,95,beat,5-4,2.5,train,d1\n"
    )
    (source,) = read_groove_midi(tmp_path)
    assert (source.style, source.bpm, source.quarters) == ("funk", 95.0, 4.0)
    np.testing.assert_array_equal(source.notes[:, 2], 42)
    with pytest.raises(UserError, match=r"info\.csv"):
        read_groove_midi(tmp_path / "none")


def test_hydrogen_patterns_are_read(tmp_path):
    folder = tmp_path / "disco"
    folder.mkdir()
    (folder / "disco-1.h2pattern").write_text(
        "<drumkit_pattern><pattern><size>192</size><noteList>"
        "<note><position>0</position><velocity>0.8</velocity><type>Kick</type></note>"
        "<note><position>48</position><velocity>1</velocity><type>Snare</type></note>"
        "<note><position>24</position><velocity>1</velocity><type>Kazoo</type></note>"
        "</noteList></pattern></drumkit_pattern>"
    )
    (source,) = read_hydrogen(tmp_path)
    np.testing.assert_allclose(source.notes[:, [0, 2, 3]], [[0, 36, 101.6], [1, 38, 127]])
    assert source.quarters == 4 and source.style == "disco"
