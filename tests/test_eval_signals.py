"""Onsets, beats, loudness and fit against constructed signals, published tones and mir_eval."""

import mir_eval
import numpy as np
import pytest

from restem.evaluation import beats, fit, loudness, onsets
from restem.evaluation.signals import magnitudes, mono, standard

RATE = 44100


def bursts(times_s, duration_s, seed=0, rate=RATE):
    """Decaying noise at known times, with levels that vary by 14 dB."""
    random = np.random.default_rng(seed)
    waveform = np.zeros(int(duration_s * rate))
    for time in times_s:
        start, length = round(time * rate), rate // 10
        decay = np.exp(-np.arange(length) / rate / 0.02)
        noise = random.standard_normal(length) * decay * random.uniform(0.02, 0.1)
        waveform[start : start + length] += noise[: len(waveform) - start]
    return waveform


def kicks(times_s, duration_s):
    waveform = np.zeros(int(duration_s * RATE))
    for time in times_s:
        start = round(time * RATE)
        clock = np.arange(RATE // 8) / RATE
        hit = 0.5 * np.sin(2 * np.pi * 60 * clock) * np.exp(-clock / 0.04)
        waveform[start : start + len(hit)] += hit[: len(waveform) - start]
    return waveform


def tones(pitches, duration_s):
    clock = np.arange(int(duration_s * RATE)) / RATE
    partials = [
        np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * harmonic * clock) / harmonic
        for pitch in pitches
        for harmonic in (1, 2, 3)
    ]
    return 0.1 * np.sum(partials, axis=0)


# --- signals ---------------------------------------------------------------------------------


def test_a_full_scale_sine_has_magnitude_one():
    frequency = 100 * RATE / 2048
    sine = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)
    spectrum = magnitudes(sine, 2048, 512)
    assert spectrum.shape == (1 + RATE // 512, 1025)
    assert spectrum[20, 100] == pytest.approx(1.0, abs=1e-3)


def test_channels_are_averaged_and_bad_waveforms_are_refused():
    assert mono([[1.0, 0.0], [0.0, 0.5]]).tolist() == [0.5, 0.25]
    for bad in (np.zeros(0), np.zeros((0, 2)), np.zeros((2, 2, 2)), [0.0, np.nan], [np.inf]):
        with pytest.raises(ValueError, match="waveform"):
            mono(bad)
    with pytest.raises(ValueError, match="positive"):
        standard(np.zeros(10), 0)


# --- onsets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_onsets_of_noise_bursts_are_found_within_15_ms(rate):
    true_times = np.cumsum(np.random.default_rng(1).uniform(0.12, 0.5, 40))
    waveform = bursts(true_times, true_times[-1] + 1, rate=rate)
    found = onsets.onset_times(onsets.onset_envelope(waveform, rate))
    assert mir_eval.onset.f_measure(true_times, found, window=0.015)[0] == 1.0


def test_onset_on_the_first_sample_counts():
    found = onsets.onset_times(onsets.onset_envelope(bursts([0.0, 0.5], 1), RATE))
    assert found == pytest.approx([0.0, 0.5], abs=0.02)


def test_envelope_ignores_gain_and_is_zero_for_silence():
    waveform = bursts([0.3, 0.8, 1.1], 2)
    envelope = onsets.onset_envelope(waveform, RATE)
    assert envelope.shape == (201,)
    assert onsets.onset_envelope(waveform * 0.1, RATE) == pytest.approx(envelope, abs=1e-3)
    assert not np.any(onsets.onset_envelope(np.zeros(RATE), RATE))
    assert len(onsets.onset_times(np.zeros(100))) == 0


def test_onset_correlation_knows_itself_and_falls_with_shift():
    times = np.cumsum(np.random.default_rng(2).uniform(0.1, 0.4, 30))
    reference = onsets.onset_envelope(bursts(times, 12), RATE)
    other_sound = onsets.onset_envelope(bursts(times, 12, seed=9), RATE)
    shifted = onsets.onset_envelope(bursts(times + 0.06, 12), RATE)
    assert onsets.onset_correlation(reference, reference) == pytest.approx(1.0)
    assert onsets.onset_correlation(reference, other_sound) > 0.85
    assert onsets.onset_correlation(reference, shifted) < 0.1
    assert onsets.onset_correlation(reference, np.zeros(len(reference))) == 0.0
    expected = np.corrcoef(reference, shifted)[0, 1]
    assert onsets.onset_correlation(reference, shifted) == pytest.approx(expected)
    with pytest.raises(ValueError, match="length"):
        onsets.onset_correlation(reference, reference[:-1])


def test_shares_and_densities_of_known_patterns():
    grid = np.arange(0, 8, 0.5)
    eighths = np.arange(0, 8, 0.25)
    assert onsets.beats_with_onset(grid, eighths) == 1.0
    assert onsets.beats_with_onset(grid, grid[::2] + 0.05) == 0.5
    assert onsets.beats_with_onset(grid, grid[::2] + 0.05, tolerance_s=0.03) == 0.0
    assert onsets.beats_with_onset(grid, []) == 0.0
    assert np.isnan(onsets.beats_with_onset([], eighths))
    assert onsets.onsets_per_beat(grid, eighths - 0.01) == 2.0
    assert np.isnan(onsets.onsets_per_beat(grid[:1], eighths))
    with pytest.raises(ValueError, match="in order"):
        onsets.beats_with_onset(grid[::-1], eighths)


def test_kick_share_tells_four_on_the_floor_from_a_backbeat_and_from_hats():
    grid = np.arange(0.25, 8, 0.5)
    hats = bursts(grid, 8)  # noise has some low end, which must not count
    assert onsets.kick_on_beat_share(kicks(grid, 8) + hats, RATE, grid) == 1.0
    assert onsets.kick_on_beat_share(kicks(grid[::2], 8) + hats, RATE, grid) == 0.5
    assert onsets.kick_on_beat_share(kicks(grid + 0.25, 8)[: 8 * RATE] + hats, RATE, grid) == 0.0


# --- beats -----------------------------------------------------------------------------------


def test_beat_f_counts_hits_within_70_ms_once():
    reference = np.arange(1.0, 9.0, 0.5)
    assert beats.beat_f(reference, reference + 0.06) == 1.0
    assert beats.beat_f(reference, reference + 0.08) == 0.0
    assert beats.beat_f(reference, reference[::2]) == pytest.approx(2 / 3)
    assert beats.beat_f(reference, []) == beats.beat_f([], reference) == 0.0
    with pytest.raises(ValueError, match="ascending"):
        beats.beat_f(reference, [1.0, 1.0])


def test_best_beat_f_names_the_level():
    reference = np.arange(1.0, 9.0, 0.5)
    assert beats.best_beat_f(reference, reference) == beats.LevelledF(1.0, "same")
    assert beats.best_beat_f(reference, np.arange(1.0, 8.6, 0.25)).level == "double"
    assert beats.best_beat_f(reference, reference[::2]).level == "half"
    assert beats.best_beat_f(reference, reference[1::2]) == beats.LevelledF(1.0, "half, off")
    assert beats.best_beat_f([], reference).value == 0.0


def test_tempo_and_its_error_in_octaves():
    assert beats.tempo(np.arange(0, 10, 0.5)) == pytest.approx(120)
    assert np.isnan(beats.tempo([1.0]))
    assert beats.tempo_error(120, 120) == 0
    assert beats.tempo_error(120, 60) == pytest.approx(1)
    assert beats.tempo_error(120, 60, any_level=True) == pytest.approx(0)
    assert beats.tempo_error(100, 110, any_level=True) == pytest.approx(np.log2(1.1))
    with pytest.raises(ValueError, match="positive"):
        beats.tempo_error(120, float("nan"))


def test_librosa_hears_the_tempo_of_clicks_and_no_beats_in_silence():
    grid = np.arange(0.25, 15, 0.5)
    heard = beats.librosa_beats(bursts(grid, 15), RATE)
    assert beats.beat_f(grid, heard) > 0.9
    assert len(beats.librosa_beats(np.zeros(RATE), RATE)) == 0


# --- loudness --------------------------------------------------------------------------------


def sine(level_db, duration_s, rate=48000, frequency=1000.0):
    clock = np.arange(int(duration_s * rate)) / rate
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * clock)


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_loudness_of_the_published_test_tones(rate):
    """EBU Tech 3341, test cases 1 and 3: stereo tones, the second with quiet parts to gate out."""
    steady = sine(-23, 20, rate)
    assert loudness.loudness(np.stack([steady] * 2, 1), rate) == pytest.approx(-23, abs=0.1)
    gated = np.concatenate([sine(-36, 10, rate), sine(-23, 60, rate), sine(-36, 10, rate)])
    assert loudness.loudness(np.stack([gated] * 2, 1), rate) == pytest.approx(-23, abs=0.1)


def test_loudness_of_mono_short_and_silent_clips():
    assert loudness.loudness(sine(0, 2, frequency=997.0), 48000) == pytest.approx(-3.01, abs=0.02)
    assert loudness.loudness(sine(0, 0.2), 48000) == pytest.approx(-3.0, abs=0.1)
    assert loudness.loudness(np.zeros(48000), 48000) == -np.inf
    assert loudness.rms_db(sine(0, 1)) == pytest.approx(-3.01, abs=0.01)
    assert loudness.rms_db(np.zeros(10)) == -np.inf


def test_loudness_relation_is_the_gain_between_equal_sounds():
    tone = sine(-20, 2)
    assert loudness.loudness_relation(tone * 0.5, tone, 48000) == pytest.approx(-6.02, abs=0.01)
    assert np.isnan(loudness.loudness_relation(np.zeros(48000), tone, 48000))


def test_centroid_of_a_sine_is_its_frequency_and_noise_is_brighter():
    assert loudness.spectral_centroid(sine(-6, 1, RATE), RATE) == pytest.approx(1000, rel=0.05)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert loudness.spectral_centroid(noise, RATE) == pytest.approx(RATE / 4, rel=0.02)
    assert np.isnan(loudness.spectral_centroid(np.zeros(RATE), RATE))


# --- fit and leak ----------------------------------------------------------------------------


def test_chroma_fit_orders_same_chord_related_chord_noise():
    c_major, bass_c, f_sharp = tones([60, 64, 67], 3), tones([36], 3), tones([66, 70, 73], 3)
    noise = 0.05 * np.random.default_rng(0).standard_normal(3 * RATE)
    assert int(fit.chroma(tones([69], 2), RATE).sum(0).argmax()) == 9
    assert fit.chroma_fit(c_major, c_major, RATE) == pytest.approx(1.0)
    assert fit.chroma_fit(bass_c, c_major, RATE) > 0.4
    assert fit.chroma_fit(f_sharp, c_major, RATE) < -0.2
    assert abs(fit.chroma_fit(noise, c_major, RATE)) < 0.2
    assert np.isnan(fit.chroma_fit(np.zeros(3 * RATE), c_major, RATE))


def test_waveform_leak_measures_a_known_share_also_when_filtered():
    random = np.random.default_rng(3)
    stem, context = 0.1 * random.standard_normal((2, 3 * RATE))
    filtered = np.convolve(context, [0.0, 0.0, 0.6, 0.8])[: len(context)]  # a delay and unit power
    for leak in (0.3, 0.1):
        expected = 10 * np.log10(leak**2 / (1 + leak**2))
        assert fit.waveform_leak_db(stem + leak * filtered, context, RATE) == pytest.approx(
            expected, abs=0.6
        )
    assert fit.waveform_leak_db(stem, context, RATE) < -30
    assert fit.waveform_leak_db(context, context, RATE) == pytest.approx(0, abs=0.01)
    late = np.zeros(RATE)  # what sounds in the last samples only
    late[-30:] = random.standard_normal(30)
    for whole in (late, random.standard_normal(400)):
        assert fit.waveform_leak_db(whole, whole, RATE) == pytest.approx(0, abs=0.3)
    for delay in (-30, 30):  # inside the filter on both sides
        moved = np.roll(context, delay)
        assert fit.waveform_leak_db(moved, context, RATE) == pytest.approx(0, abs=0.02)
    assert fit.waveform_leak_db(np.roll(context, 60), context, RATE) < -25
    assert fit.waveform_leak_db(np.zeros(RATE), context[:RATE], RATE) == -np.inf
    with pytest.raises(ValueError, match="length"):
        fit.waveform_leak_db(stem, context[:-1], RATE)


def test_spectral_leak_hears_partials_without_phase():
    drums = bursts(np.arange(0.1, 3, 0.2), 3)
    context = tones([60, 64, 67], 3)
    other_phase = tones([60, 64, 67], 3.01)[441:]  # the same notes 10 ms on
    leaks = [
        fit.spectral_leak(drums + gain * other_phase, context, RATE) for gain in (0, 0.05, 0.5)
    ]
    assert abs(leaks[0]) < 0.1
    assert leaks[0] < leaks[1] < leaks[2]
    assert leaks[2] > 0.5
    assert fit.spectral_leak(context, context, RATE) == pytest.approx(1.0)
    assert fit.spectral_leak(np.zeros(RATE), context[:RATE], RATE) == 0.0


def test_steady_beats_find_tempo_and_place_of_a_click_track():
    """Kick on each beat, louder noise off the beat in half of the song: still the kick's place."""
    bpm, first = 137.3, 0.21
    times = first + np.arange(80) * 60 / bpm
    samples = np.zeros(int((times[-1] + 1) * RATE))
    kick = np.sin(2 * np.pi * 60 * np.arange(4000) / RATE) * np.exp(-np.arange(4000) / 900)
    hat = np.random.default_rng(0).standard_normal(1500) * np.exp(-np.arange(1500) / 200)
    for i, time in enumerate(times):
        at = int(time * RATE)
        samples[at : at + 4000] += kick
        if 20 <= i < 60:
            off = at + int(30 / bpm * RATE)
            samples[off : off + 1500] += 0.5 * hat
    found = beats.steady_beats(samples, RATE)
    assert 60 / np.median(np.diff(found)) == pytest.approx(bpm, abs=0.1)
    assert beats.beat_f(times, found, 0.03) > 0.95
    assert len(beats.steady_beats(np.zeros(RATE * 5), RATE)) == 0
