"""The options that correct a beat, and a song, in; the beats that the user wants, out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # nothing heavy is imported before the arguments are known to be good
    from restem.audio.beats import BeatGrid
    from restem.audio.files import AudioFile


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
    from restem.hearing import at_tempo

    mono = resampled(mono_from_channels(audio.samples), audio.sample_rate, SAMPLE_RATE)
    grid = track_beats(mono)
    seconds = len(audio.samples) / audio.sample_rate
    return grid if bpm is None else at_tempo(grid, bpm, seconds)
