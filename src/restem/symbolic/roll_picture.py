"""Piano rolls of a song and of its new part in; a picture, the new notes outlined in black, out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restem.symbolic.parts import KINDS
from restem.symbolic.rolls import ONSET, SOUND, STEPS_PER_QUARTER, notes_from_roll

LEFT, TOP, GAP, BOTTOM = 78, 44, 14, 26
NARROWEST, WIDEST, PER_QUARTER = 640, 6000, 22  # pixels
ROW = 6  # pixels a pitch
PAPER, LINE, BAR, INK = "#ffffff", "#e7e7ec", "#a9a9b4", "#1b1b22"
COLOURS = {"drums": "#e4a11b", "bass": "#2f7fc1", "guitar": "#c8385a", "other": "#8d93a1"}


def draw_rolls(
    parts: Mapping[str, np.ndarray], made: Mapping[str, np.ndarray], bars: np.ndarray, title: str
) -> Image.Image:
    """One panel a kind, drums above: kind -> planes (2, step, 128) as they were and as made.

    `bars` (bar, 4) in steps; each panel shows the pitches that are used in it.
    """
    steps = int(bars[-1, 0] + bars[-1, 1])
    width = int(np.clip(steps / STEPS_PER_QUARTER * PER_QUARTER, NARROWEST, WIDEST))
    panels = [
        (kind, _span([rolls[kind] for rolls in (parts, made) if kind in rolls]))
        for kind in KINDS
        if kind in parts or kind in made
    ]
    height = TOP + sum((high - low) * ROW + GAP for _, (low, high) in panels) + BOTTOM
    image = Image.new("RGB", (LEFT + width + 20, height), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((LEFT, 12), title, fill=INK, font=ImageFont.load_default(16))
    top, scale = TOP, width / steps
    for kind, (low, high) in panels:
        bottom = top + (high - low) * ROW
        _draw_frame(draw, (LEFT, top, LEFT + width, bottom), bars, scale)
        draw.text(
            (10, (top + bottom) / 2), kind, fill=INK, font=ImageFont.load_default(14), anchor="lm"
        )
        for rolls, outline in ((parts, None), (made, "#000000")):
            if kind in rolls:
                _draw_notes(draw, rolls[kind], COLOURS[kind], outline, (LEFT, bottom), low, scale)
        top = bottom + GAP
    _draw_numbers(draw, bars, scale, height - BOTTOM + 6)
    return image


def _span(rolls: list[np.ndarray]) -> tuple[int, int]:
    """Lowest and highest pitch to show, with a margin."""
    used = np.flatnonzero(np.any([planes.any(axis=(0, 1)) for planes in rolls], axis=0))
    if not len(used):
        return 58, 66
    return max(int(used[0]) - 2, 0), min(int(used[-1]) + 3, 128)


def _draw_frame(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    bars: np.ndarray,
    scale: float,
) -> None:
    left, top, right, bottom = box
    if scale * STEPS_PER_QUARTER >= 8:
        for step in range(0, int(bars[-1, 0] + bars[-1, 1]), STEPS_PER_QUARTER):
            draw.line((left + step * scale, top, left + step * scale, bottom), fill=LINE)
    for start in bars[:, 0].tolist():
        draw.line((left + start * scale, top, left + start * scale, bottom), fill=BAR)
    draw.rectangle((left, top, right, bottom), outline=BAR)


def _draw_notes(
    draw: ImageDraw.ImageDraw,
    planes: np.ndarray,
    colour: str,
    outline: str | None,
    origin: tuple[float, float],
    low: int,
    scale: float,
) -> None:
    # A stroke has no length: show it as a thirty-second, so that it can be seen.
    shortest = max(STEPS_PER_QUARTER / 8 * scale, 4)
    for start, end, pitch in notes_from_roll(planes[None, [ONSET, SOUND]]).tolist():
        x, y = origin[0] + start * scale, origin[1] - (pitch - low + 1) * ROW
        right = max(x + (end - start) * scale - 2, x + shortest)  # the edge is drawn too
        draw.rectangle((x, y, right, y + ROW - 1), fill=colour, outline=outline)


def _draw_numbers(draw: ImageDraw.ImageDraw, bars: np.ndarray, scale: float, y: float) -> None:
    last = -100.0
    for number, start in enumerate(bars[:, 0].tolist(), 1):
        if (x := LEFT + start * scale) - last >= 34:
            draw.text((x + 2, y), str(number), fill=INK, font=ImageFont.load_default(12))
            last = x
