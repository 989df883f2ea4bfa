"""The command line around a stand-in for the model: arguments, errors, files, overwriting.

The stand-in clicks on the beats that it is given; everything else is the real thing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

import restem.results  # before a test gives up the right to read the package
from restem import __version__, cli
from restem.arguments import region_of
from restem.audio.beats import BeatGrid
from restem.insertion import Inserter, Insertion
from restem.progress import Progress

RATE = 22050
ELSEWHERE = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}  # from any folder
NAMES = ["song.drums.json", "song.drums.wav", "song.mix.wav", "song.png"]
SAY = "Add jazzy drums"


@dataclass
class StandIn:
    """Plays a click on each beat; `failure` is raised half-way."""

    failure: BaseException | None = None
    level: float = 0.3
    calls: int = 0
    received: dict | None = None

    def insert(self, samples, sample_rate, instruction, *, progress=None, **options):
        self.calls += 1
        self.received = options | {"instruction": instruction, "shape": samples.shape}
        progress(0.5, "playing")
        if self.failure is not None:
            raise self.failure
        seconds = len(samples) / sample_rate
        beats = options["beats"] or BeatGrid.from_bpm(options["bpm"] or 100.0, 0.25, seconds)
        stem = np.zeros_like(samples)
        for beat in beats.times[beats.times < seconds]:
            stem[round(beat * sample_rate)] = self.level
        settings = {"instruction": instruction, "seed": options["seed"], "stem": options["stem"]}
        notices = ["This song seems to have drums already."]
        return Insertion(stem, sample_rate, beats, settings, notices)


@pytest.fixture
def model(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setattr(Inserter, "load", lambda model, stem="drums": stand_in)
    return stand_in


@pytest.fixture
def song(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples = np.random.default_rng(0).normal(0, 0.1, (3 * RATE + 1, 2))
    sf.write("song.flac", samples, RATE, subtype="PCM_16")
    return Path("song.flac")


def run(*words) -> int:
    return cli.main([str(word) for word in words])


def listing(folder: str = "restem-out") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def read(name: str) -> np.ndarray:
    return sf.read(f"restem-out/{name}", dtype="int16")[0]


# ---- the whole way ----


def test_four_files_are_written_and_the_song_is_not_touched(song, model, capsys):
    before = song.read_bytes()
    assert run("insert", song, SAY, "--seed", 7, "--steps", 5, "--guidance", 2.5) == 0
    assert listing() == NAMES
    assert song.read_bytes() == before
    original = sf.read(song, dtype="int16")[0]
    assert np.array_equal(read("song.mix.wav") - read("song.drums.wav"), original)
    assert sf.info("restem-out/song.mix.wav").subtype == "PCM_16"
    assert Image.open("restem-out/song.png").format == "PNG"
    options = model.received
    assert (options["seed"], options["steps"], options["guidance"]) == (7, 5, 2.5)
    assert options["shape"] == original.shape and options["beats"] is None
    output = capsys.readouterr()
    assert output.out.splitlines()[:4] == [f"restem-out/{name}" for name in
        ("song.drums.wav", "song.mix.wav", "song.drums.json", "song.png")]  # fmt: skip
    assert "Tempo 100.0 BPM, 4 beats in a bar, first downbeat at 0.25 s" in output.out
    for way in ("--half", "--double", "--shift", "--bpm", "--beats"):
        assert way in output.out
    assert "restem: note: This song seems to have drums already." in output.err


def test_the_record_says_what_made_the_files(song, model):
    assert run("insert", song, SAY, "--subtype", "pcm_24", "--bpm", 90) == 0
    record = json.loads(Path("restem-out/song.drums.json").read_text())
    assert record["instruction"] == SAY and record["seed"] == 0
    assert record["song"]["sha256"] == hashlib.sha256(song.read_bytes()).hexdigest()
    assert record["song"]["samples"] == 3 * RATE + 1 and record["song"]["channels"] == 2
    assert record["output"] == {"subtype": "PCM_24", "stem_gain_db": 0.0, "song_rounded": False}
    assert record["request"]["bpm"] == 90 and record["made_with"]["numpy"] == np.__version__
    Path("beats.txt").write_text("\n".join(record["beats"]))
    stem = read("song.drums.wav")
    assert run("insert", song, SAY, "--subtype", "PCM_24", "--beats", "beats.txt", "--force") == 0
    assert np.array_equal(read("song.drums.wav"), stem)


def test_the_same_command_makes_the_same_bytes(song, model):
    kept = []
    for _ in range(2):
        assert run("insert", song, SAY, "--force", "--subtype", "FLOAT") == 0
        kept.append([Path("restem-out", name).read_bytes() for name in NAMES])
    assert kept[0] == kept[1]


def test_silence_goes_through(song, model):
    model.level = 0.0
    sf.write("still.wav", np.zeros((RATE, 1)), RATE, subtype="PCM_U8")
    assert run("insert", "still.wav", SAY) == 0
    assert not read("still.mix.wav").any() and len(read("still.mix.wav")) == RATE


def test_a_song_at_full_scale_becomes_float_with_a_note(song, model, capsys):
    sf.write("loud.wav", np.tile([[1.0], [-1.0]], (RATE, 1)), RATE, subtype="PCM_16")
    assert run("insert", "loud.wav", SAY) == 0
    assert sf.info("restem-out/loud.drums.wav").subtype == "FLOAT"
    assert "32-bit float" in capsys.readouterr().err


def test_a_coarser_format_is_a_note(song, model, capsys):
    assert run("insert", song, SAY, "--subtype", "PCM_U8") == 0
    assert "PCM_U8 is coarser than the song" in capsys.readouterr().err


def test_compressed_songs_become_24_bit_without_a_note_about_it(song, model, capsys):
    sf.write("song.ogg", sf.read(song)[0], RATE)
    assert run("insert", "song.ogg", SAY) == 0
    assert sf.info("restem-out/song.mix.wav").subtype == "PCM_24"
    assert "coarser" not in capsys.readouterr().err


def test_names_keep_their_inner_dots(song, model):
    song.rename("a song.v2.flac")
    assert run("insert", "a song.v2.flac", SAY, "-o", "deep/er") == 0
    assert "a song.v2.drums.wav" in listing("deep/er")


@pytest.mark.parametrize(
    ("text", "region"),
    [("0:30-1:00", (30, 60)), ("1-2.5", (1, 2.5)), ("1:00:01-1:00:02.25", (3601, 3602.25))],
)
def test_a_region_is_given_in_seconds_or_minutes(text, region):
    assert region_of(text) == region


def test_a_region_is_given_to_the_model(song, model):
    assert run("insert", song, SAY, "--region", "1-0:02.5") == 0
    assert model.received["region"] == (1, 2.5)


@pytest.mark.parametrize("place", [["--region", "7-9"], ["--beats", "beats.txt", "--bars", "4-9"]])
def test_a_place_after_the_songs_end_is_one_sentence_and_nothing_else(
    song, model, beats_file, capsys, place
):
    assert run("insert", song, SAY, *place) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("restem: error: The ") and ("ends at 3.00 s" in said or "beyond" in said)
    assert not Path("restem-out").exists() and model.calls == 0


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_that_must_be_heard_first_leave_the_error_alone_on_its_line(
    song, model, monkeypatch, terminal
):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    assert run("insert", song, SAY, "--bars", "40-50") == 2
    *before, said = re.split("[\r\n]", stream.getvalue().strip())
    assert said.startswith("restem: error: The song has bars 1 to ")
    assert not terminal or not before[-1].strip(), "the line was cleared"
    assert "listening for the beat" in stream.getvalue() and "loading" not in stream.getvalue()


def test_a_region_is_given_in_bars_of_the_beats_used(song, model, beats_file, capsys):
    words = ["insert", song, SAY, "--beats", beats_file, "--force", "--bars"]
    assert run(*words, "1") == 0  # from its first beat at 0.1 s to the next bar's at 2.1 s
    assert model.received["region"] == pytest.approx((0.07, 2.07))
    assert run(*words, "2-2") == 0
    assert model.received["region"] == pytest.approx((2.07, 3.0), abs=0.001)  # the song's end
    assert run(*words, "1-2", "--shift", "1") == 0
    assert model.received["region"] == pytest.approx((0.57, 3.0), abs=0.001)
    capsys.readouterr()
    assert run(*words, "2-9") == 2
    assert "The song has bars 1 to 2; --bars 2-9 goes beyond." in capsys.readouterr().err


def test_bars_are_counted_from_where_the_song_begins(song, model):
    samples = np.random.default_rng(0).normal(0, 0.1, (6 * RATE, 2))
    samples[: round(2.1 * RATE)] = 0.0
    sf.write("late.wav", samples, RATE)
    Path("late.txt").write_text("\n".join(f"{0.1 + i / 2} {i % 4 + 1}" for i in range(12)))
    words = ["insert", "late.wav", SAY, "--beats", "late.txt", "--force", "--bars"]
    assert run(*words, "1") == 0
    assert model.received["region"] == pytest.approx((2.07, 4.07))
    samples[: round(2.1 * RATE)] = samples[-round(2.1 * RATE) :] * 0.001
    sf.write("late.wav", samples, RATE)  # noise 60 dB under the song is not its beginning
    assert run(*words, "1") == 0
    assert model.received["region"] == pytest.approx((2.07, 4.07))
    samples[round(1.6 * RATE) :] = 0.1  # an upbeat of a whole beat
    sf.write("late.wav", samples, RATE)
    assert run(*words, "1") == 0
    assert model.received["region"] == pytest.approx((2.07, 4.07))


def test_a_region_in_which_nothing_is_played_is_told_of(song, model, capsys):
    samples = np.random.default_rng(0).normal(0, 0.1, (3 * RATE, 2))
    samples[RATE : 2 * RATE] = 0.0
    sf.write("stop.wav", samples, RATE)
    words = ["insert", "stop.wav", SAY, "--force", "--region", "1-2"]
    assert run(*words) == 0  # the song is silent there, but the drums are not
    assert "silent" not in capsys.readouterr().err
    model.level = 0.0
    assert run(*words) == 0
    assert "Nothing is played in that region" in capsys.readouterr().err
    model.level = 0.3
    assert run(*words, "--gain", "-60") == 0  # the user's own wish is no news
    assert "Nothing is played" not in capsys.readouterr().err


def test_the_metre_can_be_given(song, model, capsys):
    Path("plain.txt").write_text("\n".join(f"{i / 2}" for i in range(7)))
    assert run("insert", song, SAY, "--beats", "plain.txt", "--metre", "3/4") == 0
    assert given_beats(model)[1] == [1, 2, 3, 1, 2, 3, 1]
    assert run("insert", song, SAY, "--metre", "6/8", "--force") == 0
    assert model.received["beats"].beats_per_bar == 2
    Path("fours.txt").write_text("\n".join(f"{i / 2} {i % 4 + 1}" for i in range(9)))
    assert run("insert", song, SAY, "--beats", "fours.txt", "--metre", "3/4", "--force") == 2
    assert "fours.txt has 4 beats in a bar and 3/4 has 3" in capsys.readouterr().err


def test_the_metre_of_the_sentence_is_taken_unless_an_option_says_it(song, model, capsys):
    assert run("insert", song, "play it in 6/8, slow blues drums") == 0
    assert model.received["beats"].beats_per_bar == 2
    said = "note: The song is counted in 6/8, as the sentence says; --metre says otherwise."
    assert said in capsys.readouterr().err
    assert json.loads(Path("restem-out/song.drums.json").read_text())["request"]["metre"] == "6/8"
    assert run("insert", song, "drums in 6/8", "--metre", "3/4", "--force") == 0
    assert model.received["beats"].beats_per_bar == 3
    Path("fours.txt").write_text("\n".join(f"{i / 2} {i % 4 + 1}" for i in range(9)))
    assert run("insert", song, "drums in 6/8", "--beats", "fours.txt", "--force") == 0
    assert given_beats(model)[1][:4] == [1, 2, 3, 4]
    assert "6/8" not in capsys.readouterr().err
    assert run("insert", song, "waltz drums", "--force") == 0
    assert '"waltz" changes no metre' in capsys.readouterr().err


def test_the_gain_is_that_of_the_stem_and_leaves_the_song(song, model):
    assert run("insert", song, SAY, "--gain", "-6") == 0
    assert read("song.drums.wav").max() == pytest.approx(0.3 * 10 ** (-6 / 20) * 32768, abs=1)
    original = sf.read(song, dtype="int16")[0]
    assert np.array_equal(read("song.mix.wav") - read("song.drums.wav"), original)
    record = json.loads(Path("restem-out/song.drums.json").read_text())
    assert record["request"]["gain"] == -6


def test_the_sentence_chooses_the_stem_unless_an_option_does(song, model, capsys):
    assert run("insert", song, "Add a funky bass") == 0
    assert model.received["stem"] == "bass" and "song.bass.wav" in listing()
    assert "The stem is bass, as in the sentence" in capsys.readouterr().err
    assert run("insert", song, "Add a funky bass", "--stem", "drums", "-o", "other") == 0
    assert model.received["stem"] == "drums"
    assert run("insert", song, "power chords", "-o", "implied") == 0
    assert model.received["stem"] == "guitar" and "The stem is guitar" in capsys.readouterr().err
    assert run("insert", song, SAY, "-o", "plain") == 0
    assert model.received["stem"] == "drums" and "The stem is" not in capsys.readouterr().err


def test_stems_of_an_earlier_run_are_named(song, model, capsys):
    assert run("insert", song, SAY) == 0
    assert "earlier run" not in capsys.readouterr().err
    Path("restem-out/song.drums.2.wav").write_bytes(b"an old take")
    assert run("insert", song, SAY, "--force") == 0
    assert "song.drums.2.wav of an earlier run" in capsys.readouterr().err


def test_density_and_dynamics_reach_the_model(song, model):
    assert run("insert", song, SAY, "--density", "-1.5", "--dynamics", "2", "--tight", 1) == 0
    given = [model.received[name] for name in ("density", "dynamics", "tight")]
    assert given == [-1.5, 2.0, 1.0]


# ---- corrections of the beats ----


@pytest.fixture
def beats_file(song):
    Path("beats.txt").write_text("\n".join(f"{0.1 + i / 2} {i % 4 + 1}" for i in range(6)))
    return "beats.txt"


def given_beats(model) -> tuple[list[float], list[int]]:
    beats = model.received["beats"]
    return [round(time, 6) for time in beats.times.tolist()], beats.positions.tolist()


def test_beats_from_a_file(song, model, beats_file):
    assert run("insert", song, SAY, "--beats", beats_file) == 0
    assert given_beats(model) == ([0.1, 0.6, 1.1, 1.6, 2.1, 2.6], [1, 2, 3, 4, 1, 2])


def test_beats_numbered_through_the_song_are_refused(song, model, capsys):
    Path("beats.txt").write_text("\n".join(f"{i / 2} {i + 1}" for i in range(40)))
    assert run("insert", song, SAY, "--beats", "beats.txt", "--pack") == 2
    assert "begin again at 1 in each bar of at most 16" in capsys.readouterr().err
    assert model.calls == 0


def test_notes_are_not_sound(song, model, capsys):
    Path("song.mid").write_bytes(b"MThd")
    assert run("insert", "song.mid", SAY) == 2
    assert "use `restem midi insert`" in capsys.readouterr().err


def test_beats_are_halved_doubled_and_shifted(song, model, beats_file):
    assert run("insert", song, SAY, "--beats", beats_file, "--half") == 0
    assert given_beats(model) == ([0.1, 1.1, 2.1], [1, 2, 3])
    assert run("insert", song, SAY, "--beats", beats_file, "--double", "--force") == 0
    assert given_beats(model)[0][:3] == [0.1, 0.35, 0.6]
    assert run("insert", song, SAY, "--beats", beats_file, "--shift", "-1", "--force") == 0
    assert given_beats(model)[1] == [2, 3, 4, 1, 2, 3]
    assert run("insert", song, SAY, "--beats", beats_file, "--shift", "0.5", "--force") == 0
    assert given_beats(model)[0][:2] == [0.35, 0.85]


@pytest.mark.skipif(
    not Path(cli.__file__).with_name("models").joinpath("tracker.onnx").exists(),
    reason="SKIPPED: the tracker's weights are not in this package",
)
def test_what_was_heard_is_corrected(song, model):
    pulse = np.zeros((8 * RATE, 1))
    for beat in range(16):  # 120 BPM, a louder and lower tone on the first of four
        time = np.arange(RATE // 4) / RATE
        tone = np.sin(2 * np.pi * (220 if beat % 4 == 0 else 440) * time) * np.exp(-8 * time)
        pulse[beat * RATE // 2 :][: len(tone), 0] += tone * (0.6 if beat % 4 == 0 else 0.3)
    sf.write("pulse.wav", pulse, RATE)
    assert run("insert", "pulse.wav", SAY, "--shift", "1") == 0
    heard = model.received["beats"]
    assert run("insert", "pulse.wav", SAY, "--shift", "1", "--half", "--force") == 0
    assert model.received["beats"].bpm == pytest.approx(heard.bpm / 2, rel=0.05)
    assert run("insert", "pulse.wav", SAY, "--shift", "0.5", "--bpm", "97", "--force") == 0
    # The tempo too, so that nobody who gave one is asked for it.
    assert model.received["beats"].bpm == pytest.approx(97) and model.received["bpm"] == 97


# ---- what is refused, before any work ----


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["insert"], "required"),
        (["insert", "song.flac"], "required"),
        (["sing", "song.flac", SAY], "invalid choice"),
        (["insert", "song.flac", ""], "say what to play"),
        (["insert", "song.flac", " \n"], "say what to play"),
        (["insert", "song.flac", "Add \udcff drums"], "UTF-8"),
        (["insert", "song.flac", SAY, "--stem", "kazoo"], "invalid choice: 'kazoo'"),
        (["insert", "song.flac", SAY, "--seed", "-1"], "'-1' is not a whole number"),
        (["insert", "song.flac", SAY, "--seed", "x"], "'x' is not a whole number"),
        (["insert", "song.flac", SAY, "--steps", "0"], "'0' is not a whole number"),
        (["insert", "song.flac", SAY, "--steps", "2.5"], "'2.5' is not a whole number"),
        (["insert", "song.flac", SAY, "--guidance", "nan"], "'nan' is not a number"),
        (["insert", "song.flac", SAY, "--bpm", "inf"], "'inf' is not a number"),
        (["insert", "song.flac", SAY, "--bpm", "3"], "from 20 to 400"),
        (["insert", "song.flac", SAY, "--shift", "soon"], "'soon' is not a number"),
        (["insert", "song.flac", SAY, "--region", "soon"], "no region such as"),
        (["insert", "song.flac", SAY, "--region", "1-2-3"], "no region such as"),
        (["insert", "song.flac", SAY, "--region", "2:00-1:00"], "must end after it begins"),
        (["insert", "song.flac", SAY, "--metre", "7/8"], "choose from '2/4', '3/4', '4/4', '6/8'"),
        (["insert", "song.flac", SAY, "--bars", "soon"], "not of the form 9-16"),
        (["insert", "song.flac", SAY, "--bars", "4-2"], "the last is not before the first"),
        (["insert", "song.flac", SAY, "--bars", "0-2"], "bars are counted from 1"),
        (["insert", "song.flac", SAY, "--bars", "1", "--region", "0-1"], "give one"),
        (["insert", "song.mid", SAY], "no file song.mid"),
        (["insert", "song.flac", SAY, "--gain", "99"], "from -60 to 24"),
        (["insert", "song.flac", SAY, "--density", "3"], "from -2 to 2"),
        (["insert", "song.flac", SAY, "--dynamics", "nan"], "from -2 to 2"),
        (["insert", "song.flac", SAY, "--tight", "1.1"], "from 0 to 1"),
        (["insert", "song.flac", SAY, "--half", "--double"], "exclude each other"),
        (["insert", "song.flac", SAY, "--bpm", "90", "--half"], "by itself"),
        (["insert", "song.flac", SAY, "--bpm", "90", "--beats", "beats.txt"], "by itself"),
        (["insert", "song.flac", SAY, "--beats", "nowhere.txt"], "nowhere.txt"),
        (["insert", "song.flac", SAY, "--subtype", "MP3"], "no WAV sample format 'MP3'"),
        (["insert", "song.flac", SAY, "--subtype", "ULAW"], "would not keep"),
        (["insert", "song.flac", SAY, "--sub", "PCM_16"], "unrecognized arguments"),
        (["insert", "song.flac", SAY, "-o", "song.flac"], "a file, not a folder"),
        (["insert", "song.flac", SAY, "-o", "song.flac/out"], "Not a directory"),
        (["insert", "song.flac", SAY, "-o", "/proc/restem"], "Could not write restem"),
        (["insert", "song.flac", SAY, "-o", "x" * 300], "File name too long"),
        (["insert", "missing.flac", SAY], "no file missing.flac"),
        (["insert", ".", SAY], "is a folder"),
        (["insert", "song.flac\0", SAY], "song.flac"),
    ],
)
def test_mistakes_give_one_sentence_and_code_2(song, model, capsys, words, sentence):
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("restem: error: ") and error.count("\n") == 1
    assert sentence in error
    assert model.calls == 0
    assert listing(".") == ["song.flac"]


def test_a_folder_that_may_not_be_written(song, model, capsys, tmp_path):
    Path("closed").mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    try:
        if user == 0:  # root may write everywhere; nobody may not
            os.seteuid(65534)
        for folder in ("closed", "closed/new", "new"):
            assert run("insert", song, SAY, "-o", folder) == 2
            assert "Permission denied" in capsys.readouterr().err and model.calls == 0
    finally:
        os.seteuid(user)


def test_names_too_long_for_the_disk_are_found_before_the_work(song, model, capsys):
    song.rename("n" * 250 + ".wav")
    assert run("insert", "n" * 250 + ".wav", SAY) == 2
    assert "a name is too long; rename the song" in capsys.readouterr().err
    assert model.calls == 0 and not Path("restem-out").exists()


def test_results_are_not_overwritten_unless_forced(song, model, capsys):
    assert run("insert", song, SAY) == 0
    Path("restem-out/song.mix.wav").write_bytes(b"mine")
    for name in NAMES[:2]:
        Path("restem-out", name).unlink()
    assert run("insert", song, SAY) == 2
    assert "add --force" in capsys.readouterr().err
    assert Path("restem-out/song.mix.wav").read_bytes() == b"mine" and model.calls == 1
    assert run("insert", song, SAY, "--force") == 0
    assert listing() == NAMES and len(read("song.mix.wav")) == 3 * RATE + 1
    Path("restem-out/song.pack").mkdir()
    for name in ("song.bass.2.wav", "song.background.wav", "song.vocals.wav"):  # the last: not ours
        Path("restem-out", name).write_bytes(b"old")
    capsys.readouterr()
    assert run("insert", song, SAY, "--force") == 0
    assert "note: song.background.wav, song.bass.2.wav, song.pack of" in capsys.readouterr().err


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_song_itself_is_never_replaced(song, model, capsys, link):
    Path("restem-out").mkdir()
    link(song.absolute(), "restem-out/song.mix.wav")
    assert run("insert", song, SAY, "--force") == 2
    assert "is itself an input" in capsys.readouterr().err and model.calls == 0


def test_a_folder_in_the_place_of_a_result(song, model, capsys):
    Path("restem-out/song.png").mkdir(parents=True)
    assert run("insert", song, SAY, "--force") == 2
    assert "is a folder" in capsys.readouterr().err and model.calls == 0


# ---- what goes wrong during the work ----


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "stopped; nothing was written"),
        (MemoryError(), 2, "not enough memory"),
        (np.exceptions.AxisError("x"), None, ""),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
    ],
)
@pytest.mark.parametrize("folder", ["restem-out", "new/folders"])
def test_nothing_stays_behind_after_a_failure(song, model, capsys, failure, code, words, folder):
    model.failure = failure
    if code is None:  # our own mistakes are not hidden
        with pytest.raises(np.exceptions.AxisError):
            run("insert", song, SAY, "-o", folder)
    else:
        assert run("insert", song, SAY, "-o", folder) == code
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
    assert listing(".") == ["song.flac"]


def test_a_failure_leaves_earlier_results_alone(song, model):
    assert run("insert", song, SAY) == 0
    before = {name: Path("restem-out", name).read_bytes() for name in NAMES}
    model.failure = KeyboardInterrupt()
    assert run("insert", song, SAY, "--force") == 130
    assert {path.name: path.read_bytes() for path in Path("restem-out").iterdir()} == before


def test_replaced_results_come_back_if_a_file_cannot_be_moved(song, model, monkeypatch, capsys):
    assert run("insert", song, SAY) == 0
    before = {name: Path("restem-out", name).read_bytes() for name in NAMES}
    model.calls, real = 0, os.replace

    def replace(source, target):
        if Path(target).name == "song.mix.wav" and Path(source).name == "song.mix.wav":
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr("restem.results.os.replace", replace)
    assert run("insert", song, SAY, "--gain", -3, "--force") == 2
    assert "Permission denied" in capsys.readouterr().err and model.calls == 1
    assert {path.name: path.read_bytes() for path in Path("restem-out").iterdir()} == before


@pytest.mark.parametrize("limit", [1_000, 270_000])
def test_a_full_disk_leaves_nothing(song, model, capsys, limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sf.write("long.flac", sf.read(song)[0], RATE)  # both WAV files take 265 kB each
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        code = run("insert", "long.flac", SAY, *(["--subtype", "PCM_24"] if limit > 9999 else []))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2 and "Could not write long.drums.wav" in capsys.readouterr().err
    assert listing(".") == ["long.flac", "song.flac"]


# ---- start, version, other verbs ----


def test_help_and_version_import_nothing_heavy():
    heavy = ["numpy", "soundfile", "onnxruntime", "scipy", "PIL", "soxr", "torch"]
    for words in (["--help"], ["insert", "--help"], ["--version"]):
        script = (
            f"import sys, restem, restem.cli\ntry: restem.cli.main({words})\n"
            f"except SystemExit as e: print(e.code, [m for m in {heavy} if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=ELSEWHERE
        )
        assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_help_is_there_at_once():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "restem", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=ELSEWHERE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time: others may be at work on this machine
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode == 0 and "insert" in done.stdout and seconds < 0.5


def test_version():
    command = [sys.executable, "-m", "restem", "--version"]
    assert (
        subprocess.run(command, capture_output=True, text=True, env=ELSEWHERE).stdout
        == f"restem {__version__}\n"
    )


def test_public_names_load_when_used():
    from restem.errors import UserError

    assert restem.BeatGrid is BeatGrid and restem.UserError is UserError
    assert set(restem.__all__) == set(dir(restem))
    with pytest.raises(AttributeError, match="nothing"):
        _ = restem.nothing


def test_a_reader_that_goes_away_is_no_error(song):
    script = (
        "import sys, types\nfrom restem import cli\n"
        "room = types.ModuleType('room')\n"
        "def add_parser(verbs):\n"
        "    parser = verbs.add_parser('talk')\n"
        "    parser.set_defaults(run=lambda args: [print(i) for i in range(99999)] and 0)\n"
        "room.add_parser = add_parser\nsys.modules['room'] = room\n"
        "cli.OTHER_VERBS['talk'] = ('room', 'talk')\n"
        "sys.exit(cli.main(['talk']))\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ELSEWHERE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 0


def test_other_rooms_add_their_verbs_and_load_only_when_asked(monkeypatch, capsys):
    room = ModuleType("some_room")
    room.add_parser = lambda verbs: verbs.add_parser("count").set_defaults(run=lambda args: 7)
    monkeypatch.setitem(cli.OTHER_VERBS, "count", ("some_room", "counts things"))
    with pytest.raises(SystemExit):
        cli.main(["--help"])  # some_room cannot be imported yet
    assert "counts things" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "some_room", room)
    assert cli.main(["count"]) == 7


# ---- progress ----


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line_that_is_cleared(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("restem.progress.monotonic", lambda: float(next(clock)))
    terminal = Terminal()
    progress = Progress(terminal)
    for percent in (0, 20, 40, 60):
        progress(percent / 100, "playing")
    progress.close()
    lines = terminal.getvalue().split("\r")
    assert "\n" not in terminal.getvalue() and lines[-1] == "" and not lines[-2].strip()
    assert lines[3].strip() == "40%  playing, 5 s left"
    assert len({len(line) for line in lines[1:-1]}) == 1


def test_progress_elsewhere_is_a_line_a_quarter():
    stream = io.StringIO()
    progress = Progress(stream)
    for percent in range(101):
        progress(percent / 100, "playing")
    progress.close()
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == [
        "0%", "25%", "50%", "75%", "100%"]  # fmt: skip


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_leaves_nothing_behind(tmp_path, name):
    """As of a closed terminal or of `timeout`, while files are being made."""
    if not hasattr(signal, name):
        pytest.skip(f"there is no {name} here: NOT CHECKED")
    script = (
        "import signal, sys, types, time\nfrom pathlib import Path\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n"  # under nohup it would be ignored
        "from restem import cli\nfrom restem.results import all_or_nothing\n"
        "room = types.ModuleType('room')\n"
        "def work(args):\n"
        "    with all_or_nothing(Path('out'), ['a.wav']):\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(60)\n"
        "room.add_parser = lambda verbs: verbs.add_parser('work').set_defaults(run=work)\n"
        "sys.modules['room'] = room\ncli.OTHER_VERBS['work'] = ('room', 'works')\n"
        "sys.argv = ['restem', 'work']\nsys.exit(cli.main())\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=ELSEWHERE, cwd=tmp_path, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(getattr(signal, name))
        assert process.wait(timeout=30) == 128 + getattr(signal, name)
    assert list(tmp_path.iterdir()) == []
