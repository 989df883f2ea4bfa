"""Rare spikes are bent down; everything else, also a single hit, keeps its samples."""

import numpy as np

from restem.audio import room
from restem.audio.peaks import CEILING, bend_peaks

RATE = 44100


def _hits(count, seed=0):
    """Decaying bursts of noise, a quarter of a second apart, some louder than others."""
    rng = np.random.default_rng(seed)
    wave = np.zeros(max(count, 40) * RATE // 4, np.float32)
    for hit in range(count):
        decay = np.exp(-np.arange(RATE // 5) / 2000)
        place = slice(hit * RATE // 4, hit * RATE // 4 + RATE // 5)
        wave[place] = rng.uniform(0.3, 0.6) * np.clip(rng.normal(0, 0.3, RATE // 5), -1, 1) * decay
    return wave


def test_spikes_come_down_and_the_rest_stays():
    wave = _hits(40)
    before = wave.copy()
    highest = np.abs(before).max()
    spikes = np.array([3000, 3001, 90000, 200001])
    wave[spikes] = [2.0, -1.5, 1.2, -3.0]
    spiked = wave.copy()
    bend_peaks(wave)
    assert np.abs(wave).max() <= CEILING * highest
    assert (np.sign(wave) == np.sign(spiked)).all()
    changed = wave != spiked
    assert changed.mean() < 2e-4 and changed[spikes].all()
    assert np.abs(wave - before)[~np.isin(np.arange(len(wave)), spikes)].max() < 0.2 * highest


def test_a_wave_without_spikes_hardly_changes():
    wave = _hits(40)
    before = wave.copy()
    bend_peaks(wave)
    assert np.sqrt(np.mean((wave - before) ** 2)) < 0.01 * np.sqrt(np.mean(before**2))


def test_one_hit_in_a_long_silence_stays_and_silence_too():
    wave = _hits(1)
    before = wave.copy()
    bend_peaks(wave)
    assert np.abs(wave - before).max() < 0.15 * np.abs(before).max()
    silence = np.zeros(1000, np.float32)
    bend_peaks(silence)
    assert not silence.any()
    bend_peaks(np.zeros(0, np.float32))


def test_blocks_change_nothing(monkeypatch):
    whole, parts = _hits(20), _hits(20)
    whole[500] = parts[500] = 4.0
    bend_peaks(whole)
    monkeypatch.setattr(room, "BLOCK", 777)
    bend_peaks(parts)
    np.testing.assert_array_equal(whole, parts)
