"""Notes of stems with a pitch: known tones are found, in time and in the pack's MIDI."""

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from restem import BeatGrid, Inserter, cli
from restem.audio.pitch_notes import RATE as NETWORK_RATE
from restem.audio.pitch_notes import answers, hear_pitches
from restem.insertion import Insertion

RATE = 44100
# (beginning in s, length in s, MIDI pitch)
MELODY = [(0.5 + 0.5 * i, 0.4, pitch) for i, pitch in enumerate((45, 48, 52, 57, 55, 52, 50, 45))]
CHORDS = [
    (0.5 + i, 0.8, p) for i, root in enumerate((60, 65, 67)) for p in (root, root + 4, root + 7)
]


def played(notes: list[tuple[float, float, int]], seconds: float, rate: int = RATE) -> np.ndarray:
    """Plucked tones of ten harmonics."""
    wave = np.zeros(int(seconds * rate))
    for start, length, pitch in notes:
        t = np.arange(int(length * rate)) / rate
        hz = 440 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * hz * n * t) / n for n in range(1, 11))
        ends = np.minimum(t / 0.003, 1) * np.minimum((length - t) / 0.02, 1)
        first = int(start * rate)
        wave[first : first + len(t)] += 0.1 * tone * ends * np.exp(-2 * t)
    return wave


@pytest.mark.parametrize("rate", [22050, 44100, 96000])
@pytest.mark.parametrize("notes", [MELODY, CHORDS])
def test_known_notes_are_found_in_time(notes, rate):
    heard = hear_pitches(played(notes, 5.0, rate), rate, one_at_a_time=notes is MELODY)
    found = sorted(zip(heard.starts, heard.pitches, strict=True))
    true = sorted((start, pitch) for start, _, pitch in notes)
    assert sorted(heard.pitches) == sorted(pitch for _, pitch in true)
    assert max(abs(a - b) for (a, _), (b, _) in zip(found, true, strict=True)) < 0.03
    assert ((heard.ends > heard.starts) & (heard.velocities >= 1)).all()


def test_a_long_stem_stays_in_time_over_the_joins_of_windows():
    late = [(start + 57.0, length, pitch) for start, length, pitch in MELODY]
    heard = hear_pitches(played(late, 62.0), RATE, one_at_a_time=True)
    assert list(heard.pitches) == [pitch for _, _, pitch in late]
    assert np.abs(heard.starts - [start for start, _, _ in late]).max() < 0.03


def test_windows_do_not_change_what_is_heard():
    """The same sound some frames later gives the same answers, wherever windows join."""
    wave = played(MELODY, 6.0, NETWORK_RATE).astype(np.float32)
    shift = 77
    later = np.concatenate([np.zeros(shift * 256, np.float32), wave])
    plain, moved = answers(wave)[0], answers(later)[0][shift:]
    assert np.abs(plain.astype(float) - moved[: len(plain)]).mean() < 0.01


@pytest.mark.parametrize("samples", [0, 1, 100, 5000])
def test_silence_and_very_short_stems_have_no_notes(samples):
    assert not len(hear_pitches(np.zeros(samples), RATE).starts)
    assert not len(hear_pitches(np.full(samples, 1e-3), RATE).starts)


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_click_has_no_notes_and_is_no_trouble(one_at_a_time):
    click = np.zeros(RATE)
    click[1000] = 0.5
    heard = hear_pitches(click, RATE, one_at_a_time)
    assert len(heard.starts) == len(heard.ends) == len(heard.pitches) == len(heard.velocities) == 0


def test_repeated_notes_are_kept_apart_and_a_bass_plays_one_at_a_time():
    again = [(0.5 + 0.3 * i, 0.28, 45) for i in range(8)]
    heard = hear_pitches(played(again, 3.5), RATE)
    assert len(heard.starts) == 8 and set(heard.pitches) == {45}
    bass = hear_pitches(played([(0.5, 2.0, 40), (1.2, 1.0, 47)], 3.0), RATE, one_at_a_time=True)
    assert (bass.ends[:-1] <= bass.starts[1:]).all()


class StandIn:
    """A bass line in place of a model."""

    def insert(self, samples, sample_rate, instruction, *, progress, **options):
        progress(0.5, "playing")
        stem = played(MELODY, len(samples) / sample_rate, sample_rate)[:, None]
        settings = {"instruction": instruction, "stem": "bass"}
        grid = BeatGrid.from_bpm(120, 0.5, 5.0)
        return Insertion(stem.repeat(samples.shape[1], 1), sample_rate, grid, settings)


def test_the_pack_of_a_bass_holds_its_notes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inserter, "load", lambda model, stem="drums": StandIn())
    soundfile.write("song.wav", np.random.default_rng(0).normal(0, 0.05, (5 * RATE, 2)), RATE)
    words = ["insert", "song.wav", "Add a bass line", "--stem", "bass", "--pack"]
    assert cli.main(words) == 0
    file, now, notes = mido.MidiFile(Path("restem-out/song.pack/song.bass.mid")), 0.0, []
    for message in file:
        now += message.time
        if message.type == "note_on" and message.velocity:
            notes.append((now, message.note))
    assert [pitch for _, pitch in notes] == [pitch for _, _, pitch in MELODY]
    assert max(abs(at - start) for (at, _), (start, *_) in zip(notes, MELODY, strict=True)) < 0.03
    programs = {m.program for track in file.tracks for m in track if m.type == "program_change"}
    assert programs == {33}
