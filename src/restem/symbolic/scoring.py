"""Held-out pieces and a maker of parts in; one row of scores for it and for each reference out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from restem.evaluation.frechet import frechet_distance
from restem.symbolic import measures
from restem.symbolic.corpora import Piece, chunks
from restem.symbolic.rolls import ONSET

SWAPPED = 8  # unrelated contexts that a part is compared with; one alone makes a noisy table
Maker = Callable[[Piece, int], np.ndarray]  # a piece without the stem, and its index -> planes


@dataclass(frozen=True)
class Trial:
    """One held-out stretch: its piece and true part, and unrelated contexts of the same metre."""

    piece: Piece
    truth: np.ndarray
    context: dict[str, np.ndarray]
    others: list[dict[str, np.ndarray]]


def trials(pieces: Sequence[Piece], stem: str, most: int, seed: int = 0) -> list[Trial]:
    """Up to `most` stretches of 16 bars in which both the stem and something else plays."""
    rng = np.random.default_rng(seed)
    found = []
    for index in rng.permutation(len(pieces)):
        usable = [c for c in chunks(pieces[int(index)]) if _plays(c, stem)]
        if usable:
            found.append(usable[int(rng.integers(len(usable)))])
        if len(found) == most:
            break
    out = []
    for index, piece in enumerate(found):
        others = [
            p
            for p in found[index + 1 :] + found[:index]
            if p.bars[0, 1] == piece.bars[0, 1] and p.style != piece.style
        ]
        swapped = [_context(p, stem) for p in (others or [found[index - 1]])[:SWAPPED]]
        out.append(Trial(piece, piece.parts[stem], _context(piece, stem), swapped))
    return out


def score(
    rows: Mapping[str, Maker], tests: Sequence[Trial], stem: str, known: set[bytes]
) -> dict[str, dict[str, float]]:
    """Scores of each maker over all trials: the means of its measures, and the Fréchet distance.

    `known`: marks of all training bars. The distance is of simple statistics of each four bars to
    those of the true parts. "density ratio" is the ratio of mean densities, followed by the ends of
    its 95 % interval, which draws style files and songs anew, since songs of one file are alike.
    """
    groups = by_source(tests)
    true_density = np.array([measures.density(t.truth, t.piece.bars) for t in tests])
    reference = np.concatenate([list(_statistics(t.truth, t.piece, stem)) for t in tests])
    table = {}
    for name, maker in rows.items():
        made = [maker(trial.piece, index) for index, trial in enumerate(tests)]
        each = [
            _scores(planes, trial, stem, known) for planes, trial in zip(made, tests, strict=True)
        ]
        row = {key: _nan_mean([scores[key] for scores in each]) for key in each[0]}
        density = np.array([scores["density"] for scores in each])

        def ratio(chosen: np.ndarray, density: np.ndarray = density) -> float:
            return float(density[chosen].mean() / true_density[chosen].mean())

        del row["density"]
        row["density ratio"] = ratio(np.arange(len(tests)))
        row["from"], row["to"] = interval(ratio, groups)
        features = np.concatenate(
            [list(_statistics(p, t.piece, stem)) for p, t in zip(made, tests, strict=True)]
        )
        spread = reference.std(axis=0) + 1e-3
        row["frechet"] = frechet_distance(reference / spread, features / spread)
        table[name] = row
    return table


def by_source(tests: Sequence[Trial]) -> list[np.ndarray]:
    """The indices of the trials of each style file or song."""
    found: dict[str, list[int]] = {}
    for index, trial in enumerate(tests):
        found.setdefault(trial.piece.source, []).append(index)
    return [np.array(indices) for indices in found.values()]


def interval(
    value: Callable[[np.ndarray], float], groups: Sequence[np.ndarray], draws: int = 1000
) -> tuple[float, float]:
    """The bootstrap's 95 % interval of a value of trials, whole groups of which are drawn."""
    rng = np.random.default_rng(0)
    values = [
        value(np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]))
        for _ in range(draws)
    ]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def references(
    tests: Sequence[Trial], training: Sequence[Piece], stem: str, seed: int = 0
) -> dict[str, Maker]:
    """The rows to compare with: the true part, a random song's, the nearest song's, one bar."""
    pool = [chunk for piece in training for chunk in chunks(piece) if _plays(chunk, stem)]
    vectors = np.stack([_description(_context(piece, stem)) for piece in pool])
    common = _commonest_bars(pool, stem)

    def truth(piece: Piece, index: int) -> np.ndarray:
        return tests[index].truth

    def random(piece: Piece, index: int) -> np.ndarray:
        rng = np.random.default_rng([seed, index])
        same = [p for p in pool if p.bars[0, 1] == piece.bars[0, 1]] or pool
        return looped(same[int(rng.integers(len(same)))].parts[stem], piece.steps)

    def retrieval(piece: Piece, index: int) -> np.ndarray:
        distance = np.abs(vectors - _description(tests[index].context)).sum(axis=1)
        distance += [10.0 * (p.bars[0, 1] != piece.bars[0, 1]) for p in pool]
        return looped(pool[int(distance.argmin())].parts[stem], piece.steps)

    def repeat(piece: Piece, index: int) -> np.ndarray:
        length = int(piece.bars[0, 1])
        return looped(common.get(length, next(iter(common.values()))), piece.steps)

    return {
        "true part": truth,
        "random song": random,
        "retrieval": retrieval,
        "commonest bar": repeat,
    }


def looped(planes: np.ndarray, steps: int) -> np.ndarray:
    """Planes repeated or cut to a length."""
    count = -(-steps // planes.shape[1])
    return np.tile(planes, (1, count, 1))[:, :steps]


def training_marks(training: Sequence[Piece], stem: str) -> set[bytes]:
    """The marks of all bars of a stem in the training pieces."""
    return {
        mark
        for piece in training
        if stem in piece.parts
        for mark in measures.bar_marks(piece.parts[stem], piece.bars, stem != "drums")
        if mark
    }


def _scores(planes: np.ndarray, trial: Trial, stem: str, known: set[bytes]) -> dict[str, float]:
    bars = trial.piece.bars
    marks = measures.bar_marks(planes, bars, stem != "drums")
    scores = {
        "grid": measures.grid_agreement(planes, bars),
        "accents": measures.accent_agreement(planes, trial.context),
        "swapped": _nan_mean([measures.accent_agreement(planes, other) for other in trial.others]),
        "density": measures.density(planes, bars),
        "distinct bars": measures.distinct_bars(marks),
        "copied bars": measures.copied_share(marks, known),
    }
    if stem != "drums":
        scores["pitch"] = measures.pitch_agreement(planes, trial.context)
        scores["pitch swapped"] = _nan_mean(
            [measures.pitch_agreement(planes, other) for other in trial.others]
        )
        scores["own chords"] = scores["pitch"] - scores["pitch swapped"]
    scores["own accents"] = scores["accents"] - scores["swapped"]
    return scores


def _plays(piece: Piece, stem: str) -> bool:
    """Whether the stem plays in most bars, and something else plays with it."""
    if stem not in piece.parts or len(piece.parts) < 2 or len(piece.bars) < 4:
        return False
    marks = measures.bar_marks(piece.parts[stem], piece.bars, False)
    heard = bool(measures.accents(_context(piece, stem)).any())
    return heard and sum(map(bool, marks)) > len(marks) / 2


def _context(piece: Piece, stem: str) -> dict[str, np.ndarray]:
    return {kind: piece.parts[kind] for kind in piece.parts if kind != stem}


def _statistics(planes: np.ndarray, piece: Piece, stem: str) -> Iterator[np.ndarray]:
    for first in range(0, len(piece.bars) - 3, 4):
        bars = piece.bars[first : first + 4]
        start, stop = int(bars[0, 0]), int(bars[-1, 0] + bars[-1, 1])
        yield measures.statistics(planes[:, start:stop], bars, stem == "drums")


def _description(context: Mapping[str, np.ndarray]) -> np.ndarray:
    """What retrieval compares: the accents over four quarters, and the pitch classes."""
    accent = measures.accents(context).astype(float)
    cycle = np.pad(accent, (0, -len(accent) % 48)).reshape(-1, 48).mean(axis=0)
    pitches = sum(
        (planes[ONSET].sum(axis=0) for kind, planes in context.items() if kind != "drums"),
        np.zeros(128),
    )
    classes = np.pad(pitches, (0, 4)).reshape(11, 12).sum(axis=0)
    return np.concatenate([cycle / (cycle.sum() + 1e-9), 0.5 * classes / (classes.sum() + 1e-9)])


def _commonest_bars(pool: Sequence[Piece], stem: str) -> dict[int, np.ndarray]:
    """The most common bar of the training songs, for each length of bar in steps."""
    counts: Counter[tuple[int, bytes]] = Counter()
    where: dict[tuple[int, bytes], np.ndarray] = {}
    for piece in pool:
        planes = piece.parts[stem]
        for bar, mark in zip(
            piece.bars, measures.bar_marks(planes, piece.bars, False), strict=True
        ):
            if mark:
                key = int(bar[1]), mark
                counts[key] += 1
                where.setdefault(key, planes[:, int(bar[0]) : int(bar[0] + bar[1])])
    found: dict[int, np.ndarray] = {}
    for key, _ in counts.most_common():
        found.setdefault(key[0], where[key])
    return found


def _nan_mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
