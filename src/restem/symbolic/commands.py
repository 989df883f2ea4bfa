"""The verb `restem midi`, and `restem midi insert`: words in, MIDI files out."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

from restem.errors import UserError
from restem.progress import Progress
from restem.symbolic.parts import STEMS
from restem.symbolic.training_commands import add_training_parsers

BARS = re.compile(r"^(\d{1,6})(?:-(\d{1,6}))?$")


def add_parser(verbs: Any) -> None:
    """Add `midi` and its own verbs to the command line."""
    line = "put drums, bass or guitar into a MIDI or Guitar Pro song"
    parser = verbs.add_parser("midi", help=line, description=line)
    own = parser.add_subparsers(dest="midi_verb", metavar="VERB", required=True)
    _add_insert(own)
    _add_render(own)
    add_training_parsers(own)


# ---- restem midi insert ----


def _add_insert(verbs: Any) -> None:
    line = "add a part: restem midi insert song.mid --stem drums -o out.mid"
    parser = verbs.add_parser("insert", help=line, description=line, allow_abbrev=False)
    add = parser.add_argument
    add("song", metavar="SONG", type=Path, help="MIDI, or Guitar Pro 3 to 5 (gp3, gp4, gp5)")
    add(
        "--stem",
        choices=STEMS,
        action="append",
        default=[],
        help="the part to add; repeatable (default: all of the three that are missing)",
    )
    add("-o", "--output", metavar="OUT.mid", type=Path, required=True)
    add(
        "--bars",
        metavar="A-B",
        help="fill these bars only, counted from 1 as they are played, as in 9-16",
    )
    add("--style", metavar="WORDS", default="", help='such as "bossa nova"')
    add(
        "--density",
        metavar="WORD",
        choices=("sparse", "medium", "busy"),
        help="sparse, medium, busy",
    )
    add(
        "--temperature",
        metavar="X",
        type=float,
        default=1.0,
        help="below 1 plays safer (default: 1)",
    )
    add(
        "--guidance",
        metavar="X",
        type=float,
        default=2.0,
        help="above 1 follows the song and the style more strictly (default: 2)",
    )
    add("--steps", metavar="N", type=int, default=32, help="denoising steps (default: 32)")
    add("--seed", metavar="N", type=int, default=0, help="another seed plays another version")
    add("--on-grid", action="store_true", help="drums exactly on the grid, evenly played")
    add(
        "--track-map",
        metavar="MAP",
        action="append",
        default=[],
        help='what tracks are, as in "2=drums,ch3=bass,Lead=guitar" (or =other)',
    )
    add("--picture", action="store_true", help="also draw the piano rolls, as OUT.png")
    add("--render", action="store_true", help="also play the song, as OUT.wav (needs FluidSynth)")
    add("--soundfont", metavar="SF2", type=Path, help="the SoundFont for --render")
    add("--model", metavar="DIR", default="embedded", help="folder of restem midi export")
    add("--force", action="store_true", help="replace OUT.mid; add a part even if there is one")
    parser.set_defaults(run=_insert)


def _insert(args: argparse.Namespace) -> int:
    _need_mido()
    names = _names(args)
    bars = _bars(args.bars)
    if not 1 <= args.steps <= 1000 or not 0 <= args.seed < 2**63:
        raise UserError("--steps goes from 1 to 1000, --seed from 0 on.")

    from restem.results import all_or_nothing
    from restem.symbolic.inserting import MidiInserter
    from restem.symbolic.parts import parse_track_map
    from restem.symbolic.scores import read_song
    from restem.symbolic.sound import check_synth, render
    from restem.symbolic.wishes import Wishes

    wishes = Wishes(
        args.style, args.density, args.temperature, args.guidance, args.steps, args.seed
    )
    if args.soundfont and not args.render:
        raise UserError("--soundfont is what --render plays with; add --render.")
    font = check_synth(args.soundfont) if args.render else None
    track_map = parse_track_map(args.track_map)
    song = read_song(args.song)
    with all_or_nothing(args.output.parent, names) as stage:
        progress = Progress(sys.stderr)
        try:
            result = MidiInserter(args.model).insert(
                song,
                args.stem,
                wishes,
                track_map=track_map,
                bars=bars,
                force=args.force,
                amount=0.0 if args.on_grid else 1.0,
                progress=progress,
            )
        finally:
            progress.close()
        (stage / names[0]).write_bytes(result.data)
        if args.picture:
            from restem.symbolic.roll_picture import draw_rolls

            image = draw_rolls(result.parts, result.made, result.bars, args.song.name)
            image.save(stage / args.output.with_suffix(".png").name, format="PNG")
        if font is not None:
            render(stage / names[0], stage / args.output.with_suffix(".wav").name, font)
    for notice in result.notices:
        print(f"restem: note: {notice}", file=sys.stderr)
    for name in names:
        print(args.output.parent / name)
    tracks = int.from_bytes(result.data[10:12], "big")
    for number, (stem, notes) in enumerate(result.notes.items(), tracks + 1 - len(result.notes)):
        print(f"Added {stem}: {len(notes)} notes, as track {number}.")
    return 0


# ---- restem midi render ----


def _add_render(verbs: Any) -> None:
    line = "turn MIDI and Guitar Pro songs into sound with exact stems, for restem dataset build"
    parser = verbs.add_parser("render", help=line, description=line)
    add = parser.add_argument
    add("songs", metavar="FOLDER", type=Path, help="folder of songs that have drums")
    add("--soundfont", type=Path, action="append", required=True, help="an sf2 file; repeatable")
    add("--seconds", type=float, default=60.0, help="at most, from the middle of a song")
    add("-o", "--output", type=Path, required=True)
    parser.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> int:
    _need_mido()
    from restem.symbolic.render_songs import ScorePlan, render_scores

    if not args.seconds > 0:
        raise UserError("--seconds must be above 0.")
    plan = ScorePlan(args.songs, tuple(args.soundfont), args.output, args.seconds)
    progress, left_out = Progress(sys.stderr), []
    try:
        for done, of, reason in render_scores(plan):
            progress(done / of, f"rendering: {done} of {of}")
            left_out += [reason] if reason else []
    finally:
        progress.close()
    for reason in left_out:
        print(f"restem: note: {reason}", file=sys.stderr)
    there = len(list(args.output.glob("*.json")))
    if not there:
        raise UserError(f"No song of {args.songs} could be rendered; see the reasons above.")
    print(f"{there} songs in {args.output}; build with --source rendered={args.output}")
    return 0


def _need_mido() -> None:
    try:
        import mido  # noqa: F401
    except ImportError:
        raise UserError("MIDI needs mido; install it with pip install 'restem[midi]'.") from None


def _names(args: argparse.Namespace) -> list[str]:
    """The files that will be made; UserError if one of them must not be."""
    if args.output.suffix.lower() not in (".mid", ".midi"):
        raise UserError(f"{args.output.name} must end in .mid; MIDI is what is written.")
    names = [args.output.name]
    names += [args.output.with_suffix(".png").name] if args.picture else []
    names += [args.output.with_suffix(".wav").name] if args.render else []
    for path in (args.output.parent / name for name in names):
        if path.exists() and args.song.exists() and path.samefile(args.song):
            raise UserError(f"{path} is itself the input; choose another name with -o.")
        if path.is_dir():
            raise UserError(f"{path} is a folder; choose another name with -o.")
        if os.path.lexists(path) and not args.force:
            raise UserError(f"{path} is there already; add --force to replace it, or choose -o.")
    return names


def _bars(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = BARS.match(text.strip())
    if match is None:
        raise UserError(f"--bars {text!r} is not of the form 9-16.")
    return int(match[1]), int(match[2] or match[1])
