"""Songs with exact beats in, the trained beat tracker out: prepare, train and export, by command.

python -m restem.training_tracker prepare --songs SONGS --soundfont A.sf2 --out DATA
python -m restem.training_tracker train DATA --run RUN
python -m restem.training_tracker export RUN --onnx src/restem/models/tracker.onnx
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from restem.dataset import tracker_songs
from restem.dataset.render import Renderer
from restem.dataset.tracker_mixes import random_crop
from restem.dataset.tracker_songs import TrackerSong
from restem.errors import UserError
from restem.networks.tracker import BeatTracker, TrackerConfig, export_onnx


@dataclass(frozen=True)
class TrainingPlan:
    """How to train; the same plan and songs give the same crops in the same order."""

    steps: int = 5500
    batch: int = 12
    frames: int = 1024  # 20 s
    rate: float = 2e-3
    warm_up: int = 100
    weight_decay: float = 0.02
    average: float = 0.998  # decay of the moving average of weights, which is what is exported
    beat_weight: float = 3.0  # a frame with a beat counts for this many without
    downbeat_weight: float = 5.0
    seed: int = 0
    checkpoint_seconds: float = 120.0


# How often each kind of source is drawn: style files, produced songs, MIDI songs by people
SHARES = {"rendered": 0.5, "produced": 0.3, "midi": 0.2}


def load_songs(folder: Path, split: str) -> dict[str, list[TrackerSong]]:
    """The songs of one split in a folder made by `prepare`, by kind of source."""
    songs: dict[str, list[TrackerSong]] = {}
    for path in sorted(folder.glob("*.npz")):
        kind = path.stem.split("-")[0]
        song = tracker_songs.load(path)
        if song.split == split:
            songs.setdefault(kind, []).append(song)
    if not songs:
        raise UserError(f"{folder} holds no {split} songs; make them with `prepare` first.")
    return songs


def batch_of_crops(
    songs: dict[str, list[TrackerSong]], plan: TrainingPlan, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Features (batch, frame, band), targets (batch, frame, 2), weights (batch, frame, 1)."""
    kinds = [kind for kind in SHARES if kind in songs]
    shares = np.array([SHARES[kind] for kind in kinds])
    crops = []
    for row in range(plan.batch):
        rng = np.random.default_rng((plan.seed, step, row))
        pool = songs[str(rng.choice(kinds, p=shares / shares.sum()))]
        song, other = pool[int(rng.integers(len(pool)))], pool[int(rng.integers(len(pool)))]
        crops.append(random_crop(song, plan.frames, rng, other))
    return (
        torch.from_numpy(np.stack([crop.features for crop in crops])),
        torch.from_numpy(np.stack([crop.targets for crop in crops])),
        torch.from_numpy(np.stack([crop.weight for crop in crops])[..., None]),
    )


def tracker_loss(log_odds: Tensor, targets: Tensor, weight: Tensor, plan: TrainingPlan) -> Tensor:
    """Weighted binary cross-entropy of beat and downbeat, means over the frames inside songs."""
    positive = torch.tensor([plan.beat_weight, plan.downbeat_weight])
    loss = functional.binary_cross_entropy_with_logits(
        log_odds, targets, pos_weight=positive, reduction="none"
    )
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def train(
    songs: dict[str, list[TrackerSong]], plan: TrainingPlan, run: Path
) -> Iterator[tuple[int, float]]:
    """Trains, yielding (step, loss); goes on from `run`/last.safetensors if that is there.

    Leaves `run`/last.safetensors: weights, their average and the optimiser's state.
    """
    torch.manual_seed(plan.seed)
    network = BeatTracker(TrackerConfig())
    # two-dimensional convolutions are a third faster so on CPUs
    network.front = network.front.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.rate, weight_decay=plan.weight_decay, betas=(0.9, 0.98)
    )
    first = _restore(run / "last.safetensors", network, average, optimiser)
    saved = time.monotonic()
    network.train()
    for step in range(first, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * _schedule(step, plan)
        features, targets, weight = batch_of_crops(songs, plan, step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            log_odds = network(features)
        loss = tracker_loss(log_odds.float(), targets, weight, plan)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        _follow(average, network, min(plan.average, (1 + step) / (10 + step)))
        if time.monotonic() - saved > plan.checkpoint_seconds or step + 1 == plan.steps:
            _store(run / "last.safetensors", step + 1, network, average, optimiser)
            saved = time.monotonic()
        yield step + 1, float(loss.detach())


def averaged_network(checkpoint: Path) -> BeatTracker:
    """The averaged weights of a checkpoint, ready to run."""
    tensors = load_file(checkpoint)
    network = BeatTracker(TrackerConfig())
    prefix = "average."
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )
    return network.eval()


def export(checkpoint: Path, onnx: Path) -> None:
    """Writes the averaged network as ONNX, and beside it as safetensors, to train on from."""
    network = averaged_network(checkpoint)
    export_onnx(network, onnx)
    tensors = {f"average.{k}": v.contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, onnx.with_suffix(".part"))
    os.replace(onnx.with_suffix(".part"), onnx.with_suffix(".safetensors"))


def _schedule(step: int, plan: TrainingPlan) -> float:
    """Warm-up, then half a cosine down to 2 %."""
    if step < plan.warm_up:
        return (step + 1) / plan.warm_up
    done = (step - plan.warm_up) / max(1, plan.steps - plan.warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _follow(average: BeatTracker, network: BeatTracker, decay: float) -> None:
    for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def _store(
    path: Path, step: int, network: BeatTracker, average: BeatTracker, optimiser: torch.optim.AdamW
) -> None:
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    save_file(contiguous, partial, metadata={"step": str(step)})
    os.replace(partial, path)


def _restore(
    path: Path, network: BeatTracker, average: BeatTracker, optimiser: torch.optim.AdamW
) -> int:
    """Fills all three from a checkpoint; the number of steps done, 0 without one."""
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        step = int(file.metadata()["step"])
    tensors = load_file(path)
    for prefix, module in (("network.", network), ("average.", average)):
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
    return step


def prepare(
    out: Path,
    soundfonts: list[Path],
    rendered: Path | None = None,
    midi: Path | None = None,
    produced: int = 600,
) -> Iterator[str]:
    """Writes the band powers of all songs into `out`, yielding names; skips what is there."""
    out.mkdir(parents=True, exist_ok=True)
    if rendered:
        for path in sorted(rendered.glob("*.json")):
            target = out / f"rendered-{path.stem}.npz"
            if not target.exists():
                tracker_songs.save(tracker_songs.rendered_song(path), target)
                yield target.name
    renderer = Renderer(soundfonts)
    for path in sorted(midi.glob("*.mid")) if midi else []:
        target = out / f"midi-{path.stem}.npz"
        song = None if target.exists() else tracker_songs.midi_song(path, renderer)
        if song is not None:
            tracker_songs.save(song, target)
            yield target.name
    for seed in range(produced):
        target = out / f"produced-{seed:04d}.npz"
        if not target.exists():
            tracker_songs.save(tracker_songs.produced_song(seed, renderer), target)
            yield target.name


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("prepare", help="songs -> band powers")
    verb.add_argument("--songs", type=Path, help="folder of rendered songs")
    verb.add_argument("--midi", type=Path, help="folder of multitrack MIDI songs")
    verb.add_argument("--produced", type=int, default=600, help="number of composed songs")
    verb.add_argument("--soundfont", type=Path, action="append", required=True)
    verb.add_argument("--out", type=Path, required=True)
    verb = verbs.add_parser("train", help="band powers -> checkpoint")
    verb.add_argument("data", type=Path)
    verb.add_argument("--run", type=Path, required=True)
    verb.add_argument("--steps", type=int, default=TrainingPlan.steps)
    verb.add_argument("--seed", type=int, default=TrainingPlan.seed)
    verb.add_argument("--threads", type=int, default=1)
    verb = verbs.add_parser("export", help="checkpoint -> ONNX")
    verb.add_argument("run", type=Path)
    verb.add_argument("--onnx", type=Path, required=True)
    given = parser.parse_args(arguments)
    if given.verb == "prepare":
        for name in prepare(given.out, given.soundfont, given.songs, given.midi, given.produced):
            print(name, flush=True)
    elif given.verb == "train":
        torch.set_num_threads(given.threads)
        plan = TrainingPlan(steps=given.steps, seed=given.seed)
        started, losses = time.monotonic(), []
        for step, loss in train(load_songs(given.data, "train"), plan, given.run):
            losses.append(loss)
            if step % 50 == 0:
                mean = np.mean(losses[-50:])
                print(f"{step} {mean:.4f} {time.monotonic() - started:.0f} s", flush=True)
    else:
        export(given.run / "last.safetensors", given.onnx)


if __name__ == "__main__":
    main()
