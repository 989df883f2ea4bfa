"""A stem taken out of a full song and a new one put in, by the command line and by the model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from restem import cli
from restem.audio.beats import BeatGrid
from restem.audio.drums_separator import DrumsSeparator
from restem.hearing import DRUMS_ALREADY
from restem.insertion import Inserter, Insertion
from restem.restyle.removal import BLOCK_SECONDS, OVERLAP_SECONDS, remove_stem

RATE = 22050
SAY = "jazzy drums"
NAMES = ["song.background.wav", "song.drums.json", "song.drums.wav", "song.mix.wav", "song.png"]


class Half:
    """Takes half of the mix for drums, so that what must be left is known; notes lengths."""

    name, stems = "half", ("drums",)

    def __init__(self):
        self.lengths = []

    def separate(self, mix):
        self.lengths.append(len(mix))
        return {"drums": mix / 2}


class StandIn:
    """Plays a click on each beat and keeps what it was given."""

    def insert(self, samples, sample_rate, instruction, *, beats, progress, **options):
        self.samples, self.beats = samples.copy(), beats
        progress(0.5, "playing")
        stem = np.zeros_like(samples)
        for beat in beats.times[(beats.times >= 0) & (beats.times < len(samples) / sample_rate)]:
            stem[int(beat * sample_rate)] = 0.2
        settings = {"instruction": instruction, "stem": "drums"}
        return Insertion(stem, sample_rate, beats, settings, [DRUMS_ALREADY])


@pytest.fixture
def model(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setattr(Inserter, "load", lambda model, stem="drums": stand_in)
    return stand_in


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """A chord and clicks at 120 BPM, both on the 16-bit grid; the song is their sum."""
    monkeypatch.chdir(tmp_path)
    time = np.arange(8 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * hz * time) for hz in (220, 277, 330)) * (1 - time % 0.5) * 0.08
    noise = np.random.default_rng(0).normal(0, 0.15, len(time)) * np.exp(-40 * (time % 0.5))
    chord, noise = (np.rint(x * 32768) / 32768 for x in (chord, noise))
    stereo = [np.stack([chord, np.roll(chord, 9)], 1), np.stack([noise, noise], 1)]
    sf.write("song.wav", stereo[0] + stereo[1], RATE, subtype="PCM_16")
    sf.write("own.wav", stereo[0], RATE, subtype="PCM_16")
    return stereo


def run(*words):
    return cli.main(["restyle", *map(str, words)])


def read(name):
    return sf.read(f"restem-out/{name}", dtype="int16")[0].astype(np.int64)


# ---- taking out ----


@pytest.mark.parametrize(("rate", "channels"), [(44100, 1), (8000, 2), (8000, 3)])
def test_what_is_left_is_the_song_minus_the_stem_across_blocks(rate, channels):
    samples = (2 * BLOCK_SECONDS - OVERLAP_SECONDS) * rate + 1000
    time = np.arange(samples)[:, None] / rate
    song = 0.5 * np.sin(2 * np.pi * time * (300 + 50 * np.arange(channels)))
    left, separator = song.copy(), Half()
    remove_stem(left, rate, "drums", separator)
    inside = slice(rate // 10, -rate // 10)  # the resampler rings at the ends
    assert np.abs(left - song / 2)[inside].max() < 1e-3
    assert max(separator.lengths) <= BLOCK_SECONDS * 44100 + 1  # memory does not grow


def test_a_block_is_no_shorter_than_its_fade():
    for extra in (-1, 0, 1, OVERLAP_SECONDS * 8000):
        song = np.ones((BLOCK_SECONDS * 8000 + extra, 1))
        remove_stem(song, 8000, "drums", Half())
        assert np.abs(song[4000:-4000] - 0.5).max() < 1e-2
    short = np.ones((800, 1))
    remove_stem(short, 8000, "drums", Half())
    assert short.shape == (800, 1) and np.isfinite(short).all()


def test_what_is_left_lies_on_the_grid():
    song = np.random.default_rng(1).normal(0, 0.1, (9000, 2))
    remove_stem(song, 8000, "drums", Half(), bits=16)
    assert np.array_equal(song * 32768, np.rint(song * 32768)) and song.any()


def test_the_packaged_separator_leaves_less_of_the_drums(parts):
    left = parts[0] + parts[1]
    remove_stem(left, RATE, "drums", DrumsSeparator())
    before, after = (np.sum((x - parts[0]) ** 2) for x in (parts[0] + parts[1], left))
    assert after < before / 3


# ---- the command ----


def test_the_users_own_background_is_used_to_the_last_bit(parts, model, capsys):
    assert run("song.wav", SAY, "--without", "own.wav") == 0
    assert sorted(p.name for p in Path("restem-out").iterdir()) == NAMES
    own = sf.read("own.wav", dtype="int16")[0]
    assert np.array_equal(read("song.background.wav"), own)
    assert np.array_equal(read("song.mix.wav") - read("song.drums.wav"), own)
    assert np.array_equal(model.samples, parts[0])
    record = json.loads(Path("restem-out/song.drums.json").read_text())
    assert record["background"]["file"] == "own.wav" and len(record["background"]["sha256"]) == 64
    info = sf.info("song.wav")
    assert record["song"]["samples"] == info.frames and record["song"]["subtype"] == info.subtype
    said = capsys.readouterr().err
    assert "separated sound" not in said and "own.wav is" not in said
    sf.write("own.wav", sf.read("own.wav")[0][: -RATE // 2], RATE, subtype="PCM_16")
    assert run("song.wav", SAY, "--without", "own.wav", "--force") == 0
    assert "own.wav is 0.500 s shorter than song.wav; stem and mix" in capsys.readouterr().err


def test_separated_sound_is_called_so_and_adds_up(parts, model, capsys):
    before = Path("song.wav").read_bytes()
    assert run("song.wav", SAY) == 0
    said = capsys.readouterr().err
    assert "separated sound, not the original recording" in said
    assert "the old drums can still be heard" in said and DRUMS_ALREADY not in said
    background = read("song.background.wav")
    assert np.array_equal(read("song.mix.wav") - read("song.drums.wav"), background)
    assert not np.array_equal(background, sf.read("song.wav", dtype="int16")[0])
    record = json.loads(Path("restem-out/song.drums.json").read_text())
    assert record["background"]["separator"].startswith("drums-")
    assert any("separated sound" in notice for notice in record["notices"])
    assert Path("song.wav").read_bytes() == before
    bytes_of = [Path("restem-out", name).read_bytes() for name in NAMES]
    assert run("song.wav", SAY, "--force") == 0
    assert [Path("restem-out", name).read_bytes() for name in NAMES] == bytes_of


def test_the_beat_is_that_of_the_song(parts, model):
    assert run("song.wav", SAY, "--without", "own.wav") == 0
    assert model.beats.bpm == pytest.approx(120, abs=1)
    assert run("song.wav", SAY, "--without", "own.wav", "--half", "--force") == 0
    assert model.beats.bpm == pytest.approx(60, abs=1)
    assert run("song.wav", SAY, "--without", "own.wav", "--bpm", 97, "--force") == 0
    assert model.beats.bpm == pytest.approx(97)
    beats = BeatGrid.from_bpm(133, 0.1, 8)
    Path("b.txt").write_text("\n".join(map(str, beats.times)))
    assert run("song.wav", SAY, "--without", "own.wav", "--beats", "b.txt", "--force") == 0
    assert model.beats.bpm == pytest.approx(133)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--without", "own.wav", "--separator", "drums"], "leave out --separator"),
        (["--without", "nothing.wav"], "There is no file nothing.wav"),
        (["--without", "late.wav"], "does not run in step"),
        (["--without", "same.wav"], "with the stem still in it"),
        (["--without", "clicks.wav"], "give the song without the drums, not the drums"),
        (["--without", "silence.wav"], "silence.wav is silent"),
        (["--without", "short.wav"], "give the same song with and without"),
        (["--without", "mono.wav"], "export both alike"),
        (["--separator", "none"], "takes nothing out"),
        (["--separator", "magic"], "There is no separator 'magic'"),
        (["--half", "--double"], "exclude each other"),
        (["--region", "9-10"], "choose one inside the song"),
    ],
)
def test_bad_requests_are_one_sentence(parts, model, capsys, words, sentence):
    sf.write("late.wav", np.roll(parts[0], 97, axis=0)[:, ::-1] * [1, -1], RATE)
    shutil.copy("song.wav", "same.wav")
    sf.write("clicks.wav", parts[1], RATE)
    sf.write("silence.wav", 0 * parts[0], RATE)
    sf.write("short.wav", parts[0][: 5 * RATE], RATE)
    sf.write("mono.wav", parts[0][:, :1], RATE)
    assert run("song.wav", SAY, *words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in error, error
    assert not Path("restem-out").exists()


def test_a_silent_song_has_no_background(parts, model, capsys):
    sf.write("song.wav", 0 * parts[0], RATE)
    sf.write("silence.wav", 0 * parts[0], RATE)
    for own, sentence in (("silence.wav", "is silent"), ("own.wav", "does not run in step")):
        assert run("song.wav", SAY, "--without", own) == 2
        assert sentence in capsys.readouterr().err
    assert not Path("restem-out").exists()


def test_a_sentence_of_another_stem_says_that_the_separator_finds_drums(parts, model, capsys):
    assert run("song.wav", "jazzy piano") == 2
    assert "finds drums, not keys; choose another" in capsys.readouterr().err
    assert run("song.wav", "jazzy piano", "--without", "own.wav") == 0
    assert Path("restem-out/song.keys.wav").exists()


def test_no_result_replaces_an_input(parts, model, capsys):
    Path("own.wav").rename("song.background.wav")
    assert run("song.wav", SAY, "--without", "song.background.wav", "-o", ".", "--force") == 2
    assert "is itself an input" in capsys.readouterr().err
