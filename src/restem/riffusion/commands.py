"""The verb `restem riffusion`: a song and a sentence in, a stem and a mix as files out."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from restem.errors import UserError


def add_parser(verbs: Any) -> None:
    """Add `riffusion insert` to the command line."""
    line = "put a stem into a clip with a fine-tuned Riffusion model (needs restem[riffusion])"
    parser = verbs.add_parser("riffusion", help=line, description=line)
    own = parser.add_subparsers(dest="riffusion_verb", metavar="VERB", required=True)
    insert = own.add_parser("insert", help=line, description=line)
    add = insert.add_argument
    add("song", metavar="SONG", type=Path)
    add("instruction", metavar="INSTRUCTION", help="what to play, in a sentence")
    add("--model", required=True, metavar="DIR_OR_ID", help="what `restem train riffusion` made")
    add("--steps", type=int, default=20)
    add("--text-guidance", type=float, default=7.5, metavar="X")
    add("--context-guidance", type=float, default=1.5, metavar="X")
    add("--sampler", choices=("ddim", "euler", "euler-ancestral"), default="ddim")
    add("--seed", type=int, default=0)
    add("--device", default="cpu", help="where to compute, such as cuda (default: cpu)")
    add("--force", action="store_true", help="replace earlier results")
    add("-o", "--output", metavar="DIR", type=Path, default=Path("restem-out"))
    insert.set_defaults(run=_insert)


def _insert(args: argparse.Namespace) -> int:
    _check(args)
    from restem.audio.files import read_audio, write_wav
    from restem.mixing import mix_down
    from restem.networks.riffusion_checkpoint import load_riffusion
    from restem.networks.riffusion_sampling import SamplingSettings
    from restem.progress import Progress
    from restem.results import all_or_nothing
    from restem.riffusion.insertion import insert_clip

    sampling = SamplingSettings(args.steps, args.text_guidance, args.context_guidance, args.sampler)
    audio = read_audio(args.song)
    model = load_riffusion(args.model)
    stem = model.settings.stem
    names = [f"{args.song.stem}{end}" for end in (f".{stem}.wav", ".mix.wav", f".{stem}.json")]
    taken = [args.output / name for name in names if (args.output / name).exists()]
    if any(path.samefile(args.song) for path in taken):
        raise UserError(f"{args.song} would be replaced; choose another folder with -o.")
    if taken and not args.force:
        raise UserError(
            f"{taken[0]} is there already; add --force to replace it, or choose -o DIR."
        )
    with all_or_nothing(args.output, names) as stage:
        for part in (model.unet, model.vae, model.text_encoder):
            _to(part, args.device)
        progress = Progress(sys.stderr)
        try:
            result = insert_clip(
                model,
                audio.samples,
                audio.sample_rate,
                args.instruction,
                sampling=sampling,
                seed=args.seed,
                progress=progress,
            )
        finally:
            progress.close()
        mixed = mix_down(audio.samples, result.stem, audio.wav_subtype)
        write_wav(stage / names[0], mixed.stem, audio.sample_rate, mixed.subtype)
        write_wav(stage / names[1], mixed.mix, audio.sample_rate, mixed.subtype)
        record = {**result.settings, "model": Path(args.model).name, "notices": mixed.notices}
        (stage / names[2]).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for notice in mixed.notices:
        print(f"restem: note: {notice}", file=sys.stderr)
    for name in names:
        print(args.output / name)
    return 0


def _check(args: argparse.Namespace) -> None:
    if not 1 <= args.steps <= 1000:
        raise UserError(f"--steps must lie between 1 and 1000, not {args.steps}.")
    for name in ("text_guidance", "context_guidance"):
        value = getattr(args, name)
        if not (math.isfinite(value) and 0 <= value <= 100):
            option = name.replace("_", "-")
            raise UserError(f"--{option} must lie between 0 and 100, not {value}.")
    if args.seed < 0:
        raise UserError(f"--seed must not be negative, not {args.seed}.")


def _to(part: Any, device: str) -> None:
    try:
        part.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"The device {device} cannot be used: {reason}.") from None
