"""Windows cover all tokens and join back to what they were cut from."""

import numpy as np
import pytest

from restem.diffusion.windows import cut, join, window_starts


@pytest.mark.parametrize("length", [128, 129, 224, 300, 1000])
def test_cutting_and_joining_gives_the_array_back(length):
    array = np.random.default_rng(length).standard_normal((length, 3)).astype(np.float32)
    starts = window_starts(length, 128, 96)
    assert starts[0] == 0 and starts[-1] == length - 128
    assert np.all(np.diff(starts) <= 96) and np.all(np.diff(starts) > 0)
    np.testing.assert_allclose(join(cut(array, starts, 128), starts, length), array, atol=1e-6)


def test_joining_fades_from_one_window_to_the_next():
    windows = np.stack([np.zeros((8, 1)), np.ones((8, 1))]).astype(np.float32)
    joined = join(windows, [0, 4], 12)[:, 0]
    assert np.all(joined[:4] == 0) and np.all(joined[8:] == 1)
    assert np.all(np.diff(joined[3:9]) > 0)
