"""Pictures of the studio's states, light, dark and on a phone, for docs/studio.md.

    python scripts/picture_studio.py [-o docs/pictures]

Needs Debian's chromium and the package playwright. Writes studio-*.png of few colours.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

SONG = Path(__file__).parents[1] / "examples" / "evening-bus.ogg"
NOTES = SONG.with_suffix(".mid")
DESK, PHONE = {"width": 1280, "height": 1000}, {"width": 390, "height": 844}

PATIENCE = 300_000  # milliseconds: the machine may be busy


def until(page: Page, expression: str, seconds: float = 300) -> None:
    """Wait for an expression of the page's."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise TimeoutError(expression)
        time.sleep(0.1)


def keep(page: Page, path: Path, whole: bool = False) -> None:
    """A screenshot with 96 colours, which keeps it small."""
    image = Image.open(io.BytesIO(page.screenshot(full_page=whole))).convert("RGB")
    image.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path} {path.stat().st_size // 1000} kB")


def main() -> int:
    """Visit every state once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/pictures"))
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "restem", "studio", "--port", "0", "--data", data]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout
                url = server.stdout.readline().split()[-1]
                with sync_playwright() as engine:
                    words = ["--no-sandbox"] if os.getuid() == 0 else []
                    program = shutil.which("chromium")
                    browser = engine.chromium.launch(executable_path=program, args=words)
                    visit(browser, url, lambda name: folder / f"studio-{name}.png")
            finally:
                server.terminate()
    return 0


def visit(browser: Browser, url: str, place: Callable[[str], Path]) -> None:  # noqa: PLR0915
    """Welcome, generating, playing, a region, the keys, phone; a song of notes; an error."""
    page = browser.new_page(viewport=DESK, color_scheme="light")
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    keep(page, place("welcome"))
    page.set_input_files("#file", SONG)
    page.wait_for_selector("#workspace:not([hidden])")
    page.select_option("#takes", "3")
    page.click("#make")
    page.wait_for_selector("#running:not([hidden])")
    until(page, "document.querySelector('#bar').value > 0.17")
    page.evaluate("scrollTo(0, 0)")
    page.emulate_media(color_scheme="dark")
    time.sleep(0.4)
    keep(page, place("making-dark"))
    page.emulate_media(color_scheme="light")
    until(page, "document.querySelectorAll('#take-list button').length === 3")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("2")
    until(page, "document.querySelector('#take-list').dataset.loaded?.endsWith('/2')")
    page.keyboard.press(" ")
    time.sleep(3)
    keep(page, place("playing"), whole=True)
    page.keyboard.press(" ")
    page.fill("#region-start", "4.9")
    page.press("#region-start", "Tab")
    page.fill("#region-end", "9.8")
    page.press("#region-end", "Tab")
    page.check("#region-only")
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.keyboard.press("+")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("s")
    page.emulate_media(color_scheme="dark")
    time.sleep(0.4)
    keep(page, place("region-dark"), whole=True)
    page.click("#show-keys")
    keep(page, place("keys-dark"))
    for scheme in ("light", "dark"):
        phone = browser.new_page(viewport=PHONE, color_scheme=scheme, device_scale_factor=1.5)
        phone.set_default_timeout(PATIENCE)
        phone.goto(page.url)
        phone.wait_for_selector("#take-list[data-loaded]")
        time.sleep(0.5)
        keep(phone, place(f"phone-{scheme}"), whole=scheme == "light")
        phone.close()
    visit_notes(browser, url, place)
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    page.emulate_media(color_scheme="light")
    bad = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no music " * 99}
    page.set_input_files("#file", bad)
    page.wait_for_selector("#alert:not([hidden])")
    keep(page, place("error"))


def visit_notes(browser: Browser, url: str, place: Callable[[str], Path]) -> None:
    """A MIDI song with a new drum part, playing; then bars to fill; then on a phone."""
    page = browser.new_page(viewport=DESK, color_scheme="light")
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#file", NOTES)
    page.wait_for_selector("[data-lane=track-0]")
    page.select_option("#takes", "2")
    page.click("#make")
    until(page, "document.querySelectorAll('#take-list button').length === 2")
    page.wait_for_selector("#take-list[data-loaded]")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(" ")
    time.sleep(3)
    keep(page, place("notes-playing"), whole=True)
    page.keyboard.press(" ")
    page.fill("#region-start", "9.8")
    page.press("#region-start", "Tab")
    page.fill("#region-end", "19.6")
    page.press("#region-end", "Tab")
    page.check("#region-only")
    page.emulate_media(color_scheme="dark")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    time.sleep(0.4)
    keep(page, place("notes-dark"), whole=True)
    phone = browser.new_page(viewport=PHONE, color_scheme="light", device_scale_factor=1.5)
    phone.set_default_timeout(PATIENCE)
    phone.goto(page.url)
    phone.wait_for_selector("#take-list[data-loaded]")
    time.sleep(0.5)
    keep(phone, place("notes-phone"))
    phone.close()
    page.close()


if __name__ == "__main__":
    sys.exit(main())
