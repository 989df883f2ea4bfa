"""The command line: words in, files and an exit code out (0 done, 2 a user's error, 130 Ctrl-C)."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from restem import __version__
from restem.errors import UserError

if TYPE_CHECKING:  # nothing heavy is imported before the arguments are known to be good
    from restem.audio.beats import BeatGrid
    from restem.audio.files import AudioFile
    from restem.insertion import Insertion

STEMS = ("drums",)

# Verbs of other rooms: name -> (the module whose add_parser(subparsers) adds it, its line of help).
# The module is imported only if its verb is asked for. Its parser sets the default `run`, a
# function from the parsed arguments to the exit code.
OTHER_VERBS: dict[str, tuple[str, str]] = {
    "dataset": ("restem.dataset.commands", "make training songs and their features"),
    "midi": (
        "restem.symbolic.commands",
        "put drums, bass or guitar into a MIDI or Guitar Pro song",
    ),
    "evaluate": ("restem.evaluation.evaluate", "score generated clips against true ones"),
    "table1": ("restem.benchmark.commands", "compare models with SDEdit and reference rows"),
    "figures": ("restem.benchmark.figures_command", "draw the paper's figures from songs"),
    "studio": ("restem.studio.commands", "open a local web page to listen, look and choose"),
    "train": ("restem.networks.commands", "train a model on features"),
    "restyle": ("restem.restyle.commands", "take a stem out of a full song and put a new one in"),
    "riffusion": ("restem.riffusion.commands", "put a stem into a clip with a Riffusion model"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user's error becomes one line on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # file names need not be valid text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parser(words).parse_args(words)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        problem = str(error)
    except MemoryError:
        problem = "There is not enough memory; close other programs or give a shorter song."
    except BrokenPipeError:  # whoever read our output has gone, as in `restem insert ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        problem = f"The system says: {error.strerror or error}{name}."
    except KeyboardInterrupt:
        print("\nrestem: stopped; nothing was written.", file=sys.stderr)
        return 130
    print(f"restem: error: {problem}", file=sys.stderr)
    return 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="restem",
        description="Put a missing stem into a song, guided by a sentence.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"restem {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _add_insert(verbs)
    for verb, (module, line) in OTHER_VERBS.items():
        if verb in words:
            import_module(module).add_parser(verbs)
        else:
            verbs.add_parser(verb, help=line)
    return parser


# ---- restem insert ----


def _add_insert(verbs: Any) -> None:
    line = "put a stem into a song: restem insert song.wav 'Add jazzy drums'"
    parser = verbs.add_parser("insert", help=line, description=line, allow_abbrev=False)
    add_song_options(parser)
    parser.set_defaults(run=_insert)


def add_song_options(parser: argparse.ArgumentParser) -> None:
    """What every verb takes that plays a stem to a song: `insert` and `restyle`."""
    add = parser.add_argument
    add("song", metavar="SONG", type=Path, help="WAV, FLAC, OGG, Opus, MP3, AIFF (m4a with ffmpeg)")
    add("instruction", metavar="INSTRUCTION", type=_sentence, help="what to play, in a sentence")
    add("--stem", choices=STEMS, default="drums", help="which stem (default: drums)")
    add("-o", "--output", metavar="DIR", type=Path, default=Path("restem-out"),
        help="folder for the results (default: restem-out)")  # fmt: skip
    add("--seed", metavar="N", type=_number(int, 0, 2**63 - 1), default=0,
        help="another seed plays another version (default: 0)")  # fmt: skip
    add("--steps", metavar="N", type=_number(int, 1, 1000), help="denoising steps")
    add("--guidance", metavar="X", type=_number(float, 0, 100),
        help="how closely to follow the instruction")  # fmt: skip
    add("--model", metavar="DIR", default="embedded",
        help="a model of your own, from `restem train export`")  # fmt: skip
    add("--bpm", metavar="X", type=_number(float, 20, 400), help="the song's tempo")
    add("--beats", metavar="FILE", type=Path,
        help="the song's beats: a time in seconds a line, then the number in the bar")  # fmt: skip
    add("--half", action="store_true", help="half the tempo that was heard")
    add("--double", action="store_true", help="twice the tempo that was heard")
    add("--shift", metavar="BEATS", type=_number(float, -64, 64), default=0.0,
        help="move the downbeats later (negative: earlier); 0.5 moves all beats")  # fmt: skip
    add("--subtype", metavar="NAME",
        help="sample format, such as PCM_24 or FLOAT (default: the song's)")  # fmt: skip
    add("--pack", action="store_true",
        help="also make a folder for a sequencer: WAV with a time stamp, MIDI, tempo map")  # fmt: skip
    add("--force", action="store_true", help="replace earlier results")


def _insert(args: argparse.Namespace) -> int:
    """Everything that can be wrong is looked at first; then the work; then all files, or none."""
    names = asked_names(args)
    check_request(args, names)

    from restem.audio.beats import read_beats
    from restem.audio.files import check_wav_subtype, read_audio
    from restem.progress import Progress
    from restem.results import all_or_nothing

    if args.subtype:
        args.subtype = check_wav_subtype(args.subtype)
    beats = read_beats(args.beats) if args.beats else None
    audio = read_audio(args.song)
    with all_or_nothing(args.output, names) as stage:
        progress = Progress(sys.stderr)
        progress(0.0, "loading the model")
        try:
            beats = corrected_beats(args, audio, beats)
            notices, result = compute(args, audio, beats, stage, progress)
        finally:
            progress.close()
    report(args, names, notices, result)
    return 0


def result_names(song: Path, stem: str) -> list[str]:
    """The four files that `restem insert` makes: the stem, the mix, the record, the picture."""
    return [f"{song.stem}{end}" for end in (f".{stem}.wav", ".mix.wav", f".{stem}.json", ".png")]


def asked_names(args: argparse.Namespace) -> list[str]:
    """All files that the options ask for."""
    names = result_names(args.song, args.stem)
    if args.pack:
        from restem.pack import pack_names

        names += pack_names(args.song, args.stem)
    return names


def check_request(args: argparse.Namespace, names: list[str], *inputs: Path | None) -> None:
    """UserError for options that contradict each other and for results that would replace a file.

    `inputs`: files that the verb reads beside the song and its beats.
    """
    if args.half and args.double:
        raise UserError("--half and --double exclude each other; give one.")
    if args.bpm and (args.half or args.double or args.beats):
        raise UserError("--bpm sets the tempo by itself; leave out --half, --double and --beats.")
    for path in (args.output / name for name in names):
        for source in (args.song, args.beats, *inputs):
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
    amended: Callable[[Insertion], Insertion] = lambda result: result,
) -> tuple[list[str], Insertion]:
    """Make the stem and write the four files into `stage`; the notices and the insertion.

    `amended` may add to the settings and the notices.
    """
    from restem.insertion import Inserter
    from restem.mixing import mix_down
    from restem.results import write_results

    inserter = Inserter.load(args.model)
    result = inserter.insert(
        audio.samples,
        audio.sample_rate,
        args.instruction,
        stem=args.stem,
        seed=args.seed,
        steps=args.steps,
        guidance=args.guidance,
        beats=beats,
        bpm=args.bpm if beats is None else None,
        progress=progress,
    )
    result = amended(result)
    mixdown = mix_down(audio.samples, result.stem, args.subtype or audio.wav_subtype)
    notices = [*result.notices, *mixdown.notices]
    if args.subtype and mixdown.song_rounded:
        notices.append(f"{mixdown.subtype} is coarser than the song, which was rounded to it.")
    progress(1.0, "writing")
    asked = ("seed", "steps", "guidance", "bpm", "half", "double", "shift", "subtype")
    request = {name: getattr(args, name) for name in asked}
    request["beats"] = args.beats and args.beats.name
    write_results(stage, args.song, audio, result, mixdown, request, notices)
    if args.pack:
        from restem.pack import write_pack

        write_pack(stage, args.song, audio, mixdown, result)
    return notices, result


def corrected_beats(
    args: argparse.Namespace, audio: AudioFile, beats: BeatGrid | None
) -> BeatGrid | None:
    """The beats that the user wants in place of those that the inserter would hear, if any."""
    if not (args.half or args.double or args.shift):
        return beats
    if beats is None:
        beats = heard_beats(audio, args.bpm)
    if args.half:
        beats = beats.halved()
    if args.double:
        beats = beats.doubled()
    return beats.shifted(args.shift) if args.shift else beats


def heard_beats(audio: AudioFile, bpm: float | None) -> BeatGrid:
    """What the inserter would hear by itself."""
    from restem.audio.tracking import SAMPLE_RATE, track_beats
    from restem.audio.waveform import mono_from_channels, resampled
    from restem.insertion import at_tempo

    mono = resampled(mono_from_channels(audio.samples), audio.sample_rate, SAMPLE_RATE)
    grid = track_beats(mono)
    seconds = len(audio.samples) / audio.sample_rate
    return grid if bpm is None else at_tempo(grid, bpm, seconds)


def report(
    args: argparse.Namespace, names: list[str], notices: list[str], result: Insertion
) -> None:
    for notice in notices:
        print(f"restem: note: {notice}", file=sys.stderr)
    for name in names:
        print(args.output / name)
    beats = result.beats
    first = f"{beats.downbeats[0]:.2f} s" if len(beats.downbeats) else "not found"
    sure = "as given" if args.bpm or args.beats else f"{beats.confidence:.0%} sure"
    print(
        f"Tempo {beats.bpm:.1f} BPM, {beats.beats_per_bar} beats in a bar, "
        f"first downbeat at {first} ({sure})."
    )
    print(
        "To correct it, run again with --force and --half or --double (tempo), --shift 1 "
        "(downbeats a beat later; 0.5: half a beat), --bpm X or --beats FILE."
    )


# ---- kinds of arguments ----


def _sentence(text: str) -> str:
    sentence = text.strip()
    try:
        sentence.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("write the instruction in valid text (UTF-8)") from None
    if not sentence:
        raise argparse.ArgumentTypeError('say what to play, for example "Add jazzy drums"')
    return sentence


def _number(kind: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    """A parser of numbers from `low` to `high`."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            whole = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {whole} from {low:g} to {high:g}")
        return value

    return parse
