"""The picture: axes, marks and colours where they belong, for songs of every length."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from restem import picture
from restem.audio.beats import BeatGrid
from restem.errors import UserError

LABELS = ("context", "drums", "mix")


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def panels(frames: int, level: float = -80.0) -> dict[str, np.ndarray]:
    return {label: np.full((frames, 64), level, np.float32) for label in LABELS}


def draw(arrays: dict[str, np.ndarray], seconds: float, beats: BeatGrid | None = None, title="x"):
    beats = beats or BeatGrid.from_bpm(120, 0.0, max(seconds, 2.0))
    mel_hz = np.geomspace(30, 16000, 64)
    image = picture.draw_picture(arrays, seconds, mel_hz, beats.times, beats.positions, title)
    return np.asarray(image)


def panel_pixels(pixels: np.ndarray, row: int) -> np.ndarray:
    top = picture.TOP + row * (picture.STRIP + picture.PANEL_HEIGHT) + picture.STRIP
    right = pixels.shape[1] - picture.RIGHT
    return pixels[top : top + picture.PANEL_HEIGHT, picture.LEFT : right]


@pytest.mark.parametrize(
    ("seconds", "width"), [(0.1, 700), (20.0, 1200), (300.0, 1800), (3600.0, 1800)]
)
def test_the_width_follows_the_song_within_bounds(seconds, width):
    pixels = draw(panels(int(seconds * 10) + 1), seconds)
    assert pixels.shape[1] == picture.LEFT + width + picture.RIGHT


def test_a_single_loud_frame_of_a_long_song_stays_visible_in_its_place():
    arrays = panels(30_000)
    arrays["drums"][20_000] = 0.0
    pixels = draw(arrays, 300.0)
    row = panel_pixels(pixels, 1)[150].astype(int).sum(axis=1)
    assert row.argmax() == 20_000 * 1800 // 30_000
    assert (row > row.max() - 50).sum() == 1
    assert panel_pixels(pixels, 0)[150].max() < 20


def test_low_bands_lie_below():
    arrays = panels(100)
    arrays["mix"][:, 2] = 0.0
    brightness = panel_pixels(draw(arrays, 20.0), 2)[:, 600].astype(int).sum(axis=1)
    expected = picture.PANEL_HEIGHT * (1 - 2.5 / 64)
    assert abs(int(np.median(np.flatnonzero(brightness > 600))) - expected) < 3


def test_panels_share_one_scale_so_that_levels_compare():
    arrays = panels(100)
    arrays["context"][:] = 0.0
    arrays["drums"][:] = -36.0
    pixels = draw(arrays, 20.0)
    loud, soft = (tuple(panel_pixels(pixels, row)[150, 600]) for row in (0, 1))
    assert loud == rgb(picture.COLOURS[-1])
    assert soft == tuple(picture._colour_table()[128])


def test_downbeats_and_beats_are_marked_at_their_times():
    beats = BeatGrid.from_bpm(60, 2.0, 20.0)
    pixels = draw(panels(100), 20.0, beats)
    strip = pixels[picture.TOP + picture.STRIP - 4]
    for time, position in zip(beats.times[1:], beats.positions[1:], strict=True):
        colour = rgb(picture.DOWNBEAT if position == 1 else picture.BEAT)
        x = picture.LEFT + round(time * 60)
        assert colour in {tuple(pixel) for pixel in strip[x - 1 : x + 2]}, (time, position)
        between = strip[x - 40 : x - 20]
        assert (between == rgb(picture.BACKGROUND)).all()


def test_marks_thin_out_before_they_touch():
    pixels = draw(panels(3000), 1800.0, BeatGrid.from_bpm(240, 0.0, 1800.0))
    strip = pixels[picture.TOP + picture.STRIP - 4, picture.LEFT : -picture.RIGHT]
    marked = (strip == rgb(picture.DOWNBEAT)).all(axis=1)
    assert 100 < marked.sum() < len(strip) / 2
    assert not (strip == rgb(picture.BEAT)).all(axis=1).any()


def test_colours_grow_lighter_in_even_steps():
    table = picture._colour_table() / 255.0
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    # CIE 1976 lightness
    lightness = np.where(
        luminance > (6 / 29) ** 3, 116 * np.cbrt(luminance) - 16, luminance * (29 / 3) ** 3
    )
    steps = np.diff(lightness[::8])
    assert lightness[0] < 2 and lightness[-1] > 95
    assert steps.min() > 0 and steps.max() < 2 * np.median(steps)


@pytest.mark.parametrize(
    ("seconds", "step", "clock"),
    [
        (7.0, 1, "7 s"),
        (0.25, 0.05, "0.25 s"),
        (90.0, 30, "1:30"),
        (65.0, 1, "65 s"),
        (0, 30, "0 s"),
    ],
)
def test_clock(seconds, step, clock):
    assert picture.clock_from_seconds(seconds, step) == clock


def test_long_and_foreign_titles_leave_room_for_the_legend():
    plain = draw(panels(100), 2.0, title="")
    for title in ("Add drums " * 100, "鼓 \n Schlagzeug\0", "é" * 300):
        pixels = draw(panels(100), 2.0, title=title)
        assert np.array_equal(pixels[:40, 640:], plain[:40, 640:])


def test_silence_is_a_dark_picture():
    samples = np.zeros((44100, 2))
    grid = BeatGrid.from_bpm(100, 0.0, 1.0)
    image = picture.draw_song(samples, samples, 44100, grid, "drums", "Add drums")
    assert image.width == 700 + picture.LEFT + picture.RIGHT
    assert panel_pixels(np.asarray(image), 1)[40:].max() <= max(rgb(picture.COLOURS[0]))


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (96000, 6)])
def test_a_song_shows_its_tone_in_the_context_and_a_click_in_the_stem(rate, channels):
    time = np.arange(2 * rate) / rate
    song = np.tile(0.3 * np.sin(2 * np.pi * 1000 * time)[:, None], channels)
    stem = np.zeros_like(song)
    stem[rate : rate + rate // 100] = 0.5
    grid = BeatGrid.from_bpm(120, 0.0, 2.0)
    pixels = np.asarray(picture.draw_song(song, stem, rate, grid, "drums", "Add a click"))
    context, drums, mix = (panel_pixels(pixels, row).astype(int).sum(axis=2) for row in range(3))
    columns = drums[40:].max(axis=0)
    assert abs(int(np.flatnonzero(columns > columns.max() * 0.9).mean()) - 350) < 12
    tone = context[30:, 100:300].mean(axis=1).argmax()
    assert tone == mix[30:, 100:300].mean(axis=1).argmax()
    assert context[30 + tone, 200] > 600


def test_unequal_panels_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        draw(panels(10) | {"mix": np.zeros((11, 64), np.float32)}, 1.0)


def test_saving_is_whole_or_not_at_all(tmp_path):
    image = Image.new("RGB", (20, 10))
    picture.save_picture(tmp_path / "a.png", image)
    assert Image.open(tmp_path / "a.png").size == (20, 10)
    with pytest.raises(UserError, match="Could not write"):
        picture.save_picture(tmp_path / "missing" / "a.png", image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
