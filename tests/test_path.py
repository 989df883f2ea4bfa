"""The straight path against cases whose answer is known."""

import numpy as np
import pytest
import torch

from restem.diffusion.path import guided, noised, sample, times


def test_sampling_a_gaussian_reaches_its_mean_and_spread():
    """For data N(m, s^2) the best denoiser is linear, so the end of the path is known."""
    mean, spread = 2.0, 0.5
    noise = np.random.default_rng(0).standard_normal(4000)

    def denoise(x, t):
        variance = (1 - t) ** 2 * spread**2 + t**2
        return mean + (1 - t) * spread**2 / variance * (x - (1 - t) * mean)

    *_, (_, end) = sample(denoise, noise, steps=200)
    assert np.mean(end) == pytest.approx(mean, abs=0.03)
    assert np.std(end) == pytest.approx(spread, rel=0.03)
    # The flow keeps the order of the points: it is a deterministic map of the noise.
    assert np.corrcoef(end, noise)[0, 1] > 0.999


def test_one_step_lands_on_the_prediction():
    steps = list(sample(lambda x, t: x * 0 + 3.0, np.ones(5), steps=1))
    assert len(steps) == 1
    np.testing.assert_array_equal(steps[0][1], np.full(5, 3.0))


def test_numpy_and_torch_agree():
    noise = np.random.default_rng(1).standard_normal((2, 3))
    *_, (_, by_numpy) = sample(lambda x, t: 0.3 * x + t, noise, steps=7)
    *_, (_, by_torch) = sample(lambda x, t: 0.3 * x + t, torch.from_numpy(noise), steps=7)
    np.testing.assert_allclose(by_numpy, by_torch.numpy(), atol=1e-12)


def test_noising_joins_data_and_noise():
    assert noised(5.0, -1.0, 0.0) == 5.0
    assert noised(5.0, -1.0, 1.0) == -1.0
    assert guided(2.0, 1.0, 1.0) == 2.0
    assert guided(2.0, 1.0, 3.0) == 4.0


def test_times_fall_from_one_to_zero():
    for logits in (None, (6.0, -2.0)):
        for steps in (1, 2, 10):
            grid = times(steps, logits)
            assert len(grid) == steps + 1 and grid[0] == 1.0 and grid[-1] == 0.0
            assert np.all(np.diff(grid) < 0)
    inner = times(10, (6.0, -2.0))[1:-1]
    np.testing.assert_allclose(np.log(inner / (1 - inner)), np.linspace(6, -2, 9))
    with pytest.raises(ValueError, match="at least 1"):
        times(0)
