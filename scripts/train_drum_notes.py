"""Human drum performances, SoundFonts and sample kits in; the weights that tell drum notes out.

    python scripts/train_drum_notes.py render --groove-midi DIR --soundfont FluidR3_GM.sf2 \\
        --soundfont MuseScore_General_Full.sf2 --soundfont TimGM6mb.sf2 --kits DIR -o WORK
    python scripts/train_drum_notes.py train WORK
    python scripts/train_drum_notes.py score WORK

`--kits` holds Debian's hydrogen-drumkits and hydrogen-data, a folder for each kit. `score` prints
precision, recall and F on performances and on kits that were not trained on.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from time import monotonic

import numpy as np
from drum_kits import HEARD, Kit, hydrogen_kit, level, play, soundfont_kit
from drum_mixes import Mixer, quick_notes, strokes_of

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
from restem.dataset.drums import DrumSource, read_groove_midi
from restem.dataset.render import KITS, SAMPLE_RATE, Renderer, room, saturate, tone

WEIGHTS = Path("src/restem/models/drum_notes.npz")
SECONDS = 12
CLIPS = {"test": 60, "test-kits": 60, "validation": 48, "train": 1400}
# (SoundFont by its place, kit) and sample kits, of the test and of the thresholds alone.
TEST = [(0, "electronic"), (0, "jazz"), (1, "room"), (1, "power"), (2, "standard")]
TEST_KITS = ["ForzeeStereo", "BJA_Pacific"]
VALIDATION = [(0, "room"), (1, "jazz"), (2, "brush")]
VALIDATION_KITS = ["ColomboAcousticDrumkit", "Millo_MultiLayered3"]
# The GM2 orchestra kit has timpani where the others have toms and cymbals.
TRAIN = [
    (font, kit)
    for font in range(3)
    for kit in KITS
    if kit != "orchestra" and (font, kit) not in TEST + VALIDATION
]
FRAMES, RENDERED, MIXED = 256, 5, 3  # of a training excerpt; excerpts of a batch
NEAR_S = 0.03  # strokes of one drum that are closer are one; also what counts as found


# ---- clips with known notes ----


def render(args: argparse.Namespace) -> None:
    """Write clips of every split: levels as bytes, notes (time, kind, velocity)."""
    renderer = Renderer(args.soundfont)
    args.output.mkdir(parents=True, exist_ok=True)
    kits = kits_of(args, renderer)
    for split, count in CLIPS.items():
        paths = [args.output / f"{split}-{index:04d}.npz" for index in range(count)]
        missing = [index for index, path in enumerate(paths) if not path.exists()]
        sources = performances(args.groove_midi, split) if missing else []
        for index in missing[args.part :: args.parts]:
            rng = np.random.default_rng((len(split), index))
            if split == "test":
                made = soundfont_clip(sources, renderer, rng)
            else:
                made = kit_clip(sources, kits[split], split == "train", rng)
            np.savez_compressed(paths[index], **made)
        print(split, count, flush=True)


def kits_of(args: argparse.Namespace, renderer: Renderer) -> dict[str, list[Kit]]:
    """split -> kits; kept in a file, since cutting SoundFonts into strokes takes minutes."""
    kept = args.output / "kits.pickle"
    if not kept.exists():
        pairs = {"train": TRAIN, "validation": VALIDATION}
        kits = {split: [soundfont_kit(renderer, *p) for p in own] for split, own in pairs.items()}
        kits["test-kits"] = []
        for folder in sorted(args.kits.iterdir()):
            kit = hydrogen_kit(folder)
            apart = {"test-kits": TEST_KITS, "validation": VALIDATION_KITS}
            split = next((s for s, names in apart.items() if kit.name in names), "train")
            kits[split] += [kit] if len(kit.strokes) > 5 else []
        kept.write_bytes(pickle.dumps(kits))
    return pickle.loads(kept.read_bytes())


def performances(folder: Path, split: str) -> list:
    """Those of a split; the dataset's validation share gives thresholds and test, by turns."""
    if split == "train":
        return read_groove_midi(folder, split)
    return read_groove_midi(folder, "validation")[split.startswith("test") :: 2]


def stretch(source: DrumSource, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Some seconds of a performance: notes in quarters, its tempo, its end in seconds."""
    quarter = 60 / source.bpm
    start = rng.uniform(0, max(0.0, source.quarters * quarter - SECONDS)) / quarter
    notes = source.notes.copy()
    notes[:, 0] -= start
    end = min(SECONDS, (source.quarters - start) * quarter + 1)
    return notes[(notes[:, 0] >= 0) & (notes[:, 0] * quarter < end - 0.2)], source.bpm, end


def soundfont_clip(sources: list, renderer: Renderer, rng: np.random.Generator) -> dict:
    """A performance through a held-out SoundFont and kit, by FluidSynth itself."""
    source = sources[int(rng.integers(len(sources)))]
    font, kit = TEST[int(rng.integers(len(TEST)))]
    notes, bpm, end = stretch(source, rng)
    part = Part("drums", KITS[kit], notes)
    wave = renderer.render(part, bpm, int(end * SAMPLE_RATE), font)
    struck = [(t * 60 / bpm, HEARD[int(p)], v) for t, _, p, v in notes if int(p) in HEARD]
    return finished(wave, struck, f"{font} {kit}", 0.0, rng)


def kit_clip(sources: list, kits: list[Kit], train: bool, rng: np.random.Generator) -> dict:
    """A performance by a kit; in training often varied, by a kit of many kits' drums."""
    notes, bpm, end = stretch(sources[int(rng.integers(len(sources)))], rng)
    kit = kits[int(rng.integers(len(kits)))]
    notes = notes[np.isin(notes[:, 2], list(HEARD))]
    if train:
        notes = varied(notes, rng)
        kit = mixed(kit, kits, rng) if rng.random() < 0.6 else kit
        kit = retuned(kit, rng) if rng.random() < 0.7 else kit
    strokes = [(t * 60 / bpm, int(p), float(v)) for t, _, p, v in notes]
    wave, played = play(strokes, end, kit, rng)
    struck = [(t, HEARD[p], v) for t, p, v in played]
    return finished(wave, struck, kit.name, rng.uniform(0, 3) if train else 0.0, rng)


def finished(
    wave: np.ndarray, struck: list, kit: str, blur: float, rng: np.random.Generator
) -> dict:
    """Half of the clips in a room, a third drawn (`blur` dB off) and turned to sound again."""
    if rng.random() < 0.5:
        wave = room(tone(wave, rng), rng.uniform(0.1, 0.8), rng.uniform(0.05, 0.3), rng)
    if rng.random() < 0.3:
        wave = saturate(wave, rng.uniform(1, 4))
    levels = log_mel(wave / (np.abs(wave).max() + 1e-9) * PEAK, CONFIG)
    drawn = bool(rng.random() < 1 / 3)
    if drawn:
        levels += np.float32(blur) * rng.standard_normal(levels.shape, dtype=np.float32)
        levels = log_mel(waveform_from_log_mel(levels, CONFIG, len(wave), 0), CONFIG)
    return {
        "levels": np.rint((levels + 80) * 3).clip(0, 255).astype(np.uint8),
        "notes": np.array(sorted(struck)).reshape(-1, 3),
        "drawn": drawn,
        "kit": kit,
    }


def varied(notes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The performance on other drums: rides for hats, more crashes, toms, open hats; softer.

    The last columns of `notes` are pitch and velocity, the first is time.
    """
    notes = notes.copy()
    kinds = np.array([HEARD[int(p)] for p in notes[:, -2]], int)
    hats, rides = np.isin(kinds, (2, 3)), kinds == 7
    chance = rng.random(6)
    if chance[0] < 0.25:
        notes[hats, -2] = rng.choice([51, 51, 53, 49, 57, 46])
    elif chance[0] < 0.5:
        notes[rides, -2] = 42
    for way, pick, pitches in (
        (1, kinds == 2, [46]),
        (2, kinds == 1, [41, 43, 45, 47, 48, 50]),
        (3, np.isin(kinds, (0, 2)), [49, 57, 55, 52, 51]),
        (4, kinds == 0, [41, 45, 48]),
    ):
        if chance[way] < 0.2:
            some = pick & (rng.random(len(notes)) < 0.25)
            notes[some, -2] = rng.choice(pitches, int(some.sum()))
    if chance[5] < 0.3:
        some = np.flatnonzero(kinds == 0)
        more = notes[some[rng.random(len(some)) < 0.3]]
        more[:, -2] = rng.choice([49, 57, 55, 51, 46, 48, 43], len(more))
        more[:, -1] = rng.uniform(40, 127, len(more))
        notes = np.concatenate([notes, more])
        notes = notes[np.argsort(notes[:, 0], kind="stable")]
    notes[:, -1] = np.clip(notes[:, -1] * rng.uniform(0.6, 1.2), 1, 127)
    return notes


def mixed(base: Kit, kits: list[Kit], rng: np.random.Generator) -> Kit:
    """Some drums of other kits, about as loud as the base's own."""
    strokes = dict(base.strokes)
    for drum in dict.fromkeys(DRUMS):
        if rng.random() < 0.35:
            continue
        donor = kits[int(rng.integers(len(kits)))]
        had, new = ([p for p in k.strokes if DRUMS[HEARD[p]] == drum] for k in (base, donor))
        if not new:
            continue
        aim = level(base, had) if had else level(base, list(base.strokes)) / 2
        gain = np.float32(aim / level(donor, new) * 10 ** (rng.normal(0, 3) / 20))
        for pitch in had:
            del strokes[pitch]
        for pitch in new:
            strokes[pitch] = [(v, wave * gain) for v, wave in donor.strokes[pitch]]
    return Kit(base.name + " and others", strokes)


def retuned(kit: Kit, rng: np.random.Generator) -> Kit:
    """Every drum a little higher or lower, some damped, with levels of their own."""
    tuning = {}
    for kind, drum in enumerate(DRUMS):
        kept = int(rng.integers(17, 24) if drum in ("hats", "cymbals") else rng.integers(16, 26))
        damp = rng.uniform(0.1, 0.6) if rng.random() < 0.2 else np.inf
        tuning[kind] = (kept, float(damp), float(10 ** (rng.normal(0, 3) / 20)))
    return Kit(kit.name, kit.strokes, tuning)


def read(folder: Path, split: str) -> list[dict]:
    """Clips with levels in dB."""
    return [c for p in sorted(folder.glob(f"{split}-[0-9]*.npz")) for c in read_one(p)]


def read_one(path: Path) -> list[dict]:
    """A clip, or none if it holds too little."""
    with np.load(path) as data:
        clip = dict(data) | {"levels": data["levels"].astype(np.float32) / 3 - 80}
    return [clip] if len(clip["notes"]) and len(clip["levels"]) > 150 else []


# ---- training ----


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
    """Train, choose thresholds on the validation clips, write the weights."""
    import torch

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    layers, out = layers_of(args.width)
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
    finish(args)


def work(args: argparse.Namespace, number: int, layers, out, mixer: Mixer) -> None:
    """Steps on weights that all workers share without waiting for one another (Hogwild)."""
    import torch

    rng = np.random.default_rng((args.seed, number))
    paths = sorted(args.work.glob("train-[0-9]*.npz"))[number :: args.workers]
    clips = [ready(clip) for path in paths for clip in read_one(path)]
    parameters = [*layers.parameters(), *out.parameters()]
    optimiser = torch.optim.AdamW(parameters, weight_decay=0.01)
    total, step, start, done = 0.0, 0, monotonic(), 0.0
    while done < 1:
        step, done = step + 1, (monotonic() - start) / (60 * args.minutes)
        for group in optimiser.param_groups:  # up, then down to nothing as time runs out
            group["lr"] = 3e-3 * min(step / 50, 1) * 0.5 * (1 + np.cos(np.pi * min(done, 1)))
        rows = [excerpt(*clips[i], rng) for i in rng.integers(len(clips), size=RENDERED)]
        rows += [mixed_excerpt(mixer, rng) for _ in range(MIXED)]
        inputs, wanted = (
            torch.from_numpy(np.stack(r)).transpose(1, 2) for r in zip(*rows, strict=True)
        )
        loss = loss_of(forward(inputs, layers, out), wanted)
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
        kits = pickle.loads((args.work / "kits.pickle").read_bytes())["train"]
        rng = np.random.default_rng(0)
        kept.write_bytes(pickle.dumps([strokes_of(kit, rng) for kit in kits]))
    return Mixer(pickle.loads(kept.read_bytes()), quick_notes(args.groove_midi))


def save(layers, out, path: Path) -> None:
    """Weights as drum_notes.network reads them, in half precision."""
    weights = {f"w{i}": layer.weight.detach().permute(2, 1, 0) for i, layer in enumerate(layers)}
    weights |= {f"b{i}": layer.bias.detach() for i, layer in enumerate(layers)}
    weights |= {"w_out": out.weight.detach()[:, :, 0].T, "b_out": out.bias.detach()}
    np.savez(path, **{name: value.numpy().astype(np.float16) for name, value in weights.items()})


def finish(args: argparse.Namespace) -> None:
    """Thresholds for the trained weights; both to where the package reads them."""
    with np.load(args.work / "weights.npz") as file:
        arrays = dict(file)
    plain = {name: value.astype(np.float32) for name, value in arrays.items()}
    arrays["thresholds"] = thresholds(read(args.work, "validation"), plain)
    np.savez_compressed(WEIGHTS, **arrays)
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size} bytes")


def thresholds(clips: list[dict], weights: dict) -> np.ndarray:
    """Log-odds (kind,) that give the best F of each drum on the validation clips."""
    heard = [said(c, weights) for c in clips]
    levels = np.linspace(-3, 1.5, 19)
    best, scores = np.zeros(len(PITCHES), np.float32), []
    for bar in levels:
        found = [pick_notes(*h, np.full(len(PITCHES), bar, np.float32)) for h in heard]
        scores.append({drum: f_of(count) for drum, count in counts(clips, found).items()})
    for drum in scores[0]:
        own = [score[drum] for score in scores]
        best[[name == drum for name in DRUMS]] = levels[int(np.argmax(own))]
        print(drum, "validation F, threshold:", max(own), levels[int(np.argmax(own))])
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


def matched(true: np.ndarray, made: np.ndarray, near: float = NEAR_S) -> int:
    """How many pairs within `near` seconds there are, each time used once; both in order."""
    i = j = pairs = 0
    while i < len(true) and j < len(made):
        if abs(true[i] - made[j]) <= near:
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
        "held-out performances, pairs of SoundFont and kit": read(args.work, "test"),
        "held-out performances, sample kits of other makers": read(args.work, "test-kits"),
        "those of the thresholds": read(args.work, "validation"),
    }
    test = [c for name in list(sets)[:2] for c in sets[name]]
    sets["both tests"] = test
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
    verb.add_argument("--kits", type=Path, required=True)
    verb.add_argument("-o", "--output", type=Path, required=True)
    verb.add_argument("--part", type=int, default=0, help="which of the --parts this process makes")
    verb.add_argument("--parts", type=int, default=1)
    verb.set_defaults(run=render)
    verb = verbs.add_parser("train")
    verb.add_argument("work", type=Path)
    verb.add_argument("--groove-midi", type=Path, required=True)
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--workers", type=int, default=1)
    verb.add_argument("--minutes", type=float, default=25)
    verb.add_argument("--width", type=int, default=80)
    verb.set_defaults(run=train)
    verb = verbs.add_parser("score")
    verb.add_argument("work", type=Path)
    verb.set_defaults(run=score)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
