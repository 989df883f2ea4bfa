"""What was heard in paired clips comes in; the report's scores, with intervals, go out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from restem.evaluation.beats import beat_f
from restem.evaluation.classes import inception_score, kl_divergences
from restem.evaluation.embeddings import Embedding
from restem.evaluation.frechet import frechet_distance, frechet_infinity
from restem.evaluation.intervals import Scored, around, scored_mean, scored_set
from restem.evaluation.listening import CONTEXT_SCORES, Heard
from restem.evaluation.onsets import onset_correlation

SEED = 0
SPLITS = 10
MANY_DIMENSIONS = 512  # above this one Fréchet distance takes seconds, so it is drawn less often


@dataclass(frozen=True, eq=False)
class HeardPair:
    """A generated clip and its target, and the scores of both with their context: None without
    one, empty if it cannot be used."""

    name: str
    generated: Heard
    target: Heard
    with_context: dict[str, float] | None
    target_with_context: dict[str, float] | None


def scores_of(
    pairs: Sequence[HeardPair], classifier: Embedding, frames: Embedding
) -> tuple[dict[str, Any], list[str]]:
    """The report's scores by key, and warnings about those that cannot be trusted or made.

    `classifier` (role "clip") gives FD, KLD and Inception Score, `frames` (role "frame") FAD.
    """
    scores: dict[str, Any] = {}
    warnings: list[str] = []
    scores |= _frechet_scores(pairs, classifier, frames, warnings)
    scores |= _class_scores(pairs, classifier, warnings)
    scores |= _rhythm_scores(pairs, warnings)
    if any(pair.with_context is not None for pair in pairs):
        scores |= _context_scores(pairs, warnings)
    return scores, warnings


def _frechet_scores(
    pairs: Sequence[HeardPair], classifier: Embedding, frames: Embedding, warnings: list[str]
) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for key, embedding in (("fd", classifier), ("fad", frames)):
        ours = [pair.generated.embedded[embedding.name].features for pair in pairs]
        theirs = [pair.target.embedded[embedding.name].features for pair in pairs]
        scores[key] = _score(None, embedding)
        if len(pairs) < 2:
            warnings.append(f"{key}: needs at least 2 clips; not computed")
            continue
        if len(pairs) <= embedding.dimensions:
            warnings.append(
                f"{key}: {len(pairs)} clips are no more than the {embedding.dimensions} dimensions "
                f"of {embedding.name}, so the value is far too high; compare equal clip counts only"
            )
        draws = 50 if embedding.dimensions <= MANY_DIMENSIONS else 10

        def distance(clips: Any, ours: Any = ours, theirs: Any = theirs) -> float:
            return frechet_distance(
                np.concatenate([theirs[clip] for clip in clips]),
                np.concatenate([ours[clip] for clip in clips]),
            )

        scores[key] = _score(scored_set(distance, len(pairs), SEED, draws, lowest=0.0), embedding)
        if key == "fad":
            try:
                endless = frechet_infinity(theirs, ours, SEED)
                scored = around(endless.value, endless.standard_error)
                scores["fad_inf"] = _score(scored, embedding)
            except ValueError as refusal:
                scores["fad_inf"] = _score(None, embedding)
                warnings.append(f"fad_inf: {refusal}; not computed")
    return scores | {"fad_inf": scores.get("fad_inf", _score(None, frames))}


def _class_scores(
    pairs: Sequence[HeardPair], classifier: Embedding, warnings: list[str]
) -> dict[str, Any]:
    sides = [
        np.array([side.embedded[classifier.name].logits for side in column])
        for column in ([pair.generated for pair in pairs], [pair.target for pair in pairs])
    ]
    divergences = kl_divergences(sides[1], sides[0])
    scores = {"kld": _score(scored_mean(divergences, SEED), classifier)}
    if len(pairs) < 2 * SPLITS:  # of a split of one clip it is 1, whatever the clip
        warnings.append(f"inception_score: needs at least {2 * SPLITS} clips; not computed")
        return scores | {"inception_score": _score(None, classifier)}

    def inception(clips: Any) -> float:
        return inception_score(sides[0][clips], SPLITS).value

    scored = scored_set(inception, len(pairs), SEED, lowest=1.0)
    split_sd = inception_score(sides[0], SPLITS).split_sd
    scores["inception_score"] = _score(scored, classifier) | {"split_sd": rounded(split_sd)}
    return scores


def _rhythm_scores(pairs: Sequence[HeardPair], warnings: list[str]) -> dict[str, Any]:
    """A silent target has no beats and no onsets to agree with, so it is left out, and named."""
    sounding = [pair for pair in pairs if not pair.target.silent]
    for pair in pairs:
        if pair.target.silent:
            warnings.append(f"{pair.name}: the target is silent; left out of the rhythm scores")
    unheard = sum(len(pair.target.beats) == 0 for pair in sounding)
    if unheard:
        warnings.append(
            f"beat_f: librosa hears no beat in {unheard} of {len(sounding)} sounding targets, "
            "so whatever is held against them scores 0"
        )
    beats, onsets = [], []
    for pair in sounding:
        beats.append(beat_f(pair.target.beats, pair.generated.beats))
        ours, theirs = pair.generated.envelope, pair.target.envelope
        frames = min(len(ours), len(theirs))
        onsets.append(onset_correlation(theirs[:frames], ours[:frames]))
    return {"beat_f": _mean_score(beats), "onset_correlation": _mean_score(onsets)}


def _context_scores(pairs: Sequence[HeardPair], warnings: list[str]) -> dict[str, Any]:
    """Each beside the same score of the true clips, which is what it should come near."""
    scores: dict[str, Any] = {}
    for name in CONTEXT_SCORES:
        both = [
            (pair.with_context[name], pair.target_with_context[name])
            for pair in pairs
            if pair.with_context and pair.target_with_context
        ]
        finite = [(ours, theirs) for ours, theirs in both if np.isfinite(ours + theirs)]
        if len(finite) < len(both):
            warnings.append(
                f"{name}: {len(both) - len(finite)} clips with a silent side or context left out"
            )
        truth = float(np.mean([theirs for _, theirs in finite])) if finite else None
        scores[name] = _mean_score([ours for ours, _ in finite]) | {"target": rounded(truth)}
    return scores


def _mean_score(values: Sequence[float]) -> dict[str, Any]:
    scored = scored_mean(values, SEED) if values else None
    return _score(scored) | {"clips": len(values)}


def _score(scored: Scored | None, embedding: Embedding | None = None) -> dict[str, Any]:
    score: dict[str, Any] = {
        "value": rounded(scored.value if scored else None),
        "low": rounded(scored.low if scored else None),
        "high": rounded(scored.high if scored else None),
    }
    if embedding is not None:
        score["embedding"] = {"name": embedding.name, "sha256": embedding.weights_sha256}
    return score


def rounded(value: float | None) -> float | None:
    """Six significant digits, more than any score here has; None stays None."""
    return None if value is None else float(f"{value:.6g}")
