"""Levels of songs that get softer, fade and stop in; stems that go with them out."""

import numpy as np
import pytest

from restem import BeatGrid, Inserter
from restem.audio.spectrogram import SpectrogramConfig, log_mel
from restem.evaluation.loudness import loudness
from restem.following import (
    MOST_LIFTED_DB,
    MOST_LOUDER_DB,
    even_gains,
    follow,
    levels,
    levels_of,
    mean_level,
    old_stem_gains,
    silence_in,
    song_gains,
    stops,
    turn,
)
from restem.hearing import Heard, Removed
from restem.order import Order

RATE = 44100
CONFIG = SpectrogramConfig()
BAR_S = 2.0
NOISE = np.random.default_rng(0).normal(0, 0.1, 40 * RATE)


def band(seconds, *changes):
    """Plucked chords on every beat at 120 BPM; each change is from, to and a gain in dB."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * hz * time) for hz in (220, 277, 330)) * np.exp(-4 * (time % 0.5))
    for start, end, gain_db in changes:
        wave[(time >= start) & (time < end)] *= 10 ** (gain_db / 20)
    return 0.1 * wave


def level_db(wave, start, end):
    return 10 * np.log10(np.mean(wave[round(start * RATE) : round(end * RATE)] ** 2) + 1e-20)


def gains_of(wave):
    return song_gains(levels(log_mel(wave, CONFIG), CONFIG), BAR_S)


def test_levels_are_those_of_the_recommendation():
    """A step of a steady sound is its loudness in LUFS, but for a constant."""
    time = np.arange(4 * RATE) / RATE
    apart = []
    for hz in (60, 1000, 6000):
        wave = 0.1 * np.sin(2 * np.pi * hz * time)
        apart.append(mean_level(levels_of(wave, CONFIG)) - loudness(wave, RATE))
    assert np.ptp(apart) < 1.5  # the lowest bands are coarse
    wave = np.concatenate([wave, 0.01 * wave])
    assert np.ptp(levels_of(wave, CONFIG)[[20, 60]]) == pytest.approx(40, abs=1)


def test_an_even_song_changes_nothing():
    assert np.abs(gains_of(band(20))[5:-5]).max() < 0.1
    assert np.abs(gains_of(band(20, (10, 12, -60)))[5:-5]).max() < 0.1  # rests are played through


def test_soft_verses_are_softer_and_loud_ones_louder_at_once():
    softer = gains_of(band(40, (12, 28, -10)))
    assert -10 < softer[200] < -4 and softer[110] > -0.5
    assert softer[280] > -0.5  # the first stroke of what is loud again
    assert gains_of(band(40, (12, 28, -30)))[200] == pytest.approx(-27, abs=4)
    assert 0.5 < gains_of(band(40, (30, 40, 12)))[350] < MOST_LOUDER_DB + 0.01


def test_the_first_stroke_of_a_song_is_whole():
    song = np.concatenate([np.zeros(round(0.3 * RATE)), band(20)])
    assert np.abs(gains_of(song)[:5]).max() < 0.3
    after_stop = gains_of(band(30, (8, 16, -200)))
    assert after_stop[120] < -60 and after_stop[160] > -0.3


def test_a_sparse_song_is_played_through():
    """One short chord in two bars, or in four, is no stop and no fade-out, even at the end."""
    for bars in (2, 4):
        pauses = [(at + 0.4, at + bars * BAR_S, -200) for at in np.arange(0, 40, bars * BAR_S)]
        song = band(40, *pauses)
        assert stops(log_mel(song, CONFIG), CONFIG, BAR_S) == []
        assert gains_of(song).min() > -3


def test_a_stem_fades_with_its_song():
    song = band(40)
    fade = np.interp(np.arange(len(song)) / RATE, [25, 40], [0, -60])
    wave = NOISE.copy()
    turn(wave, gains_of(song * 10 ** (fade / 20)), RATE)
    assert level_db(wave, 38.5, 39.5) < level_db(NOISE, 5, 15) - 50
    for start in (30, 34, 37):
        apart = level_db(wave, start, start + 1) - level_db(NOISE, 5, 15)
        assert apart == pytest.approx(np.interp(start + 0.5, [25, 40], [0, -60]), abs=6)


def test_a_stem_stops_and_comes_back_with_its_song():
    for end in (12, 14):  # a whole bar, and two
        song = band(30, (10, end, -200), (20, 21, -200))  # the second is a rest of half a bar
        found = stops(log_mel(song, CONFIG), CONFIG, BAR_S)
        assert found == [(pytest.approx(10, abs=0.1), pytest.approx(end, abs=0.05))]
    wave = NOISE.copy()
    silence_in(wave, found, RATE)
    assert not wave[round(10.5 * RATE) : round(13.9 * RATE)].any()
    assert level_db(wave, 14.0, 14.05) > -23 and level_db(wave, 20.2, 20.8) > -21
    assert stops(log_mel(band(20, (0, 4, -200), (16, 20, -200)), CONFIG), CONFIG, BAR_S) == []


def test_drums_that_are_louder_in_a_soft_part_are_as_soft_as_it():
    song, drums = band(48, (16, 32, -17)), band(48, (16, 32, 7)).astype(np.float32)
    grid = BeatGrid.from_bpm(120, 0.0, 48.0)
    for stem, apart in (("drums", 0), ("bass", 7)):  # a bass has no levels of its own
        wave = drums.copy()
        mel = log_mel(song, CONFIG)
        heard = Heard(song[:, None], RATE, song, RATE, -20.0, mel, grid, [], CONFIG)
        follow(wave, RATE, heard, Order(f"Add {stem}", stem))
        wanted = np.interp(240, np.arange(480), gains_of(song)[:480]) + apart
        loud = (level_db(wave, 2, 12) + level_db(wave, 36, 46)) / 2
        assert level_db(wave, 20, 28) - loud == pytest.approx(wanted, abs=1)


def test_even_drums_keep_their_whole_level_and_their_groove():
    drums = band(48, (16, 32, 7), (3, 4, 4), (40, 40.5, 6))
    own = levels_of(drums, CONFIG)
    gains = even_gains(own, BAR_S)
    assert np.ptp(gains) > 5
    even = drums.copy()
    turn(even, gains, RATE)
    assert level_db(even, 0, 48) == pytest.approx(level_db(drums, 0, 48), abs=0.1)
    assert loudness(even, RATE) == pytest.approx(loudness(drums, RATE), abs=0.6)
    bars = round(BAR_S * 10)
    assert np.abs(gains[bars:] - gains[:-bars]).max() < 2  # never suddenly
    assert np.abs(gains[:20] - gains[0]).max() < 0.5  # the first bar is played as it was


def test_few_strokes_and_silence_are_not_lifted_as_soft_ones_are():
    sparse = band(48, *((at + 0.5, at + 2, -200) for at in np.arange(16, 32, BAR_S)))
    assert np.ptp(even_gains(levels_of(sparse, CONFIG), BAR_S)) < 2
    rest = band(48, (0, 8, -200), (16, 32, -70))
    assert np.ptp(even_gains(levels_of(rest, CONFIG), BAR_S)) < 0.5
    soft = even_gains(levels_of(band(48, (16, 32, -20)), CONFIG), BAR_S)
    assert soft[240] - soft[20] < 3 * MOST_LIFTED_DB


def test_a_new_stem_is_turned_like_the_old_one():
    old = np.where(np.arange(40 * RATE) < 16 * RATE, 0.0, 0.3) * NOISE
    new = 0.02 * np.random.default_rng(1).normal(0, 1, 40 * RATE)
    turn(new, old_stem_gains(levels_of(old, CONFIG), BAR_S), RATE)
    assert level_db(new, 2, 14) < level_db(new, 20, 38) - 40
    assert level_db(new, 16, 16.1) > level_db(new, 20, 38) - 1


@pytest.mark.parametrize("stem", ["drums", "bass"])
def test_insertion_goes_with_the_song(stem):
    song = band(30, (8, 12, -200), (16, 26, -9))
    fade = np.interp(np.arange(len(song)) / RATE, [26, 30], [-9, -60])
    song[26 * RATE :] *= 10 ** (fade[26 * RATE :] / 20)
    grid = BeatGrid.from_bpm(120, 0.0, 30.0)
    made = Inserter.load(stem=stem).insert(song, RATE, f"Add {stem}", beats=grid, steps=3)
    stem_db = {at: level_db(made.stem, *at) for at in ((2, 8), (9, 11.9), (12, 14), (29, 30))}
    assert stem_db[9, 11.9] < -100 and stem_db[12, 14] > stem_db[2, 8] - 6
    assert stem_db[29, 30] < stem_db[2, 8] - 25


def test_drums_in_place_of_others_are_as_loud():
    song, grid = band(12), BeatGrid.from_bpm(120, 0.0, 12.0)
    inserter = Inserter.load()
    for old_db in (-6, -26):
        old = 10 ** (old_db / 20) * NOISE[: 12 * RATE]
        old[: 4 * RATE] = 0
        old[10 * RATE :] *= 0.2
        removed = Removed(old, RATE)
        made = inserter.insert(song, RATE, "Add drums", beats=grid, steps=2, replaced=removed)
        assert loudness(made.stem, RATE) == pytest.approx(loudness(old, RATE), abs=1.5)
        assert level_db(made.stem, 0.5, 3) < level_db(made.stem, 5, 11) - 40
        region = inserter.insert(
            song, RATE, "Add drums", beats=grid, steps=2, replaced=removed, region=(1.0, 3.0)
        )  # where the old ones rest
        assert loudness(region.stem, RATE) == pytest.approx(loudness(old, RATE), abs=2)
    soft = inserter.insert(song, RATE, "Add soft drums", beats=grid, steps=2, replaced=removed)
    assert loudness(soft.stem, RATE) == pytest.approx(loudness(old, RATE) - 5, abs=1.5)
    # Of drums that may be only in part what was taken out, it is known that they were no softer.
    usual = loudness(inserter.insert(song, RATE, "Add drums", beats=grid, steps=2).stem, RATE)
    for apart_db, least in ((-20, usual), (6, usual + 6)):
        part = 10 ** ((usual + apart_db - loudness(old, RATE)) / 20) * old
        unsure = Removed(part, RATE, whole=False)
        made = inserter.insert(song, RATE, "Add drums", beats=grid, steps=2, replaced=unsure)
        assert loudness(made.stem, RATE) == pytest.approx(least, abs=1.5)
