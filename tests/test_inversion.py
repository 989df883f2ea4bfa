"""Inversion of log-mel pictures, judged by the sound it gives back for drums made here."""

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from restem.audio import inversion
from restem.audio.inversion import linear_power, waveform_from_log_mel
from restem.audio.spectrogram import SpectrogramConfig, log_mel, mel_filters, power_scale

CONFIG = SpectrogramConfig()
PLAIN = SpectrogramConfig(n_fft=1024, hop=256, fine_per_frame=0)
RATE = 44100


def drums(seconds: float = 4.0, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """A rock beat at 120 BPM from decaying tones and noise, and where kick and snare begin."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * RATE) + RATE)
    t = np.arange(RATE // 2) / RATE
    high = butter(2, 6000, "high", fs=RATE, output="sos")
    low = butter(1, 5000, "low", fs=RATE, output="sos")
    strong = []
    for eighth in range(int(seconds * 4)):
        start = int(eighth * RATE / 4) + 1000 + int(rng.integers(-300, 300))
        hit = 0.15 * sosfilt(high, rng.standard_normal(len(t))) * np.exp(-t * 60)
        if eighth % 4 == 0:
            pitch = 50 * t + 5 * (1 - np.exp(-t * 40))
            hit += 0.8 * np.sin(2 * np.pi * pitch) * np.exp(-t * 12)
            hit += 0.2 * rng.standard_normal(len(t)) * np.exp(-t * 400)
        if eighth % 4 == 2:
            hit += 0.5 * sosfilt(low, rng.standard_normal(len(t))) * np.exp(-t * 25)
            hit += 0.3 * np.sin(2 * np.pi * 190 * t) * np.exp(-t * 20)
        if eighth % 2 == 0:
            strong.append(start)
        out[start : start + len(t)] += hit
    return (0.6 * out[: int(seconds * RATE)]).astype(np.float32), strong


def attacks(waveform: np.ndarray) -> np.ndarray:
    """Rises of the level from one 2 ms block to the next."""
    blocks = waveform[: len(waveform) // 88 * 88].reshape(-1, 88)
    return np.maximum(np.diff(np.sqrt(np.mean(blocks**2, axis=1))), 0)


def attack_agreement(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(attacks(a), attacks(b))[0, 1])


def pre_echo_db(original: np.ndarray, copy: np.ndarray, hits: list[int]) -> float:
    """Mean level of the copy over the original in the 10 ms before hits, up to 1 ms before."""
    spans = [slice(hit - 485, hit - 44) for hit in hits]
    ratios = [
        (np.mean(copy[span] ** 2) + 1e-7) / (np.mean(original[span] ** 2) + 1e-7) for span in spans
    ]
    return float(np.mean(10 * np.log10(ratios)))


def mean_band_error_db(
    levels: np.ndarray, waveform: np.ndarray, config: SpectrogramConfig
) -> float:
    """Mean distance of the waveform's own mel columns from the wanted, where those are audible."""
    wanted = levels[:, : config.mels]
    found = log_mel(waveform, config)[:, : config.mels]
    return float(np.abs(found - wanted)[wanted > -50].mean())


def test_drums_keep_their_timbre_and_attacks() -> None:
    original, hits = drums()
    levels = log_mel(original, CONFIG)
    copy = waveform_from_log_mel(levels, CONFIG, len(original))
    assert copy.shape == original.shape and copy.dtype == np.float32
    assert mean_band_error_db(levels, copy, CONFIG) < 1.3
    assert attack_agreement(original, copy) > 0.88
    assert pre_echo_db(original, copy, hits) < 24
    rms = np.sqrt(np.mean(copy**2)) / np.sqrt(np.mean(original**2))
    assert abs(20 * np.log10(rms)) < 1


def test_the_fine_envelope_is_what_keeps_attacks() -> None:
    original, hits = drums()
    fine, plain = (
        waveform_from_log_mel(log_mel(original, config), config, len(original))
        for config in (CONFIG, PLAIN)
    )
    assert attack_agreement(original, fine) > attack_agreement(original, plain) + 0.15
    assert pre_echo_db(original, fine, hits) < pre_echo_db(original, plain, hits) - 8


def test_noisy_levels_do_not_break_it() -> None:
    original, _ = drums()
    levels = log_mel(original, CONFIG)
    noise = 2 * np.random.default_rng(1).standard_normal(levels.shape).astype(np.float32)
    copy = waveform_from_log_mel(levels + noise, CONFIG, len(original))
    assert mean_band_error_db(levels, copy, CONFIG) < 2.2
    assert attack_agreement(original, copy) > 0.75


@pytest.mark.parametrize("hz", [110.0, 880.0, 6000.0])
def test_a_tone_comes_back_at_its_place_and_level(hz: float) -> None:
    tone = 0.25 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
    copy = waveform_from_log_mel(log_mel(tone, CONFIG), CONFIG, RATE)[4410:-4410]
    spectrum = np.abs(np.fft.rfft(copy * np.hanning(len(copy))))
    width = np.diff(np.flatnonzero(mel_filters(CONFIG)[:, round(hz / RATE * 2048)])[[0, -1]])[0] + 1
    peak_hz = np.argmax(spectrum) * RATE / len(copy)
    assert abs(peak_hz - hz) < max(30 * width, 0.06 * hz)
    assert np.sqrt(np.mean(copy**2)) == pytest.approx(0.25 / np.sqrt(2), rel=0.15)


def test_linear_power_fills_the_bands_it_was_given() -> None:
    levels = log_mel(drums(1.0)[0], CONFIG)[:, : CONFIG.mels]
    power = linear_power(levels, CONFIG)
    assert power.shape == (len(levels), CONFIG.n_fft // 2 + 1)
    assert power.min() >= 0
    bands = power @ mel_filters(CONFIG).T * power_scale(CONFIG.n_fft)
    loud = levels > -60
    error = np.abs(10 * np.log10(np.maximum(bands, 1e-12)) - levels)[loud]
    assert error.mean() < 0.3


def test_same_seed_same_samples() -> None:
    levels = log_mel(drums(1.0)[0], CONFIG)
    first = waveform_from_log_mel(levels, CONFIG, RATE, seed=3)
    np.testing.assert_array_equal(first, waveform_from_log_mel(levels.copy(), CONFIG, RATE, seed=3))
    assert not np.array_equal(first, waveform_from_log_mel(levels, CONFIG, RATE, seed=4))


def test_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    t = np.arange(3 * RATE) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 1000 * t)
    levels = log_mel(tone, CONFIG)
    monkeypatch.setattr(inversion, "BLOCK_FRAMES", 50)  # a seam every half second
    copy = waveform_from_log_mel(levels, CONFIG, len(tone))
    assert np.abs(np.diff(copy)).max() < 1.5 * np.abs(np.diff(tone)).max()
    clicks = log_mel(copy, CONFIG)[10:-10]
    far = slice(70, CONFIG.mels)  # 6 kHz and above: only a jump would put anything there
    assert clicks[:, far].max() < -50

    original, _ = drums()
    levels = log_mel(original, CONFIG)
    copy = waveform_from_log_mel(levels, CONFIG, len(original))
    assert mean_band_error_db(levels, copy, CONFIG) < 1.6
    assert attack_agreement(original, copy) > 0.85


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_silence_stays_silence(config: SpectrogramConfig) -> None:
    levels = log_mel(np.zeros(20000), config)
    assert not waveform_from_log_mel(levels, config, 20000).any()
    original, _ = drums(1.0)
    levels = log_mel(np.concatenate([np.zeros(RATE, np.float32), original]), config)
    copy = waveform_from_log_mel(levels, config, 2 * RATE)
    assert np.abs(copy[: RATE - 3000]).max() < 1e-6


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
@pytest.mark.parametrize("level", [-1e30, -80.0, 0.0, 60.0, 1e30])
def test_absurd_levels_give_finite_samples(config: SpectrogramConfig, level: float) -> None:
    copy = waveform_from_log_mel(np.full((30, config.columns), level), config, 8000)
    assert np.isfinite(copy).all()
    mixed = np.where(np.arange(30 * config.columns).reshape(30, -1) % 2, level, -80.0)
    assert np.isfinite(waveform_from_log_mel(mixed, config, 8000)).all()


@pytest.mark.parametrize("samples", [0, 1, 100, 4410, 30000])
def test_length_is_as_asked(samples: int) -> None:
    levels = log_mel(drums(0.25)[0], CONFIG)
    copy = waveform_from_log_mel(levels, CONFIG, samples)
    assert copy.shape == (samples,)
    assert not copy[len(levels) * CONFIG.hop :].any()
    assert waveform_from_log_mel(levels[:0], CONFIG, samples).shape == (samples,)


def test_wrong_input_is_refused() -> None:
    levels = log_mel(drums(0.25)[0], CONFIG)
    with pytest.raises(ValueError, match="117"):
        waveform_from_log_mel(levels[:, :96], CONFIG, 1000)
    with pytest.raises(ValueError, match="negative"):
        waveform_from_log_mel(levels, CONFIG, -1)
    levels[3, 5] = np.nan
    with pytest.raises(ValueError, match="finite"):
        waveform_from_log_mel(levels, CONFIG, 1000)


def test_another_sample_rate_and_hop() -> None:
    config = SpectrogramConfig(22050, n_fft=1024, hop=210, mels=64, high_hz=11000, fine_n_fft=96)
    original = drums(2.0)[0][::2]
    levels = log_mel(original, config)
    copy = waveform_from_log_mel(levels, config, len(original))
    assert mean_band_error_db(levels, copy, config) < 2.5


def test_memory_stays_bounded_for_long_audio() -> None:
    levels = log_mel(np.tile(drums(2.0)[0], 12), replace(CONFIG, fine_per_frame=0))
    config = replace(CONFIG, fine_per_frame=0)
    tracemalloc.start()
    waveform_from_log_mel(levels, config, 24 * RATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6


def test_it_is_fast() -> None:
    levels = log_mel(np.tile(drums(2.5)[0], 2), CONFIG)
    seconds = []
    for _ in range(2):
        begin = time.process_time()
        waveform_from_log_mel(levels, CONFIG, 5 * RATE)
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 5 * 0.12  # twice what one slow core takes
