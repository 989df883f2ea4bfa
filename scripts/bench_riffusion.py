"""Measure Riffusion: our training step beside the reference one, and the full size on a CPU.

    python scripts/bench_riffusion.py tiny
    python scripts/bench_riffusion.py full [--sampling-steps 20] [-o runs/bench-riffusion.json]

`tiny` times whole training steps on the tests' small checkpoint; `full` builds Stable Diffusion
1.5's networks with random weights (eight input channels) and needs about 20 GB of memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from riffusion_reference import reference_loss
from riffusion_tiny import make_checkpoint, make_pairs

from restem.audio.riffusion_image import PictureConfig, clip_pictures, mel_from_picture
from restem.audio.riffusion_inversion import waveform_from_mel
from restem.dataset.pairs import read_pairs
from restem.diffusion.schedule import NoiseSchedule
from restem.diffusion.training import Trainer, TrainingConfig
from restem.networks.riffusion import Riffusion, RiffusionSettings, mode_of, widened
from restem.networks.riffusion_batches import Draws
from restem.networks.riffusion_checkpoint import load_riffusion
from restem.networks.riffusion_latents import (
    LatentBatch,
    LatentCache,
    make_latents,
    pair_pictures,
)
from restem.networks.riffusion_sampling import SamplingSettings, generate
from restem.networks.train_riffusion import RiffusionTraining, make_trainer, recipe_loss


def main() -> None:
    """Run what was asked for and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=("tiny", "full"))
    parser.add_argument("--sampling-steps", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = (
            tiny(Path(folder)) if args.size == "tiny" else full(Path(folder), args.sampling_steps)
        )
    text = json.dumps(found, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


def tiny(folder: Path, rounds: int = 15, steps: int = 8) -> dict[str, Any]:
    """Median seconds of a whole step, ours and the reference's, in turns."""
    from accelerate import Accelerator
    from diffusers import DDPMScheduler

    model = load_riffusion(make_checkpoint(folder / "model"))
    pairs = read_pairs(make_pairs(folder / "pairs", count=9), "train", "drums")
    for _ in make_latents(model, pairs, folder / "latents"):
        pass
    widened(model.unet)
    settings = RiffusionTraining("", folder, folder / "out", steps=10**6, batch=4)
    cache = LatentCache(folder / "latents", pairs)
    trainer = make_trainer(model, cache, settings, Accelerator())
    ours = trainer.run()

    theirs = load_riffusion(folder / "model")
    widened(theirs.unet)
    optimizer = torch.optim.AdamW(theirs.unet.parameters(), lr=1e-4, weight_decay=0.02)
    average = {k: v.detach().clone() for k, v in theirs.unet.named_parameters()}
    scheduler = DDPMScheduler.from_config(theirs.scheduler.config)
    rgb = [torch.from_numpy(pair_pictures(theirs, pair)[0])[:, None] for pair in pairs]
    pixels = torch.stack(rgb).expand(-1, -1, 3, -1, -1).float() / 127.5 - 1

    def reference() -> None:
        chosen = torch.randperm(len(pairs))[:4]
        draws = Draws(*torch.randn(2, 4, 4, 8, 8), *torch.rand(2, 4))
        loss = reference_loss(
            theirs.unet, theirs.vae, theirs.text_encoder, theirs.tokenizer, scheduler,
            pixels[chosen, 0], pixels[chosen, 1],
            [pairs[int(n)].instruction for n in chosen], draws,
        )  # fmt: skip
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for name, parameter in theirs.unet.named_parameters():
                average[name].lerp_(parameter, 1e-4)

    times = {"ours": [], "reference": []}
    for _ in range(rounds + 1):
        times["ours"].append(_seconds(lambda: [next(ours) for _ in range(steps)]) / steps)
        times["reference"].append(_seconds(lambda: [reference() for _ in range(steps)]) / steps)
    ours.close()
    medians = {name: float(np.median(values[1:])) for name, values in times.items()}
    ratios = np.array(times["reference"][1:]) / np.array(times["ours"][1:])
    return {"seconds_a_step": medians, "ratio": float(np.median(ratios)), "ratios": ratios.tolist()}


def full(folder: Path, sampling_steps: int) -> dict[str, Any]:
    """A 5.11 s clip made in so many steps, and training steps, at full size."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    torch.manual_seed(0)
    config = PictureConfig()
    time_axis = np.arange(config.samples) / config.sample_rate
    clip = (0.2 * np.sin(2 * np.pi * 220 * time_axis)).astype(np.float32)
    found: dict[str, Any] = {}
    pictures, peak = clip_pictures([clip], config)
    _time(found, "picture", lambda: clip_pictures([clip], config))

    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ).requires_grad_(False)  # fmt: skip
    model = Riffusion(None, vae, None, None, None, NoiseSchedule(), RiffusionSettings())
    moments: list[torch.Tensor] = []
    _time(found, "encode", lambda: moments.append(model.moments(pictures[0][None])))
    context = mode_of(moments[0])
    decoded: list[np.ndarray] = []
    _time(found, "decode", lambda: decoded.append(model.pictures(context)))
    mel = mel_from_picture(decoded[0][0], peak, config)
    _time(found, "sound", lambda: waveform_from_mel(mel, config, len(clip)))
    _say(found)

    unet = UNet2DConditionModel(
        sample_size=64, in_channels=8, cross_attention_dim=768, attention_head_dim=8
    )
    found["parameters"] = sum(p.numel() for p in unet.parameters())
    text, null = torch.randn(1, 77, 768), torch.randn(1, 77, 768)
    shell = _Shell(unet, text, null)
    with torch.no_grad():
        settings = SamplingSettings(sampling_steps)
        noise = torch.randn(1, 4, 64, 64)
        _time(found, "sampling", lambda: list(generate(shell, context, "x", noise, settings)))
    for kind in ("wall_s", "cpu_s"):
        parts = ("picture", "encode", "sampling", "decode", "sound")
        found[f"clip_{kind}"] = sum(found[f"{name}_{kind}"] for name in parts)
    found["sampling_steps"] = sampling_steps
    found["peak_gb_sampling"] = _peak_gb()
    _say(found)

    found |= full_training(unet, vae, pictures[0][None], folder)
    return found


def full_training(unet: Any, vae: Any, picture: np.ndarray, folder: Path) -> dict[str, Any]:
    """Whole training steps of both kinds at batch 1, with checkpointing and the average: ours from
    a cached latent, and the reference's, which encodes target, context and sentence each time.

    One kind after the other, since both states at once would not fit into 24 GB.
    """
    from diffusers import DDPMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    found: dict[str, Any] = {}
    encoder = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072,
        num_hidden_layers=12, num_attention_heads=12)).requires_grad_(False)  # fmt: skip
    tokenizer = load_riffusion(make_checkpoint(folder / "tiny")).tokenizer
    unet.enable_gradient_checkpointing()
    rng = np.random.default_rng(0)
    rgb = torch.from_numpy(picture.copy())[:, None].expand(-1, 3, -1, -1).float() / 127.5 - 1
    model = Riffusion(unet, vae, encoder, tokenizer, None, NoiseSchedule(), RiffusionSettings())
    moments, null = model.moments(picture), model.embed([""])
    batch = LatentBatch(moments, mode_of(moments), ["add drums"], ["x"])

    def draws() -> Draws:
        noise = torch.from_numpy(rng.standard_normal((2, 1, 4, 64, 64), dtype=np.float32))
        return Draws(noise[0], noise[1], torch.tensor([0.4]), torch.tensor([0.9]))

    def ours(network: torch.nn.Module, step: int) -> torch.Tensor:
        return recipe_loss(network, model, batch, model.embed(batch.sentences), null, draws())

    def reference(network: torch.nn.Module, step: int) -> torch.Tensor:
        return reference_loss(
            network, vae, encoder, tokenizer, DDPMScheduler(), rgb, rgb, batch.sentences, draws()
        )

    for name, loss, optimizer in (
        ("ours", ours, partial(torch.optim.AdamW, fused=True)),
        ("reference", reference, torch.optim.AdamW),
    ):
        training = TrainingConfig(9, 1e-4, 0, (0.9, 0.999), ema=0.9999, schedule="constant")
        trainer = Trainer(unet, loss, training, folder / name, {}, optimizer=optimizer)
        trainer._train_one()  # the first makes the optimiser's state
        _time(found, f"{name}_step", trainer._train_one)  # without the checkpoint's 14 GB
        found[f"peak_gb_{name}"] = _peak_gb()
        unet.zero_grad(set_to_none=True)
        del trainer
        gc.collect()
        _say(found)
    found["ratio_to_reference"] = found["reference_step_wall_s"] / found["ours_step_wall_s"]
    return found


class _Shell(Riffusion):
    """A UNet with made-up sentence embeddings: the text encoder's share is under a hundredth."""

    def __init__(self, unet: Any, text: torch.Tensor, null: torch.Tensor) -> None:
        super().__init__(unet, None, None, None, None, NoiseSchedule(), RiffusionSettings())
        object.__setattr__(self, "both", torch.cat([text, null]))

    scale = 0.18215
    shrink = 8

    def embed(self, sentences: Any) -> torch.Tensor:
        return self.both[: len(sentences)]


def _time(found: dict[str, Any], name: str, work: Callable[[], object]) -> None:
    """Seconds by the clock, and of all cores together: the latter count on a busy machine."""
    cpu = time.process_time()
    found[f"{name}_wall_s"] = _seconds(work)
    found[f"{name}_cpu_s"] = time.process_time() - cpu


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _say(found: dict[str, Any]) -> None:
    print(json.dumps(found), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
