"""Context, beats and a sentence vector in, stem tokens out, window after window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from restem.diffusion.path import guided, sample
from restem.kits import Kit
from restem.manner import Wish
from restem.networks.onnx_model import OnnxModel
from restem.tokens import (
    GUIDED_ABOVE,
    TokenConfig,
    control_features,
    mark_features,
    stem_features,
)

Progress = Callable[[float, str], None]
# The second at which a picture of what is being made begins, and its rows (frame, mel) in dB.
Preview = Callable[[float, np.ndarray], None]
Glimpse = Callable[[int, np.ndarray], None]  # number of the first token, clean tokens as they look

NEW = 64  # tokens (2.56 s) that each window after the first adds


def generate(
    model: OnnxModel,
    context: np.ndarray,
    phase: np.ndarray,
    asked: Wish,
    *,
    stem: str = "drums",
    seed: int,
    steps: int,
    guidance: float,
    kit: Kit | None = None,
    progress: Progress | None = None,
    glimpse: Glimpse | None = None,
) -> np.ndarray:
    """Stem tokens (token, value) for context tokens (token, value), a window or more of them.

    `phase` is (token, feature); `stem` says which to make of those that the model can. Near the
    noise, guidance leads from what comes without words, song and beats towards what comes with them
    (Ho and Salimans 2022, arXiv 2207.12598); a distilled model has learned that and is told how far
    (Meng et al. 2023, arXiv 2210.03142). Windows follow one another. The network is given the clean
    end of what is made, so that the pattern goes on, and an anchor, so that the kit stays the same
    to the end: the `kit`, or without one a loud place of the stem's beginning. The same seed gives
    the same stem. `glimpse` gets what is made.
    """
    config = model.tokens
    rng = np.random.default_rng(seed)
    told = control_features(
        asked.density, asked.loudness, guidance if model.distilled and guidance != 1 else None
    )[: model.controls]
    # What is asked at once: the words with the song, and nothing at all.
    vectors = np.stack([np.append(asked.text, told), np.append(asked.null, 0 * told)])
    branches = 1 if guidance == 1 or model.distilled else 2
    start, context, phase = _begun(kit, context, phase, config)
    tokens = np.empty((len(context), config.stem_values), np.float32)
    tokens[: len(start)] = start
    made, anchor = len(start), np.arange(config.anchor if kit else 0)
    while made < len(context):
        rows = _window_rows(made, len(context), anchor, config)
        known = tokens[rows[rows < made]]  # these come first
        noise = np.zeros((len(rows), config.stem_values), np.float32)
        noise[len(known) :] = rng.standard_normal(noise[len(known) :].shape, dtype=np.float32)
        marks = mark_features(np.arange(len(rows)) < len(known), len(anchor))
        marks = np.concatenate([marks, stem_features(stem, len(rows), config)], axis=1)
        place = np.concatenate([phase[rows], marks], axis=1)
        nowhere = np.concatenate([np.zeros_like(phase[rows]), marks], axis=1)
        silent = np.full_like(context[rows], config.silence)
        songs, places = np.stack([context[rows], silent]), np.stack([place, nowhere])

        def denoise(
            x: np.ndarray,
            t: float,
            known: np.ndarray = known,
            songs: np.ndarray = songs,
            places: np.ndarray = places,
        ) -> np.ndarray:
            x[: len(known)] = known
            n = branches if t > GUIDED_ABOVE else 1
            predicted = model.predict(np.stack([x] * n), songs[:n], places[:n], vectors[:n], t)
            clean = predicted[0]
            if n > 1:
                led = guided(clean, predicted[1], guidance)
                clean = rescaled(led, clean, slice(len(known), None))
            clean[: len(known)] = known
            return np.asarray(clean)

        new = len(rows) - len(known)
        for done, clean in sample(denoise, noise, steps, model.description["logits"]):
            tokens[made : made + new] = clean[len(known) :]
            if glimpse:
                glimpse(made - len(start), tokens[made : made + new])
            if progress:
                share = made - len(start) + new * done / steps
                progress(share / (len(context) - len(start)), "denoising")
        made += new
        if not len(anchor):
            anchor = _loudest(tokens[:made], config)
    return tokens[len(start) :]


def rescaled(led: np.ndarray, plain: np.ndarray, part: slice) -> np.ndarray:
    """What guidance led to (token, value), with the plain answer's mean and spread over `part`, and
    nothing beyond its least and greatest value there.

    Guidance makes more of whatever the words add: also loudness and contrast (Lin et al. 2024,
    "Common diffusion noise schedules and sample steps are flawed", arXiv 2305.08891, eq. 15). What
    lies out of all range would stay where few steps follow (Saharia et al. 2022, arXiv 2205.11487,
    sec. 2.3).
    """
    before, after = led[part], plain[part]
    factor = after.std() / max(float(before.std()), 1e-6)
    kept = (led - before.mean()) * factor + after.mean()
    return np.asarray(np.clip(kept, after.min(), after.max()))


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
