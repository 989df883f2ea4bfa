"""Windows cover every token, overlap as asked, and end with the array."""

import numpy as np
import pytest

from restem.diffusion.windows import window_starts


@pytest.mark.parametrize("length", [128, 129, 208, 224, 300, 1000])
def test_windows_cover_all_tokens_and_overlap(length):
    starts = window_starts(length, 128, 80)
    assert starts[0] == 0 and starts[-1] == length - 128
    assert np.all(np.diff(starts) <= 80) and np.all(np.diff(starts) > 0)


def test_a_short_array_is_one_window():
    assert window_starts(50, 128, 80) == [0]
