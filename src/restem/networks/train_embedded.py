"""Song features in, the embedded network's checkpoint out: subtractive training in miniature."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restem.dataset.batches import Batch, BatchMaker, Target
from restem.dataset.draws import ALONE, Share
from restem.dataset.packed import PackedSongs
from restem.dataset.pitched import read_pitched
from restem.dataset.songs import Song, read_songs
from restem.diffusion.checkpoints import read_checkpoint
from restem.diffusion.path import guided, noised
from restem.diffusion.training import Trainer, TrainingConfig
from restem.errors import UserError
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.networks.export import start_from
from restem.networks.processes import accelerator_of_several
from restem.text import TextEncoder
from restem.tokens import CONTROLS, GUIDANCE_RATE, GUIDED_ABOVE, PHASES, PITCHED, TokenConfig

SPREAD = 0.15  # of what a stem holds beyond the width of the network, about 3 dB
# Shares of windows that lose words, song, beats and controls together, as guidance leads away
# from that; the words alone; the song alone.
NOTHING, NO_TEXT, NO_CONTEXT = 0.1, 0.07, 0.05
SILENT_CONTEXT = TokenConfig().silence
STRONGEST = 4.0  # octaves of guidance that a distilled network learns: 1 to 16

Loss = Callable[[nn.Module, int], Tensor]


@dataclass(frozen=True)
class EmbeddedTraining:
    """What to train on and for how long."""

    data: Path
    out: Path
    steps: int
    batch: int = 16
    seed: int = 0
    width: int = 384
    blocks: int = 12
    learning_rate: float = 6e-4
    warmup: int = 500
    ema: float = 0.999
    resume: bool = False
    start: Path | None = None  # model folder whose weights to begin with
    target: Target = "stem"  # or whole mixes: see `BatchMaker`
    distil: bool = False  # learn the guided answers of `start` for any guidance
    compile: bool = False  # faster from the second minute on; needs a C++ compiler
    pitched: bool = False  # bass, guitar and keys, from features of theirs

    @property
    def tokens(self) -> TokenConfig:
        return PITCHED if self.pitched else TokenConfig()


def train(settings: EmbeddedTraining) -> Iterator[tuple[int, float]]:
    """Train by the settings, yielding (step, loss); the checkpoint lies in `settings.out`.

    Several processes share each step; its batch is `settings.batch` windows of each.
    """
    accelerator = accelerator_of_several()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = device if accelerator is None else accelerator.device
    tokens = settings.tokens
    read = read_pitched if settings.pitched else read_songs
    songs = read(settings.data, "train")
    packed = PackedSongs.of(songs, tokens, device)
    maker = BatchMaker(packed, tokens, settings.seed, target=settings.target)
    trainer = trainer_for(settings, maker, new_network(settings).to(device), accelerator)
    if settings.resume:
        trainer.resume()
        check_songs(trainer.path, songs, settings.data)
    # What the songs decide may change with them, so it is not compared by `resume`.
    trainer.meta["usual"] = usual_playing(maker) if settings.pitched else {}
    trainer.meta["songs"] = "".join(song.fingerprint for song in songs)
    yield from trainer.run()
    if accelerator is not None:
        accelerator.wait_for_everyone()  # the first one is writing
        accelerator.end_training()


def check_songs(checkpoint: Path, songs: list[Song], data: Path) -> None:
    """UserError if a checkpoint saw songs that are not among these; there may be more of them, as
    where songs are rendered beside training."""
    _, meta = read_checkpoint(checkpoint)
    seen = json.loads(meta["meta"]).get("songs", "")  # older ones do not tell
    if {seen[i : i + 8] for i in range(0, len(seen), 8)} - {song.fingerprint for song in songs}:
        raise UserError(
            f"{checkpoint} was trained on songs that {data} does not hold; give that data again, "
            "or another folder with -o."
        )


def new_network(settings: EmbeddedTraining) -> EmbeddedNetwork:
    """A network with random weights, or with those of the folder to start from."""
    torch.manual_seed(settings.seed)
    tokens = settings.tokens
    network = EmbeddedNetwork(
        NetworkConfig(
            tokens.stem_values,
            tokens.context_values,
            tokens.phases,
            width=settings.width,
            blocks=settings.blocks,
            spread=SPREAD,
            controls=CONTROLS,
        )
    )
    if settings.start is not None:
        start_from(network, settings.start)
    return network


def trainer_for(
    settings: EmbeddedTraining, maker: BatchMaker, network: EmbeddedNetwork, accelerator: Any = None
) -> Trainer:
    """The loop that trains `network` on what `maker` draws, on one process or on one of several."""
    share = ALONE
    if accelerator is not None:
        share = Share(accelerator.process_index, accelerator.num_processes)
    null = torch.from_numpy(TextEncoder.load().encode([""])).to(maker.device)
    teacher = copy.deepcopy(network).eval().requires_grad_(False) if settings.distil else None
    meta = {
        "network": network.config.to_dict(),
        "tokens": maker.config.to_dict(),
        "target": settings.target,
        "seed": settings.seed,
        "batch": settings.batch * share.processes,
        "distilled": settings.distil,
    }
    if settings.compile:
        for net in (network, teacher):
            for block in [] if net is None else net.blocks:
                block.compile()  # in place: the parameters keep their names

    def loss(net: nn.Module, step: int) -> Tensor:
        batch = maker.batch(step, settings.batch, share)
        own = batch_loss(net, batch, null, settings.seed, step, teacher, share)
        if accelerator is None:
            return own
        # Losses count equally when gradients are averaged, and so must tokens: a process's mean
        # weighs as much as its tokens that are not given are of those of all.
        new = (~batch.given).sum().float()
        return own * new / accelerator.reduce(new, "mean")

    def names(step: int) -> str:
        songs = maker.batch(step, settings.batch, share).song
        assert songs is not None
        return ", ".join(dict.fromkeys(maker.songs.names[n] for n in songs.tolist()))

    config = TrainingConfig(
        settings.steps, settings.learning_rate, warmup=settings.warmup, ema=settings.ema
    )
    return Trainer(
        network, loss, config, settings.out, meta, accelerator=accelerator, batch_of=names
    )


def usual_playing(maker: BatchMaker, batches: int = 32) -> dict[str, tuple[float, float]]:
    """For each kind of stem the medians of density and loudness (`tokens.control_features`) over
    so many batches of 64 windows."""
    stems = maker.config.stems
    drawn = [maker.batch(step, 64) for step in range(batches)]
    controls = torch.cat([batch.controls for batch in drawn])
    kinds = torch.cat([batch.phase[:, 0, -len(stems) :] for batch in drawn])

    def median(kind: int, at: int) -> float:
        told = (kinds[:, kind] > 0) & (controls[:, 2 * at] > 0)
        return round(float(controls[told, 2 * at + 1].median()), 3) if told.any() else 0.0

    return {stem: (median(kind, 0), median(kind, 1)) for kind, stem in enumerate(stems)}


def batch_loss(
    network: nn.Module,
    batch: Batch,
    null: Tensor,
    seed: int,
    step: int,
    teacher: nn.Module | None = None,
    share: Share = ALONE,
) -> Tensor:
    """Mean of (x - predicted x)^2 / t^2, the weight capped at 25, over one noised batch.

    Tokens that are given stand in x_t without noise, and do not count. With a `teacher`, x is what
    it answers when guided as the network is told. The batch is a process's `share` of a step's.
    """
    clean, size = batch.stem, len(batch.stem) * share.processes
    draw = torch.Generator(clean.device)
    draw.manual_seed((seed * 1_000_003 + step) * 2 + 1)
    noise = torch.randn((size, *clean.shape[1:]), generator=draw, device=clean.device)
    noise = share.of(noise)
    t = share.of(_times(size, draw, clean.device))
    given = batch.given[:, :, None]
    shown = torch.where(given, clean, noised(clean, noise, t[:, None, None]))
    chance = share.of(torch.rand(size, generator=draw, device=clean.device))
    quick = clean.is_cuda or _quick_in_half()
    with torch.autocast(clean.device.type, torch.bfloat16, enabled=quick):
        if teacher is None:
            heard = _without(batch, null, chance)
        else:
            octaves = STRONGEST * share.of(torch.rand(size, generator=draw, device=clean.device))
            octaves = torch.where(chance < 0.15, 0.0, octaves)
            heard = batch
            clean = _guided_answer(teacher, batch, shown, t, null, octaves)
            told = batch.controls.clone()
            told[:, 4], told[:, 5] = (chance >= 0.15).float(), GUIDANCE_RATE * octaves
            heard = replace(batch, controls=told)
        predicted = _answer(network, heard, shown, t)
    weight = torch.clamp(1 / t**2, max=25.0)[:, None, None] * ~given
    return (weight * (predicted.float() - clean) ** 2).sum() / ((~given).sum() * clean.shape[2])


def _answer(network: nn.Module, batch: Batch, shown: Tensor, t: Tensor) -> Tensor:
    text = torch.cat([batch.text, batch.controls], dim=1)
    answer: Tensor = network(shown, batch.context, batch.phase, text, t)
    return answer


def _without(batch: Batch, null: Tensor, chance: Tensor) -> Batch:
    """Shares of windows without words, song, beats and controls; without words; without song."""
    nothing = chance < NOTHING
    no_text = chance < NOTHING + NO_TEXT
    no_context = nothing | (~no_text & (chance < NOTHING + NO_TEXT + NO_CONTEXT))
    phase = batch.phase.clone()
    phase[:, :, :PHASES] *= ~nothing[:, None, None]
    return replace(
        batch,
        text=torch.where(no_text[:, None], null, batch.text),
        context=torch.where(no_context[:, None, None], SILENT_CONTEXT, batch.context),
        phase=phase,
        controls=batch.controls * ~nothing[:, None],
    )


@torch.no_grad()
def _guided_answer(
    teacher: nn.Module, batch: Batch, shown: Tensor, t: Tensor, null: Tensor, octaves: Tensor
) -> Tensor:
    """What `generation.generate` makes of the teacher's answers near the noise."""
    plain = _answer(teacher, batch, shown, t).float()
    nothing = _without(batch, null, torch.zeros_like(t))
    led = guided(plain, _answer(teacher, nothing, shown, t).float(), (2**octaves)[:, None, None])
    new = (~batch.given)[:, :, None]
    count = new.sum(dim=(1, 2), keepdim=True).clamp(min=1) * plain.shape[2]

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = (x * new).sum(dim=(1, 2), keepdim=True) / count
        spread = (((x - mean) ** 2 * new).sum(dim=(1, 2), keepdim=True) / count).sqrt()
        return mean, spread

    (mean, spread), (led_mean, led_spread) = moments(plain), moments(led)
    kept = (led - led_mean) * (spread / led_spread.clamp(min=1e-6)) + mean
    least = torch.where(new, plain, math.inf).amin(dim=(1, 2), keepdim=True)
    most = torch.where(new, plain, -math.inf).amax(dim=(1, 2), keepdim=True)
    kept = torch.minimum(torch.maximum(kept, least), most)
    return torch.where(new & (t > GUIDED_ABOVE)[:, None, None], kept, plain)


@cache
def _quick_in_half() -> bool:
    """Whether this processor multiplies in bfloat16: several times as fast as in single precision
    where it does, and several times slower where it is emulated."""
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _times(count: int, draw: torch.Generator, device: torch.device) -> Tensor:
    """Logit-normal times (Esser et al. 2024, arXiv 2403.03206), most of them near the noise.

    A token holds hundreds of numbers that rise together, so a hit shows through almost pure noise:
    where the hits come and of which kit, which is what context, beat and sentence decide, is
    settled above 0.9. A third of the times are spread below, where texture is made.
    """
    high, low = torch.randn(2, count, generator=draw, device=device) * 1.5
    near = torch.rand(count, generator=draw, device=device) < 2 / 3
    return torch.where(near, high + 3.2, low).sigmoid()
