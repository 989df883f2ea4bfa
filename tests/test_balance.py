"""A stem gets its kit's balance: known gains come off again, and nothing else moves."""

import numpy as np
import pytest

from restem import Inserter
from restem.audio.spectrogram import peak_hz
from restem.balance import MOST_DB, balance_to
from restem.kits import Kit
from restem.tokens import TokenConfig

CONFIG = TokenConfig()
MELS, COLUMNS = CONFIG.spectrogram.mels, CONFIG.spectrogram.columns


@pytest.fixture(scope="module")
def kit() -> Kit:
    kits = Inserter.load().kits
    assert kits is not None
    return Kit(kits._tokens(3), kits.phase[3].astype(np.float32))


def _cells(tokens: np.ndarray) -> np.ndarray:
    return tokens.reshape(-1, COLUMNS)


def _power(tokens: np.ndarray) -> np.ndarray:
    db = _cells(tokens)[:, :MELS].astype(np.float64) * CONFIG.scale_db + CONFIG.centre_db
    return (10 ** (db / 10)).mean(axis=0)


def test_a_tilt_comes_off_again(kit):
    """The kit itself, tilted by up to 8 dB and 5 dB softer, gets its own spectrum back, at the
    power that it was given."""
    tilt = np.linspace(-8, 8, MELS) - 5
    stem = np.tile(kit.stem, (3, 1))
    sounding = _cells(stem)[:, :MELS] > CONFIG.silence
    _cells(stem)[:, :MELS] += np.where(sounding, tilt / CONFIG.scale_db, 0).astype(np.float32)
    np.maximum(stem, CONFIG.silence, out=stem)
    before = _power(stem)
    balance_to(stem, kit, CONFIG)
    after = _power(stem)
    assert after.sum() == pytest.approx(before.sum(), rel=0.02)
    error = 10 * np.log10(after / after.sum()) - 10 * np.log10(
        _power(kit.stem) / _power(kit.stem).sum()
    )
    heard = _power(kit.stem) > 1e-4 * _power(kit.stem).max()
    assert np.abs(error[heard]).max() < 1.0
    deep = peak_hz(CONFIG.spectrogram) < 150
    assert after[deep].sum() / after.sum() == pytest.approx(
        _power(kit.stem)[deep].sum() / _power(kit.stem).sum(), abs=0.03
    )


def test_what_has_the_balance_keeps_every_number(kit):
    stem = kit.stem.copy()
    balance_to(stem, kit, CONFIG)
    np.testing.assert_allclose(stem, kit.stem, atol=1e-4)


def test_the_fine_envelope_goes_with_its_bands(kit):
    stem = kit.stem.copy()
    hz = peak_hz(CONFIG.spectrogram)
    deep = np.flatnonzero(hz < CONFIG.spectrogram.fine_edges_hz[0])
    quiet = _cells(stem) > CONFIG.silence
    _cells(stem)[:, deep] -= np.where(quiet[:, deep], np.float32(6 / CONFIG.scale_db), 0)
    np.maximum(stem, CONFIG.silence, out=stem)
    before = _cells(stem.copy())[:, MELS:]
    balance_to(stem, kit, CONFIG)
    moved_db = (_cells(stem)[:, MELS:] - before) * CONFIG.scale_db
    per = CONFIG.spectrogram.fine_per_frame
    sounding = before > CONFIG.silence + 0.2
    rose = [
        np.median(moved_db[:, k * per :][:, :per][sounding[:, k * per :][:, :per]])
        for k in range(3)
    ]
    assert rose[0] > rose[1] + 3 and rose[0] > rose[2] + 3  # deep, middle, high


def test_no_band_moves_further_than_it_may(kit):
    stem = kit.stem.copy()
    _cells(stem)[:, :10] = CONFIG.silence + 0.05
    before = stem.copy()
    balance_to(stem, kit, CONFIG)
    most = (stem - before).max() * CONFIG.scale_db
    assert 5 < most <= 2 * MOST_DB
    changes = (_cells(stem) - _cells(before))[:, 10:MELS] * CONFIG.scale_db
    assert changes.max() < MOST_DB


@pytest.mark.parametrize("silent", ["stem", "kit", "no kit"])
def test_silence_is_left_alone(kit, silent):
    nothing = np.full_like(kit.stem, CONFIG.silence)
    stem = nothing.copy() if silent == "stem" else kit.stem.copy()
    like = {"stem": kit, "kit": Kit(nothing, kit.phase), "no kit": None}[silent]
    before = stem.copy()
    balance_to(stem, like, CONFIG)
    np.testing.assert_array_equal(stem, before)
