"""Clips of `render_drum_notes.py` in; the weights of a network that tells drum notes by ear out.

    python scripts/train_drum_notes.py WORK --groove-midi DIR

Rendered clips and endless mixes of the same kits train it; WORK/weights.npz is the result, which
`join_drum_notes.py` takes into the package.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from time import monotonic

import numpy as np
from drum_mixes import Mixer, quick_notes, strokes_of
from drum_variations import varied
from score_drum_notes import read_one

from restem.audio.drum_notes import (
    CONFIG,
    DILATIONS,
    DRUMS,
    PITCHES,
    loudest,
    note_features,
)

FRAMES, RENDERED, MIXED = 800, 4, 3  # of a training excerpt; excerpts of a batch


def targets(clip: dict) -> np.ndarray:
    """(frame, 2 kinds) of onsets, softened by a frame, and of velocities 0..1 there."""
    onsets = np.zeros((len(clip["levels"]), len(PITCHES)), np.float32)
    hard = np.zeros_like(onsets)
    for time, kind, velocity in clip["notes"]:
        at = round(time * CONFIG.frame_rate)
        for frame, value in ((at - 1, 0.4), (at, 1.0), (at + 1, 0.4)):
            if 0 <= frame < len(onsets):
                onsets[frame, int(kind)] = max(onsets[frame, int(kind)], value)
                hard[frame, int(kind)] = max(hard[frame, int(kind)], velocity / 127)
    return np.concatenate([onsets, hard], axis=1)


def coloured(levels: np.ndarray, loud: float, rng: np.random.Generator) -> np.ndarray:
    """(frame, column) through a random equaliser, over a random floor: other kits and wash."""
    knots = rng.normal(0, 4, 7)
    curve = np.interp(np.linspace(0, 6, CONFIG.mels), np.arange(7), knots)
    fine = np.repeat([curve[:24].mean(), curve[24:60].mean(), curve[60:].mean()], 7)
    out = levels + np.concatenate([curve, fine]).astype(np.float32)
    return np.maximum(out, loud - rng.uniform(30, 72)) if rng.random() < 0.5 else out


def train(args: argparse.Namespace) -> None:
    """Train and write the weights."""
    import torch

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    layers, out = layers_of(args.width)
    if args.start_from:
        begin(layers, out, args.start_from)
    layers.share_memory(), out.share_memory()
    mixer = mixer_of(args)
    fork = torch.multiprocessing.get_context("fork")
    workers = [
        fork.Process(target=work, args=(args, number, layers, out, mixer))
        for number in range(args.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    save(layers, out, args.work / "weights.npz")


def work(args: argparse.Namespace, number: int, layers, out, mixer: Mixer) -> None:
    """Steps on weights that all workers share without waiting for one another (Hogwild)."""
    import torch

    from restem.networks.train_embedded import _quick_in_half

    rng = np.random.default_rng((args.seed, number))
    paths = sorted(args.work.glob("train-*.npz"))[number :: args.workers]
    clips = [ready(clip) for path in paths for clip in read_one(path)]
    parameters = [*layers.parameters(), *out.parameters()]
    optimiser = torch.optim.AdamW(parameters, weight_decay=0.01)
    total, step, start, done = 0.0, 0, monotonic(), 0.0
    while done < 1:
        step, done = step + 1, (monotonic() - start) / (60 * args.minutes)
        for group in optimiser.param_groups:  # up, then down to nothing as time runs out
            group["lr"] = args.rate * min(step / 50, 1) * 0.5 * (1 + np.cos(np.pi * min(done, 1)))
        rows = [excerpt(*clips[i], rng) for i in rng.integers(len(clips), size=RENDERED)]
        rows += [mixed_excerpt(mixer, rng) for _ in range(MIXED)]
        inputs, wanted = (
            torch.from_numpy(np.stack(r)).transpose(1, 2) for r in zip(*rows, strict=True)
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=_quick_in_half()):
            made = forward(inputs, layers, out)
        loss = loss_of(made.float(), wanted)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        total += loss.item()
        if step % 50 == 0:
            print(number, step, len(clips), round(total / 50, 5), flush=True)
            save(layers, out, args.work / "weights.npz")
            total = 0.0


def layers_of(width: int):
    """The network of drum_notes.network, to be trained."""
    from torch import nn

    sizes = [(CONFIG.columns, 5)] + [(width, 3)] * (len(DILATIONS) - 1)
    layers = nn.ModuleList(
        nn.Conv1d(i, width, k, padding=k // 2 * d, dilation=d)
        for (i, k), d in zip(sizes, DILATIONS, strict=True)
    )
    out = nn.Conv1d(width, 2 * len(PITCHES), 1)
    nn.init.constant_(out.bias, -3.0)
    return layers, out


def forward(x, layers, out):
    """(clip, column, frame) -> (clip, 2 kinds, frame)."""
    from torch.nn import functional

    for index, layer in enumerate(layers):
        new = functional.relu(layer(x))
        x = x + new if index else new
    return out(functional.dropout(x, 0.1))


def loss_of(made, wanted):
    """Of onsets of every kind and of every drum, and of velocities where something is struck."""
    import torch
    from torch.nn import functional

    count = len(PITCHES)
    onsets, hard = wanted[:, :count], wanted[:, count:]
    entropy = functional.binary_cross_entropy_with_logits
    # What can hardly be heard is asked for less than what is plain.
    sure = torch.where(onsets > 0, 0.4 + 0.6 * (hard * 127 / 40).clamp(max=1), 1.0)
    loss = entropy(made[:, :count], onsets, sure)
    for drum in dict.fromkeys(DRUMS):
        own = [k for k, name in enumerate(DRUMS) if name == drum]
        both = torch.logsumexp(made[:, own], dim=1)
        loss = loss + 0.2 * entropy(both, onsets[:, own].amax(dim=1), sure[:, own].amin(dim=1))
    struck = onsets >= 1
    guess = torch.sigmoid(made[:, count:])
    return loss + 0.1 * functional.mse_loss(guess[struck], hard[struck])


def ready(clip: dict) -> tuple[np.ndarray, np.ndarray, float]:
    """What an excerpt is cut from; levels stay bytes."""
    levels = clip["levels"]
    return np.rint((levels + 80) * 3).astype(np.uint8), targets(clip), loudest(levels)


def excerpt(levels, wanted, loud: float, rng: np.random.Generator):
    """Features and targets of some frames, coloured, with the loudest level a little misjudged."""
    first = int(rng.integers(max(1, len(levels) - FRAMES)))
    cut = slice(first, first + FRAMES)
    heard = coloured(levels[cut].astype(np.float32) / 3 - 80, loud, rng)
    missing = ((0, FRAMES - len(heard)), (0, 0))
    features = note_features(heard, loud + rng.uniform(-6, 4))
    return np.pad(features, missing, mode="edge"), np.pad(wanted[cut], missing)


def mixed_excerpt(mixer: Mixer, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same of a mix; its stem may hold louder strokes elsewhere."""
    levels, notes = mixer.excerpt(FRAMES, varied, rng)
    heard = coloured(levels, 0.0, rng)
    return note_features(heard, rng.uniform(-4, 8)), targets({"levels": levels, "notes": notes})


def mixer_of(args: argparse.Namespace) -> Mixer:
    """From the training kits as `render` left them; the levels of strokes are kept in a file."""
    kept = args.work / "strokes.pickle"
    if not kept.exists():
        every = pickle.loads((args.work / "kits.pickle").read_bytes())
        kits = every["train"] + every["train-synthesised"]
        rng = np.random.default_rng(0)
        kept.write_bytes(pickle.dumps([strokes_of(kit, rng) for kit in kits]))
    return Mixer(pickle.loads(kept.read_bytes()), quick_notes(args.groove_midi))


def begin(layers, out, path: Path) -> None:
    """With the weights of a file of `save`; layers that it lacks begin small."""
    import torch

    with np.load(path) as file:
        kept = {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files}
    for i, layer in enumerate(layers):
        if f"w{i}" in kept:
            layer.weight.data = kept[f"w{i}"].permute(2, 1, 0).contiguous()
            layer.bias.data = kept[f"b{i}"]
        else:
            layer.weight.data *= 0.3
    out.weight.data, out.bias.data = kept["w_out"].T[:, :, None].contiguous(), kept["b_out"]


def save(layers, out, path: Path) -> None:
    """Weights as drum_notes.network reads them, in half precision."""
    weights = {f"w{i}": layer.weight.detach().permute(2, 1, 0) for i, layer in enumerate(layers)}
    weights |= {f"b{i}": layer.bias.detach() for i, layer in enumerate(layers)}
    weights |= {"w_out": out.weight.detach()[:, :, 0].T, "b_out": out.bias.detach()}
    np.savez(path, **{name: value.numpy().astype(np.float16) for name, value in weights.items()})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--groove-midi", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--start-from", type=Path, help="weights to train further")
    parser.add_argument("--width", type=int, default=160)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
