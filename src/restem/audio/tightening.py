"""Rows of a drum stem and a beat grid in, the same rows with their attacks nearer to it, out."""

from __future__ import annotations

import numpy as np

from restem.audio.beats import BeatGrid
from restem.audio.spectrogram import SpectrogramConfig, fine_from_rows, rows_from_fine
from restem.errors import UserError

MOST_SECONDS = 0.04  # what lies further from every mark was meant to
LAG_SECONDS = 0.006  # over which an attack rises
APART_SECONDS = 0.03
RISE_DB = 6.0  # mean over the bands
FLOOR_DB = 50.0  # below the loudest moment nothing counts as an attack
BEFORE_SECONDS, AFTER_SECONDS = 0.008, 0.025  # around an attack, moved as it is
DIVISIONS = (4, 3)  # of the beat: sixteenths, or triplets where these fit better


def tightened(
    rows: np.ndarray, config: SpectrogramConfig, grid: BeatGrid, amount: float, start: float = 0.0
) -> np.ndarray:
    """Log-mel rows with fine columns (frame, column) in dB, warped in time between attacks.

    Each attack less than 40 ms from a mark of the grid goes `amount` (0 to 1) of the way to it. The
    marks are sixteenths of the song, or triplets where the attacks fit those better. `start` is
    the first row's time in seconds. Raises UserError for rows without fine columns.
    """
    if not config.fine_per_frame:
        raise UserError("This model has no fine envelope, so that its hits cannot be moved.")
    fine = fine_from_rows(rows[:, config.mels :], config)
    step = 1 / (config.frame_rate * config.fine_per_frame)
    first = start - (config.fine_per_frame // 2) * step  # time of the first fine step
    attacks, strengths = attacks_in(fine, step)
    if amount <= 0 or not len(attacks):
        return rows
    targets = _targets(attacks + first, strengths, grid) - first
    times = np.arange(len(fine)) * step
    source = _source_times(times, attacks, attacks + amount * (targets - attacks))
    warped = _interpolated(fine, source / step)
    frames = np.interp(np.arange(len(rows)) / config.frame_rate + start - first, times, source)
    mels = _interpolated(rows[:, : config.mels], (frames + first - start) * config.frame_rate)
    return np.concatenate([mels, rows_from_fine(warped, config)], axis=1).astype(rows.dtype)


def attacks_in(fine: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Times of the attacks in seconds from the first step, and how far they rise in dB."""
    lag, apart = round(LAG_SECONDS / step), round(APART_SECONDS / step)
    levels = np.maximum(fine, fine.max() - FLOOR_DB)
    before = np.concatenate([np.repeat(levels[:1], lag, axis=0), levels[:-lag]])
    rise = np.maximum(levels - before, 0).mean(axis=1)
    taken = np.zeros(len(rise), bool)
    found: list[int] = []
    for i in np.argsort(-rise, kind="stable"):
        if rise[i] < RISE_DB:
            break
        if not taken[i]:
            found.append(int(i))
            taken[max(0, i - apart + 1) : i + apart] = True
    place = np.sort(np.array(found, dtype=int))
    return (place - lag / 2) * step, rise[place]


def _targets(attacks: np.ndarray, strengths: np.ndarray, grid: BeatGrid) -> np.ndarray:
    """Where each attack belongs; its own place if no mark is near."""
    beats = grid.extended(attacks[0] - 1, attacks[-1] + 1).times
    best, lowest = attacks, np.inf
    for parts in DIVISIONS:
        marks = np.interp(
            np.arange(parts * (len(beats) - 1) + 1) / parts, np.arange(len(beats)), beats
        )
        after = np.clip(np.searchsorted(marks, attacks), 1, len(marks) - 1)
        later = marks[after] - attacks < attacks - marks[after - 1]
        nearest = marks[np.where(later, after, after - 1)]
        spacing = np.median(np.diff(marks))  # attacks at random are spacing² / 12 from a mark
        misfit = np.average(((attacks - nearest) / spacing) ** 2, weights=strengths)
        if misfit < lowest:
            best, lowest = nearest, misfit
    targets = np.where(np.abs(best - attacks) < MOST_SECONDS, best, attacks)
    for i in range(1, len(attacks)):  # a flam stays one
        if targets[i] - targets[i - 1] < APART_SECONDS / 2:
            targets[i] = attacks[i] + targets[i - 1] - attacks[i - 1]
    return targets


def _source_times(times: np.ndarray, attacks: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Which moment of the stem is to sound at each of `times`; attacks move without a stretch."""
    gaps = np.minimum(np.diff(attacks), np.diff(moved)) / 3
    before = np.minimum(BEFORE_SECONDS, np.concatenate([[np.inf], gaps]))
    after = np.minimum(AFTER_SECONDS, np.concatenate([gaps, [np.inf]]))
    edges = np.stack([-before, after], axis=1)
    knots, values = ((place[:, None] + edges).ravel() for place in (moved, attacks))
    knots = np.concatenate([[min(0.0, knots[0]) - 0.1], knots, [max(times[-1], knots[-1]) + 0.1]])
    values = np.concatenate([knots[:1], values, knots[-1:]])
    return np.interp(times, knots, values)


def _interpolated(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows between rows, linear in dB."""
    places = np.clip(places, 0, len(rows) - 1)
    low = np.minimum(places.astype(int), max(len(rows) - 2, 0))
    share = (places - low)[:, None]
    return rows[low] * (1 - share) + rows[np.minimum(low + 1, len(rows) - 1)] * share
