"""The shipped weights reach the scores that their presets (`model.json`) carry, on a fixed set."""

import numpy as np
import pytest

from restem import BeatGrid, Inserter
from restem.evaluation.fit import chroma_fit
from restem.evaluation.onsets import beats_with_onset, onset_envelope, onset_times

RATE, SECONDS = 44100, 8.0
# Tempo, sentence and the chords (lowest note, third in semitones) of four songs, a bar each.
SONGS = (
    (84.0, "Add soul drums", ((45, 3), (41, 4), (48, 4), (43, 4))),
    (104.0, "Add rock drums", ((40, 3), (48, 4), (43, 4), (50, 4))),
    (122.0, "Add house drums", ((46, 4), (43, 3), (39, 4), (41, 4))),
    (140.0, "Add pop drums", ((50, 3), (46, 4), (41, 4), (48, 4))),
)


def tone(midi: float, seconds: float) -> np.ndarray:
    """A plucked tone of eight harmonics."""
    t = np.arange(int(seconds * RATE)) / RATE
    hz = 440 * 2 ** ((midi - 69) / 12)
    wave = sum(np.sin(2 * np.pi * hz * n * t) / n for n in range(1, 9))
    return 0.06 * wave * np.exp(-3 * t) * np.minimum(t / 0.004, 1)


def song(bpm: float, chords: tuple) -> tuple[np.ndarray, BeatGrid]:
    """Chords on the beats and between them, their lowest note on one and three; and its beats."""
    wave = np.zeros(int(SECONDS * RATE))
    beat = 60 / bpm
    for half in range(int(SECONDS / beat * 2)):
        root, third = chords[half // 8 % len(chords)]
        played = [root + 12, root + 12 + third, root + 19] if half % 4 != 1 else []
        played += [root] if half % 4 == 0 else []
        for midi in played:
            at = int(half * beat / 2 * RATE)
            made = tone(midi, 0.8)[: len(wave) - at]
            wave[at : at + len(made)] += made
    return wave, BeatGrid.from_bpm(bpm, 0.0, SECONDS)


def reached(inserter: Inserter) -> dict[str, float]:
    """The drums' beats hit within 30 ms, and within them by chance (a third of a beat late)."""
    hits, late = [], []
    for bpm, sentence, chords in SONGS:
        wave, grid = song(bpm, chords)
        stem = inserter.insert(wave, RATE, sentence, beats=grid).stem
        onsets = onset_times(onset_envelope(stem, RATE))
        hits.append(beats_with_onset(grid.times, onsets, 0.03))
        late.append(beats_with_onset(grid.times + 20 / bpm, onsets, 0.03))
    return {"beats hit within 30 ms": np.mean(hits), "late": np.mean(late)}


def test_the_drums_reach_what_their_preset_carries():
    inserter = Inserter.load()
    scores, wanted = reached(inserter), inserter.model.description["reaches"]
    assert wanted.keys() == {"beats hit within 30 ms"}
    assert scores["beats hit within 30 ms"] >= wanted["beats hit within 30 ms"] > scores["late"]


@pytest.mark.parametrize("stem", ["bass", "guitar", "keys"])
def test_stems_with_a_pitch_reach_what_their_preset_carries(stem):
    inserter = Inserter.load(stem=stem)
    own, other = [], []
    waves = [song(bpm, chords) for bpm, _, chords in SONGS]
    for i, (wave, grid) in enumerate(waves):
        made = inserter.insert(wave, RATE, f"Add {stem}", beats=grid, stem=stem).stem
        own.append(chroma_fit(made, wave, RATE))
        other.append(chroma_fit(made, waves[i - 1][0], RATE))
    wanted = inserter.model.description["reaches"][f"chroma fit of {stem}"]
    assert np.mean(own) >= wanted > np.mean(other)
