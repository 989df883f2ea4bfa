"""The studio's page in a real Chromium: everything a musician does, with the shipped model."""

import base64
import io
import itertools
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from midi_builders import band, events_of
from studio_server import short_song, studio

pytest.importorskip("fastapi")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NOT TESTED: the page; install Debian's package chromium"
)
SECONDS = 8.0


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    return short_song(tmp_path_factory.mktemp("song") / "evening bus.wav", seconds=SECONDS)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with studio(tmp_path_factory.mktemp("studio") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        words = ["--no-sandbox"] if os.getuid() == 0 else []
        opened = engine.chromium.launch(executable_path=CHROMIUM, args=words)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def complaints():
    return []


@pytest.fixture(scope="module")
def page(browser, server, complaints):
    """One page for all tests of this file, which follow one another as a musician's visit does."""
    opened = watched(browser, server, complaints)
    opened.goto(server.url)
    opened.wait_for_selector("body[data-ready]")
    yield opened
    opened.close()


@pytest.fixture
def tab(browser, server, complaints):
    """A page of its own, still empty, for what does not belong to that visit."""
    opened = watched(browser, server, complaints)
    yield opened
    opened.unroute_all(behavior="ignoreErrors")
    opened.close()


def watched(browser, server, complaints):
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened.set_default_timeout(60_000)
    opened.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda r: r.url.startswith((server.url, "blob:")) or
              complaints.append(f"asked {r.url}"))  # fmt: skip
    return opened


def until(page, expression, seconds=180):
    """Wait for an expression; Playwright's own wait would need eval, which the page forbids.

    Or for a function's yes; meanwhile held requests are handed out.
    """
    end = time.monotonic() + seconds
    while not (expression() if callable(expression) else page.evaluate(expression)):
        assert time.monotonic() < end, f"never: {expression}"
        page.wait_for_timeout(50)


def drop(page, name, content):
    """Drop a file onto the page."""
    script = """async ([name, bytes]) => {
        const data = new DataTransfer();
        const content = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
        data.items.add(new File([content], name));
        for (const kind of ["dragover", "drop"]) document.querySelector("main").dispatchEvent(
            new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(script, [name, base64.b64encode(content).decode()])


def open_song(page, server, song):
    page.goto("about:blank")
    page.goto(f"{server.url}#song={song['id']}")
    page.wait_for_selector("body[data-ready]")
    page.wait_for_selector("#workspace:not([hidden])")


def hold_reading(page, name):
    """For this page alone songs called `name` are being read until the list returned is empty."""
    held = [name]

    def answer(route):
        if route.request.method != "GET":
            return route.continue_()
        found = route.fetch().json()
        for song in found if isinstance(found, list) else [found]:
            if song["name"] in held:
                song["state"] = "preparing"
        return route.fulfill(json=found)

    page.route(re.compile(r"/api/songs(/[\w-]{22})?$"), answer)
    return held


def axe_is_content(page, where):
    """It finds nothing serious and nothing runs off the side: wide and narrow, light and dark."""
    page.evaluate(AXE.read_text())
    for width, scheme in itertools.product((1280, 390), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = page.evaluate("axe.run()")
        grave = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        bad = [(v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in grave]
        assert not bad and len(found["passes"]) > 15, (where, width, scheme, bad)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0  # nothing runs off the side


def position(page):
    return float(page.get_attribute("#overlay-canvas", "data-position"))


def few_steps(page, steps):
    page.evaluate("document.querySelector('#ask details').open = true")
    page.fill("#steps", str(steps))


def test_it_loads_in_under_a_second(page):
    sizes = page.evaluate(
        "performance.getEntriesByType('resource').reduce((sum, r) => sum + r.transferSize, 0)"
    )
    assert 50_000 < sizes < 200_000
    times = []
    for _ in range(5):  # the best of five, since other programs may be busy
        page.reload()
        page.wait_for_selector("body[data-ready]")
        times.append(page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
        if times[-1] < 1000:
            break
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    if min(times) >= 1000 and busy > 2:
        pytest.skip(f"NOT TESTED: {min(times):.0f} ms on a machine {busy:.0f} times overbooked")
    assert min(times) < 1000


def test_drop_a_song(page, wav):
    drop(page, wav.name, wav.read_bytes())
    page.wait_for_selector("#workspace:not([hidden])")
    assert page.inner_text("#song-name") == "evening bus.wav"
    assert "BPM" in page.inner_text("#beat-words")
    bright = """() => {
        const c = document.querySelector(".picture");
        const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
        return data.some((value, i) => i % 4 < 3 && value > 150);
    }"""
    until(page, bright, 5)  # the spectrogram is drawn


def test_the_words_teach(page):
    page.fill("#sentence", "Add funk drums")
    page.get_by_role("button", name="brushed", exact=True).click()
    page.get_by_role("button", name="loud", exact=True).click()
    assert page.input_value("#sentence") == "Add loud brushed funk drums"
    page.get_by_role("button", name="soft", exact=True).click()  # instead of loud
    page.get_by_role("button", name="brushed", exact=True).click()  # out again
    assert page.input_value("#sentence") == "Add soft funk drums"
    assert page.input_value("#style") == "funk"
    page.select_option("#style", "bossa nova")
    assert page.input_value("#sentence") == "Add soft bossa nova drums"


def test_every_stem_has_its_own_sentence(page):
    """What is typed for one stays when one looks at another; kits are for drums alone."""
    stems = page.eval_on_selector_all("#stem option", "all => all.map((one) => one.value)")
    assert stems == ["drums", "bass", "guitar", "keys"]
    drums = page.input_value("#sentence")
    page.select_option("#stem", "bass")
    assert page.inner_text("#make") == "Make bass" and "bass" in page.input_value("#sentence")
    assert not page.is_visible("#chips-Kit") and page.is_visible("#chips-Dynamics")
    page.fill("#sentence", "Add a bass line")
    page.click("#chips button:text-is('busy')")
    assert page.input_value("#sentence") == "Add a busy bass line"
    page.select_option("#stem", "drums")
    assert page.input_value("#sentence") == drums and page.is_visible("#chips-Kit")
    page.select_option("#stem", "bass")
    assert page.input_value("#sentence") == "Add a busy bass line"
    page.select_option("#stem", "drums")


def test_make_two_takes_and_watch(page):
    few_steps(page, 6)
    page.select_option("#takes", "2")
    page.click("#make")
    page.wait_for_selector("#running:not([hidden])")
    until(page, "document.querySelector('#bar').value > 0.1")
    page.reload()  # in the middle
    page.wait_for_selector("#running:not([hidden])")
    until(page, "document.querySelectorAll('#take-list button').length === 2")
    page.wait_for_selector("#take-list[data-loaded]")
    assert page.is_hidden("#running")


def test_play_seek_and_pause_by_keys(page):
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    page.wait_for_selector("#play[aria-label=Pause]")
    until(page, "Number(document.querySelector('#overlay-canvas').dataset.position) > 0.5", 10)
    page.keyboard.press(" ")
    page.wait_for_selector("#play[aria-label=Play]")
    at = position(page)
    page.keyboard.press("ArrowRight")
    assert position(page) == pytest.approx(at + 60 / 98, abs=0.03)
    page.keyboard.press("Shift+ArrowLeft")
    assert position(page) == pytest.approx(max(0, at - 3 * 60 / 98), abs=0.1)
    page.keyboard.press("Home")
    assert position(page) == 0


def test_solo_mute_and_takes_by_keys(page):
    head = "[data-lane=stem]"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("s")
    assert page.get_attribute(f"{head} .solo", "aria-pressed") == "true"
    assert page.locator(".lane-body.silent").count() == 2  # song and mix
    page.keyboard.press("s")
    page.keyboard.press("m")
    assert page.get_attribute(f"{head} .mute", "aria-pressed") == "true"
    page.keyboard.press("m")
    for key, take in (("2", "2"), ("b", "1"), ("b", "2"), ("1", "1")):
        page.keyboard.press(key)
        assert page.inner_text("#take-list [aria-checked=true]") == take
    page.focus("#take-list [aria-checked=true]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#take-list button:nth-child(2):focus[aria-checked=true]")
    page.locator("#history button").first.focus()  # Listen: the first take
    page.keyboard.press("Enter")
    assert page.inner_text("#take-list [aria-checked=true]") == "1"
    assert page.inner_text("#history button:focus") == "Listen"


def test_all_lanes_sound_at_one_tick(page):
    """Player renders song and stem into an offline context: their sum, sample for sample."""
    error = page.evaluate(
        """async () => {
        const { Player } = await import("/page/player.js");
        const { parseWav } = await import("/page/wav.js");
        const bytes = async (path) => (await fetch(path)).arrayBuffer();
        const words = new URLSearchParams(location.hash.slice(1));
        const song = parseWav(await bytes(`/api/songs/${words.get("song")}/audio`));
        const take = `/api/jobs/${words.get("job")}/takes/1`;
        const stem = parseWav(await bytes(`${take}/stem`));
        const mix = parseWav(await bytes(`${take}/mix`));
        window.AudioContext = class extends OfflineAudioContext {
            constructor({ sampleRate }) { super(2, 3 * sampleRate, sampleRate); }
            async resume() {}
            async close() {}
        };
        const player = new Player();
        player.setSong(song);
        await player.setStem("take", async () => stem);
        player.seek(1);
        await player.play();
        const sound = await player.context.startRendering();
        let worst = 0, loud = 0;
        const lead = Math.round(0.06 * song.sampleRate), first = song.sampleRate;
        for (let c = 0; c < 2; c++) {
            const heard = sound.getChannelData(c);
            for (let i = first; i < 2 * first; i++) {
                const sum = song.channels[c][first + i] + stem.channels[c][first + i];
                worst = Math.max(worst, Math.abs(heard[i + lead] - sum),
                                 Math.abs(mix.channels[c][first + i] - sum));
                loud = Math.max(loud, Math.abs(stem.channels[c][first + i]));
            }
        }
        return [worst, loud];
    }"""
    )
    assert error[1] > 0.02 and error[0] < 1e-6


def test_fill_a_region(page, server):
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#overlay-canvas").bounding_box()
    x = lambda seconds: box["x"] + box["width"] * seconds / SECONDS  # noqa: E731
    page.mouse.move(x(2.0), box["y"] + 40)
    page.mouse.down()
    page.mouse.move(x(4.0), box["y"] + 40, steps=5)
    page.mouse.up()
    assert float(page.input_value("#region-start")) == pytest.approx(2.0, abs=0.05)
    page.click("#region-bars")
    page.fill("#region-end", "4.5")
    page.press("#region-end", "Tab")
    page.check("#region-only")
    for stem, words in (("bass", "there will be silence"), ("drums", "stays as it is")):
        page.select_option("#stem", stem)  # a bass does not go on from a take of drums
        assert words in page.inner_text("#region-words")
    page.select_option("#takes", "1")
    page.fill("#seed", "31")
    before = page.get_attribute("#downloads a", "href")
    few_steps(page, 2)
    page.fill("#guidance", "4.5")
    page.click("#make")
    until(page, f"document.querySelector('#downloads a').getAttribute('href') !== '{before}'")
    after = page.get_attribute("#downloads a", "href")
    old, new = (soundfile.read(io.BytesIO(server.file(path)))[0] for path in (before, after))
    start, end = round(float(page.input_value("#region-start")) * 44100), round(4.5 * 44100)
    changed = np.flatnonzero(np.any(old != new, axis=1))
    assert start - 500 <= changed[0] and changed[-1] < end and len(changed) > 20000
    page.click("#loop")
    page.keyboard.press("l")  # the same as the button
    assert page.get_attribute("#loop", "aria-pressed") == "false"
    page.click("#region-clear")


def test_settings_come_back_with_their_base(page, server):
    job, first = server.client.get("/api/jobs").json()[:2]
    base = job["request"]["base"]
    assert base["job"] == first["id"] not in page.url
    entry = page.locator("#history li").first
    for words in ("steps 2", "guidance 4.5", f"from take {base['take']}"):
        assert words in entry.inner_text()
    page.fill("#seed", "5")
    entry.get_by_role("button", name="Use settings").click()
    assert page.url.endswith(f"&job={base['job']}&take={base['take']}")
    assert page.input_value("#seed") == "31" and page.input_value("#guidance") == "4.5"
    assert f"take {base['take']} stays as it is" in page.inner_text("#region-words")
    page.click("#region-clear")
    page.fill("#guidance", "")


def test_correct_the_beat(page):
    heard = page.inner_text("#beat-words")
    page.click("#beat-half")
    until(page, "parseFloat(document.querySelector('#beat-words').textContent) < 60", 20)
    page.click("#beat-reset")
    until(page, f"document.querySelector('#beat-words').textContent === {heard!r}", 20)
    page.evaluate("document.activeElement.blur()")
    for _ in range(5):
        page.keyboard.press("t")
        time.sleep(0.35)
    assert page.is_enabled("#tap-use") and "BPM" in page.inner_text("#tap-words")
    page.click("#tap-use")
    until(page, "document.querySelector('#beat-words').textContent.includes('as you set it')", 20)
    page.click("#beat-reset")


def test_cancel(page):
    few_steps(page, 200)
    page.select_option("#takes", "9")
    page.click("#make")
    page.wait_for_selector("#running:not([hidden])")
    page.click("#cancel")
    until(page, "document.querySelector('#running').hidden", 5)
    until(page, "document.querySelector('#history').textContent.includes('cancelled')", 5)


def test_download_and_subtract(page, wav, tmp_path):
    sounds = {}
    for title in ("Stem", "Mix"):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=title, exact=True).click()
        assert waiting.value.suggested_filename.startswith("evening bus.")
        waiting.value.save_as(tmp_path / f"{title}.wav")
        sounds[title] = soundfile.read(tmp_path / f"{title}.wav", dtype="int16")[0].astype(int)
    upload = soundfile.read(wav, dtype="int16")[0].astype(int)
    np.testing.assert_array_equal(sounds["Mix"] - sounds["Stem"], upload)


def open_band(page, server):
    page.goto(server.url)
    page.wait_for_selector("body[data-ready]")
    midi = {"name": "my band.mid", "mimeType": "audio/midi", "buffer": band(4)}
    page.set_input_files("#file", midi)
    page.wait_for_selector("[data-lane=track-2]")


def test_a_song_of_notes_gets_a_part(page, server, tmp_path):
    open_band(page, server)
    assert page.is_hidden("#beat-half") and page.is_hidden("[data-lane=mix]")
    assert page.locator(".lane-head:not([hidden]) h3").all_inner_texts() == [
        "Bass", "Guitar", "Piano"]  # fmt: skip
    assert page.inner_text("#make") == "Make drums"  # they are what is missing
    page.get_by_role("button", name="bossa nova", exact=True).click()
    page.select_option("#density", "busy")
    few_steps(page, 4)
    page.select_option("#takes", "2")
    page.click("#make")
    until(page, "document.querySelectorAll('#take-list button').length === 2")
    page.wait_for_selector("#take-list[data-loaded]")
    shown = int(page.get_attribute("canvas.roll.made", "data-notes"))
    assert f"{shown} notes" in page.inner_text("#take-words")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="MIDI", exact=True).click()
    assert waiting.value.suggested_filename == "my band.drums.mid"
    waiting.value.save_as(tmp_path / "out.mid")
    tracks = events_of((tmp_path / "out.mid").read_bytes())
    assert tracks[:4] == events_of(band(4))
    assert sum(e.type == "note_on" and e.velocity > 0 for e in tracks[4]) == shown > 20


def test_the_new_notes_are_outlined(page):
    """Around filled notes lie pixels as dark as the ink: in the lane that was made, only there."""
    count = """(selector) => {
        const canvas = document.querySelector(selector);
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let dark = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 100 && data[i] < 70) dark++;
        return dark;
    }"""
    assert page.evaluate(count, "canvas.roll.made") > 100
    piano = "[data-lane=track-2] + .lane-body canvas"
    assert page.evaluate(count, piano) == 0 < int(page.get_attribute(piano, "data-notes"))


def test_notes_play_and_take_the_same_keys(page):
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    until(page, "Number(document.querySelector('#overlay-canvas').dataset.position) > 0.3", 10)
    page.keyboard.press(" ")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert position(page) == pytest.approx(0.5, abs=0.01)  # a beat at 120
    page.keyboard.press("ArrowDown")
    page.keyboard.press("s")
    assert page.get_attribute("[data-lane=track-0] .solo", "aria-pressed") == "true"
    assert page.locator(".lane-body.silent:not([hidden])").count() == 3
    page.keyboard.press("s")
    page.keyboard.press("2")
    assert page.inner_text("#take-list [aria-checked=true]") == "2"


def test_notes_sound_at_their_time_and_pitch(page):
    """The player renders a tune into an offline context: silence, then each note's own pitch."""
    sound = page.evaluate(
        """async () => {
        const { NotePlayer } = await import("/page/note_player.js");
        const rate = 32000, Real = window.AudioContext;
        window.AudioContext = class extends OfflineAudioContext {
            constructor() { super(1, 1.5 * rate, rate); }
            async resume() {}
        };
        const render = async (change) => {
            const player = new NotePlayer();
            const notes = [[0.25, 0.7, 69, 100], [0.75, 1.2, 76, 100]];
            await player.setSong({ tune: { channel: 0, kind: "other", program: 73, notes } }, 4);
            if (change) player.setLane("tune", change);
            await player.play();
            const sound = await player.context.startRendering();
            player.pause();
            return Array.from(sound.getChannelData(0));
        };
        const heard = [await render(), await render({ mute: true })];
        window.AudioContext = Real;
        return heard;
    }"""
    )
    heard, muted = (np.array(one) for one in sound)
    rate, lead = 32000, 0.06
    assert np.abs(heard[: int((lead + 0.24) * rate)]).max() < 1e-4
    for start, pitch in ((0.25, 440.0), (0.75, 659.26)):
        first = int((lead + start + 0.1) * rate)
        part = heard[first : first + 10240] * np.hanning(10240)
        assert np.abs(part).max() > 0.01
        peak = np.argmax(np.abs(np.fft.rfft(part, 1 << 17))) * rate / (1 << 17)
        octave = 2 ** round(np.log2(peak / pitch))  # a flute's second partial may be the strongest
        assert 1 <= octave <= 2 and peak == pytest.approx(octave * pitch, rel=0.012)
    assert np.abs(muted[rate // 4 :]).max() < 1e-4  # after the level's own 8 ms


def test_bars_of_a_song_of_notes_are_filled(page):
    page.fill("#region-start", "2")
    page.press("#region-start", "Tab")
    page.fill("#region-end", "4")
    page.press("#region-end", "Tab")
    page.check("#region-only")
    assert "bars" in page.inner_text("#region-words")
    page.select_option("#stem", "bass")
    assert page.inner_text("#make") == "Make bass"
    page.select_option("#takes", "1")
    page.click("#make")
    page.wait_for_selector("[data-lane=made] h3:text-is('New bass')")
    assert "bass" in page.inner_text("#take-words")


@pytest.mark.skipif(not AXE.exists(), reason="NOT TESTED: axe; run npm --prefix tests install")
def test_axe_finds_nothing_serious(browser, server):
    """In a song of sound, one of notes and none; wide and narrow; light and dark."""
    songs = [f"{server.url}#song={song['id']}" for song in server.client.get("/api/songs").json()]
    assert len(songs) == 2
    other = browser.new_page(reduced_motion="reduce")
    for where in (*songs, server.url):
        other.goto("about:blank")
        other.goto(where)
        other.wait_for_selector("body[data-ready]")
        axe_is_content(other, where)
    other.close()


def test_a_bad_file_is_answered_in_a_sentence(page, server):
    page.goto(server.url)
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#file", {"name": "no.wav", "mimeType": "audio/wav", "buffer": b"no" * 99})
    page.wait_for_selector("#alert:not([hidden])")
    assert "no.wav cannot be read as audio" in page.inner_text("#alert")


def test_a_job_that_ends_while_its_song_is_fetched(tab, server, wav):
    song = server.ready(server.upload(wav))
    job, held = server.ask(song, steps=12), []  # longer than a busy machine takes to open a page
    tab.route("**/audio", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks it
    with tab.expect_response(lambda answer: "/api/jobs?song=" in answer.url) as asked:
        tab.goto(f"{server.url}#song={song['id']}", wait_until="commit")
    assert asked.value.json()[0]["takes"] == []  # what the page knows is old at once
    assert server.over(job)["state"] == "done"
    until(tab, lambda: held)
    held[0].continue_()
    tab.wait_for_selector("#take-list[data-loaded]")
    assert tab.locator("#take-list button").count() == 1 and tab.is_hidden("#running")


def test_a_reload_while_a_song_is_read(tab, server, wav):
    held = hold_reading(tab, "slow.wav")
    tab.goto(server.url)
    tab.wait_for_selector("body[data-ready]")
    tab.set_input_files(
        "#file", {"name": "slow.wav", "mimeType": "audio/wav", "buffer": wav.read_bytes()}
    )
    tab.wait_for_selector("#uploading:has-text('Reading it')")
    song = tab.url.partition("#song=")[2]
    assert len(song) == 22
    tab.reload()
    tab.wait_for_selector("#uploading:has-text('Reading it')")
    tab.wait_for_selector(f"#welcome [data-song='{song}'] .open:has-text('being read')")
    assert tab.url.endswith(f"#song={song}")
    held.clear()
    tab.wait_for_selector("#workspace:not([hidden])")
    assert tab.inner_text("#song-name") == "slow.wav"
    until(tab, "document.querySelector('#uploading').hidden", 10)


def test_songs_that_cannot_be_read_are_listed_with_the_reason(tab, server):
    tab.goto(server.url)
    tab.wait_for_selector("body[data-ready]")
    song = server.upload(content=b"no" * 99, name="news.wav")  # by somebody else
    item = tab.locator(f"[data-song='{song['id']}']")
    item.wait_for()
    assert "news.wav cannot be read as audio" in item.inner_text()
    assert item.get_by_role("button").all_inner_texts() == ["Delete"]
    tab.on("dialog", lambda dialog: dialog.accept())
    item.get_by_role("button").click()
    item.wait_for(state="detached")


def test_a_song_dropped_onto_an_open_one(tab, server, wav):
    open_song(tab, server, server.ready(server.upload(wav)))
    held = hold_reading(tab, "second.wav")
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    drop(tab, "second.wav", wav.read_bytes())
    tab.wait_for_selector("#uploading:has-text('Reading it')")
    assert tab.is_visible("#workspace")
    box = tab.locator("#uploading").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 900  # wherever one is on the page
    held.clear()
    until(tab, "document.querySelector('#song-name').textContent === 'second.wav'", 20)
    until(tab, "document.querySelector('#uploading').hidden", 10)


@pytest.mark.skipif(not AXE.exists(), reason="NOT TESTED: axe; run npm --prefix tests install")
def test_axe_finds_nothing_serious_while_songs_are_read(browser, server, wav):
    """In the list of songs, one of which failed, and over an open song."""
    server.ready(server.upload(content=b"no" * 99, name="no.wav"))
    ready = server.ready(server.upload(wav))
    other = browser.new_page()
    hold_reading(other, "third.wav")
    other.goto(server.url)
    other.wait_for_selector("body[data-ready]")
    for where in ("the list", "an open song"):
        drop(other, "third.wav", wav.read_bytes())
        other.wait_for_selector("#uploading:has-text('Reading it')")
        if where == "the list":
            other.wait_for_selector("#recent-songs .open:has-text('being read')")
            assert other.is_visible("#recent-songs .failed")
        axe_is_content(other, where)
        if where == "the list":
            other.click(f"[data-song='{ready['id']}'] .open")
            other.wait_for_selector("#workspace:not([hidden])")
    assert other.is_visible("#workspace")
    other.unroute_all(behavior="ignoreErrors")
    other.close()


def test_playing_draws_once_a_frame_and_announces_nothing(tab, server, wav):
    open_song(tab, server, server.ready(server.upload(wav)))
    tab.click("#play")
    tab.wait_for_selector("#play[aria-label=Pause]")
    for _ in range(10):
        tab.click("#to-start")
    asked, announced, before, after = tab.evaluate(
        """async () => {
        const real = requestAnimationFrame.bind(window), clock = document.querySelector("#clock");
        const spoken = "output, [role=status], [role=alert], [aria-live]:not([aria-live=off])";
        let asked = 0, announced = 0;
        const watch = new MutationObserver((changes) => { announced += changes.length; });
        for (const node of document.querySelectorAll(spoken))
            watch.observe(node, { childList: true, characterData: true, subtree: true });
        const before = clock.textContent;
        window.requestAnimationFrame = (call) => { asked++; return real(call); };
        for (let frame = 0; frame < 30; frame++) await new Promise((go) => real(go));
        window.requestAnimationFrame = real;
        return [asked, announced, before, clock.textContent];
    }"""
    )
    assert 28 <= asked <= 32
    assert announced == 0 and before != after
    tab.click("#play")


def test_play_asked_twice_sounds_once(tab, server):
    tab.goto(server.url)
    tab.wait_for_selector("body[data-ready]")
    starts = tab.evaluate(
        """async () => {
        const { Transport } = await import("/page/transport.js");
        const starts = async (...acts) => {
            let count = 0, wake;
            const awake = new Promise((go) => { wake = go; });
            const context = { currentTime: 0, resume: () => awake };
            const player = Object.assign(new Transport(), {
                context, ready: true, duration: 9, sound: () => { count++; }, silence: () => {},
            });
            const asked = acts.map((act) => player[act]());
            wake();
            await Promise.all(asked);
            return [count, player.playing];
        };
        return [await starts("play", "play"), await starts("play", "pause"),
                await starts("play", "pause", "play")];
    }"""
    )
    assert starts == [[1, True], [0, False], [1, True]]


def test_quick_corrections_all_count_and_late_ones_stay_with_their_song(tab, server, wav):
    first, second = (server.ready(server.upload(wav, name=name)) for name in ("1.wav", "2.wav"))
    now = lambda song: server.ready(song)["correction"]  # noqa: E731
    twice = (
        "(button) => { button = document.querySelector(button); button.click(); button.click(); }"
    )
    open_song(tab, server, first)
    tab.evaluate(twice, "[data-shift='1']")
    until(tab, lambda: now(first)["shift"] == 2, 10)
    tab.evaluate(twice, "#beat-half")
    until(tab, lambda: now(first)["doublings"] == -2, 10)
    assert now(first)["shift"] == 2
    until(tab, "document.querySelector('#beat-half').disabled", 10)
    held = []
    tab.route("**/beats", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks it
    tab.click("[data-shift='1']")
    tab.click("#other-song")
    tab.click(f"[data-song='{second['id']}'] .open")
    until(tab, "document.querySelector('#song-name').textContent === '2.wav'", 20)
    words = tab.inner_text("#beat-words")
    until(tab, lambda: held)
    with tab.expect_response("**/beats"):
        held[0].continue_()
    tab.unroute("**/beats")
    assert now(first)["shift"] == 3
    tab.click("[data-shift='1']")
    until(tab, lambda: now(second)["shift"] == 1, 10)
    assert now(first)["shift"] == 3 and tab.inner_text("#beat-words") == words


def test_nothing_went_wrong_and_nothing_was_asked_of_others(complaints):
    assert complaints == []
