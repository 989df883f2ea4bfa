"""Binary diffusion against brute force: every path of every cell is counted."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from restem.symbolic.bernoulli import (
    PAPER,
    BinaryNoise,
    mixed,
    noised,
    noised_probability,
    plug_in,
    sample,
    walk,
)

NOISES = [
    BinaryNoise(4, "survival", 0.3),
    BinaryNoise(4, "linear", 0.02),
    BinaryNoise(5, "linear", 0.5),
]


def step_chance(new: int, old: int, beta: float, rho: float) -> float:
    """q(x_t = new | x_{t-1} = old), written out."""
    one = old * (1 - beta) + rho * beta
    return one if new else 1 - one


def paths(noise: BinaryNoise, first: int) -> dict[tuple[int, ...], float]:
    """Probability of each path x_0 ... x_T of one cell."""
    a = noise.survival()
    betas = [1 - a[t] / a[t - 1] for t in range(1, noise.steps + 1)]
    out = {}
    for rest in product((0, 1), repeat=noise.steps):
        path, chance = (first, *rest), 1.0
        for t, beta in enumerate(betas, 1):
            chance *= step_chance(path[t], path[t - 1], beta, noise.density)
        out[path] = chance
    return out


def test_survival_is_the_product_of_the_named_betas() -> None:
    total = 256
    betas = np.array([1 / (total - t + 1) for t in range(1, total + 1)])
    assert np.allclose(BinaryNoise(total).survival()[1:], np.cumprod(1 - betas), atol=1e-12)
    a = PAPER.survival()
    assert len(a) == 101 and a[0] == 1 and 0 < a[-1] < 1e-4 and np.all(np.diff(a) < 0)


@pytest.mark.parametrize("noise", NOISES)
def test_forward_kernel_by_enumeration(noise: BinaryNoise) -> None:
    for first in (0, 1):
        table = paths(noise, first)
        assert sum(table.values()) == pytest.approx(1)
        for t, a in enumerate(noise.survival()):
            counted = sum(chance for path, chance in table.items() if path[t])
            assert noised_probability(first, a, noise.density) == pytest.approx(counted, abs=1e-9)


@pytest.mark.parametrize("noise", NOISES)
def test_posterior_by_enumeration_for_all_strides(noise: BinaryNoise) -> None:
    a = noise.survival()
    for first, now in product((0, 1), repeat=2):
        table = paths(noise, first)
        for t in range(1, noise.steps + 1):
            for s in range(t):
                both = sum(c for path, c in table.items() if path[t] == now and path[s])
                total = sum(c for path, c in table.items() if path[t] == now)
                if total > 0:
                    ours = plug_in(now, float(first), a[t], a[s], noise.density)
                    assert ours == pytest.approx(both / total, abs=1e-9)


def test_posterior_is_the_formula_written_with_beta() -> None:
    noise, rng = BinaryNoise(50, "linear", 0.07), np.random.default_rng(0)
    a = noise.survival()
    for t in (1, 7, 50):
        beta, rho = 1 - a[t] / a[t - 1], noise.density
        x, p = rng.integers(0, 2, 20), rng.random(20)
        pi = a[t - 1] * p + rho * (1 - a[t - 1])
        one = (x * (1 - (1 - rho) * beta) + (1 - x) * (1 - rho) * beta) * pi
        zero = (x * rho * beta + (1 - x) * (1 - rho * beta)) * (1 - pi)
        assert np.allclose(plug_in(x, p, a[t], a[t - 1], rho), one / (one + zero), atol=1e-12)


class TinyRolls:
    """Rolls of 2 x 2 cells with a known joint distribution, noised; all of it by enumeration."""

    def __init__(self, noise: BinaryNoise) -> None:
        self.noise, self.states = noise, np.array(list(product((0, 1), repeat=4)))
        weights = np.random.default_rng(5).random(16) ** 3
        self.prior = weights / weights.sum()

    def clean_given(self, x: np.ndarray, t: int) -> np.ndarray:
        """P(x_0 = each state | x_t = x)."""
        one = noised_probability(self.states, self.noise.survival()[t], self.noise.density)
        joint = self.prior * np.prod(np.where(x, one, 1 - one), axis=1)
        return joint / joint.sum()

    def predict(self, x: np.ndarray, t: int) -> np.ndarray:
        """The true P(x_0 cell = 1 | x_t) for rolls (roll, 4)."""
        table = np.stack([self.clean_given(s, t) @ self.states for s in self.states])
        return table[x @ np.array([8, 4, 2, 1])]


def test_mixed_posterior_of_tiny_rolls_is_the_true_marginal() -> None:
    noise = BinaryNoise(6, "survival", 0.25)
    rolls, a = TinyRolls(noise), noise.survival()
    for x in rolls.states:
        for t, s in ((6, 5), (5, 2), (3, 1)):
            truth = np.zeros(4)
            for chance, first in zip(rolls.clean_given(x, t), rolls.states, strict=True):
                truth += chance * plug_in(x, first, a[t], a[s], noise.density)
            p = rolls.predict(x[None], t)[0]
            assert np.allclose(mixed(x, p, a[t], a[s], noise.density), truth, atol=1e-6)
    # The plug-in posterior agrees where p is certain, and only there.
    assert mixed(1, 1.0, 0.4, 0.6, 0.25) == pytest.approx(plug_in(1, 1.0, 0.4, 0.6, 0.25))
    assert abs(mixed(1, 0.5, 0.4, 0.6, 0.25) - plug_in(1, 0.5, 0.4, 0.6, 0.25)) > 0.01


def distance(noise: BinaryNoise, steps: int, count: int = 20_000) -> float:
    """Total variation between sampled and true tiny rolls."""
    rolls, rng = TinyRolls(noise), np.random.default_rng(1)
    *_, (_, x) = sample(rolls.predict, (count, 4), noise, steps, rng, decide=False)
    found = np.bincount(x @ np.array([8, 4, 2, 1]), minlength=16) / count
    return float(np.abs(found - rolls.prior).sum() / 2)


def test_sampling_with_the_true_network_reaches_the_true_rolls() -> None:
    noise = BinaryNoise(64, "survival", 0.3)
    coarse, fine = distance(noise, 1), distance(noise, 64)
    assert coarse > 0.1 and fine < 0.03
    # The plug-in posterior is not that of the data.
    assert distance(BinaryNoise(64, "survival", 0.3, "plug-in"), 64) > 1.5 * fine


def test_training_falls_to_the_true_conditional() -> None:
    """A table of log-odds, trained on noised samples, must end at P(x_0 | x_t) and its entropy."""
    noise = BinaryNoise(4, "survival", 0.3)
    rolls, rng = TinyRolls(noise), np.random.default_rng(2)
    places, a = np.array([8, 4, 2, 1]), noise.survival()
    table = np.zeros((noise.steps + 1, 16, 4))
    losses = []
    for turn in range(2500):
        clean = rolls.states[rng.choice(16, 400, p=rolls.prior)]
        t = rng.integers(1, noise.steps + 1, 400)
        state = noised(clean, a[t, None], noise.density, rng.random(clean.shape)) @ places
        p = 1 / (1 + np.exp(-table[t, state]))
        losses.append(-np.mean(np.log(np.where(clean, p, 1 - p))))
        slope = np.zeros_like(table)
        np.add.at(slope, (t, state), p - clean)
        table -= 0.1 * slope / (1 + turn / 250)
    for t in range(1, noise.steps + 1):
        truth = rolls.predict(rolls.states, t)
        assert np.abs(1 / (1 + np.exp(-table[t])) - truth).max() < 0.08
    entropy = true_entropy(rolls)
    assert losses[0] > entropy + 0.1 and np.mean(losses[-400:]) == pytest.approx(entropy, abs=0.01)


def true_entropy(rolls: TinyRolls) -> float:
    """Mean over t of the entropy of a cell of x_0 given x_t: the least possible loss."""
    total = 0.0
    for t in range(1, rolls.noise.steps + 1):
        one = noised_probability(rolls.states, rolls.noise.survival()[t], rolls.noise.density)
        p = rolls.predict(rolls.states, t)
        for index, x in enumerate(rolls.states):
            reach = rolls.prior @ np.prod(np.where(x, one, 1 - one), axis=1)
            q = np.clip(p[index], 1e-12, 1 - 1e-12)
            total += reach * np.mean(-q * np.log(q) - (1 - q) * np.log(1 - q))
    return total / rolls.noise.steps


def test_known_cells_are_held_and_seen_by_the_network() -> None:
    known = np.zeros((50, 4), bool)
    known[:, 1] = True
    values = np.broadcast_to(np.arange(50)[:, None] % 2 == 1, (50, 4))
    seen = []

    def predict(x: np.ndarray, t: int) -> np.ndarray:
        seen.append(x[:, 1].copy())
        return np.full(x.shape, 0.5)

    for _, x in sample(
        predict, (50, 4), BinaryNoise(8), 4, np.random.default_rng(0), known, values
    ):
        assert np.array_equal(x[:, 1], values[:, 1])
    assert len(seen) == 4 and all(np.array_equal(s, values[:, 1]) for s in seen)


def test_one_seed_one_result_and_other_seeds_others() -> None:
    rolls = TinyRolls(BinaryNoise(16))

    def run(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        *_, (_, x) = sample(rolls.predict, (9, 4), rolls.noise, 16, rng, decide=False)
        return x.tobytes()

    assert run(1) == run(1) != run(2)


def test_walks_and_settings_out_of_range() -> None:
    assert walk(4, 256).tolist() == [256, 192, 128, 64, 0] and len(walk(100, 100)) == 101
    for steps in (0, 257):
        with pytest.raises(ValueError, match="between 1 and 256"):
            walk(steps, 256)
    for wrong in ({"density": 0.0}, {"steps": 0}, {"schedule": "cosine"}, {"posterior": "best"}):
        with pytest.raises(ValueError):
            BinaryNoise(**wrong)
