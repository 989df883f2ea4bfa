"""Fréchet distance, KLD, Inception Score and intervals against closed forms and SciPy."""

import time

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from restem.evaluation import classes, frechet, intervals, threads


def scipy_frechet(first, second):
    """The textbook formula through SciPy's matrix square root: an independent path."""
    gap = first.mean(0) - second.mean(0)
    covariances = [np.cov(part, rowvar=False) for part in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    return gap @ gap + np.trace(covariances[0] + covariances[1]) - 2 * np.trace(root).real


def whitened(count, dimensions, seed=0):
    """Samples whose own mean is exactly 0 and whose own covariance is exactly 1."""
    samples = np.random.default_rng(seed).standard_normal((count, dimensions))
    samples -= samples.mean(0)
    return samples @ np.linalg.inv(np.linalg.cholesky(np.cov(samples, rowvar=False))).T


# --- Fréchet ---------------------------------------------------------------------------------


def test_frechet_of_gaussians_in_closed_form():
    base = whitened(500, 6)
    scales = np.array([0.1, 0.5, 1, 2, 3, 10])
    shift = np.arange(6.0)
    other = whitened(300, 6, seed=1) * scales + shift  # axis-parallel: the roots add up
    expected = shift @ shift + np.sum((scales - 1) ** 2)
    assert frechet.frechet_distance(base, other) == pytest.approx(expected, rel=1e-12)
    assert frechet.frechet_distance(other, base) == pytest.approx(expected, rel=1e-12)
    assert frechet.frechet_from_statistics(
        np.zeros(6), np.eye(6), shift, np.diag(scales**2)
    ) == pytest.approx(expected, rel=1e-12)
    assert frechet.frechet_distance(base, base) == pytest.approx(0, abs=1e-12)
    assert frechet.frechet_distance(base, base + 3) == pytest.approx(54, rel=1e-12)


def test_frechet_in_one_dimension_is_the_wasserstein_distance_of_gaussians():
    first, second = np.random.default_rng(0).gamma(2, size=(2, 100, 1)) * [[[1]], [[5]]]
    expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert frechet.frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("count", "other_count", "dimensions"), [(400, 300, 64), (90, 700, 80)])
def test_frechet_agrees_with_scipy_and_with_statistics(count, other_count, dimensions):
    random = np.random.default_rng(2)
    mixing = random.standard_normal((dimensions, dimensions)) / 4
    first = np.maximum(random.standard_normal((count, dimensions)) @ mixing, 0)  # as after a ReLU
    second = np.maximum(random.standard_normal((other_count, dimensions)) @ mixing.T + 0.1, 0)
    value = frechet.frechet_distance(first, second)
    assert value == pytest.approx(scipy_frechet(first, second), rel=1e-6)
    statistics = [
        part for side in (first, second) for part in (side.mean(0), np.cov(side, rowvar=False))
    ]
    assert frechet.frechet_from_statistics(*statistics) == pytest.approx(value, rel=1e-6)


def test_frechet_with_fewer_clips_than_dimensions_is_right_too():
    random = np.random.default_rng(3)
    first, second = random.standard_normal((20, 50)), random.standard_normal((15, 50)) * 2
    rotation = np.linalg.qr(random.standard_normal((50, 50)))[0]
    value = frechet.frechet_distance(first, second)
    assert frechet.frechet_distance(first @ rotation, second @ rotation) == pytest.approx(value)
    statistics = [
        part for side in (first, second) for part in (side.mean(0), np.cov(side, rowvar=False))
    ]
    assert frechet.frechet_from_statistics(*statistics) == pytest.approx(value, rel=1e-5)


def test_frechet_of_many_clips_with_constant_and_repeated_dimensions():
    """Their covariances have no Cholesky factor."""
    first, second = np.random.default_rng(0).standard_normal((2, 200, 6))
    value = frechet.frechet_distance(first, second)
    constant = [np.hstack([s, np.full((200, 1), c)]) for s, c in ((first, 3.0), (second, 1.0))]
    assert frechet.frechet_distance(*constant) == pytest.approx(value + 4, rel=1e-9)
    twice = [np.hstack([side, side]) for side in (first, second)]
    assert frechet.frechet_distance(*twice) == pytest.approx(2 * value, rel=1e-6)


def test_frechet_refuses_what_it_cannot_compare():
    fine = np.zeros((5, 3))
    for bad, complaint in [
        (np.zeros(5), "clip, dimension"),
        (np.zeros((5, 4)), "dimensions: 3 and 4"),
        (np.zeros((1, 3)), "at least 2"),
        (np.full((5, 3), np.nan), "NaN"),
    ]:
        with pytest.raises(ValueError, match=complaint):
            frechet.frechet_distance(fine, bad)
    with pytest.raises(ValueError, match="symmetric"):
        frechet.frechet_from_statistics([0, 0], [[1, 2], [0, 1]], [0, 0], np.eye(2))


def test_frechet_infinity_removes_the_bias_of_finite_sets():
    random = np.random.default_rng(4)
    truth = 16 * 0.5**2  # a shift by half in each of 16 dimensions
    plain, endless = [], []
    for _ in range(8):
        first, second = random.standard_normal((2, 300, 16))
        plain.append(frechet.frechet_distance(first, second + 0.5))
        estimate = frechet.frechet_infinity(first, second + 0.5)
        assert 0.01 < estimate.standard_error < 1
        endless.append(estimate.value)
    bias, rest = np.mean(plain) - truth, np.mean(endless) - truth
    assert bias > 0.05
    assert abs(rest) < max(0.5 * bias, 2.5 * np.std(endless) / np.sqrt(8))
    assert frechet.frechet_infinity(first, second) == frechet.frechet_infinity(first, second)


def test_frechet_infinity_counts_clips_and_not_their_frames():
    random = np.random.default_rng(11)
    truth = 16 * 0.5**2
    rest = []
    for _ in range(6):
        # 4 frames a clip that hardly differ: they are worth little more than one
        sides = random.standard_normal((2, 300, 1, 16)) + 0.2 * random.standard_normal(
            (2, 300, 4, 16)
        )
        rest.append(frechet.frechet_infinity(sides[0], sides[1] + 0.5).value - truth)
    assert abs(np.mean(rest)) < max(0.1, 2.5 * np.std(rest) / np.sqrt(6))
    with pytest.raises(ValueError, match="20 clips"):
        frechet.frechet_infinity(sides[0][:20], sides[1][:20])


def test_frechet_infinity_refuses_too_few_clips():
    random = np.random.default_rng(5)
    with pytest.raises(ValueError, match="too few for 64 dimensions"):
        frechet.frechet_infinity(*random.standard_normal((2, 64, 64)))
    frechet.frechet_infinity(*random.standard_normal((2, 75, 64)))


# --- classes ---------------------------------------------------------------------------------


def test_kl_agrees_with_a_direct_transcription_and_with_scipy():
    random = np.random.default_rng(6)
    target, generated = random.standard_normal((2, 30, 7)) * 3
    p_target = np.exp(target) / np.exp(target).sum(1, keepdims=True)
    p = np.exp(generated) / np.exp(generated).sum(1, keepdims=True)
    expected = np.sum(p_target * (np.log(p_target) - np.log(p)), axis=1)
    divergences = classes.kl_divergences(target, generated)
    assert divergences == pytest.approx(expected, rel=1e-9)
    assert divergences == pytest.approx(scipy.stats.entropy(p_target, p, axis=1), rel=1e-9)
    s_target, s = 1 / (1 + np.exp(-target)), 1 / (1 + np.exp(-generated))
    expected = np.sum(s_target * (np.log(s_target) - np.log(s)), axis=1)
    assert classes.kl_divergences(target, generated, "sigmoid") == pytest.approx(expected, rel=1e-9)


def test_kl_of_equal_uniform_and_extreme_logits():
    one_hot = np.array([[0.0, 200.0, 0.0, 0.0]])
    uniform = np.zeros((1, 4))
    assert classes.kl_divergences(one_hot, one_hot) == pytest.approx(0, abs=1e-12)
    assert classes.kl_divergences(one_hot, uniform) == pytest.approx(np.log(4))
    assert classes.kl_divergences(uniform, one_hot) == pytest.approx(150 - np.log(4))
    assert np.all(np.isfinite(classes.kl_divergences(one_hot * 10, -one_hot * 10, "sigmoid")))


def test_inception_score_of_uniform_certain_and_random_classes():
    assert classes.inception_score(np.zeros((100, 5))).value == pytest.approx(1)
    certain = np.tile(np.eye(5) * 100, (200, 1))
    assert classes.inception_score(certain, splits=1).value == pytest.approx(5)
    assert 4.5 < classes.inception_score(certain).value < 5  # splits are not evenly filled
    logits = np.random.default_rng(7).standard_normal((103, 6)) * 2
    order = np.random.RandomState(2020).permutation(103)
    p = np.exp(logits[order]) / np.exp(logits).sum(1)[order][:, None]
    parts = [p[i * 103 // 10 : (i + 1) * 103 // 10] for i in range(10)]
    direct = [np.exp(np.mean(np.sum(q * np.log(q / q.mean(0)), axis=1))) for q in parts]
    score = classes.inception_score(logits)
    assert score.value == pytest.approx(np.mean(direct), rel=1e-9)
    assert score.split_sd == pytest.approx(np.std(direct), rel=1e-9)


def test_classes_refuse_bad_logits():
    fine = np.zeros((4, 3))
    for bad in (np.zeros(3), np.zeros((0, 3)), np.zeros((4, 1)), np.full((4, 3), np.nan)):
        with pytest.raises(ValueError, match="logits"):
            classes.kl_divergences(fine, bad)
    with pytest.raises(ValueError, match="differ in shape"):
        classes.kl_divergences(fine, np.zeros((5, 3)))
    with pytest.raises(ValueError, match="softmax"):
        classes.kl_divergences(fine, fine, "relu")
    with pytest.raises(ValueError, match="4 clips"):
        classes.inception_score(fine)


# --- intervals -------------------------------------------------------------------------------


def test_intervals_of_a_mean_cover_the_truth_about_95_times_in_100():
    random = np.random.default_rng(8)
    hits = 0
    for trial in range(100):
        scored = intervals.scored_mean(random.standard_normal(60) + 2, seed=trial, draws=400)
        assert scored.low < scored.value < scored.high
        hits += scored.low <= 2 <= scored.high
    assert 86 <= hits <= 100


def test_interval_of_a_set_score_has_the_spread_of_fresh_samples():
    random = np.random.default_rng(9)

    def spread_of(values):
        return intervals.scored_set(
            lambda index: float(np.var(values[index])), len(values), draws=300
        )

    widths = [
        spread_of(values).high - spread_of(values).low
        for values in random.standard_normal((5, 200))
    ]
    fresh = np.std([np.var(random.standard_normal(200)) for _ in range(2000)])
    assert np.mean(widths) == pytest.approx(2 * 1.96 * fresh, rel=0.2)
    bounded = intervals.around(0.1, 1.0, lowest=0.0)
    assert bounded == intervals.Scored(0.1, 0.0, 0.1 + 1.96)


def test_intervals_are_repeatable_and_refuse_nan():
    scores = np.random.default_rng(10).uniform(size=30)
    assert intervals.scored_mean(scores) == intervals.scored_mean(scores)
    with pytest.raises(ValueError, match="finite"):
        intervals.scored_mean([0.5, np.nan])


# --- threads ---------------------------------------------------------------------------------


def test_parts_worked_on_side_by_side_keep_their_order_and_their_errors():
    def late(part):
        time.sleep(0.02 * (3 - part))
        return 10 * part

    assert threads.side_by_side(late, range(4)) == [0, 10, 20, 30]
    with pytest.raises(ZeroDivisionError):
        threads.side_by_side(lambda part: 1 / part, [1, 0, 2])
