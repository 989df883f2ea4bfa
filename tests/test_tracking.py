"""Beat decoding on made log-odds whose beats are known, then the whole tracker on small sounds."""

import time
import tracemalloc

import mir_eval
import numpy as np
import pytest

from restem.audio.bar_pointer import BarPointer
from restem.audio.tracking import (
    HOP,
    SAMPLE_RATE,
    band_powers,
    beat_log_odds,
    grid_from_log_odds,
    refined_times,
    track_beats,
    tracker_features,
)
from restem.evaluation.beats import best_beat_f

FPS = 50.0


def made_log_odds(times, downbeat, seconds, rng, noise=1.0, missing=0.0):
    """Bumps of a network's shape at the beats over a noisy ground; `missing` beats are flat."""
    log_odds = np.full((int(seconds * FPS) + 1, 2), -4.0)
    frame = np.arange(len(log_odds))
    for time_s, down in zip(times, downbeat, strict=True):
        if rng.random() >= missing:
            bump = 2.5 - 1.5 * (frame - time_s * FPS) ** 2
            log_odds[:, 0] = np.maximum(log_odds[:, 0], bump)
            log_odds[:, 1] = np.maximum(log_odds[:, 1], bump - (0.5 if down else 4.0))
    return log_odds + noise * rng.standard_normal(log_odds.shape)


def f_measure(grid, times):
    return mir_eval.beat.f_measure(np.asarray(times), grid.times)


@pytest.mark.parametrize("metre", [2, 3, 4])
@pytest.mark.parametrize("bpm", [60, 77, 98.6, 120, 143, 171, 200])
def test_steady_songs_in_every_metre(bpm, metre):
    rng = np.random.default_rng(int(bpm) * metre)
    times = np.arange(0.37, 40, 60 / bpm)
    down = np.arange(len(times)) % metre == 1
    grid = grid_from_log_odds(made_log_odds(times, down, 40, rng, missing=0.1), 40.0)
    assert grid.beats_per_bar == metre
    assert f_measure(grid, times) > 0.99
    assert mir_eval.beat.f_measure(times[down], grid.downbeats) > 0.97
    assert grid.bpm == pytest.approx(bpm, rel=0.01)
    matched = grid.times[np.abs(grid.times[:, None] - times).min(axis=1) < 0.07]
    error = np.abs(matched[:, None] - times).min(axis=1)
    assert np.sqrt(np.mean(error**2)) < 0.005  # a quarter of a frame, in spite of the noise


def test_a_metre_that_is_named_is_the_only_one():
    times = np.arange(0.37, 30, 0.5)
    made = made_log_odds(times, np.arange(len(times)) % 4 == 1, 30, np.random.default_rng(0))
    for metre, beats_per_bar in (("2/4", 2), ("3/4", 3), ("4/4", 4)):
        grid = grid_from_log_odds(made, 30.0, metre)
        assert grid.beats_per_bar == beats_per_bar and f_measure(grid, times) > 0.98
    assert track_beats(np.zeros(SAMPLE_RATE), "6/8").beats_per_bar == 2


def test_eighths_are_counted_in_dotted_quarters():
    eighths = np.arange(0.25, 40, 1 / 3)
    down = np.arange(len(eighths)) % 6 == 0
    made = made_log_odds(eighths, down, 40, np.random.default_rng(0))
    assert grid_from_log_odds(made, 40.0).bpm == pytest.approx(180, rel=0.01)
    grid = grid_from_log_odds(made, 40.0, "6/8")
    assert grid.bpm == pytest.approx(60, rel=0.01) and grid.beats_per_bar == 2
    assert f_measure(grid, eighths[::3]) > 0.95
    assert mir_eval.beat.f_measure(eighths[down], grid.downbeats) > 0.95


@pytest.mark.parametrize(("metre", "bar"), [("6/8", 2), ("9/8", 3), ("12/8", 4)])
def test_longer_bars_of_eighths_have_the_beats_of_6_8(metre, bar):
    """The log-odds are as the network hears the eighths of two bars of a rendered song in 6/8."""
    heard = (-0.3, -0.6, -0.4, -0.7, -1.2, -0.3, 0.0, -1.5, -0.4, -0.1, -1.1, -1.0)
    eighths = np.arange(0.26, 40, 1 / 3)
    made = np.full((2001, 2), -4.0)
    for index, frame in enumerate(np.rint(eighths * FPS).astype(int)):
        made[frame] = 1.5, heard[index % 12]
    grid = grid_from_log_odds(made, 40.0, metre)
    assert grid.beats_per_bar == bar and grid.bpm == pytest.approx(60, rel=0.01)
    assert f_measure(grid, eighths[::3]) > 0.95
    down = np.arange(len(eighths)) % (3 * bar) == 0
    made = made_log_odds(eighths, down, 40, np.random.default_rng(0))
    grid = grid_from_log_odds(made, 40.0, metre)
    assert mir_eval.beat.f_measure(eighths[down], grid.downbeats) > 0.95


@pytest.mark.parametrize("change", [0.05, -0.05])
def test_follows_a_ramp_of_tempo(change):
    rng = np.random.default_rng(3)
    beat = np.arange(80)
    times = 0.2 + np.cumsum(0.5 * (1 + change * beat / 80))
    seconds = times[-1] + 0.3
    made = made_log_odds(times, beat % 4 == 0, seconds, rng, missing=0.1)
    grid = grid_from_log_odds(made, seconds)
    scores = mir_eval.beat.continuity(times, grid.times)
    assert scores[0] > 0.95  # continuous at the true tempo
    inner = grid.times[(grid.times > 2) & (grid.times < 38)]
    assert np.abs(inner[:, None] - times).min(axis=1).max() < 0.015


def test_follows_free_timing_and_smooths_a_steady_song():
    rng = np.random.default_rng(5)
    period = 0.55 * np.exp(np.cumsum(rng.normal(0, 0.012, 70)))
    times = 0.3 + np.cumsum(period)
    seconds = times[-1] + 0.5
    made = made_log_odds(times, np.arange(70) % 4 == 0, seconds, rng, noise=0.5)
    grid = grid_from_log_odds(made, seconds)
    assert f_measure(grid, times) > 0.97
    steady = np.arange(0.3, 40, 0.531)
    heard = steady + rng.normal(0, 0.008, len(steady))  # players are loose, the song is not
    made = made_log_odds(heard, np.arange(len(steady)) % 4 == 0, 40, rng)
    grid = grid_from_log_odds(made, 40.0)
    assert f_measure(grid, steady) == pytest.approx(1.0)
    assert np.std(np.diff(heard)) > 0.010
    assert np.std(np.diff(grid.times)) < 0.004


def test_silent_middle_is_bridged_at_the_same_tempo():
    times = np.arange(0.2, 40, 0.5)
    rng = np.random.default_rng(1)
    made = made_log_odds(times, np.arange(len(times)) % 4 == 0, 40, rng)
    made[700:1100] = -4 + rng.standard_normal((400, 2))
    grid = grid_from_log_odds(made, 40.0)
    assert f_measure(grid, times) > 0.98
    assert mir_eval.beat.f_measure(times[::4], grid.downbeats) > 0.98


def test_confidence_falls_with_doubt():
    times = np.arange(0.2, 40, 0.5)
    down = np.arange(len(times)) % 4 == 0
    rng = np.random.default_rng(2)
    clear = grid_from_log_odds(made_log_odds(times, down, 40, rng), 40.0).confidence
    doubt = grid_from_log_odds(made_log_odds(times, down, 40, rng, missing=0.5), 40.0).confidence
    nothing = np.random.default_rng(0).normal(-4, 1, (2000, 2))
    assert 0.8 < clear <= 1.0
    assert doubt < clear - 0.1
    assert grid_from_log_odds(nothing, 40.0).confidence < 0.4


def test_refinement_keeps_the_order_of_beats():
    rng = np.random.default_rng(0)
    frames = np.cumsum(rng.integers(13, 40, 200))
    times = refined_times(frames, rng.normal(0, 3, frames[-1] + 20))
    assert (np.diff(times) > 0).all()


def test_ten_minutes_are_searched_quickly_in_little_memory():
    times = np.arange(0.2, 600, 0.5)
    rng = np.random.default_rng(4)
    made = made_log_odds(times[:120], np.arange(120) % 4 == 0, 60, rng)
    start = time.perf_counter()
    BarPointer().decode(made)
    assert time.perf_counter() - start < 2.0  # 0.15 s on an idle core
    long = np.tile(made, (10, 1))
    tracemalloc.start()
    path = BarPointer().decode(long)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90e6  # ten minutes
    assert len(path.frames) == pytest.approx(1200, abs=15)


@pytest.mark.parametrize("frames", [0, 1, 5, 14, 30, 60, 200])
def test_short_or_flat_input_decodes_to_something(frames):
    grid = grid_from_log_odds(np.full((frames, 2), -4.0), frames / FPS)
    assert len(grid.times) >= 2
    assert grid.confidence < 0.5


def test_band_powers_against_a_direct_transform():
    rng = np.random.default_rng(0)
    waveform = rng.standard_normal(30000).astype(np.float32)
    powers = band_powers(waveform)
    assert powers.shape == (1 + 30000 // HOP, 80)
    start = 10 * HOP - 1024
    window = np.hanning(2049)[:-1]
    spectrum = np.abs(np.fft.rfft(waveform[start : start + 2048] * window)) ** 2
    assert powers[10].sum() == pytest.approx(
        float(spectrum[2 : int(11000 / 21.53)].sum()), rel=0.02
    )
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    band = int(band_powers(tone)[20].argmax())
    mel = 2595 * np.log10(1 + np.array([30, 1000, 11000]) / 700)
    assert band == round((mel[1] - mel[0]) / (mel[2] - mel[0]) * 81) - 1


def test_features_do_not_depend_on_level():
    waveform = np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    loud = tracker_features(band_powers(waveform))
    soft = tracker_features(band_powers(waveform * 0.01))
    np.testing.assert_allclose(loud, soft, atol=1e-3)
    assert loud.min() >= -2 and loud.max() < 3


def plucked_song(bpm, seconds, rng):
    """A made guitar: a bass note and chord on the beats, softer strokes between, chords by bar."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    song = np.zeros(len(t))
    tonic = (110, 220, 277, 330)
    chords = (tonic, (147, 294, 370, 440), (165, 330, 415, 494), tonic)
    for half in range(int(seconds * bpm / 30)):
        start = int(half * 30 / bpm * SAMPLE_RATE)
        chord = chords[half // 8 % 4]
        note = t[: min(len(t) - start, SAMPLE_RATE)]
        level = 1.0 if half % 8 == 0 else 0.7 if half % 2 == 0 else 0.25
        for hz in chord if half % 2 else (*chord, chord[0] / 2):
            tones = sum(np.sin(2 * np.pi * hz * k * note) / k for k in (1, 2, 3, 4))
            song[start : start + len(note)] += level * tones * np.exp(-5 * note)
    return song + 0.001 * rng.standard_normal(len(song))


@pytest.mark.parametrize("bpm", [88, 120])
def test_hears_a_plain_guitar(bpm):
    song = plucked_song(bpm, 24, np.random.default_rng(0))
    grid = track_beats(song)
    truth = np.arange(0, 24, 60 / bpm)
    assert best_beat_f(truth, grid.times).value > 0.9  # the eighths may pass for the beat
    if bpm == 120:
        assert mir_eval.beat.f_measure(truth, grid.times) > 0.9
        assert mir_eval.beat.f_measure(truth[::4], grid.downbeats) > 0.8


def test_silence_and_specks_give_a_usable_grid():
    for samples in (1, 4410, SAMPLE_RATE * 5):
        grid = track_beats(np.zeros(samples))
        assert grid.confidence == 0.0 and grid.bpm == pytest.approx(120)
    grid = track_beats(np.random.default_rng(0).standard_normal(4410))
    assert len(grid.times) >= 2


def test_long_songs_in_pieces_match_one_pass(monkeypatch):
    features = np.random.default_rng(0).standard_normal((3000, 80)).astype(np.float32)
    whole = beat_log_odds(features)
    monkeypatch.setattr("restem.audio.tracking.PIECE", 700)
    np.testing.assert_allclose(beat_log_odds(features), whole, atol=1e-3)
