"""Human drum performances, SoundFonts and sample kits in; clips with known notes out.

    python scripts/render_drum_notes.py --groove-midi DIR --soundfont FluidR3_GM.sf2 \\
        --soundfont MuseScore_General_Full.sf2 --soundfont TimGM6mb.sf2 --kits DIR \\
        --drum-soundfont Red_Zeppelin_4_LV2.sf2 --drum-soundfont Black_Pearl_4_LV2.sf2 \\
        --samples DIR -o WORK

`--kits` holds Debian's hydrogen-drumkits and hydrogen-data, a folder for each kit; the drum
SoundFonts are its avldrums.lv2-soundfont's, the samples `lmms/samples/drums` of its lmms-common.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import mido
import numpy as np
from drum_kits import (
    HEARD,
    Kit,
    drum_soundfont_kit,
    general_midi_kit,
    hydrogen_kit,
    named_kit,
    play,
    samples_kit,
    soundfont_kit,
    synthesised_kit,
)
from drum_variations import mixed, retuned, varied

from restem.audio.drum_notes import CONFIG, PEAK
from restem.audio.inversion import waveform_from_log_mel
from restem.audio.spectrogram import log_mel
from restem.dataset.compose import Groove, Part, compile_parts, list_grooves, split_of
from restem.dataset.drums import DrumSource, humanise, play_at, read_groove_midi
from restem.dataset.render import KITS, SAMPLE_RATE, Renderer, room, saturate, tone
from restem.dataset.styles import style_family
from restem.dataset.voicing import TEMPI

SECONDS = 12
CLIPS = {
    "test": 60,
    "test-kits": 60,
    "test-songs": 60,
    "validation": 200,
    "train": 2400,
    "train-songs": 450,
    "train-synthesised": 700,
    "unseen": 60,
    "fresh": 100,
    "unheard": 100,
    "unseen-songs": 60,
    "fresh-songs": 100,
    "unheard-songs": 100,
    "unseen-games": 60,
    "unseen-kits": 60,
    "untouched": 200,
    "untouched-songs": 200,
    "untouched-games": 60,
    "untouched-kits": 60,
}
# The "test" clips were looked at while this was made; "unseen" to "unheard" were scored once with
# 0.7.0's weights, "untouched" once with 0.8.0's. (A clip's seed hangs on its set's length of name.)
# (SoundFont by its place, kit) and sample kits, of the tests and of the thresholds alone.
TEST = [(0, "electronic"), (0, "jazz"), (1, "room"), (1, "power"), (2, "standard")]
TEST_KITS = ["ForzeeStereo", "BJA_Pacific"]
VALIDATION = [(0, "room"), (1, "jazz"), (2, "brush")]
VALIDATION_KITS = ["ColomboAcousticDrumkit", "Millo_MultiLayered3"]
SONIC_PI = {
    36: "drum_bass_hard",
    38: "drum_snare_hard",
    42: "drum_cymbal_closed",
    46: "drum_cymbal_open",
    44: "drum_cymbal_pedal",
    49: "drum_cymbal_hard",
    55: "drum_splash_hard",
    43: "drum_tom_lo_hard",
    47: "drum_tom_mid_hard",
    50: "drum_tom_hi_hard",
}
SYNTHESISED = 60  # kits by formula
# The GM2 orchestra kit has timpani where the others have toms and cymbals.
TRAIN = [
    (font, kit)
    for font in range(3)
    for kit in KITS
    if kit != "orchestra" and (font, kit) not in TEST + VALIDATION
]


def render(args: argparse.Namespace) -> None:
    """Write clips of every split: levels as bytes, notes (time, kind, velocity)."""
    renderer = Renderer(args.soundfont)
    args.output.mkdir(parents=True, exist_ok=True)
    kits = kits_of(args, renderer)
    for split, count in CLIPS.items():
        paths = [args.output / f"{split}-{index:04d}.npz" for index in range(count)]
        missing = [index for index, path in enumerate(paths) if not path.exists()]
        training = split.startswith("train")
        sources = performances(args.groove_midi, split) if missing else []
        wanted = "train" if training else "test"
        grooves = [g for g in list_grooves(args.mma) if split_of(g.path.name) == wanted]
        pairs = TRAIN if training else TEST
        for index in missing[args.part :: args.parts]:
            rng = np.random.default_rng((len(split), index))
            if split in ("test", "unseen", "fresh", "unheard", "untouched"):
                made = soundfont_clip(sources, renderer, rng)
            elif split.endswith("games"):
                made = game_clip(args.freedoom, renderer, rng)
            elif split.endswith("songs"):
                made = song_clip(grooves, renderer, pairs, rng)
            else:
                made = kit_clip(sources, kits[split.replace("untouched", "unseen")], training, rng)
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
        kits["train"] += [drum_soundfont_kit(path) for path in args.drum_soundfont]
        kits["train"] += [samples_kit(folder, i, 3) for folder in args.samples for i in range(3)]
        names = [f"synthesised {i}" for i in range(SYNTHESISED)]
        made = [synthesised_kit(np.random.default_rng(i), n) for i, n in enumerate(names)]
        fonts = [general_midi_kit(path) for path in args.more_soundfont]
        kits["train-synthesised"] = made + fonts
        kits["unseen-kits"] = [general_midi_kit(path) for path in args.unseen_soundfont]
        kits["unseen-kits"] += [named_kit(folder, SONIC_PI) for folder in args.unseen_samples]
        kept.write_bytes(pickle.dumps(kits))
    return pickle.loads(kept.read_bytes())


def performances(folder: Path, split: str) -> list:
    """Those of a split; the dataset's validation share gives thresholds and test, by turns."""
    if split == "train":
        return read_groove_midi(folder, split)
    return read_groove_midi(folder, "validation")[not split.startswith("validation") :: 2]


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
    notes, bpm, end = stretch(source, rng)
    return by_soundfont(notes, bpm, end, renderer, TEST, rng)


def game_clip(folder: Path, renderer: Renderer, rng: np.random.Generator) -> dict:
    """The drums of a game's MIDI song, by a held-out SoundFont and kit; times in seconds."""
    while True:
        paths = sorted(folder.rglob("*.mid"))
        notes, now = [], 0.0
        for message in mido.MidiFile(paths[int(rng.integers(len(paths)))]):
            now += message.time
            if message.type == "note_on" and message.velocity and message.channel == 9:
                notes.append((now, 0.1, message.note, message.velocity))
        drums = np.array(notes).reshape(-1, 4)
        drums[:, 0] -= rng.uniform(0, max(0.0, now - SECONDS))
        drums = drums[(drums[:, 0] >= 0) & (drums[:, 0] < SECONDS - 0.2)]
        if np.isin(drums[:, 2], list(HEARD)).sum() > 10:
            return by_soundfont(drums, 60.0, SECONDS, renderer, TEST, rng)


def by_soundfont(
    notes: np.ndarray,
    bpm: float,
    end: float,
    renderer: Renderer,
    pairs: list[tuple[int, str]],
    rng: np.random.Generator,
) -> dict:
    """Notes (start in quarters, length, pitch, velocity) by a pair of SoundFont and kit."""
    font, kit = pairs[int(rng.integers(len(pairs)))]
    wave = renderer.render(Part("drums", KITS[kit], notes), bpm, int(end * SAMPLE_RATE), font)
    struck = [(t * 60 / bpm, HEARD[int(p)], v) for t, _, p, v in notes if int(p) in HEARD]
    others = [t * 60 / bpm for t, _, p, _ in notes if int(p) not in HEARD]
    return finished(wave, struck, f"{font} {kit}", 0.0, rng) | {"others": np.array(others)}


def song_clip(
    grooves: list[Groove],
    renderer: Renderer,
    pairs: list[tuple[int, str]],
    rng: np.random.Generator,
) -> dict:
    """The drums of a song as `restem dataset render` composes and plays them."""
    while True:
        groove = grooves[int(rng.integers(len(grooves)))]
        low, high = TEMPI.get(style_family(groove.style), (75, 150))
        bpm = rng.uniform(low, high) * (3 if groove.quarters_per_bar == 6 else 1)
        bars = int(np.ceil(SECONDS * bpm / 60 / groove.quarters_per_bar))
        try:
            parts = compile_parts(groove, ["C"] * bars, int(rng.integers(1 << 30)))
        except ValueError:
            continue
        own = [p.notes for p in parts if p.kind == "drums"]
        if own:
            break
    notes = np.concatenate(own)
    notes = humanise(notes[np.argsort(notes[:, 0])], bpm, rng)
    part = play_at(Part("drums", 0, notes), str(rng.choice(["soft", "medium", "loud"])))
    end = part.notes[:, 0] * 60 / bpm < SECONDS - 0.2
    return by_soundfont(part.notes[end], bpm, SECONDS, renderer, pairs, rng)


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


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groove-midi", type=Path, required=True)
    parser.add_argument("--soundfont", type=Path, action="append", required=True)
    parser.add_argument("--kits", type=Path, required=True)
    parser.add_argument("--drum-soundfont", type=Path, action="append", default=[])
    parser.add_argument("--mma", type=Path, default=Path("/usr/share/mma/lib"))
    parser.add_argument("--samples", type=Path, action="append", default=[])
    parser.add_argument("--more-soundfont", type=Path, action="append", default=[])
    parser.add_argument("--unseen-soundfont", type=Path, action="append", default=[])
    parser.add_argument("--unseen-samples", type=Path, action="append", default=[])
    parser.add_argument("--freedoom", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--part", type=int, default=0, help="which of the --parts this one makes")
    parser.add_argument("--parts", type=int, default=1)
    render(parser.parse_args())


if __name__ == "__main__":
    main()
