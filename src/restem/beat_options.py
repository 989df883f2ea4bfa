"""The options that tell of a song's beats, and a song, in; the beats that the user wants, out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from restem.arguments import bars_of, within
from restem.errors import UserError

if TYPE_CHECKING:  # nothing heavy is imported before the arguments are known to be good
    from restem.audio.beats import BeatGrid
    from restem.audio.files import AudioFile
    from restem.insertion import Insertion

METRES = ("2/4", "3/4", "4/4", "6/8", "9/8", "12/8")  # those of restem.audio.bar_pointer
EARLY_SECONDS = 0.03  # that a stroke on a bar's first beat may begin before it


def add_beat_options(parser: argparse.ArgumentParser) -> None:
    """Tempo, metre and beats of the song, and the bars to fill."""
    add = parser.add_argument
    add("--bpm", metavar="X", type=within(float, 20, 400), help="the song's tempo")
    add("--metre", choices=METRES,
        help="the song's metre; 6/8, 9/8 and 12/8 are counted in dotted quarters")  # fmt: skip
    add("--beats", metavar="FILE", type=Path,
        help="the song's beats: a time in seconds a line, then the number in the bar")  # fmt: skip
    add("--half", action="store_true", help="half the tempo that was heard")
    add("--double", action="store_true", help="twice the tempo that was heard")
    add("--shift", metavar="BEATS", type=within(float, -64, 64), default=0.0,
        help="move the downbeats later (negative: earlier); 0.5 moves all beats")  # fmt: skip
    add("--bars", metavar="A-B", type=bars_of,
        help="make the stem in these bars alone, as in 9-16; the first whole bar is 1")  # fmt: skip


def check_beat_options(args: argparse.Namespace) -> None:
    """UserError for options that contradict each other."""
    if args.half and args.double:
        raise UserError("--half and --double exclude each other; give one.")
    if args.bpm and (args.half or args.double or args.beats):
        raise UserError("--bpm sets the tempo by itself; leave out --half, --double and --beats.")
    if args.bars and args.region:
        raise UserError("--bars and --region both say where the stem plays; give one.")
    if args.bars and args.riffusion:
        raise UserError("A Riffusion model does not know --bars; leave it out.")


def settle_metre(args: argparse.Namespace) -> None:
    """Set `args.metre` to what the sentence says, where no option says it, and tell the user."""
    if args.metre or args.beats or args.riffusion:
        return
    from restem.metres import said_metre

    args.metre = said_metre(args.instruction)
    if args.metre:
        print(
            f"restem: note: The song is counted in {args.metre}, as the sentence says; --metre "
            "says otherwise.",
            file=sys.stderr,
        )


def given_beats(args: argparse.Namespace) -> BeatGrid | None:
    """The beats of --beats, if any; UserError if they are not in the metre that was asked for."""
    if not args.beats:
        return None
    from restem.audio.bar_pointer import NAMED_METRES
    from restem.audio.beats import read_beats

    beats_per_bar = NAMED_METRES[args.metre] if args.metre else 4
    beats = read_beats(args.beats, beats_per_bar)
    if args.metre and beats.beats_per_bar != beats_per_bar:
        raise UserError(
            f"{args.beats} has {beats.beats_per_bar} beats in a bar and {args.metre} has "
            f"{beats_per_bar}; leave out --metre."
        )
    return beats


def check_region(args: argparse.Namespace, audio: AudioFile) -> None:
    """UserError for a --region that begins after the song's end."""
    from restem.region import checked_region

    if args.region:
        checked_region(args.region, len(audio.samples) / audio.sample_rate)


def corrected_beats(
    args: argparse.Namespace,
    audio: AudioFile,
    beats: BeatGrid | None,
    progress: Callable[[float, str], None],
) -> BeatGrid | None:
    """The beats that the user wants in place of those that the inserter would hear, if any.

    With --bars it also sets `args.region`, which they begin and end; UserError for a place that
    the song does not have. Nothing is said of `progress` unless the song must be listened to.
    """
    check_region(args, audio)
    if beats is None and (args.half or args.double or args.shift or args.metre or args.bars):
        progress(0.0, "listening for the beat")
        beats = heard_beats(audio, args.bpm, args.metre)
    if beats is None:
        return None
    if args.half:
        beats = beats.halved()
    if args.double:
        beats = beats.doubled()
    beats = beats.shifted(args.shift) if args.shift else beats
    if args.bars:
        from restem.hearing import first_sound

        seconds = len(audio.samples) / audio.sample_rate
        begins = first_sound(audio.samples, audio.sample_rate)
        args.region = region_of_bars(args.bars, beats, seconds, begins)
    return beats


def heard_beats(audio: AudioFile, bpm: float | None, metre: str | None = None) -> BeatGrid:
    """What the inserter would hear by itself, or would in that metre."""
    from restem.audio.tracking import SAMPLE_RATE, track_beats
    from restem.audio.waveform import mono_from_channels, resampled
    from restem.hearing import at_tempo

    mono = resampled(mono_from_channels(audio.samples), audio.sample_rate, SAMPLE_RATE)
    grid = track_beats(mono, metre)
    seconds = len(audio.samples) / audio.sample_rate
    return grid if bpm is None else at_tempo(grid, bpm, seconds)


def region_of_bars(
    bars: tuple[int, int], grid: BeatGrid, seconds: float, begins: float = 0.0
) -> tuple[float, float]:
    """Start and end in seconds of the bars (first, last), of a song that lasts `seconds`.

    They are counted from 1 at the grid's first downbeat once the song `begins` to sound, or at most
    half a beat before that. Both ends lie a little before the bar line, so that the stroke on it is
    whole, and so that none of the next bar is heard.
    Raises UserError for bars that the song does not have.
    """
    lines = grid.extended(0.0, seconds).downbeats
    earliest = max(begins - 30 / grid.bpm, -EARLY_SECONDS)
    first = grid.downbeats[grid.downbeats > earliest]
    lines = lines[lines >= first[0]] if len(first) else lines[lines > earliest]
    count = int((lines < seconds - 0.1).sum())
    if bars[1] > count:
        raise UserError(f"The song has bars 1 to {count}; --bars {bars[0]}-{bars[1]} goes beyond.")
    start = max(float(lines[bars[0] - 1]) - EARLY_SECONDS, 0.0)
    return start, float(lines[bars[1]]) - EARLY_SECONDS if bars[1] < count else seconds


def beat_notices(args: argparse.Namespace, made: Insertion) -> list[str]:
    """What is to be said of the metre that was not taken from the sentence, and of the region."""
    from restem.audio.waveform import rms_db
    from restem.hearing import SILENCE_DB, SILENT_REGION
    from restem.metres import metre_notices

    own = args.metre or args.beats or args.riffusion  # the user's, or of no account
    notices = [] if own else metre_notices(args.instruction, made.beats.beats_per_bar)
    first, end = (round(edge * made.sample_rate) for edge in args.region or (0, 0))
    silent = rms_db(made.stem[first:end]) < SILENCE_DB + args.gain
    return notices + ([SILENT_REGION] if args.region and silent else [])
