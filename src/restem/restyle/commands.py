"""The verb `restem restyle`: a full song and a sentence in, the song with a new stem out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from restem.beat_options import check_region, corrected_beats, given_beats
from restem.errors import UserError
from restem.insert_command import (
    add_song_options,
    asked_names,
    check_request,
    compute,
    report,
    settle_model,
)

if TYPE_CHECKING:  # nothing heavy is imported before the arguments are known to be good
    from restem.audio.files import AudioFile
    from restem.dataset.stages.separate import Separator
    from restem.insertion import Insertion

REMOVAL = 0.3  # share of the time that separation takes
IN_STEP = 0.1  # correlation of a song and its own background, if drums are not 20 dB louder
SAME = 1e-8  # of the energy: 80 dB below the song, two recordings are one
LENGTHS_DIFFER = 1.0  # seconds allowed between the two
_BITS = {"PCM_U8": 8, "PCM_16": 16}  # more than 24 would not fit a 32-bit float


def add_parser(verbs: Any) -> None:
    """Add `restyle` to the command line: all options of `insert`, and where the background is."""
    line = "take a stem out and put a new one in: restem restyle song.wav 'jazzy drums'"
    parser = verbs.add_parser("restyle", help=line, description=line, allow_abbrev=False)
    add_song_options(parser)
    add = parser.add_argument
    add("--without", metavar="FILE", type=Path,
        help="your own recording of the song without the stem")  # fmt: skip
    add("--separator", metavar="NAME",
        help="what takes the stem out: drums (in the package; default), or demucs=CHECKPOINT "
        "(needs restem[separation])")  # fmt: skip
    parser.set_defaults(run=_restyle)


def _restyle(args: argparse.Namespace) -> int:
    """As `restem insert`, with the song's background in place of the song."""
    if args.without and args.separator:
        raise UserError("--without gives the song without the stem; leave out --separator.")
    settle_model(args)
    kept = f"{args.song.stem}.background.wav"
    names = [kept, *asked_names(args)]
    check_request(args, names, args.without)

    from restem.audio.files import check_wav_subtype, read_audio
    from restem.dataset.stages.separate import open_separator
    from restem.hearing import Removed
    from restem.progress import Progress
    from restem.restyle.listening import beat_odds, common_beats
    from restem.restyle.removal import check_stem
    from restem.results import about_song, all_or_nothing

    if args.subtype:
        args.subtype = check_wav_subtype(args.subtype)
    beats = given_beats(args)
    name = "none" if args.without else args.separator or "drums"
    separator = None if args.without else check_stem(open_separator(name), args.stem)
    song = read_audio(args.song)
    check_region(args, song)  # taking out a stem takes minutes: not after it
    own = _own_background(args, song) if args.without else None
    origin = {"song": about_song(args.song, song)}
    if own:
        origin["background"] = about_song(args.without, own)
    apart = (len(own.samples) - len(song.samples)) / song.sample_rate if own else 0.0
    with all_or_nothing(args.output, names) as stage:
        progress = Progress(sys.stderr)
        try:
            progress(0.0, "listening for the beat")
            heard = [] if beats else [beat_odds(song)]
            if own is not None:
                background, old = own, _difference(song.samples, own.samples)
            else:
                assert separator is not None  # without a background of the user's
                background, old = song, _taken_out(song, args, separator, progress)
            _write(stage / kept, background)
            if beats is None:
                odds = [*heard, beat_odds(background)]
                beats = common_beats(odds, background, args.bpm, args.metre)
            notices, result = compute(
                args,
                background,
                corrected_beats(args, background, beats, progress),
                stage,
                lambda done, words: progress(REMOVAL + (1 - REMOVAL) * done, words),
                partial(_amended, args=args, separator=separator, origin=origin, apart=apart),
                # The small separator of the package misses much of drums that are recorded.
                Removed(old, background.sample_rate, whole=name != "drums"),
            )
        finally:
            progress.close()
    report(args, names, notices, result)
    return 0


def _own_background(args: argparse.Namespace, song: AudioFile) -> AudioFile:
    """What --without names; UserError if it cannot be the same song."""
    from restem.audio.files import read_audio

    own = read_audio(args.without)
    shapes = [
        f"{audio.samples.shape[1]} channels at {audio.sample_rate} Hz" for audio in (song, own)
    ]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{args.song.name} has {shapes[0]} and {args.without.name} {shapes[1]}; "
            "export both alike."
        )
    seconds = [len(audio.samples) / audio.sample_rate for audio in (song, own)]
    if abs(seconds[0] - seconds[1]) > LENGTHS_DIFFER:
        raise UserError(
            f"{args.song.name} lasts {seconds[0]:.1f} s and {args.without.name} "
            f"{seconds[1]:.1f} s; give the same song with and without the stem."
        )
    length = min(len(song.samples), len(own.samples))
    a, b = song.samples[:length].ravel(), own.samples[:length].ravel()
    if b @ b <= SAME * (a @ a):
        raise UserError(
            f"{args.without.name} is silent; give a recording of the song without the stem."
        )
    if a @ b <= IN_STEP * np.sqrt((a @ a) * (b @ b)):
        raise UserError(
            f"{args.without.name} does not run in step with {args.song.name}; give the same "
            "recording without the stem, beginning at the same moment."
        )
    if np.sum(np.square(a - b), dtype=np.float64) < SAME * np.sum(np.square(a), dtype=np.float64):
        raise UserError(
            f"{args.without.name} is the same recording as {args.song.name}, with the stem still "
            "in it; give one without, or leave --without away."
        )
    _check_not_the_drums(args, song, own)
    return own


def _check_not_the_drums(args: argparse.Namespace, song: AudioFile, own: AudioFile) -> None:
    """UserError if it is the drums that --without names, and what they were taken out of is left.

    Drums may dominate a song, and then run in step with it as its background does.
    """
    from restem.audio.waveform import mono_from_channels

    rate = song.sample_rate
    if args.stem != "drums" or not _drums_in(mono_from_channels(own.samples), rate):
        return
    if not _drums_in(_difference(song.samples, own.samples), rate):
        raise UserError(
            f"{args.without.name} has drums, and what {args.song.name} has beside it has none; "
            "give the song without the drums, not the drums."
        )


def _drums_in(mono: np.ndarray, rate: int) -> bool:
    from restem.audio.spectrogram import SpectrogramConfig, log_mel
    from restem.audio.waveform import resampled, rms_db
    from restem.hearing import WORKING_DB, drums_play

    config = SpectrogramConfig(fine_per_frame=0)
    wave = resampled(mono, rate, config.sample_rate)
    gain = 10 ** ((WORKING_DB - rms_db(wave)) / 20)
    return drums_play(wave, log_mel(wave, config, gain))


def _difference(song: np.ndarray, background: np.ndarray) -> np.ndarray:
    """What a song (sample, channel) has beside its background, (sample,), as long as that."""
    from restem.audio.room import blocks, room

    old = room((len(background),), np.float32)
    for b in blocks(min(len(song), len(background))):
        old[b] = (song[b] - background[b]).mean(axis=1)
    return old


def _taken_out(
    song: AudioFile,
    args: argparse.Namespace,
    separator: Separator,
    progress: Callable[[float, str], None],
) -> np.ndarray:
    """The stem (sample,); it is taken out of the song in place, which saves memory."""
    from restem.restyle.removal import remove_stem

    bits = _BITS.get(song.wav_subtype, 24)
    return remove_stem(
        song.samples,
        song.sample_rate,
        args.stem,
        separator,
        bits,
        lambda done, words: progress(REMOVAL * done, words),
    )


def _write(path: Path, background: AudioFile) -> None:
    """What stands in the file is the mix minus the stem, to the last bit."""
    from restem.audio.files import write_wav
    from restem.mixing import mix_down

    nothing = np.broadcast_to(0.0, background.samples.shape)
    plain = mix_down(background.samples, nothing, background.wav_subtype)
    write_wav(path, plain.mix, background.sample_rate, plain.subtype)


def _amended(
    result: Insertion,
    args: argparse.Namespace,
    separator: Separator | None,
    origin: dict[str, Any],
    apart: float,
) -> Insertion:
    """The insertion with the background's origin in its settings and notices.

    `apart`: seconds that a background of the user's is longer than the song.
    """
    from restem.hearing import DRUMS_ALREADY

    if separator is None:
        notices = list(result.notices)
        if abs(apart) >= 0.0005:
            longer = "longer" if apart > 0 else "shorter"
            notices.append(
                f"{args.without.name} is {abs(apart):.3f} s {longer} than {args.song.name}; stem "
                "and mix are as long as it is."
            )
        return replace(result, settings=result.settings | origin, notices=notices)
    notices = [
        f"The background is separated sound, not the original recording: {separator.name} took the "
        f"{args.stem} out, and some of it may remain or be missing; with --without FILE your own "
        "recording is used."
    ]
    notices += [
        f"Much of the old {args.stem} can still be heard in the background."
        if notice == DRUMS_ALREADY
        else notice
        for notice in result.notices
    ]
    settings = result.settings | origin | {"background": {"separator": separator.name}}
    return replace(result, settings=settings, notices=notices)
