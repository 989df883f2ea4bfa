"""Context, beats and a sentence vector in, stem tokens out, window after window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from restem.diffusion.path import guided, sample
from restem.kits import Kit
from restem.networks.onnx_model import OnnxModel
from restem.tokens import TokenConfig, mark_features

Progress = Callable[[float, str], None]
Glimpse = Callable[[int, np.ndarray], None]  # number of the first token, clean tokens as they look

# What the words decide is settled near the noise (Kynkäänniemi et al. 2024, arXiv 2404.07724).
GUIDED_ABOVE = 0.8
NEW = 64  # tokens (2.56 s) that each window after the first adds


def generate(
    model: OnnxModel,
    context: np.ndarray,
    phase: np.ndarray,
    text: np.ndarray,
    null: np.ndarray,
    *,
    seed: int,
    steps: int,
    guidance: float,
    kit: Kit | None = None,
    progress: Progress | None = None,
    glimpse: Glimpse | None = None,
) -> np.ndarray:
    """Stem tokens (token, value) for context tokens (token, value), a window or more of them.

    `phase` is (token, feature); `text` and `null` are (1, 384), the null being the empty sentence.
    Windows follow one another. The network is given the clean end of what is made, so that the
    pattern goes on, and an anchor, so that the kit stays the same to the end: the `kit`, or without
    one a loud place of the stem's beginning. The same seed gives the same stem. `glimpse` gets what
    is made.
    """
    config = model.tokens
    rng = np.random.default_rng(seed)
    vectors = text if guidance == 1 else np.concatenate([text, null])
    start, context, phase = _begun(kit, context, phase, config)
    noise = rng.standard_normal((len(context), config.stem_values), dtype=np.float32)
    stem = np.concatenate([start, np.empty_like(noise[len(start) :])])
    made, anchor = len(start), np.arange(config.anchor if kit else 0)
    while made < len(context):
        rows = _window_rows(made, len(context), anchor, config)
        known = stem[rows[rows < made]]  # these come first
        marks = mark_features(np.arange(len(rows)) < len(known), len(anchor))
        place = np.concatenate([phase[rows], marks], axis=1)
        conditions = [np.stack([x] * len(vectors)) for x in (context[rows], place)]

        def denoise(
            x: np.ndarray, t: float, known: np.ndarray = known, given: list[np.ndarray] = conditions
        ) -> np.ndarray:
            x[: len(known)] = known
            count = len(vectors) if t > GUIDED_ABOVE else 1
            shown = [a[:count] for a in (np.stack([x] * count), *given, vectors)]
            predicted = model.predict(shown[0], shown[1], shown[2], shown[3], t)
            clean = predicted[0]
            if count == 2:
                clean = guided(predicted[0], predicted[1], guidance)
            clean[: len(known)] = known
            return np.asarray(clean)

        new = len(rows) - len(known)
        for done, clean in sample(denoise, noise[rows], steps, model.description["logits"]):
            stem[made : made + new] = clean[len(known) :]
            if glimpse:
                glimpse(made - len(start), stem[made : made + new])
            if progress:
                share = made - len(start) + new * done / steps
                progress(share / (len(context) - len(start)), "denoising")
        made += new
        if not len(anchor):
            anchor = _loudest(stem[:made], config)
    return stem[len(start) :]


def _begun(
    kit: Kit | None, context: np.ndarray, phase: np.ndarray, config: TokenConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What of the stem is known before it begins, and context and phase with the same before."""
    if kit is None:
        return np.zeros((0, config.stem_values), np.float32), context, phase
    silent = np.full((len(kit.stem), context.shape[1]), config.silence, np.float32)
    return kit.stem, np.concatenate([silent, context]), np.concatenate([kit.phase, phase])


def _window_rows(made: int, length: int, anchor: np.ndarray, config: TokenConfig) -> np.ndarray:
    """Tokens of the next window: the anchor, the end of what is made, and what follows."""
    if made == 0:
        return np.arange(min(config.window, length))
    end = min(made + (config.window - made if made < config.window else NEW), length)
    return np.concatenate([anchor, np.arange(end - (config.window - len(anchor)), end)])


def _loudest(stem: np.ndarray, config: TokenConfig) -> np.ndarray:
    """The loudest tokens in a row that can serve as an anchor; none if the stem is silent."""
    level = np.maximum(stem, config.silence).mean(axis=1) - config.silence
    sums = np.convolve(level, np.ones(config.anchor), mode="valid")
    first = int(np.argmax(sums))
    heard = sums[first] > 0.05 * config.anchor  # 1 dB over silence in the mean of all bands
    return np.arange(first, first + config.anchor) if heard else np.zeros(0, dtype=np.int64)
