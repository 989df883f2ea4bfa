"""The log-mel picture against librosa and against signals whose picture is known."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from restem.audio.spectrogram import (
    SpectrogramConfig,
    fine_filters,
    fine_from_rows,
    log_mel,
    mel_filters,
    rows_from_fine,
)
from restem.errors import UserError

librosa = pytest.importorskip("librosa")

CONFIG = SpectrogramConfig()
PLAIN = SpectrogramConfig(n_fft=1024, hop=256, mels=80, high_hz=16000, fine_per_frame=0)


def noisy_music(samples: int, seed: int = 0) -> np.ndarray:
    """A few decaying tones over noise whose level changes, (sample,) float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / 44100
    tones = sum(
        np.sin(2 * np.pi * f * t) * np.exp(-3 * (t % (0.1 + f / 9000))) for f in (55, 330, 2500)
    )
    noise = rng.standard_normal(samples) * (0.02 + 0.3 * np.exp(-30 * (t % 0.25)))
    return (0.2 * tones + 0.2 * noise).astype(np.float32)


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
@pytest.mark.parametrize("samples", [0, 1, 440, 441, 442, 4410, 20000])
def test_every_length_gives_the_promised_rows(config: SpectrogramConfig, samples: int) -> None:
    levels = log_mel(noisy_music(samples), config)
    assert levels.shape == (config.frames(samples), config.columns)
    assert levels.shape[0] == 1 + samples // config.hop
    assert levels.dtype == np.float32
    assert levels.min() >= config.floor_db


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_mel_filters_are_librosas(config: SpectrogramConfig) -> None:
    expected = librosa.filters.mel(
        sr=config.sample_rate,
        n_fft=config.n_fft,
        n_mels=config.mels,
        fmin=config.low_hz,
        fmax=config.high_hz,
        norm=None,
    )
    np.testing.assert_allclose(mel_filters(config), expected, atol=1e-6)


def test_no_band_is_empty_where_bins_are_wider_than_bands() -> None:
    config = SpectrogramConfig(n_fft=512, hop=126, mels=128, fine_per_frame=0)
    assert (mel_filters(config).sum(axis=1) >= 0.5).all()


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_mel_columns_agree_with_librosa(config: SpectrogramConfig) -> None:
    waveform = noisy_music(44100 * 11)  # longer than one chunk of frames
    power = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64),
        sr=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop,
        n_mels=config.mels,
        fmin=config.low_hz,
        fmax=config.high_hz,
        norm=None,
        pad_mode="constant",
    ).T
    # a sine of amplitude 1 has the power 1: Parseval with the window's mean square, 3/8
    expected = 10 * np.log10(np.maximum(power * 4 / (config.n_fft**2 * 3 / 8), 1e-30))
    expected = np.maximum(expected, config.floor_db)
    found = log_mel(waveform, config)[:, : config.mels]
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_fine_columns_agree_with_librosa() -> None:
    waveform = noisy_music(44100 * 2)
    found = log_mel(waveform, CONFIG)[:, CONFIG.mels :]
    before = CONFIG.fine_n_fft // 2 + 3 * 63  # step 0 of frame 0 is centred at sample -189
    spectra = librosa.stft(
        np.pad(waveform.astype(np.float64), (before, 1000)),
        n_fft=CONFIG.fine_n_fft,
        hop_length=63,
        center=False,
    )[:, : 7 * len(found)]
    power = np.abs(spectra) ** 2 * 4 / (CONFIG.fine_n_fft**2 * 3 / 8)
    hz = np.arange(len(power)) * 44100 / CONFIG.fine_n_fft
    for band, (low, high) in enumerate([(0, 250), (250, 2500), (2500, 30000)]):
        level = 10 * np.log10(power[(hz >= low) & (hz < high)].sum(axis=0) + 1e-30)
        expected = np.maximum(level, CONFIG.floor_db).reshape(-1, 7)
        np.testing.assert_allclose(found[:, 7 * band : 7 * band + 7], expected, atol=0.02)


@pytest.mark.parametrize("hz", [120.0, 440.0, 1000.0, 5000.0, 15000.0])
def test_a_pure_tone_lands_in_its_bands_at_its_level(hz: float) -> None:
    tone = 0.1 * np.sin(2 * np.pi * hz * np.arange(44100) / 44100)
    levels = log_mel(tone, CONFIG)[50]
    centres = librosa.mel_frequencies(CONFIG.mels + 2, fmin=30, fmax=20000)[1:-1]
    assert abs(np.argmax(levels[: CONFIG.mels]) - np.argmin(np.abs(centres - hz))) <= 1
    in_bands = 10 * np.log10(np.sum(10 ** (levels[: CONFIG.mels] / 10)))
    assert in_bands == pytest.approx(-20, abs=0.3)
    band = np.searchsorted(CONFIG.fine_edges_hz, hz)
    fine = levels[CONFIG.mels :].reshape(3, 7)
    assert np.argmax(fine.mean(axis=1)) == band
    if hz > 500:  # a slow tone moves within the short window
        np.testing.assert_allclose(fine[band], -20, atol=0.3)


@pytest.mark.parametrize("sample", [4410, 4410 + 63 * 3, 7938 - 63 * 2])
def test_a_click_shows_in_the_fine_step_at_its_place(sample: int) -> None:
    click = np.zeros(22050)
    click[sample] = 1
    fine = fine_from_rows(log_mel(click, CONFIG)[:, CONFIG.mels :], CONFIG)
    for band in range(CONFIG.fine_bands):
        assert np.argmax(fine[:, band]) == sample // 63 + 3
    outside = np.abs(np.arange(len(fine)) - sample // 63 - 3) * 63 > CONFIG.fine_n_fft // 2
    assert (fine[outside] == CONFIG.floor_db).all()


def test_silence_is_the_floor_and_gain_is_a_shift() -> None:
    assert (log_mel(np.zeros(5000), CONFIG) == CONFIG.floor_db).all()
    deep = replace(CONFIG, floor_db=-200)
    waveform = noisy_music(30000)
    np.testing.assert_allclose(
        log_mel(waveform, deep)[5:-5] - log_mel(waveform / 10, deep)[5:-5], 20, atol=0.05
    )


def test_fine_rows_are_band_major() -> None:
    fine = np.arange(2 * 7 * 3).reshape(14, 3)  # in order of time, value = 3 * step + band
    rows = rows_from_fine(fine, CONFIG)
    assert rows[1].tolist() == [3 * (7 + j) + band for band in range(3) for j in range(7)]
    np.testing.assert_array_equal(fine_from_rows(rows, CONFIG), fine)


def test_fine_filters_share_out_every_bin_once() -> None:
    np.testing.assert_array_equal(fine_filters(CONFIG).sum(axis=0), 1)


def test_long_audio_needs_little_memory_beside_its_picture() -> None:
    waveform = np.zeros(44100 * 60, np.float32)
    log_mel(waveform[:44100], CONFIG)  # fills the caches
    tracemalloc.start()
    levels = log_mel(waveform, CONFIG)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * levels.nbytes + 40e6


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match="mono"):
        log_mel(np.zeros((100, 2)), CONFIG)


def test_config_survives_json() -> None:
    for config in (CONFIG, PLAIN, replace(CONFIG, fine_edges_hz=(100, 300, 900))):
        assert SpectrogramConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert SpectrogramConfig.from_dict({}) == CONFIG


@pytest.mark.parametrize(
    "values",
    [
        {"sample_rate": 0},
        {"n_fft": 2047},
        {"hop": 0},
        {"hop": 1500},
        {"mels": 0},
        {"low_hz": 500, "high_hz": 400},
        {"high_hz": 23000},
        {"floor_db": 0},
        {"floor_db": float("nan")},
        {"fine_per_frame": 6},
        {"fine_per_frame": 5},
        {"fine_n_fft": 100},
        {"fine_edges_hz": [2500, 250]},
        {"hop": "441"},
        {"hop": 441.0},
        {"fine_edges_hz": 250},
        {"window": 3},
    ],
)
def test_values_that_describe_no_spectrogram_are_refused(values: dict) -> None:
    with pytest.raises(UserError):
        SpectrogramConfig.from_dict(values)


def test_derived_sizes() -> None:
    assert (CONFIG.columns, CONFIG.fine_bands, CONFIG.fine_hop) == (96 + 21, 3, 63)
    assert (PLAIN.columns, PLAIN.fine_bands) == (80, 0)
    assert CONFIG.frame_rate == 100
    assert CONFIG.frames(225792) == 513
