"""The cache of what was heard: found again, made again when damaged."""

import numpy as np
import pytest

from restem.errors import UserError
from restem.evaluation.cache import Cache


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
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:50])
    assert cache.arrays(("a", "b"), make)["values"].tolist() == [0, 1, 2]
    assert len(made) == 3


def test_cache_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("taken")
    with pytest.raises(UserError, match="cannot be made"):
        Cache(tmp_path / "file")
