"""Heard beats and a correction in, the beats to use out."""

from __future__ import annotations

from restem.audio.beats import BeatGrid
from restem.errors import UserError
from restem.studio.records import Correction, Grid


def corrected(heard: Grid, correction: Correction, seconds: float) -> Grid:
    """The grid of a song of `seconds`: a given tempo first, then doubled or halved, then shifted.

    Raises UserError where that leaves no usable grid.
    """
    import numpy as np

    grid = BeatGrid(
        np.array(heard.times), np.array(heard.positions), heard.beats_per_bar, heard.confidence
    )
    if correction.bpm is not None:
        if correction.first_downbeat is None:
            from restem.hearing import at_tempo  # and with it the trackers

            grid = at_tempo(grid, correction.bpm, seconds)
            if (bars := correction.beats_per_bar) is not None:
                first = float(grid.downbeats[0])
                grid = BeatGrid.from_bpm(correction.bpm, first, seconds, bars)
        else:
            bars = correction.beats_per_bar or grid.beats_per_bar
            grid = BeatGrid.from_bpm(correction.bpm, correction.first_downbeat, seconds, bars)
    for _ in range(abs(correction.doublings)):
        grid = grid.doubled() if correction.doublings > 0 else grid.halved()
    if not 20 <= grid.bpm <= 400:
        raise UserError(f"{grid.bpm:.0f} beats a minute is no tempo; stay within 20 to 400.")
    if correction.shift:
        grid = grid.shifted(correction.shift)
    return Grid(
        times=grid.times.tolist(), positions=grid.positions.tolist(),
        beats_per_bar=grid.beats_per_bar, bpm=grid.bpm, confidence=grid.confidence,
    )  # fmt: skip
