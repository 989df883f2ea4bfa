"""Drums in a song are heard; held and plucked notes are not taken for drums."""

import numpy as np
import pytest

from restem.audio.beats import BeatGrid
from restem.audio.presence import drums_present, presence_features
from restem.audio.spectrogram import log_mel
from restem.hearing import (
    DRUMS_ALREADY,
    DRUMS_SHARE_DB,
    drums_play,
    drums_share_db,
    first_sound,
    hear,
)
from restem.tokens import TokenConfig

RATE = 44100
CONFIG = TokenConfig().context_spectrogram


def _plucks(seconds=8.0):
    time = np.arange(int(seconds * RATE)) / RATE
    song = np.zeros(len(time))
    for i in range(int(seconds * 4)):
        start = i * RATE // 4
        tail = time[: len(time) - start]
        pitch = 220 * 2 ** ([0, 4, 7, 12][i % 4] / 12)
        for k in (1, 2, 3):
            song[start:] += 0.1 / k * np.exp(-4 * tail) * np.sin(2 * np.pi * k * pitch * tail)
    return song


def _hits(seconds=8.0):
    rng = np.random.default_rng(0)
    song = np.zeros(int(seconds * RATE))
    decay = np.exp(-np.arange(RATE // 8) / (0.02 * RATE))
    for i in range(int(seconds * 4)):
        start = i * RATE // 4
        song[start : start + len(decay)] += 0.4 * rng.standard_normal(len(decay)) * decay
    return song


def test_hits_are_heard_and_plucked_notes_are_not():
    plucks = _plucks()
    assert drums_present(log_mel(plucks.astype(np.float32), CONFIG)) < 0.5
    both = (plucks + _hits()).astype(np.float32)
    assert drums_present(log_mel(both, CONFIG)) > 0.9


@pytest.mark.parametrize("frames", [1, 2, 3, 500])
def test_short_and_silent_songs_give_numbers(frames):
    features = presence_features(np.full((frames, 96), -120.0))
    assert features.shape == (36,) and np.isfinite(features).all()


@pytest.mark.parametrize("gain", [0.3, 1.0, 2.0])
def test_gain_does_not_change_the_verdict(gain):
    plucks = _plucks()
    assert drums_present(log_mel((gain * plucks).astype(np.float32), CONFIG)) < 0.5
    assert drums_present(log_mel((gain * (plucks + _hits())).astype(np.float32), CONFIG)) > 0.9


def test_the_separator_hears_drums_that_the_picture_does_not_tell(monkeypatch):
    monkeypatch.setattr("restem.hearing.drums_present", lambda mel: 0.0)
    plucks, hits = _plucks(12.0).astype(np.float32), _hits(12.0).astype(np.float32)
    mel = np.zeros((1, 96))
    assert not drums_play(plucks, mel)
    assert drums_play(plucks + hits, mel) and drums_play(hits, mel)
    late = np.concatenate([0.1 * plucks, plucks + hits])  # the loudest place counts
    assert drums_play(late, mel)
    assert drums_share_db(plucks) < DRUMS_SHARE_DB - 10 < DRUMS_SHARE_DB < drums_share_db(hits)


@pytest.mark.parametrize(("share", "drums"), [(-14.9, False), (-10.3, True)])
def test_strummed_strings_are_no_drums_and_real_ones_in_a_song_are(monkeypatch, share, drums):
    """A strummed guitar comes to -14.9 dB in any second and a half, a rock song to -10.3 dB."""
    monkeypatch.setattr("restem.hearing.drums_share_db", lambda mono: share)
    monkeypatch.setattr("restem.hearing.drums_present", lambda mel: 0.35)
    assert drums_play(np.zeros(RATE, np.float32), np.zeros((1, 96))) == drums


@pytest.mark.parametrize(
    ("silent", "seconds", "told"),
    [(0.0, 8.0, True), (0.0, 3.5, True), (0.0, 1.5, False), (0.0, 2.5, False), (3.0, 1.5, False)],
)
def test_too_little_sound_is_no_reason_to_speak_of_drums(silent, seconds, told):
    sound = _plucks(seconds) + _hits(seconds)
    song = np.concatenate([np.zeros(int(silent * RATE)), sound])[:, None]
    heard = hear(song, RATE, "drums", CONFIG, BeatGrid.from_bpm(120.0, 0.0, 8.0))
    assert (DRUMS_ALREADY in heard.notices) == told
    assert heard.lasts == pytest.approx(seconds, abs=0.1)


def test_a_song_begins_where_it_is_louder_than_noise():
    hiss = np.random.default_rng(0).normal(0, 0.0001, 2 * RATE)
    song = np.concatenate([hiss, _plucks(2.0), np.zeros(RATE)])[:, None]
    assert first_sound(song, RATE) == pytest.approx(2.0, abs=0.05)
    assert first_sound(0.001 * song, RATE) == pytest.approx(2.0, abs=0.05)
    assert first_sound(song[2 * RATE :], RATE) == 0.0 == first_sound(0 * song, RATE)
