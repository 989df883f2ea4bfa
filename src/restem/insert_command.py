"""The verb `restem insert`: a song file and a sentence in, the files of the stem out."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restem.arguments import region_of, sentence_of, within
from restem.beat_options import (
    add_beat_options,
    beat_notices,
    check_beat_options,
    corrected_beats,
    given_beats,
    settle_metre,
)
from restem.errors import UserError
from restem.riffusion_options import add_riffusion_options, insertion_by, open_riffusion

if TYPE_CHECKING:  # nothing heavy is imported before the arguments are known to be good
    from restem.audio.beats import BeatGrid
    from restem.audio.files import AudioFile
    from restem.hearing import Removed
    from restem.insertion import Insertion

STEMS = ("drums", "bass", "guitar", "keys")
WORK_BYTES = 32  # a sample of the song, for the stem, the mix and what is heard and drawn of them
# Those of its options that all takes share.
_ORDERED = ("stem", "steps", "guidance", "region", "density", "dynamics", "tight")


def add_parser(verbs: Any) -> None:
    """Add `insert` to the command line."""
    line = "put a stem into a song: restem insert song.wav 'Add jazzy drums'"
    parser = verbs.add_parser("insert", help=line, description=line, allow_abbrev=False)
    add_song_options(parser)
    parser.set_defaults(run=insert)


def add_song_options(parser: argparse.ArgumentParser) -> None:
    """What every verb takes that plays a stem to a song."""
    add = parser.add_argument
    add("song", metavar="SONG", type=Path, help="WAV, FLAC, OGG, Opus, MP3, AIFF (m4a with ffmpeg)")
    add("instruction", metavar="INSTRUCTION", type=sentence_of, help="what to play, in a sentence")
    add("--stem", choices=STEMS,
        help="which stem to make (default: what the sentence names, else drums)")  # fmt: skip
    add("-o", "--output", metavar="DIR", type=Path, default=Path("restem-out"),
        help="folder for the results (default: restem-out)")  # fmt: skip
    add("--seed", metavar="N", type=within(int, 0, 2**63 - 1), default=0,
        help="another seed plays another version (default: 0)")  # fmt: skip
    add("--takes", metavar="N", type=within(int, 1, 16), default=1,
        help="make N takes, of this seed and the next ones, the best fitting first")  # fmt: skip
    add("--steps", metavar="N", type=within(int, 1, 1000),
        help="denoising steps (usual: 5 for drums, 32 for the others)")  # fmt: skip
    add("--guidance", metavar="X", type=within(float, 0, 16),
        help="closeness to sentence and song, at most 16 (usual: drums 16, others 2)")  # fmt: skip
    add("--model", metavar="MODEL", default="embedded",
        help="a model of your own, from `restem train export` or `restem midi export`; or a "
        "Riffusion folder, or OWNER/NAME on the hub")  # fmt: skip
    add_beat_options(parser)
    add("--region", metavar="FROM-TO", type=region_of,
        help="make the stem there alone, as in 0:30-1:00 or 30-60; silence elsewhere")  # fmt: skip
    add("--density", metavar="X", type=within(float, -2, 2),
        help="from -2, few notes, to 2, many (default: as the sentence says)")  # fmt: skip
    add("--dynamics", metavar="X", type=within(float, -2, 2),
        help="from -2, quietly, to 2, played hard (default: as the sentence says)")  # fmt: skip
    add("--tight", metavar="X", type=within(float, 0, 1), default=0.0,
        help="how far hits are pulled to the beat, 0 to 1 (default: 0)")  # fmt: skip
    add("--like", metavar="FILE", type=Path,
        help="a recording of drums alone whose kit the new ones shall have")  # fmt: skip
    add("--gain", metavar="DB", type=within(float, -60, 24), default=0.0,
        help="make the stem louder or softer, in its file and in the mix")  # fmt: skip
    add("--subtype", metavar="NAME",
        help="sample format, such as PCM_24 or FLOAT (default: the song's)")  # fmt: skip
    add("--pack", action="store_true",
        help="also a folder for a sequencer: WAV, MIDI and tempo map of the best take")  # fmt: skip
    add("--force", action="store_true", help="replace earlier results")
    add_riffusion_options(parser)


def insert(args: argparse.Namespace) -> int:
    """Everything that can be wrong is looked at first; then the work; then all files, or none."""
    settle_model(args)
    names = asked_names(args)
    check_request(args, names)

    from restem.audio.files import check_wav_subtype, read_audio
    from restem.audio.room import check_room
    from restem.progress import Progress
    from restem.results import all_or_nothing

    if args.subtype:
        args.subtype = check_wav_subtype(args.subtype)
    beats = given_beats(args)
    audio = read_audio(args.song)
    check_room(WORK_BYTES * audio.samples.size)
    with all_or_nothing(args.output, names) as stage:
        progress = Progress(sys.stderr)
        try:
            beats = corrected_beats(args, audio, beats, progress)
            progress(0.0, "listening" if args.riffusion else "loading the model")
            notices, result = compute(args, audio, beats, stage, progress)
        finally:
            progress.close()
    report(args, names, notices, result)
    return 0


def settle_model(args: argparse.Namespace) -> None:
    """Set `args.riffusion`, a loaded model or None, and stem and metre where the user gave none;
    UserError for options that the model does not follow."""
    args.riffusion = open_riffusion(args)
    if args.riffusion:
        args.stem = args.riffusion.settings.stem
    if args.stem is None:
        from restem.naming import asked_stem

        args.stem = asked_stem(args.instruction)
        if args.stem != "drums":
            print(f"restem: note: The stem is {args.stem}, as in the sentence.", file=sys.stderr)
    settle_metre(args)


def result_names(song: Path, stem: str, takes: int = 1) -> list[str]:
    """The files that `restem insert` makes: the stem or its takes, the mix, record and picture."""
    numbers = [""] if takes == 1 else [f".{number}" for number in range(1, takes + 1)]
    stems = [f"{song.stem}.{stem}{number}.wav" for number in numbers]
    return stems + [f"{song.stem}{end}" for end in (".mix.wav", f".{stem}.json", ".png")]


def asked_names(args: argparse.Namespace) -> list[str]:
    """All files that the options ask for."""
    names = result_names(args.song, args.stem, args.takes)
    if args.pack:
        from restem.pack import pack_names

        names += pack_names(args.song, args.stem)
    return names


def stale_names(args: argparse.Namespace, names: list[str]) -> list[str]:
    """What an earlier run made in the same folder beside the mix, which --force did not replace."""
    kinds = r"((drums|bass|guitar|keys)((\.\d+)?\.wav|\.json)|background\.wav|pack)"
    pattern = re.compile(re.escape(f"{args.song.stem}.") + kinds)
    found = (path.name for path in args.output.iterdir() if pattern.fullmatch(path.name))
    return sorted(set(found) - {Path(name).parts[0] for name in names})


def check_request(args: argparse.Namespace, names: list[str], *inputs: Path | None) -> None:
    """UserError for options that contradict each other and results that would replace a file.

    `inputs`: files that the verb reads beside the song and its beats.
    """
    check_beat_options(args)
    if args.like and args.stem != "drums":
        raise UserError("--like takes over the sound of drums; leave it out for other stems.")
    for path in (args.output / name for name in names):
        for source in (args.song, args.beats, args.like, *inputs):
            if source and path.exists() and source.exists() and path.samefile(source):
                raise UserError(f"{path} is itself an input; choose another folder with -o.")
        if path.is_dir():
            raise UserError(f"{path} is a folder; choose another place with -o.")
        if not args.force and os.path.lexists(path):
            raise UserError(
                f"{path} is there already; add --force to replace it, or choose -o DIR."
            )


def compute(
    args: argparse.Namespace,
    audio: AudioFile,
    beats: BeatGrid | None,
    stage: Path,
    progress: Callable[[float, str], None],
    amended: Callable[[Insertion], Insertion] = lambda made: made,
    replaced: Removed | None = None,
) -> tuple[list[str], Insertion]:
    """Make the takes and write all files into `stage`; the notices and the best take.

    `amended` may add to the settings and the notices of the best; `replaced` is the stem that
    was taken out of the song.
    """
    from restem.audio.files import write_wav
    from restem.audio.room import blocks
    from restem.mixing import mix_down
    from restem.results import write_results

    notices: list[str] = []
    best: Insertion | None = None
    for number, made in enumerate(_takes(args, audio, beats, progress, replaced), start=1):
        for b in blocks(len(made.stem)) if args.gain else ():
            made.stem[b] *= 10 ** (args.gain / 20)
        mixdown = mix_down(audio.samples, made.stem, args.subtype or audio.wav_subtype)
        if (level := made.settings.get("stem_level_db")) is not None:
            level += args.gain + mixdown.turned_down_db(made.stem)
            made.settings["stem_level_db"] = round(level, 2)
        progress(min(0.9 + number / 100, 1.0), "writing")
        if best:
            notices += [f"Take {number}: {notice}" for notice in mixdown.notices]
            name = f"{args.song.stem}.{args.stem}.{number}.wav"
            write_wav(stage / name, mixdown.stem, audio.sample_rate, mixdown.subtype)
            continue
        best = amended(made)
        notices = [*best.notices, *beat_notices(args, made), *mixdown.notices]
        if args.subtype and mixdown.song_rounded:
            notices.append(f"{mixdown.subtype} is coarser than the song, which was rounded to it.")
        take = None if args.takes == 1 else number
        request = _request(args)
        write_results(stage, args.song, audio, best, mixdown, request, list(notices), take)
        if args.pack:
            from restem.pack import write_pack

            write_pack(stage, args.song, audio, mixdown, best)
    assert best is not None  # there is at least one take
    return notices, best


def _takes(
    args: argparse.Namespace,
    audio: AudioFile,
    beats: BeatGrid | None,
    progress: Callable[[float, str], None],
    replaced: Removed | None,
) -> Iterator[Insertion]:
    """The takes asked for, the best first."""
    if args.riffusion:
        yield insertion_by(args.riffusion, args, audio, beats, progress)
        return
    from restem.audio.files import read_audio
    from restem.insertion import Inserter, Order
    from restem.kits import kit_of
    from restem.takes import make_takes

    inserter = Inserter.load(args.model, stem=args.stem)
    how: dict[str, Any] = {name: getattr(args, name) for name in _ORDERED} | {"replaced": replaced}
    if args.like:
        like = read_audio(args.like)
        how["like"] = kit_of(like.samples, like.sample_rate, inserter.model.tokens, args.like.name)
    rest: dict[str, Any] = {
        "seed": args.seed,
        "beats": beats,
        "bpm": args.bpm,
        "progress": progress,
    }
    samples, rate = audio.samples, audio.sample_rate
    if args.takes == 1:
        yield inserter.insert(samples, rate, args.instruction, **how, **rest)
    else:
        order = Order(args.instruction, **how)
        yield from make_takes(inserter, samples, rate, order, args.takes, **rest)


def _request(args: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, JSON-ready; the rest is in the insertion's settings."""
    asked = ("seed", "steps", "guidance", "bpm", "metre", "half", "double", "shift", "bars")
    request = {name: getattr(args, name) for name in (*asked, "gain", "subtype", "takes")}
    return request | {"beats": args.beats and args.beats.name, "like": args.like and args.like.name}


def report(
    args: argparse.Namespace, names: list[str], notices: list[str], result: Insertion
) -> None:
    for notice in notices:
        print(f"restem: note: {notice}", file=sys.stderr)
    if stale := stale_names(args, names):
        print(
            f"restem: note: {', '.join(stale)} of an earlier run, still there, is not of this mix.",
            file=sys.stderr,
        )
    for name in names:
        print(args.output / name)
    for take in result.settings.get("takes", []):
        print(f"Take {take['take']}: seed {take['seed']}, fit {take['score']:.2f}")
    beats = result.beats
    first = f"{max(beats.downbeats[0], 0):.2f} s" if len(beats.downbeats) else "not found"
    sure = "as given" if args.beats else f"{beats.confidence:.0%} sure"
    sure = f"tempo as given, bars {sure}" if args.bpm else sure
    print(
        f"Tempo {beats.bpm:.1f} BPM, {beats.beats_per_bar} beats in a bar, "
        f"first downbeat at {first} ({sure})."
    )
    if args.riffusion:
        print("Riffusion plays by ear; picture, record and pack alone follow these beats.")
        return
    print(
        "To correct it, run again with --force and --half or --double (tempo), --metre 3/4, "
        "--shift 1 (downbeats a beat later; 0.5: half a beat), --bpm X or --beats FILE."
    )
