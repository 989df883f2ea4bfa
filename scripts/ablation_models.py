"""Recipes of subtractive training in miniature: what each trains on and how, and what it makes.

`bench_ablations.py` runs them. All train a small network for the same number of steps; windows
have no anchor, no end of what was made before and no controls, so that targets can be compared.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restem.audio.drums_separator import DrumsSeparator
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.spectrogram import log_mel
from restem.audio.waveform import rms_db
from restem.benchmark.clips import Clip
from restem.benchmark.rows import Offer, Offered
from restem.dataset.batches import Batch, BatchMaker, Target
from restem.dataset.draws import Draw
from restem.dataset.features import mels_to_bytes
from restem.dataset.leak_probe import leak_matched
from restem.dataset.packed import PackedSongs
from restem.dataset.songs import Song
from restem.diffusion.checkpoints import ema_weights
from restem.diffusion.path import sample
from restem.diffusion.sdedit import StraightPath, sdedit
from restem.diffusion.training import Trainer, TrainingConfig
from restem.generation import generate
from restem.hearing import WORKING_DB
from restem.manner import Wish
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.networks.train_embedded import SPREAD, _answer, batch_loss
from restem.text import TextEncoder
from restem.tokens import (
    CONTROLS,
    TokenConfig,
    context_level_db,
    denormalise,
    mark_features,
    mel_from_tokens,
    normalise,
    phase_features,
    tokens_from_mel,
)

TOKENS = TokenConfig()
STEPS, GUIDANCE, LOGITS = 8, 2.0, (6.0, -2.0)
R4_STEPS, R4_STRENGTH = 20, 0.8


@dataclass(frozen=True)
class Recipe:
    """Target and reading (R1 to R4 of the paper's "replacing the noisy latent", see `forward`),
    the recipe whose weights to begin with, what contexts are and of which share of the songs."""

    name: str
    target: Target = "stem"
    reading: str = "R1"
    start: str | None = None
    weights: str | None = None  # another recipe's, which only samples otherwise
    contexts: str | None = None  # "injected" or "separated" in a share of the songs
    share: float = 0.0
    matched: bool = False  # the other songs' contexts are leak-matched
    width: int = 96
    blocks: int = 3
    length: float = 1.0  # of the steps


class PlainMaker(BatchMaker):
    """Windows with nothing given and nothing told but words, song and beats."""

    def _given(self, draw: Draw) -> tuple[Tensor, Tensor]:
        none = torch.zeros(draw.size, dtype=torch.bool, device=self.device)
        return none[:, None] & (torch.arange(self.config.window) >= 0), none

    def _controls(self, stem: Tensor, given: Tensor, draw: Draw) -> Tensor:
        return torch.zeros(len(stem), CONTROLS, device=self.device)


def whole_contexts(songs: Path, out: Path, count: int) -> None:
    """Mel steps (1, frame, column) of the whole context of `count` songs: as it is, with its drums
    let in at -25 to -10 dB, as our separator leaves it, and with them let in to match that."""
    out.mkdir(parents=True, exist_ok=True)
    separator = DrumsSeparator()
    for path in sorted(songs.glob("*.json"))[:count]:
        kept = out / f"{path.stem}.npz"
        if kept.exists():
            continue
        rng = np.random.default_rng(int(path.stem))
        waves = np.load(path.with_suffix(".context.npy")).astype(np.float32) / 32768
        drums = np.load(path.with_suffix(".drums.npy"))[0].astype(np.float32) / 32768
        clean = waves.sum(axis=0)
        mix = clean + drums
        taken = separator.separate(np.stack([mix, mix], axis=1))["drums"].mean(axis=1)
        made = {
            "clean": clean,
            "injected": clean + drums * np.float32(10 ** (rng.uniform(-25, -10) / 20)),
            "separated": mix - taken,
            "matched": leak_matched(mix, clean, rng).astype(np.float32),
        }
        mels = {k: mels_to_bytes(log_mel(v, TOKENS.spectrogram))[None] for k, v in made.items()}
        partial = kept.with_suffix(".part.npz")
        np.savez_compressed(partial, **mels)
        partial.rename(kept)


def songs_of(recipe: Recipe, songs: list[Song], contexts: Path) -> list[Song]:
    """All songs with all their stems, or those of `contexts` in the recipe's mixture."""
    if recipe.contexts is None:
        return songs
    made = []
    for song in songs:
        path = contexts / f"{song.record['id']}.npz"
        if path.exists():
            drawn = int(hashlib.sha256(song.record["id"].encode()).hexdigest()[:8], 16) / 2**32
            rest = "matched" if recipe.matched else "clean"
            kind = recipe.contexts if drawn < recipe.share else rest
            record = song.record | {"stems": song.record["stems"][:1]}
            made.append(replace(song, record=record, context=np.load(path)[kind]))
    return made


def new_network(recipe: Recipe) -> EmbeddedNetwork:
    torch.manual_seed(0)
    sizes = (TOKENS.stem_values, TOKENS.context_values, TOKENS.phases)
    more = {"width": recipe.width, "blocks": recipe.blocks, "spread": SPREAD}
    return EmbeddedNetwork(NetworkConfig(*sizes, **more, controls=CONTROLS))


def forward(network: nn.Module, batch: Batch, reading: str, t: Tensor) -> Tensor:
    """R2: the context goes in where noise would, and the mix comes out at once. R3: a bridge from
    context to mix. Neither hears the context besides."""
    assert batch.partial is not None
    at = t[:, None, None]
    shown = batch.partial if reading == "R2" else (1 - at) * batch.stem + at * batch.partial
    unheard = replace(batch, context=torch.full_like(batch.context, TOKENS.silence))
    return _answer(network, unheard, shown, torch.zeros_like(t) if reading == "R2" else t)


def trainer_of(recipe: Recipe, songs: list[Song], work: Path, steps: int, batch: int) -> Trainer:
    """The trainer of a recipe, begun from another's weights where it says so."""
    packed = PackedSongs.of(songs, TOKENS, torch.device("cpu"))
    maker = PlainMaker(packed, TOKENS, 0, target=recipe.target)
    network = new_network(recipe)
    if recipe.start:
        weights, _ = ema_weights(work / recipe.start / "checkpoint.safetensors")
        network.load_state_dict(weights)
    null = torch.from_numpy(TextEncoder.load().encode([""]))

    def loss(net: nn.Module, step: int) -> Tensor:
        drawn = maker.batch(step, batch)
        if recipe.reading in ("R1", "R4"):
            return batch_loss(net, drawn, null, 0, step)
        draw = torch.Generator().manual_seed(step)
        t = torch.rand(batch, generator=draw)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = forward(net, drawn, recipe.reading, t)
        return ((predicted.float() - drawn.stem) ** 2).mean()

    config = TrainingConfig(round(steps * recipe.length), 1e-3, warmup=100, ema=0.995)
    return Trainer(network, loss, config, work / recipe.name, {"recipe": str(recipe)})


class TorchModel:
    """A trained network where `generate` and SDEdit's row expect an exported one."""

    tokens, controls, distilled = TOKENS, CONTROLS, False

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.description = {"logits": LOGITS, "guidance": GUIDANCE}
        self.network = new_network(recipe)
        path = folder / "checkpoint.safetensors"
        self.network.load_state_dict(ema_weights(path)[0])
        self.network.eval()
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()

    @torch.no_grad()
    def predict(self, stem: Any, context: Any, phase: Any, text: Any, t: float) -> np.ndarray:
        count = len(stem)
        arrays = (stem, context, phase, text, np.full(count, t))
        inputs = [torch.from_numpy(np.array(a, np.float32)) for a in arrays]
        return np.asarray(self.network(*inputs).numpy())


def offer_of(recipe: Recipe, model: TorchModel, text: TextEncoder) -> Offer:
    """What a recipe's network makes of a clip: a stem, or a mix in one piece."""
    null = text.encode([""])[0]
    network: Any = model  # it has what `generate` asks of an exported one

    def offer(clip: Clip, seed: int) -> Offered:
        gain = np.float32(10 ** ((WORKING_DB - rms_db(clip.context)) / 20))
        picture = log_mel(clip.context * gain, TOKENS.spectrogram)[: TOKENS.window_frames]
        level = context_level_db(picture[:, : TOKENS.spectrogram.mels])
        values = normalise(picture, level, TOKENS)
        phase = phase_features(clip.beats, TOKENS.token_times())
        words = text.encode([clip.instruction])[0]
        partial = tokens_from_mel(values, TOKENS)
        context = tokens_from_mel(
            np.ascontiguousarray(values[:, : TOKENS.spectrogram.mels]), TOKENS
        )
        if recipe.reading == "R1":
            made = generate(
                network,
                context,
                phase,
                Wish(words, null),
                seed=seed,
                steps=STEPS,
                guidance=GUIDANCE,
            )
        else:
            made = _other(recipe, model, partial, context, phase, words, seed)
        rows = denormalise(mel_from_tokens(made, TOKENS), level, TOKENS)
        wave = waveform_from_log_mel(rows, TOKENS.spectrogram, len(clip.context), seed) / gain
        if recipe.target == "whole":
            return Offered(wave, None)
        return Offered(clip.context + wave, wave)

    return offer


def _other(
    recipe: Recipe,
    model: TorchModel,
    partial: np.ndarray,
    context: np.ndarray,
    phase: np.ndarray,
    words: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Tokens of the mix by R2, R3 or R4."""
    place = np.concatenate([phase, mark_features(np.zeros(len(phase)))], axis=1)[None]
    vector = np.append(words, np.zeros(CONTROLS))[None]
    heard = context if recipe.reading == "R4" else np.full_like(context, TOKENS.silence)

    def denoise(x: np.ndarray, t: float) -> np.ndarray:
        return model.predict(x, heard[None], place, vector, t)

    start = partial[None]
    if recipe.reading == "R2":
        return np.asarray(denoise(start, 0.0)[0])
    if recipe.reading == "R3":
        *_, (_, made) = sample(denoise, start, STEPS)
        return np.asarray(made[0])
    noise = np.random.default_rng(seed).standard_normal(start.shape, dtype=np.float32)
    path = StraightPath(LOGITS)
    *_, (_, made) = sdedit(denoise, start, noise, R4_STEPS, R4_STRENGTH, path)
    return np.asarray(made[0])
