"""Clips come in; for each row of the table, the stem and mix that it offers for a clip go out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from restem import __version__
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.spectrogram import SpectrogramConfig, log_mel
from restem.audio.waveform import rms_db
from restem.benchmark.clips import RATE, Clip
from restem.benchmark.retrieval import Retrieval
from restem.diffusion.path import guided
from restem.diffusion.sdedit import StraightPath
from restem.diffusion.sdedit import sdedit as edited
from restem.hearing import WORKING_DB
from restem.insertion import Inserter
from restem.tokens import (
    PHASES,
    TokenConfig,
    context_level_db,
    denormalise,
    mark_features,
    mel_from_tokens,
    normalise,
    phase_features,
    tokens_from_mel,
)

Offer = Callable[[Clip, int], "Offered"]  # (clip, seed) -> what a row offers


@dataclass(frozen=True, eq=False)
class Offered:
    """A stem and a mix for one clip, (sample,) each; None for a row that makes no stem."""

    mix: np.ndarray
    stem: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Row:
    """A row of the table: what makes its clips and `by` what (a hash, so that clips of another
    model are not taken for these), for how many seeds, and against which truths it is held."""

    offer: Offer
    by: str = __version__
    seeds: int = 1
    kinds: tuple[str, ...] = ("mix", "stem")


def digest_of(inserter: Inserter) -> str:
    """A hash of all files of a model and of this version."""
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(inserter.drawing.folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _with(clip: Clip, stem: np.ndarray) -> Offered:
    stem = np.asarray(stem, dtype=np.float32)
    return Offered(clip.context + stem, stem)


def subtractive(inserter: Inserter) -> Offer:
    """The fine-tuned model by the clip's instruction."""

    def offer(clip: Clip, seed: int) -> Offered:
        made = inserter.insert(clip.context, RATE, clip.instruction, beats=clip.beats, seed=seed)
        return _with(clip, made.stem)

    return offer


def sdedit(base: Inserter, steps: int, strength: float, guidance: float | None = None) -> Offer:
    """The base model, editing the context by the clip's short caption; it makes mixes only."""
    scale = base.drawing.description["guidance"] if guidance is None else guidance

    def offer(clip: Clip, seed: int) -> Offered:
        return Offered(_edited_mix(base, clip, seed, steps, strength, scale), None)

    return offer


def _edited_mix(
    base: Inserter, clip: Clip, seed: int, steps: int, strength: float, scale: float
) -> np.ndarray:
    """One window: the context's picture noised to `strength`, then denoised by the caption."""
    model, config = base.drawing, base.drawing.tokens
    gain = np.float32(10 ** ((WORKING_DB - rms_db(clip.context)) / 20))
    picture = log_mel(clip.context * gain, config.spectrogram)[: config.window_frames]
    level = context_level_db(picture[:, : config.spectrogram.mels])
    start = tokens_from_mel(normalise(picture, level, config), config)[None]
    place = np.concatenate(
        [phase_features(clip.beats, config.token_times()), mark_features(np.zeros(config.window))],
        axis=1,
    )[None]
    assert place.shape[2] == PHASES + 2
    silence = np.full((2, config.window, config.context_values), config.silence, np.float32)
    words = base.text.encode([clip.caption, ""])
    vectors = np.pad(words, ((0, 0), (0, model.controls)))

    def denoise(x: np.ndarray, t: float) -> np.ndarray:
        both = model.predict(np.repeat(x, 2, 0), silence, np.repeat(place, 2, 0), vectors, t)
        return np.asarray(guided(both[:1], both[1:], scale))

    sampler = StraightPath(model.description["logits"])
    noise = np.random.default_rng(seed).standard_normal(start.shape, dtype=np.float32)
    *_, (_, made) = edited(denoise, start, noise, steps, strength, sampler)
    rows = denormalise(mel_from_tokens(made[0], config), level, config)
    return waveform_from_log_mel(rows, config.spectrogram, len(clip.context), seed) / gain


def round_trip(samples: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """Sound to picture and back: what a model that made no error would sound like."""
    gain = np.float32(10 ** ((WORKING_DB - rms_db(samples)) / 20))
    return waveform_from_log_mel(log_mel(samples * gain, config), config, len(samples)) / gain


def reference_rows(clips: list[Clip], retrieval: Retrieval | None) -> dict[str, Row]:
    """Rows that need no model: what the scores of the others are to be read against."""
    tokens = TokenConfig()
    place = {clip.name: i for i, clip in enumerate(clips)}

    def random_stem(clip: Clip, seed: int) -> Offered:
        others = [c for c in clips if c.song != clip.song] or [c for c in clips if c is not clip]
        rng = np.random.default_rng((seed, place[clip.name]))
        other = others[int(rng.integers(len(others)))]
        gain = _rms(clip.context) / _rms(other.context)
        return _with(clip, other.stem * np.clip(gain, 0.1, 10.0))  # its own song may rest there

    offers: dict[str, Offer] = {
        "identity (context only)": lambda clip, _: Offered(clip.context, clip.context),
        "silence": lambda clip, _: Offered(np.zeros_like(clip.mix), np.zeros_like(clip.stem)),
        "random stem": random_stem,
        "round trip of the mix": lambda clip, _: Offered(
            round_trip(clip.mix, tokens.spectrogram), None
        ),
        "round trip of the stem": lambda clip, _: _with(
            clip, round_trip(clip.stem, tokens.spectrogram)
        ),
        "oracle": lambda clip, _: Offered(clip.mix, clip.stem),
    }
    rows = {name: Row(offer) for name, offer in offers.items()}
    rows["round trip of the mix"] = Row(offers["round trip of the mix"], kinds=("mix",))
    if retrieval is not None:
        rows["retrieval"] = Row(lambda clip, _: _with(clip, retrieval.stem(clip)), retrieval.digest)
    return rows


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))) + 1e-6)
