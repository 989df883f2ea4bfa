"""Pairs and a Stable Diffusion checkpoint in, a fine-tuned Riffusion folder out.

The recipe is InstructPix2Pix's (Brooks et al. 2023, arXiv 2211.09800): the UNet alone learns, with
the context in four more channels that begin at zero. The other readings of the paper are options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restem.dataset.pairs import Pair, leak_matched_pairs, read_pairs
from restem.diffusion.checkpoints import final_weights
from restem.diffusion.schedule import NoiseSchedule
from restem.diffusion.training import Trainer, TrainingConfig
from restem.errors import UserError
from restem.networks.lora import add_lora
from restem.networks.riffusion import Reading, Riffusion, Target, sampled, widened
from restem.networks.riffusion_batches import Batches, Draws
from restem.networks.riffusion_card import card, licences
from restem.networks.riffusion_checkpoint import load_riffusion, save_riffusion
from restem.networks.riffusion_checks import (
    RUN,
    check_model,
    check_output,
    check_result,
    check_sound,
    identity,
    run_text,
)
from restem.networks.riffusion_latents import LatentBatch, LatentCache, make_latents
from restem.networks.riffusion_log import open_log, tracker_options

DROPOUT = 0.05
FOLDER = "model"  # in the output folder: what diffusers and `restem riffusion insert` load


@dataclass(frozen=True)
class RiffusionTraining:
    """What to train on and how long. The defaults are the paper's (§4.1.3)."""

    model: str
    data: Path
    out: Path
    steps: int = 300_000
    batch: int = 4
    accumulation: int = 1
    seed: int = 0
    learning_rate: float = 1e-4
    warmup: int = 500
    target: Target = "mix"
    reading: Reading = "R1"
    stem: str = "drums"
    precision: str = "no"
    checkpointing: bool = False
    ema: bool = True
    lora: int = 0
    eight_bit: bool = False
    resume: bool = False
    revision: str | None = None
    leak_matched: bool = False
    log: Any = None  # "tensorboard", "wandb" or one of accelerate's trackers


def train(
    settings: RiffusionTraining,
    pairs: list[Pair] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[str, int, int, float]]:
    """Encode, train, save; yields (what is done, how much, of how much, loss).

    `pairs` takes the place of the folder `settings.data`. The latents lie in the output folder, the
    checkpoint beside them, and after the last step the model's folder `model`. What cannot work is
    refused before the first pair is encoded. `note` is told what the user should know.
    """
    accelerator = _accelerator(settings.precision, tracker_options(settings.log, settings.out))
    if settings.eight_bit:
        _eight_bit_adam()
    result = settings.out / FOLDER
    check_output(settings.out, result, settings.resume)
    source = settings.data.resolve().name if pairs is None else ""
    if pairs is None:
        pairs = read_pairs(settings.data, "train", settings.stem)
    if settings.leak_matched:
        pairs = leak_matched_pairs(pairs)
    model = load_riffusion(settings.model, settings.revision).with_settings(
        target=settings.target, reading=settings.reading, stem=settings.stem
    )
    check_model(model, settings.model)
    check_sound(model, pairs)
    shared = identity(model, pairs)
    torch.manual_seed(settings.seed)
    _prepare_unet(model, settings)
    for part in (model.vae, model.text_encoder):
        part.to(accelerator.device)
    cache = LatentCache(settings.out / f"latents-{settings.target}", pairs)
    trainer = make_trainer(model, cache, settings, accelerator, shared)
    if settings.resume:
        trainer.resume()
        check_result(result, trainer.meta)
    yield from _encode(model, cache, accelerator, note)
    model = model.with_settings(peak_ratio=cache.peak_ratio())
    log = open_log(accelerator, model, trainer, pairs, settings) if settings.log else None
    for step, loss in trainer.run():
        if log is not None:
            log.write(step, loss)
        yield "training", step, settings.steps, loss
    accelerator.wait_for_everyone()
    if trainer.step >= settings.steps and accelerator.is_main_process:
        try:
            reached = replace(settings, steps=trainer.step)
            papers = _papers(reached, source, len(pairs), accelerator.num_processes)
            _finish(model, trainer, settings, papers)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                "the last step is saved; run the same command with --resume to write the model."
            ) from None
    accelerator.end_training()


def _encode(
    model: Riffusion, cache: LatentCache, accelerator: Any, note: Callable[[str], None]
) -> Iterator[tuple[str, int, int, float]]:
    share = accelerator.process_index, accelerator.num_processes
    try:
        for done, total in make_latents(model, cache.pairs, cache.folder, *share, note=note):
            yield "encoding", done, total, float("nan")
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what is encoded stays; run the same command again.") from None
    accelerator.wait_for_everyone()


def make_trainer(
    model: Riffusion,
    cache: LatentCache,
    settings: RiffusionTraining,
    accelerator: Any,
    shared: dict[str, str] | None = None,
) -> Trainer:
    """The loop over a cache of latents for a UNet that is ready to be trained.

    A resumed run must share what is `shared`; no latent is read before the first step.
    """
    batches = Batches(
        cache,
        settings.batch,
        settings.seed,
        accelerator.process_index,
        accelerator.num_processes,
    )
    null = model.embed([""])
    same = model.settings.to_dict()
    del same["peak_ratio"]  # follows from the pairs, once they are encoded

    def loss(unet: nn.Module, part: int) -> Tensor:
        batch, draws = batches.get(part, accelerator.device)
        text = model.embed(batch.sentences)
        return recipe_loss(unet, model, batch, text, null, draws)

    return Trainer(
        model.unet,
        loss,
        TrainingConfig(
            settings.steps,
            settings.learning_rate,
            settings.warmup,
            betas=(0.9, 0.999),
            weight_decay=0.02,
            clip=1.0,
            ema=0.9999 if settings.ema else None,
            checkpoint_seconds=900.0,  # one of the full size takes 14 GB of disk
            schedule="cosine",
            accumulation=settings.accumulation,
        ),
        settings.out,
        {**same, "seed": settings.seed, "batch": settings.batch, **(shared or {})},
        accelerator=accelerator,
        optimizer=_eight_bit_adam()
        if settings.eight_bit
        else partial(torch.optim.AdamW, fused=True),
        batch_of=batches.names,
    )


def recipe_loss(
    unet: nn.Module, model: Riffusion, batch: LatentBatch, text: Tensor, null: Tensor, draws: Draws
) -> Tensor:
    """Mean squared error of one batch; `draws.timestep` is uniform in [0, 1).

    R1 and R4 follow InstructPix2Pix: the target is a scaled VAE sample, the context an unscaled
    mode; one number r drops the text if r < 2p and the context if p <= r < 3p. In R2 and R3 the
    context is scaled, for it stands where a noisy latent stood, and is never dropped, since without
    it there is nothing to begin from.
    """
    schedule, reading = model.schedule, model.settings.reading
    target = sampled(batch.moments, draws.sample) * model.scale
    timesteps = (draws.timestep * schedule.timesteps).long()
    timesteps = timesteps.clamp(max=schedule.timesteps - 1)  # a float32 may be rounded up to 1
    r = draws.dropout[:, None, None]
    text = torch.where(r < 2 * DROPOUT, null, text)
    if reading in ("R1", "R4"):
        r = r[..., None]
        context = torch.where((r >= DROPOUT) & (r < 3 * DROPOUT), 0.0, batch.context)
        signal, spread = weights(schedule, timesteps)
        noisy = signal * target + spread * draws.noise
        wanted = schedule.target(target, draws.noise, signal, spread)
        said = unet(torch.cat([noisy, context], dim=1), timesteps, text).sample
        return nn.functional.mse_loss(said.float(), wanted.float())
    start = batch.context * model.scale
    if reading == "R2":
        timesteps = torch.full_like(timesteps, schedule.timesteps - 1)
    else:
        share = ((timesteps + 1) / schedule.timesteps)[:, None, None, None]
        start = (1 - share) * target + share * start
    said = unet(start, timesteps, text).sample
    return nn.functional.mse_loss(said.float(), target.float())


def weights(schedule: NoiseSchedule, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(a_t) and sqrt(1 - a_t), (pair, 1, 1, 1) float32, for timesteps (pair,)."""
    pair = schedule.weights(timesteps.cpu().numpy())
    signal, spread = (
        torch.from_numpy(w.astype(np.float32)).to(timesteps.device)[:, None, None, None]
        for w in pair
    )
    return signal, spread


def _prepare_unet(model: Riffusion, settings: RiffusionTraining) -> None:
    if settings.reading in ("R1", "R4"):
        widened(model.unet)
    model.unet.requires_grad_(settings.lora == 0)
    if settings.lora:
        add_lora(model.unet, settings.lora)
    if settings.checkpointing:
        model.unet.enable_gradient_checkpointing()


def _papers(
    settings: RiffusionTraining, source: str, pairs: int, processes: int
) -> dict[str, bytes]:
    """What goes with the weights, by file name: the model card and the licence of the base."""
    found = licences(settings.model)
    words = card(settings, source, pairs, processes, list(found))
    return {**found, "README.md": words.encode()}


def _finish(
    model: Riffusion, trainer: Trainer, settings: RiffusionTraining, papers: dict[str, bytes]
) -> None:
    """Write the model's folder, with the averaged weights where there are any."""
    weights = trainer.ema
    if trainer.sharded:  # here is only a part of the network; all of it is in the checkpoint
        model = replace(model, unet=load_riffusion(settings.model, settings.revision).unet)
        _prepare_unet(model, settings)
        weights = final_weights(trainer.path)
    with torch.no_grad():
        for name, parameter in model.unet.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])
    if settings.lora:
        model.unet.fuse_lora()
        model.unet.unload_lora()
    model.unet.to("cpu")
    extra = {**papers, RUN: run_text(trainer.meta).encode()}
    save_riffusion(model, settings.out / FOLDER, extra)


def _accelerator(precision: str, trackers: dict[str, Any]) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError:
        raise UserError(
            "Training Riffusion needs accelerate; install it with pip install 'restem[riffusion]'."
        ) from None
    try:
        return Accelerator(mixed_precision=precision, **trackers)
    except ValueError as error:
        raise UserError(f"The precision {precision} cannot be used here: {error}.") from None


def _eight_bit_adam() -> Callable[..., torch.optim.Optimizer]:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise UserError(
            "8-bit Adam needs bitsandbytes; install it with pip install bitsandbytes."
        ) from None
    made: Callable[..., torch.optim.Optimizer] = AdamW8bit
    return made
