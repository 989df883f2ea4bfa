"""Class logits of clips come in; KL divergences and the Inception Score go out."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, log_softmax, logsumexp

Floats = NDArray[np.float64]

SHUFFLE_SEED = 2020  # that of torch-fidelity and of audioldm_eval


def kl_divergences(
    target_logits: ArrayLike,
    logits: ArrayLike,
    activation: Literal["softmax", "sigmoid"] = "softmax",
) -> Floats:
    """Sum over the classes of p_target (log p_target - log p), for each pair of clips, (clip,).

    Both are (clip, class) and paired by row; their mean is the KLD of audioldm_eval (H. Liu et
    al., "AudioLDM", ICML 2023, 4), computed on log-probabilities without a small constant. With
    "softmax" p is one distribution over the classes, and the result is 0 or more. With "sigmoid"
    each class has its own probability, as tags do; the sum runs over the same terms, without those
    of the absent classes, and can be negative.
    """
    target, generated = checked_logits(target_logits), checked_logits(logits)
    if target.shape != generated.shape:
        raise ValueError(f"paired logits differ in shape: {target.shape} and {generated.shape}")
    if activation == "softmax":
        log_target, log_generated = log_softmax(target, axis=1), log_softmax(generated, axis=1)
        return np.sum(np.exp(log_target) * (log_target - log_generated), axis=1)
    if activation == "sigmoid":
        return np.sum(expit(target) * (log_expit(target) - log_expit(generated)), axis=1)
    raise ValueError(f'the activation must be "softmax" or "sigmoid", not "{activation}"')


@dataclass(frozen=True)
class InceptionScore:
    """Mean over the splits and their standard deviation (over splits, not their error)."""

    value: float
    split_sd: float


def inception_score(logits: ArrayLike, splits: int = 10) -> InceptionScore:
    """exp of the mean KL(p(y|x) || p(y)) in each of `splits` parts, 1 to the number of classes.

    Logits are (clip, class) and go through a softmax (T. Salimans et al., "Improved techniques for
    training GANs", 2016). Clips are shuffled with a fixed seed first and cut into equal parts, as
    in audioldm_eval. Raises ValueError with fewer clips than splits.
    """
    values = checked_logits(logits)
    if not 1 <= splits <= len(values):
        raise ValueError(f"{len(values)} clips cannot be cut into {splits} splits")
    order = np.random.RandomState(SHUFFLE_SEED).permutation(len(values))
    log_given = log_softmax(values[order], axis=1)
    bounds = [len(values) * split // splits for split in range(splits + 1)]
    scores = []
    for start, end in pairwise(bounds):
        part = log_given[start:end]
        log_marginal = logsumexp(part, axis=0) - np.log(len(part))
        scores.append(np.exp(np.mean(np.sum(np.exp(part) * (part - log_marginal), axis=1))))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def checked_logits(logits: ArrayLike) -> Floats:
    """Logits as float64 (clip, class); ValueError for other shapes, no clips, one class, NaN."""
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0 or values.shape[1] < 2:
        raise ValueError(f"logits must be (clip, class) with 2 classes, not {values.shape}")
    if not np.all(np.isfinite(values)):
        raise ValueError("logits must be free of NaN and infinite values")
    return values
