"""The stem pack: time stamp, tempo map and notes, read back by other means than wrote them."""

import json
import struct
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile as sf

from restem import cli
from restem.audio.audible_notes import audible, peaks
from restem.audio.beats import BeatGrid
from restem.audio.drum_notes import (
    DILATIONS,
    DRUMS,
    PITCHES,
    DrumNotes,
    hear_drums,
    heard_by,
    loudest,
    network,
    note_features,
    pick_notes,
    shipped,
)
from restem.audio.pitch_notes import PitchNotes
from restem.insertion import Inserter, Insertion
from restem.mixing import mix_down
from restem.pack import TICKS, bext_chunk, drum_track, tempo_track, time_reference, write_notes
from restem.symbolic.midi_files import file_of

RATE = 44100
FILES = ["song.drums.mid", "song.drums.wav", "song.pack.json", "song.tempo.mid"]


class StandIn:
    """Bursts of noise on the beats."""

    beats = BeatGrid.from_bpm(120, 0.75, 4.0)
    level = 0.4

    def insert(self, samples, sample_rate, instruction, *, progress, **options):
        progress(0.5, "playing")
        noise = np.random.default_rng(0).normal(0, self.level, len(samples))
        since = (np.arange(len(samples)) / sample_rate - 0.25) % 0.5
        stem = (noise * np.exp(-60 * since))[:, None].repeat(samples.shape[1], 1)
        settings = {"instruction": instruction, "stem": "drums"}
        return Insertion(stem, sample_rate, self.beats, settings)


@pytest.fixture
def model(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setattr(Inserter, "load", lambda model, stem="drums": stand_in)
    return stand_in


@pytest.fixture
def song(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sf.write("song.wav", np.random.default_rng(0).normal(0, 0.05, (4 * RATE, 2)), RATE)


def run(*words):
    return cli.main(["insert", "song.wav", "Add drums", *map(str, words)])


def seconds_of(path):
    """Seconds of each note that starts, by mido's own reckoning; and the file."""
    file, now, notes = mido.MidiFile(path), 0.0, []
    for message in file:
        now += message.time
        if message.type == "note_on" and message.velocity:
            notes.append((now, message))
    return notes, file


# ---- the whole way ----


def test_the_pack_holds_stem_midi_map_and_manifest(song, model, capsys):
    assert run("--pack") == 0
    folder = Path("restem-out/song.pack")
    assert sorted(p.name for p in folder.iterdir()) == FILES
    plain = sf.read("restem-out/song.drums.wav", dtype="int16")[0]
    packed = sf.read(folder / "song.drums.wav", dtype="int16")[0]
    assert np.array_equal(plain, packed) and packed.any()
    notes, file = seconds_of(folder / "song.drums.mid")
    assert file.type == 1 and all(message.channel == 9 for _, message in notes)
    assert all(message.note in PITCHES for _, message in notes)
    strokes = 0.25 + 0.5 * np.arange(8)
    times = np.array([time for time, _ in notes])
    assert all(np.abs(times - stroke).min() < 0.02 for stroke in strokes)
    manifest = json.loads((folder / "song.pack.json").read_text())
    assert set(manifest["files"]) == set(FILES) - {"song.pack.json"}
    assert manifest["bpm"] == 120 and manifest["samples"] == 4 * RATE
    assert "restem-out/song.pack/song.drums.mid" in capsys.readouterr().out
    before = [(folder / name).read_bytes() for name in FILES]
    assert run("--pack") == 2 and run("--pack", "--force") == 0
    assert [(folder / name).read_bytes() for name in FILES] == before


def test_a_silent_stem_has_no_notes(song, model):
    model.level = 0.0
    assert run("--pack") == 0
    notes, _ = seconds_of("restem-out/song.pack/song.drums.mid")
    assert notes == []


def test_a_failure_leaves_no_folder(song, model, monkeypatch):
    monkeypatch.setattr("restem.pack.hear_drums", lambda wave: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("--pack")
    assert not Path("restem-out").exists()


def test_the_time_stamp_of_the_song_is_handed_on(song, model):
    data = Path("song.wav").read_bytes()
    chunk = bext_chunk("from elsewhere", 158_760_000)  # one hour
    Path("song.wav").write_bytes(
        data[:4] + struct.pack("<I", len(data) - 8 + len(chunk)) + data[8:12] + chunk + data[12:]
    )
    assert time_reference(Path("song.wav")) == 158_760_000
    assert run("--pack") == 0
    packed = Path("restem-out/song.pack/song.drums.wav").read_bytes()
    at = packed.index(b"bext")
    assert at == 12 and struct.unpack("<I", packed[16:20]) == (602,)
    assert struct.unpack("<Q", packed[at + 8 + 338 : at + 8 + 346]) == (158_760_000,)
    assert struct.unpack("<I", packed[4:8])[0] == len(packed) - 8
    assert time_reference(Path("restem-out/song.drums.wav")) == 0


# ---- notes that are heard ----


def turned(times, gains, spans):
    """What is left of notes (start, end) of a steady tone that is turned by gains at times."""
    wave = np.sin(2 * np.pi * 220 * np.arange(10 * RATE) / RATE)
    before = peaks(wave, RATE)
    wave *= np.interp(np.arange(len(wave)) / RATE, times, gains)
    starts, ends = np.array(spans, float).T
    pitches = np.arange(len(starts)) + 50
    notes = audible(PitchNotes(starts, ends, pitches, pitches), before, wave, RATE)
    rows = zip(notes.starts, notes.ends, notes.pitches, strict=True)
    return [(round(a, 2), round(b, 2), int(p)) for a, b, p in rows]


def test_notes_begin_and_end_with_the_sound_around_a_stop():
    stop = ([4.0, 4.001, 6.0, 6.001], [1, 0, 0, 1])
    spans = [(0, 1), (3, 5), (3.97, 5), (4.5, 5), (5, 8), (5.98, 7), (6.01, 7), (9, 10)]
    left = turned(*stop, spans)
    assert left == [(0, 1, 50), (3, 4.01, 51), (6, 7, 55), (6.01, 7, 56), (9, 10, 57)]
    assert turned([0, 10], [0.1, 0.1], spans) == [
        (a, b, p) for p, (a, b) in enumerate(spans, start=50)
    ]


def test_what_fades_out_loses_its_last_notes_and_nothing_else():
    spans = [(at, at + 1) for at in range(10)]
    times = np.arange(0, 10.1, 0.1)
    left = turned(times, 10 ** (-8 * np.maximum(times - 3, 0) / 20), spans)  # 40 dB down at 8 s
    assert [p for _, _, p in left] == list(range(50, 58))
    assert left[-1][:2] == (7, pytest.approx(8, abs=0.02))


def test_notes_that_sound_fade_of_themselves_are_kept():
    wave = np.exp(-20 * (np.arange(RATE) / RATE))  # 60 dB down within half the note
    notes = PitchNotes(np.array([0.0]), np.array([1.0]), np.array([60]), np.array([90]))
    assert audible(notes, peaks(wave, RATE), wave, RATE).ends == [1.0]


def test_the_notes_of_an_insertion_rest_where_its_song_stops():
    time = np.arange(20 * RATE) / RATE
    chords = sum(np.sin(2 * np.pi * hz * time) for hz in (220, 277, 330)) * np.exp(-4 * (time % 1))
    song = 0.1 * chords * ((time < 8) | (time >= 12)) * (time < 18)
    grid = BeatGrid.from_bpm(120, 0.0, 20.0)
    made = Inserter.load(stem="bass").insert(song, RATE, "Add bass", beats=grid, steps=2, density=1)
    notes = made.notes
    assert len(notes.starts) > 10
    for start, end in zip(notes.starts, notes.ends, strict=True):
        heard = np.abs(made.stem[int(start * RATE) : int(min(start + 0.05, end) * RATE) + 1]).max()
        assert heard > 1e-3 * np.abs(made.stem).max()
    assert not ((notes.starts < 11.9) & (notes.ends > 8.2)).any()


@pytest.mark.parametrize("kind", ["drums", "keys"])
def test_the_notes_of_a_region_are_inside_it(tmp_path, monkeypatch, kind):
    times = np.array([1.99, 2.5, 2.9, 3.0])
    fours = np.full(4, 60)
    monkeypatch.setattr("restem.pack.hear_drums", lambda wave: DrumNotes(times, fours, fours))
    heard = PitchNotes(times, times + 0.2, fours + np.arange(4), fours)
    monkeypatch.setattr("restem.pack.hear_pitches", lambda *wave, one_at_a_time: heard)
    settings = {"stem": kind, "instruction": "Add it", "region": [2.0, 3.0]}
    stem = np.zeros((4 * RATE, 1))
    made = Insertion(stem, RATE, StandIn.beats, settings)
    write_notes(tmp_path, "song", mix_down(stem, stem, "PCM_16"), RATE, made)
    notes, file = seconds_of(tmp_path / f"song.{kind}.mid")
    assert [time for time, _ in notes] == pytest.approx([2.0, 2.5, 2.9], abs=0.001)
    assert kind == "drums" or file.length == pytest.approx(3.0, abs=0.001)


# ---- the tempo map ----


def grid_of(times, bar=4, first=1):
    return BeatGrid(np.array(times), (np.arange(len(times)) + first - 1) % bar + 1, bar)


@pytest.mark.parametrize(
    ("beats", "lead"),
    [
        (BeatGrid.from_bpm(120.0, 0.0, 30), 0),
        (BeatGrid.from_bpm(97.3, 0.9, 60, 3), 6),
        (grid_of(0.2 + np.cumsum(0.5 + 0.1 * np.sin(np.arange(40) / 3))), 6),
        (grid_of(0.31 + 0.4 * np.arange(30), 4, 3), 11),
        (grid_of(0.03 + 0.5 * np.arange(30)), 0),
    ],
)
def test_beats_lie_on_quarters_and_downbeats_on_bars(tmp_path, beats, lead):
    _, _, track = tempo_track(beats, float(beats.times[-1]))
    (tmp_path / "t.mid").write_bytes(file_of([track], TICKS))
    file = mido.MidiFile(tmp_path / "t.mid")
    tempos, metres, tick, now, tempo = [], [], 0, 0.0, 0
    for message in file.tracks[0]:
        now += mido.tick2second(message.time, TICKS, tempo)
        tick += message.time
        if message.type == "set_tempo":
            tempo = message.tempo
            tempos.append((tick, now, tempo))
        elif message.type == "time_signature":
            metres.append((tick, message.numerator, message.denominator))

    def tick_at(seconds):
        at, since, tempo = [t for t in tempos if t[1] <= seconds + 1e-9][-1]
        return at + mido.second2tick(seconds - since, TICKS, tempo)

    start = lead * TICKS // 4
    assert (metres[0] == (0, lead, 16)) == bool(lead)
    assert (start, beats.beats_per_bar, 4) in metres
    later = beats.times >= (beats.downbeats[beats.downbeats >= 0][0] + 0.2)
    for time, position in zip(beats.times[later], beats.positions[later], strict=True):
        place = (tick_at(time) - start) / TICKS
        assert abs(place - round(place)) < 0.003
        assert round(place) % beats.beats_per_bar == position - 1


def test_a_downbeat_that_is_nearly_the_first_sample_is_tick_0():
    _, seconds, track = tempo_track(BeatGrid.from_bpm(120.0, -0.007, 30), 30)
    assert track.count(b"\xff\x58\x04") == 1 and seconds[0] == 0
    assert seconds[1] > 0.4


def test_a_steady_song_has_one_tempo():
    _, _, track = tempo_track(BeatGrid.from_bpm(128.0, 0.0, 300), 300)
    assert track.count(b"\xff\x51\x03") <= 2


def test_a_bar_of_another_length_has_its_own_metre(tmp_path):
    positions = [1, 2, 3, 4, 1, 2, 1, 2, 3, 4, 1, 2, 3, 4]
    beats = BeatGrid(0.5 * np.arange(len(positions)), np.array(positions), 4)
    _, _, track = tempo_track(beats, 7.0)
    (tmp_path / "t.mid").write_bytes(file_of([track], TICKS))
    metres, tick = [], 0
    for message in mido.MidiFile(tmp_path / "t.mid").tracks[0]:
        tick += message.time
        if message.type == "time_signature":
            metres.append((tick // TICKS, message.numerator))
    assert metres == [(0, 4), (4, 2), (6, 4)]


def test_notes_keep_their_times_through_the_map(tmp_path):
    beats = grid_of(0.2 + np.cumsum(0.5 + 0.1 * np.sin(np.arange(40) / 3)))
    ticks, seconds, tempo = tempo_track(beats, 18.0)
    times = np.sort(np.random.default_rng(0).uniform(0, 18, 60))
    notes = DrumNotes(times, np.tile([36, 38, 42], 20), np.arange(60) + 30)
    track = drum_track(notes, ticks, seconds)
    (tmp_path / "d.mid").write_bytes(file_of([tempo, track], TICKS))
    read, _ = seconds_of(tmp_path / "d.mid")
    assert np.abs(np.array([time for time, _ in read]) - times).max() < 0.001
    assert [message.velocity for _, message in read] == notes.velocities.tolist()


# ---- the ear ----


def test_peaks_become_notes_of_the_likelier_pitch():
    logits = np.full((100, len(PITCHES)), -5.0)
    strengths = np.full(logits.shape, 0.5)
    logits[10, 0] = logits[50, 2] = 3.0
    logits[11, 0], logits[50, 3], strengths[50, 3] = 2.0, 4.0, 1.0
    logits[80, 1] = -1.0
    notes = pick_notes(logits, strengths, np.zeros(len(PITCHES)))
    assert notes.pitches.tolist() == [36, 46] and notes.velocities.tolist() == [64, 127]
    assert 0.1 < notes.times[0] < 0.105
    assert notes.times[1] == pytest.approx(0.5)


def test_pitches_of_one_drum_speak_together():
    logits = np.full((40, len(PITCHES)), -9.0)
    logits[10, 4] = logits[10, 5] = logits[25, 4] = -0.3  # half high tom, half low: surely a tom
    notes = pick_notes(logits, np.full(logits.shape, 0.5), np.zeros(len(PITCHES)))
    assert len(notes.times) == 1 and notes.times[0] == pytest.approx(0.1)


@pytest.mark.parametrize("layers", [7, len(DILATIONS)])
def test_the_network_sees_the_same_in_blocks_and_in_the_middle_as_alone(layers, monkeypatch):
    rng = np.random.default_rng(0)
    reach = 1 + sum(DILATIONS[:layers])
    weights = {"w_out": rng.normal(size=(9, 2 * len(PITCHES))), "b_out": np.zeros(2 * len(PITCHES))}
    for layer in range(layers):
        taps, size = (3, 9) if layer else (5, 117)
        weights |= {f"w{layer}": 0.3 * rng.normal(size=(taps, size, 9)), f"b{layer}": np.zeros(9)}
    x = rng.normal(size=(2 * reach + 170, 117))
    whole = network(x, weights)[0]
    part = network(x[40:-60], weights)[0]
    assert np.allclose(whole[40 + reach : -60 - reach], part[reach:-reach], rtol=1e-4)
    assert not np.allclose(whole[39 + reach], part[reach - 1], rtol=1e-4)  # as far as that
    monkeypatch.setattr("restem.audio.drum_notes.BLOCK", 30)
    assert np.allclose(network(x, weights)[0], whole, rtol=1e-4)


def test_several_networks_are_heard_in_their_mean_and_those_shipped_are_whole():
    networks, thresholds = shipped()
    assert len(networks) >= 1 and thresholds.shape == (len(PITCHES),)
    x = np.random.default_rng(0).uniform(-1, 1, (60, 117)).astype(np.float32)
    other = {name: 0.9 * value for name, value in networks[0].items()}
    both = heard_by([networks[0], other], x)
    alone = [network(x, weights) for weights in (networks[0], other)]
    for kind in (0, 1):
        assert np.allclose(both[kind], (alone[0][kind] + alone[1][kind]) / 2, atol=1e-6)
    assert all(f"w{layer}" in n for n in networks for layer in range(7))


def test_level_does_not_matter_and_silence_holds_nothing():
    rng = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    wave = 0.3 * rng.normal(size=len(time)) * np.exp(-50 * (time % 0.5))
    loud, soft = hear_drums(wave), hear_drums(wave * 1e-4)
    assert np.array_equal(loud.times, soft.times) and len(loud.times)
    assert not len(hear_drums(np.zeros(RATE)).times)
    levels = rng.normal(-30, 10, (200, 117))
    moved = note_features(levels - 7, loudest(levels - 7))
    assert np.allclose(note_features(levels, loudest(levels)), moved, atol=1e-5)


@pytest.mark.parametrize(
    ("drum", "hz", "decay", "noise"), [("kick", 60, 14, 0.0), ("hats", 9000, 80, 1.0)]
)
def test_plain_drums_are_told_apart(drum, hz, decay, noise):
    time = np.arange(3 * RATE) / RATE
    since = time % 0.5
    tone = np.sin(2 * np.pi * hz * since) * np.exp(-decay * since)
    hiss = np.random.default_rng(0).normal(size=len(time))
    hiss = np.diff(np.diff(hiss, prepend=0), prepend=0) * np.exp(-decay * since)
    heard = hear_drums(0.4 * (tone * (1 - noise) + 0.3 * noise * hiss))
    names = [DRUMS[PITCHES.index(pitch)] for pitch in heard.pitches]
    assert names.count(drum) >= 5 and names.count(drum) > len(names) / 2
