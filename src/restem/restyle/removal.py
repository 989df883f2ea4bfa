"""A full song and a separator in, the song without one stem out, block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from restem.audio.room import room
from restem.audio.waveform import resampled
from restem.dataset.stages.separate import Separator
from restem.errors import UserError

Progress = Callable[[float, str], None]

SEPARATED_RATE = 44100
BLOCK_SECONDS, OVERLAP_SECONDS = 30, 2  # what is worked on at once, and how far blocks fade


def remove_stem(
    song: np.ndarray,
    rate: int,
    stem: str,
    separator: Separator,
    bits: int = 24,
    progress: Progress | None = None,
) -> np.ndarray:
    """Subtract what `separator` takes for `stem` from `song`, (sample, channel) float64, in place.

    Above 22 kHz the song stays as it is. Beside the song and the mean of what was taken (sample,),
    which comes back, one block is held, however long it is. What is left is rounded to `bits`, so
    that files of that size hold it exactly.
    """
    taken = room((len(song),), np.float32)
    block, overlap = BLOCK_SECONDS * rate, OVERLAP_SECONDS * rate
    half = 1 << (bits - 1)
    rise = np.linspace(0, 1, overlap + 2)[1:-1, None]
    carried = None
    for start in range(0, max(1, len(song) - overlap), block - overlap):
        piece = song[start : start + block]
        found = _stem_of(piece, rate, stem, separator)
        if carried is not None:
            found[:overlap] = found[:overlap] * rise + carried
        done = len(piece) if start + block >= len(song) else block - overlap
        if done < len(piece):
            carried = found[done:] * rise[::-1]
        taken[start : start + done] = found[:done].mean(axis=1)
        piece[:done] = np.rint((piece[:done] - found[:done]) * half) / half
        if progress:
            progress((start + done) / len(song), f"taking the {stem} out")
    return taken


def check_stem(separator: Separator | None, stem: str) -> Separator:
    """The separator itself; UserError if it is none or does not find this stem."""
    if separator is not None and stem in separator.stems:
        return separator
    found = f"finds {', '.join(separator.stems)}, not {stem}" if separator else "takes nothing out"
    raise UserError(
        f"The separator {separator.name if separator else 'none'} {found}; choose another with "
        "--separator, or give the song without the stem with --without."
    )


def _stem_of(piece: np.ndarray, rate: int, stem: str, separator: Separator) -> np.ndarray:
    """The stem in a piece (sample, channel), of its shape and rate, from two channels at a time."""
    mix = [resampled(wave, rate, SEPARATED_RATE) for wave in piece.T]
    waves: list[np.ndarray] = []
    for first in range(0, len(mix), 2):
        pair = np.stack([mix[first], mix[min(first + 1, len(mix) - 1)]], axis=1)
        waves += list(separator.separate(pair)[stem].T)
    back = [resampled(wave, SEPARATED_RATE, rate, len(piece)) for wave in waves[: len(mix)]]
    return np.stack(back, axis=1).astype(np.float64)
