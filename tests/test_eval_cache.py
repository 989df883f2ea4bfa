"""The cache of what was heard: found again as it was, made again when damaged or changed."""

import os

import numpy as np
import pytest
import soundfile

from restem.errors import UserError
from restem.evaluation.cache import Cache
from restem.evaluation.listening import hear


def test_cache_makes_damaged_files_again(tmp_path):
    cache, made = Cache(tmp_path), []

    def make():
        made.append(1)
        return {"values": np.arange(3)}

    for _ in range(2):
        assert cache.arrays(("a", "b"), make)["values"].tolist() == [0, 1, 2]
    assert len(made) == 1
    cache.arrays(("a", "c"), make)
    assert len(made) == 2

    def flipped(stored):
        return stored[:-1] + bytes([stored[-1] ^ 1])

    for number, damage in enumerate((flipped, lambda s: s[:50], lambda s: b""), start=3):
        for path in tmp_path.iterdir():
            path.write_bytes(damage(path.read_bytes()))
        assert cache.arrays(("a", "b"), make)["values"].tolist() == [0, 1, 2]
        assert len(made) == number


def test_cache_gives_back_what_was_made(tmp_path):
    """Also aligned alike, without which NumPy may sum it in another order."""
    made = {
        "scalar": np.array(0.1),
        "none": np.zeros((0, 3), np.float32),
        "odd": np.arange(3, dtype=np.uint8),
        "features": np.random.default_rng(0).standard_normal((2, 7)).astype(np.float32),
    }
    cache = Cache(tmp_path)
    for arrays in (cache.arrays(("a",), lambda: made), cache.arrays(("a",), dict)):
        assert list(arrays) == list(made)
        for key, array in arrays.items():
            assert array.dtype == made[key].dtype and array.flags.aligned
            np.testing.assert_array_equal(array, made[key], strict=True)


def test_a_clip_that_changed_is_heard_anew(tmp_path):
    """Though its name, its size and its time are as before."""
    clip, cache = tmp_path / "clip.wav", Cache(tmp_path / "cache")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 22050)
    for gain in (1.0, 0.5):
        soundfile.write(clip, gain * noise, 22050, subtype="FLOAT")
        os.utime(clip, (0, 0))
        heard = hear(clip, (), cache)
        assert heard.rms_db == pytest.approx(20 * np.log10(gain * noise.std()), abs=0.1)


def test_a_cache_that_is_full_costs_no_clip(tmp_path):
    cache = Cache(tmp_path / "cache")
    made = cache.arrays(("a",), lambda: {"x": np.arange(3)})
    assert not cache.trouble
    (tmp_path / "cache").rename(tmp_path / "gone")
    again = cache.arrays(("a",), lambda: {"x": np.arange(3)})
    assert np.array_equal(again["x"], made["x"]) and "cannot be written" in cache.trouble


def test_cache_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("taken")
    with pytest.raises(UserError, match="cannot be made"):
        Cache(tmp_path / "file")
