"""Human drum performances and SoundFonts in; the weights that tell drum notes by ear out.

    python scripts/train_drum_notes.py render --groove-midi DIR --soundfont A.sf2 ... -o WORK
    python scripts/train_drum_notes.py train WORK  # then again with --go-on --seed 1
    python scripts/train_drum_notes.py score WORK

`score` prints precision, recall and F on performances and on kits that were not trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from restem.audio.drum_notes import (
    CONFIG,
    DILATIONS,
    DRUMS,
    PEAK,
    PITCHES,
    _weights,
    loudest,
    network,
    note_features,
    pick_notes,
)
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.spectrogram import log_mel
from restem.dataset.compose import Part
from restem.dataset.drums import read_groove_midi
from restem.dataset.render import KITS, SAMPLE_RATE, Renderer, room, saturate, tone

WEIGHTS = Path("src/restem/models/drum_notes.npz")
SECONDS = 12
CLIPS = {"test": 60, "validation": 30, "train": 217}
# (SoundFont by its place, kit) of the test alone.
HELD_OUT = {(0, "jazz"), (1, "room"), (2, "standard"), (0, "electronic"), (1, "power")}
HEARD = {
    **dict.fromkeys((35, 36), 0),
    **dict.fromkeys((37, 38, 39, 40), 1),
    **dict.fromkeys((42, 44), 2),
    46: 3,
    **dict.fromkeys((47, 48, 50), 4),
    **dict.fromkeys((41, 43, 45), 5),
    **dict.fromkeys((49, 52, 55, 57), 6),
    **dict.fromkeys((51, 53, 59), 7),
}
NEAR_S = 0.03  # strokes of one drum that are closer are one; also what counts as found


# ---- clips with known notes ----


def render(args: argparse.Namespace) -> None:
    """Write clips of every split: levels as bytes, notes (time, kind, velocity)."""
    renderer = Renderer(args.soundfont)
    args.output.mkdir(parents=True, exist_ok=True)
    every = [(font, kit) for font in range(renderer.fonts) for kit in KITS]
    for split, count in CLIPS.items():
        paths = [args.output / f"{split}-{index:04d}.npz" for index in range(count)]
        missing = [index for index, path in enumerate(paths) if not path.exists()]
        sources = performances(args.groove_midi, split) if missing else []
        kits = [k for k in every if (k in HELD_OUT) == (split == "test")]
        for index in missing:
            rng = np.random.default_rng((len(split), index))
            np.savez_compressed(paths[index], **clip(sources, kits, renderer, rng))
        print(split, count, flush=True)


def performances(folder: Path, split: str) -> list:
    """Those of a split; the dataset's validation share gives thresholds and test, by turns."""
    if split == "train":
        return read_groove_midi(folder, split)
    return read_groove_midi(folder, "validation")[split == "test" :: 2]


def clip(sources: list, kits: list, renderer: Renderer, rng: np.random.Generator) -> dict:
    """One stretch of a performance, half of them in a room, a third drawn and turned to sound."""
    source = sources[int(rng.integers(len(sources)))]
    font, kit = kits[int(rng.integers(len(kits)))]
    quarter = 60 / source.bpm
    start = rng.uniform(0, max(0.0, source.quarters * quarter - SECONDS)) / quarter
    notes = source.notes.copy()
    notes[:, 0] -= start
    end = min(SECONDS, (source.quarters - start) * quarter + 1)
    notes = notes[(notes[:, 0] >= 0) & (notes[:, 0] * quarter < end - 0.2)]
    wave = renderer.render(
        Part("drums", KITS[kit], notes), source.bpm, int(end * SAMPLE_RATE), font
    )
    if rng.random() < 0.5:
        wave = room(tone(wave, rng), rng.uniform(0.1, 0.8), rng.uniform(0.05, 0.3), rng)
    if rng.random() < 0.3:
        wave = saturate(wave, rng.uniform(1, 4))
    levels = log_mel(wave / (np.abs(wave).max() + 1e-9) * PEAK, CONFIG)
    drawn = bool(rng.random() < 1 / 3)
    if drawn:
        levels = log_mel(waveform_from_log_mel(levels, CONFIG, len(wave), 0), CONFIG)
    kinds = [(t * quarter, HEARD[int(p)], v) for t, _, p, v in notes if int(p) in HEARD]
    return {
        "levels": np.rint((levels + 80) * 3).clip(0, 255).astype(np.uint8),
        "notes": np.array(sorted(kinds)).reshape(-1, 3),
        "drawn": drawn,
        "kit": f"{font} {kit}",
    }


def read(folder: Path, split: str) -> list[dict]:
    """Clips with levels in dB."""
    clips = []
    for path in sorted(folder.glob(f"{split}-*.npz")):
        with np.load(path) as data:
            clips.append(dict(data) | {"levels": data["levels"].astype(np.float32) / 3 - 80})
    return [c for c in clips if len(c["notes"]) and len(c["levels"]) > 150]


# ---- training ----


def targets(clip: dict) -> tuple[np.ndarray, np.ndarray]:
    """(frame, kind) of onsets, softened by a frame, and of velocities 0..1 there."""
    onsets = np.zeros((len(clip["levels"]), len(PITCHES)), np.float32)
    hard = np.zeros_like(onsets)
    for time, kind, velocity in clip["notes"]:
        at = round(time * CONFIG.frame_rate)
        for frame, value in ((at - 1, 0.4), (at, 1.0), (at + 1, 0.4)):
            if 0 <= frame < len(onsets):
                onsets[frame, int(kind)] = max(onsets[frame, int(kind)], value)
                hard[frame, int(kind)] = max(hard[frame, int(kind)], velocity / 127)
    return onsets, hard


def coloured(levels: np.ndarray, loud: float, rng: np.random.Generator) -> np.ndarray:
    """(frame, column) through a random equaliser, over a random floor: other kits and wash."""
    knots = rng.normal(0, 4, 7)
    curve = np.interp(np.linspace(0, 6, CONFIG.mels), np.arange(7), knots)
    fine = np.repeat([curve[:24].mean(), curve[24:60].mean(), curve[60:].mean()], 7)
    out = levels + np.concatenate([curve, fine]).astype(np.float32)
    return np.maximum(out, loud - rng.uniform(30, 72)) if rng.random() < 0.5 else out


def train(args: argparse.Namespace) -> None:
    """Train, choose thresholds on the validation clips, write the weights."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    clips, width = read(args.work, "train"), args.width
    labels = [targets(c) for c in clips]
    louds = [loudest(c["levels"]) for c in clips]
    sizes = [(CONFIG.columns, 5), (width, 3), (width, 3)]
    layers = nn.ModuleList(
        nn.Conv1d(i, width, k, padding=k // 2 * d, dilation=d)
        for (i, k), d in zip(sizes, DILATIONS, strict=True)
    )
    out = nn.Conv1d(width, 2 * len(PITCHES), 1)
    nn.init.constant_(out.bias, -3.0)
    if args.go_on:
        _take_up(layers, out)
    optimiser = torch.optim.AdamW([*layers.parameters(), *out.parameters()], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, args.steps)
    frames, batch = 256, 8
    rng = np.random.default_rng(args.seed)
    total = 0.0
    for step in range(1, args.steps + 1):
        rows = []
        for index in rng.integers(len(clips), size=batch):
            first = int(rng.integers(max(1, len(clips[index]["levels"]) - frames)))
            cut = slice(first, first + frames)
            heard = coloured(clips[index]["levels"][cut], louds[index], rng)
            row = (note_features(heard, louds[index]), *(part[cut] for part in labels[index]))
            missing = ((0, frames - len(heard)), (0, 0))
            rows.append([np.pad(part, missing, mode="edge") for part in row])
        inputs, onsets, hard = (
            torch.from_numpy(np.stack(parts)).transpose(1, 2) for parts in zip(*rows, strict=True)
        )
        for layer in layers:
            inputs = functional.relu(layer(inputs))
        made = out(inputs)
        loss = functional.binary_cross_entropy_with_logits(made[:, : len(PITCHES)], onsets)
        struck = onsets >= 1
        guess = torch.sigmoid(made[:, len(PITCHES) :])
        loss = loss + 0.05 * functional.mse_loss(guess[struck], hard[struck])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % 50 == 0:
            print(step, round(total / 50, 5), flush=True)
            total = 0.0
    weights = {f"w{i}": layer.weight.detach().permute(2, 1, 0) for i, layer in enumerate(layers)}
    weights |= {f"b{i}": layer.bias.detach() for i, layer in enumerate(layers)}
    weights |= {"w_out": out.weight.detach()[:, :, 0].T, "b_out": out.bias.detach()}
    arrays = {name: value.numpy().astype(np.float16) for name, value in weights.items()}
    plain = {name: value.astype(np.float32) for name, value in arrays.items()}
    arrays["thresholds"] = thresholds(read(args.work, "validation"), plain)
    np.savez_compressed(WEIGHTS, **arrays)
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size} bytes")


def _take_up(layers, out) -> None:
    """Begin with the weights that are there."""
    import torch

    had = {name: torch.from_numpy(value) for name, value in _weights().items()}
    for index, layer in enumerate(layers):
        layer.weight.data = had[f"w{index}"].permute(2, 1, 0).contiguous()
        layer.bias.data = had[f"b{index}"]
    out.weight.data, out.bias.data = had["w_out"].T[:, :, None].contiguous(), had["b_out"]


def thresholds(clips: list[dict], weights: dict) -> np.ndarray:
    """Log-odds (kind,) that give the best F of each drum on the validation clips."""
    heard = [said(c, weights) for c in clips]
    best = np.zeros(len(PITCHES), np.float32)
    for drum in dict.fromkeys(DRUMS):
        own = np.array([name == drum for name in DRUMS])
        scores = []
        for level in np.linspace(-3, 1.5, 19):
            bar = np.where(own, level, np.inf).astype(np.float32)
            found = [pick_notes(*h, bar) for h in heard]
            scores.append((f_of(counts(clips, found)[drum]), level))
        best[own] = max(scores)[1]
        print(drum, "validation F, threshold:", max(scores))
    return best


# ---- scores ----


def said(clip: dict, weights: dict) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds and velocities (frame, kind) of a clip."""
    levels = clip["levels"]
    return network(note_features(levels, loudest(levels)), weights)


def counts(clips: list[dict], found: list) -> dict[str, np.ndarray]:
    """drum -> (right, found, true): each true stroke is matched once, within 30 ms."""
    total = {drum: np.zeros(3) for drum in dict.fromkeys(DRUMS)}
    for c, notes in zip(clips, found, strict=True):
        for drum in total:
            pitches = [p for p, name in zip(PITCHES, DRUMS, strict=True) if name == drum]
            kinds = [k for k, name in enumerate(DRUMS) if name == drum]
            true = apart(c["notes"][np.isin(c["notes"][:, 1], kinds), 0])
            made = apart(notes.times[np.isin(notes.pitches, pitches)])
            total[drum] += (matched(true, made), len(made), len(true))
    return total


def apart(times: np.ndarray) -> np.ndarray:
    """Times in order without those within 30 ms of the one before."""
    kept: list[float] = []
    for time in np.sort(times):
        if not kept or time - kept[-1] > NEAR_S:
            kept.append(float(time))
    return np.array(kept)


def matched(true: np.ndarray, made: np.ndarray) -> int:
    """How many pairs within 30 ms there are, each time used once; both in order."""
    i = j = pairs = 0
    while i < len(true) and j < len(made):
        if abs(true[i] - made[j]) <= NEAR_S:
            i, j, pairs = i + 1, j + 1, pairs + 1
        elif true[i] < made[j]:
            i += 1
        else:
            j += 1
    return pairs


def f_of(count: np.ndarray) -> float:
    """F of (right, found, true)."""
    return float(2 * count[0] / max(count[1] + count[2], 1))


def score(args: argparse.Namespace) -> None:
    """Print the table of each set."""
    weights = _weights()
    sets = {
        "held-out performances and kits": read(args.work, "test"),
        "held-out performances, known kits": read(args.work, "validation"),
    }
    test = sets["held-out performances and kits"]
    for drawn in (False, True):
        name = "of these, " + ("drawn and turned to sound again" if drawn else "as rendered")
        sets[name] = [c for c in test if bool(c["drawn"]) == drawn]
    loud = [c | {"notes": c["notes"][c["notes"][:, 2] >= 25]} for c in test]
    for name, clips in sets.items():
        heard = [said(c, weights) for c in clips]
        found = [pick_notes(*h, weights["thresholds"]) for h in heard]
        print(f"{name}: {len(clips)} clips")
        for drum, count in counts(clips, found).items():
            right, made, true = count
            print(
                f"  {drum:<8} precision {right / max(made, 1):.3f}"
                f"  recall {right / max(true, 1):.3f}  F {f_of(count):.3f}  ({int(true)} strokes)"
            )
        if clips is test:
            for drum, (right, _, true) in counts(loud, found).items():
                print(f"  {drum:<8} recall of velocity 25 and more {right / max(true, 1):.3f}")
    velocities(test, weights)


def velocities(clips: list[dict], weights: dict) -> None:
    """Correlation of heard with true velocities of each drum's found strokes."""
    pairs: dict[str, list] = {drum: [] for drum in DRUMS}
    for c in clips:
        heard = pick_notes(*said(c, weights), weights["thresholds"])
        for time, kind, velocity in c["notes"]:
            same = np.isin(heard.pitches, [p for p, n in zip(PITCHES, DRUMS, strict=True)
                                           if n == DRUMS[int(kind)]])  # fmt: skip
            gap = np.where(same, np.abs(heard.times - time), np.inf)
            if len(gap) and gap.min() <= NEAR_S:
                pairs[DRUMS[int(kind)]].append((velocity, heard.velocities[int(gap.argmin())]))
    for drum, values in pairs.items():
        print(f"  {drum}: correlation of velocities {np.corrcoef(np.array(values).T)[0, 1]:.2f}")


def main() -> None:
    """The three verbs."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("render")
    verb.add_argument("--groove-midi", type=Path, required=True)
    verb.add_argument("--soundfont", type=Path, action="append", required=True)
    verb.add_argument("-o", "--output", type=Path, required=True)
    verb.set_defaults(run=render)
    verb = verbs.add_parser("train")
    verb.add_argument("work", type=Path)
    verb.add_argument("--go-on", action="store_true", help="begin with the weights that are there")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--steps", type=int, default=800)
    verb.add_argument("--width", type=int, default=32)
    verb.set_defaults(run=train)
    verb = verbs.add_parser("score")
    verb.add_argument("work", type=Path)
    verb.set_defaults(run=score)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
