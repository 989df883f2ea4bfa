"""Song, stem and beats in; mel spectrograms of context, stem and mix on one time axis out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from restem.audio.beats import BeatGrid
from restem.audio.files import atomic_path
from restem.audio.room import blocks, room
from restem.audio.spectrogram import SpectrogramConfig, log_mel, mel_filters
from restem.audio.waveform import mono_from_channels, resampled

CONFIG = SpectrogramConfig(mels=128, high_hz=16000.0, floor_db=-160.0, fine_per_frame=0)
PIXELS_PER_SECOND = 60
NARROWEST, WIDEST = 700, 1800  # of a panel
PANEL_HEIGHT = 208
RANGE_DB = 72.0  # shown below the loudest point of all panels
SOFTEST_TOP_DB = -60.0  # a song of silence is dark
LEFT, RIGHT, TOP, BOTTOM, STRIP = 62, 74, 48, 34, 16  # margins; STRIP holds the beats of a panel
CLOSEST_MARKS = 5  # pixels between beat marks, below which only some are drawn

# Equal steps from dark to light of the perceptual colour map "magma" (CC0, Smith and van der Walt).
COLOURS = ("#000004", "#1c1044", "#4f127b", "#812581", "#b5367a", "#e55064", "#fb8761", "#fec287",
           "#fcfdbf")  # fmt: skip
BACKGROUND, INK, FAINT = "#14131a", "#ece9f2", "#a19cb0"
DOWNBEAT, BEAT = "#5fe3c8", "#7f8fa6"


@dataclass(frozen=True)
class _Axis:
    """Where seconds lie: `width` pixels from `LEFT` on for `seconds`."""

    seconds: float
    width: int

    def x(self, seconds: float) -> float:
        return LEFT + seconds / self.seconds * self.width


def draw_song(
    song: NDArray,
    stem: NDArray,
    sample_rate: int,
    beats: BeatGrid,
    stem_name: str,
    title: str,
) -> Image.Image:
    """The picture of two waveforms, (sample, channel): the song as context, the stem, the mix."""
    context, added = (
        resampled(mono_from_channels(x), sample_rate, CONFIG.sample_rate) for x in (song, stem)
    )
    mix = room(context.shape, np.float32)
    for b in blocks(len(mix)):
        mix[b] = context[b] + added[b]
    sounds = {"context": context, stem_name: added, "mix": mix}
    width = _width(len(song) / sample_rate)
    panels = {
        name: columns_from_frames(log_mel(wave, CONFIG), width) for name, wave in sounds.items()
    }
    filters = mel_filters(CONFIG)
    bin_hz = np.arange(filters.shape[1]) * CONFIG.sample_rate / CONFIG.n_fft
    mel_hz = filters @ bin_hz / filters.sum(axis=1)
    seconds = len(song) / sample_rate
    return draw_picture(panels, seconds, mel_hz, beats.times, beats.positions, title)


def draw_picture(
    panels: Mapping[str, NDArray],
    seconds: float,
    mel_hz: NDArray,
    beat_times: NDArray,
    beat_positions: NDArray,
    title: str,
) -> Image.Image:
    """One spectrogram under another, all on one scale of colours, so that levels can be compared.

    `panels`: label -> (frame, mel) in dB, of equal shape; `seconds`: how long the frames last;
    `mel_hz`: (mel,) rising centre frequencies; `beat_times`: (beat,) seconds; `beat_positions`:
    (beat,) with 1 for downbeats. Raises ValueError if the panels differ in shape.
    """
    if len({panel.shape for panel in panels.values()}) != 1:
        raise ValueError("all panels must have one shape")
    width = _width(seconds)
    axis = _Axis(seconds, width)
    height = TOP + len(panels) * (STRIP + PANEL_HEIGHT) + BOTTOM
    image = Image.new("RGB", (LEFT + width + RIGHT, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    loudest = max(SOFTEST_TOP_DB, *(float(panel.max()) for panel in panels.values()))
    for row, (label, panel) in enumerate(panels.items()):
        top = TOP + row * (STRIP + PANEL_HEIGHT) + STRIP
        image.paste(_panel_image(panel, loudest, width), (LEFT, top))
        _draw_beats(draw, axis, top, beat_times, beat_positions)
        _draw_frequencies(draw, top, mel_hz)
        _draw_text(draw, (LEFT + 8, top + 6), label, 15, INK, "la", outlined=True)
    _draw_seconds(draw, axis, height - BOTTOM)
    _draw_scale(image, draw, loudest)
    _draw_head(draw, axis, title)
    return image


def _width(seconds: float) -> int:
    """Pixels of a panel."""
    return int(np.clip(seconds * PIXELS_PER_SECOND, NARROWEST, WIDEST))


def save_picture(path: str | Path, image: Image.Image) -> None:
    """Write a PNG, whole or not at all; UserError if that is impossible."""
    with atomic_path(path) as part:
        image.save(part, format="PNG")


def _panel_image(panel: NDArray, loudest: float, width: int) -> Image.Image:
    brightness = np.clip((columns_from_frames(panel, width) - loudest) / RANGE_DB + 1.0, 0.0, 1.0)
    rows = np.arange(PANEL_HEIGHT)[::-1] * panel.shape[1] // PANEL_HEIGHT  # low frequencies below
    indices = np.rint(brightness[:, rows].T * 255).astype(np.uint8)
    return Image.fromarray(_colour_table()[indices])


def columns_from_frames(panel: NDArray, width: int) -> NDArray:
    """(frame, mel) to (width, mel): the maximum of the frames at each pixel, so that hits stay.

    Where there are fewer frames than pixels, each pixel takes its frame.
    """
    frames = len(panel)
    edges = np.arange(width + 1) * frames // width
    if frames <= width:
        return panel[np.minimum(edges[:-1], frames - 1)]
    return np.maximum.reduceat(panel, edges[:-1], axis=0)


@cache
def _colour_table() -> NDArray[np.uint8]:
    """(256, 3) colours from dark to light."""
    anchors = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS]
    steps = np.linspace(0, len(anchors) - 1, 256)
    table = [
        np.interp(steps, np.arange(len(anchors)), channel) for channel in zip(*anchors, strict=True)
    ]
    return np.rint(np.stack(table, axis=1)).astype(np.uint8)


def _draw_beats(
    draw: ImageDraw.ImageDraw, axis: _Axis, top: int, times: NDArray, positions: NDArray
) -> None:
    """Marks in the strip above a panel: tall for downbeats, short for beats."""
    inside = (times >= 0) & (times <= axis.seconds)
    downbeats = times[inside & (positions == 1)]
    others = times[inside & (positions != 1)]
    if _spacing(axis, times[inside]) >= CLOSEST_MARKS:
        for time in others:
            draw.line([(axis.x(time), top - 6), (axis.x(time), top - 2)], BEAT, 1)
    every = int(np.ceil(CLOSEST_MARKS / max(_spacing(axis, downbeats), 1e-3)))
    for time in downbeats[:: max(1, every)]:
        draw.line([(axis.x(time), top - 12), (axis.x(time), top - 2)], DOWNBEAT, 2)


def _spacing(axis: _Axis, times: NDArray) -> float:
    """Usual distance of neighbours in pixels."""
    if len(times) < 2:
        return float(axis.width)
    return float(np.median(np.diff(times))) / axis.seconds * axis.width


def _draw_frequencies(draw: ImageDraw.ImageDraw, top: int, mel_hz: NDArray) -> None:
    last = float("inf")
    for hz in (100, 300, 1_000, 3_000, 10_000):
        mel = float(np.interp(hz, mel_hz, np.arange(len(mel_hz)))) + 0.5
        y = top + PANEL_HEIGHT * (1 - mel / len(mel_hz))
        if not mel_hz[0] <= hz <= mel_hz[-1] or last - y < 15:
            continue
        last = y
        label = f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz"
        draw.line([(LEFT - 5, y), (LEFT - 1, y)], FAINT, 1)
        _draw_text(draw, (LEFT - 8, y), label, 12, FAINT, "rm")


def _draw_seconds(draw: ImageDraw.ImageDraw, axis: _Axis, bottom: int) -> None:
    steps = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
    wide_enough = (s for s in steps if s / axis.seconds * axis.width >= 55)
    step = next(wide_enough, axis.seconds)
    for tick in range(int(axis.seconds / step + 1e-6) + 1):
        time = tick * step
        draw.line([(axis.x(time), bottom), (axis.x(time), bottom + 5)], FAINT, 1)
        _draw_text(
            draw, (axis.x(time), bottom + 8), clock_from_seconds(time, step), 12, FAINT, "ma"
        )


def clock_from_seconds(seconds: float, step: float) -> str:
    """ "7 s" or "1:30", with as many decimals as ticks `step` seconds apart need."""
    decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
    if step >= 5 and seconds >= 60:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    return f"{seconds:.{decimals}f} s"


def _draw_scale(image: Image.Image, draw: ImageDraw.ImageDraw, loudest: float) -> None:
    """The colours beside the first panel, with the decibels they stand for."""
    x, top = image.width - RIGHT + 14, TOP + STRIP
    ramp = np.repeat(_colour_table()[::-1, None], 10, axis=1)
    image.paste(Image.fromarray(ramp).resize((10, PANEL_HEIGHT)), (x, top))
    for db in range(0, int(RANGE_DB) + 1, 24):
        y = top + (PANEL_HEIGHT - 1) * db / RANGE_DB
        _draw_text(draw, (x + 15, y), f"{loudest - db:.0f}", 12, FAINT, "lm")
    _draw_text(draw, (x + 5, top - 4), "dB", 12, FAINT, "mb")


def _draw_head(draw: ImageDraw.ImageDraw, axis: _Axis, title: str) -> None:
    right = LEFT + axis.width
    for label, colour, length in (("beat", BEAT, 4), ("downbeat", DOWNBEAT, 10)):
        _draw_text(draw, (right, 24), label, 12, FAINT, "rm")
        right -= int(draw.textlength(label, _font(12))) + 8
        draw.line([(right, 24 - length / 2), (right, 24 + length / 2)], colour, 2)
        right -= 16
    title = " ".join(title[:1000].split())
    room, font = right - LEFT - 16, _font(20)
    if draw.textlength(title, font) > room:
        lengths = range(len(title))
        cut = bisect_right(
            lengths, room, key=lambda n: int(draw.textlength(title[:n] + "...", font))
        )
        title = title[: cut - 1] + "..."
    _draw_text(draw, (LEFT, 24), title, 20, INK, "lm")


def _draw_text(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    colour: str,
    anchor: str,
    outlined: bool = False,
) -> None:
    border = 2 if outlined else 0
    draw.text(at, text, colour, _font(size), anchor, stroke_width=border, stroke_fill=BACKGROUND)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
