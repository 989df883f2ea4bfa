"""The main job with the shipped model: a song in, drums that fit out, the song untouched."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from restem import BeatGrid, Inserter, UserError
from restem.audio.waveform import rms_db
from restem.evaluation.loudness import loudness, loudness_relation
from restem.evaluation.onsets import (
    kick_on_beat_share,
    onset_envelope,
    onset_times,
    onsets_per_beat,
)
from restem.generation import generate
from restem.hearing import at_tempo
from restem.kits import kit_of
from restem.manner import (
    DENSITY_STEP,
    DYNAMICS_STEP,
    STEPS_OF_WORDS,
    density_of_words,
    dynamics_of_words,
    naming,
    wish,
    without_loudness,
)
from restem.order import Order
from restem.tokens import mel_from_tokens, phase_features

SONG = Path(__file__).parents[1] / "examples" / "evening-bus.ogg"
BPM = 98.0


@pytest.fixture(scope="module")
def inserter():
    return Inserter.load()


@pytest.fixture(scope="module")
def song():
    samples, rate = soundfile.read(SONG)
    return samples[: 8 * rate], rate


@pytest.fixture(scope="module")
def grid():
    return BeatGrid.from_bpm(BPM, 0.0, 8.0)


@pytest.fixture(scope="module")
def result(inserter, song, grid):
    return inserter.insert(*song, "Add funk drums", beats=grid)


def test_the_stem_has_the_shape_of_the_song_and_is_neither_silent_nor_wild(song, result):
    stem = result.stem
    assert stem.shape == song[0].shape and result.sample_rate == song[1]
    assert np.isfinite(stem).all()
    level = 10 * np.log10(np.mean(stem**2) / np.mean(song[0] ** 2))
    assert -20 < level < 6
    assert abs(level - result.settings["stem_level_db"]) < 3


def _gathered(stem, rate, start):
    """Mean onset strength near the eighths of a grid from `start`, over that between them."""
    envelope = onset_envelope(stem, rate)
    phase = (np.arange(len(envelope)) / 100 - start) * BPM / 60 * 2 % 1
    near = np.minimum(phase, 1 - phase) < 0.12
    return envelope[near].mean() / envelope[~near].mean()


def test_the_drums_are_on_the_given_beats(inserter, song, result, grid):
    """Attacks gather at the eighths of the beats that were given, also of late ones."""
    takes = [result.stem, *(inserter.insert(*song, "Add funk drums", beats=grid, seed=s).stem
                            for s in (1, 2))]  # fmt: skip
    # funk has sixteenths too, in some takes many: the middle one of three
    assert np.median([_gathered(take, song[1], 0.0) for take in takes]) > 1.8
    assert onsets_per_beat(grid.times, onset_times(onset_envelope(result.stem, song[1]))) > 0.8
    late = 0.25 * 60 / BPM  # between the eighths of the first grid
    moved = BeatGrid.from_bpm(BPM, late, 8.0)
    followed = inserter.insert(*song, "Add funk drums", beats=moved)
    assert _gathered(followed.stem, song[1], late) > 1.5 * _gathered(followed.stem, song[1], 0.0)


def test_the_sentence_decides(inserter, song, grid, result):
    soft = inserter.insert(*song, "Add soft brushed jazz drums", beats=grid)
    metal = inserter.insert(*song, "Add loud heavy metal drums", beats=grid)
    assert metal.settings["stem_level_db"] > soft.settings["stem_level_db"] + 3
    house = inserter.insert(*song, "Add four-on-the-floor house drums", beats=grid)
    assert kick_on_beat_share(house.stem, song[1], grid.times) > kick_on_beat_share(
        soft.stem, song[1], grid.times
    )


@pytest.mark.parametrize(
    ("control", "meter"),
    [
        ("density", lambda stem, grid, rate, song: onsets_per_beat(
            grid.times, onset_times(onset_envelope(stem, rate)))),
        ("dynamics", lambda stem, grid, rate, song: loudness_relation(stem, song, rate)),
    ],
)  # fmt: skip
def test_a_control_moves_its_meter(inserter, song, control, meter):
    samples, rate = song[0][: 5 * song[1]], song[1]
    grid = BeatGrid.from_bpm(BPM, 0.0, 5.0)

    def value(amount):
        """Mean over three seeds, since kits differ. Rock: funk has four hits a beat as it is."""
        how = {"beats": grid, "steps": 8, control: amount}
        made = [inserter.insert(samples, rate, "Add rock drums", seed=s, **how) for s in range(3)]
        return np.mean([meter(one.stem, grid, rate, samples) for one in made])

    low, middle, high = (value(amount) for amount in (-2, 0, 2))
    step = 0.2 if control == "density" else 1.0
    assert low + step < middle < high - step


def test_controls_go_out_from_what_is_usual(inserter):
    plain = wish(inserter.text, "Add funk drums")
    text, null = inserter.text.encode(["Add funk drums", ""])
    np.testing.assert_array_equal(plain.text, text)
    np.testing.assert_array_equal(plain.null, null)
    assert plain.density is None and plain.loudness is None
    both = wish(inserter.text, "busy night", -2, 1, usual=(0.25, -0.5))
    assert both.density == pytest.approx(0.25 - 2 * DENSITY_STEP)
    assert both.loudness == pytest.approx(-0.5 + DYNAMICS_STEP)
    as_usual = wish(inserter.text, "warm night", usual=(0.25, -0.5))
    assert as_usual.density is None and as_usual.loudness == pytest.approx(-0.5)


def test_words_of_density_are_told_unless_the_control_says_otherwise(inserter):
    for words, way in (("Add BUSY funk drums", 1), ("sparse drums, few notes", -1),
                       ("Add minimal techno drums", -1), ("simply dense", 1), ("busybody", 0),
                       ("fewer notes please", -1), ("busier drums", 1),
                       ("Add funk drums", 0)):  # fmt: skip
        assert density_of_words(words) == way * STEPS_OF_WORDS
        asked = wish(inserter.text, words, usual=(0.25, -0.5)).density
        aim = 0.25 + way * STEPS_OF_WORDS * DENSITY_STEP
        assert asked == (pytest.approx(aim) if way else None)
    for words in ("not too busy", "moderately busy", "a few more ghost notes",
                  "not so simple", "without many fills", "drums that aren't busy",
                  "don’t play busy drums", "neither loud nor busy", "don't make it too busy",
                  "not at all busy", "nothing too loud or busy",
                  "I don't want it to be busy", "keep it from getting busy",
                  "stop the drums from being too busy", "get busier towards the end",
                  "half as simple"):  # fmt: skip
        assert density_of_words(words) == 0
    for words in ("stop-time busy funk drums", "busy drums, gradually swelling cymbals",
                  "busy jazz drums with a crescendo roll"):  # fmt: skip
        assert density_of_words(words) == STEPS_OF_WORDS
    assert density_of_words("half as busy") == density_of_words("half as many notes") < 0
    over = wish(inserter.text, "sparse drums", 2, usual=(0.25, -0.5))
    assert over.density == pytest.approx(0.25 + 2 * DENSITY_STEP)
    plain = wish(inserter.text, "loud, sparse drums", 0, 0, usual=(0.25, -0.5))
    assert (plain.density, plain.loudness) == (pytest.approx(0.25), pytest.approx(-0.5))


def test_metal_drums_have_many_notes_unless_words_say_otherwise(inserter):
    for words, steps in (("Add heavy metal drums", 1.0), ("thrash", 1.0), ("no metal please", 0),
                         ("metallic drums", 0), ("doom-metal drums", 0),
                         ("sludge metal drums", 0), ("metal ballad drums", 0),
                         ("drums with metal brushes", 0), ("Add rock drums", 0),
                         ("sparse metal drums", -STEPS_OF_WORDS), ("busy but simple metal", 0),
                         ("busy metal drums", STEPS_OF_WORDS)):  # fmt: skip
        asked = wish(inserter.text, words, usual=(0.25, -0.5)).density
        assert asked == (pytest.approx(0.25 + steps * DENSITY_STEP) if steps else None), words


def test_words_of_loudness_are_told_as_dynamics(inserter):
    for words, way in (("Add LOUD funk drums", 1), ("soft jazz drums", -1), ("soft rock drums", 0),
                       ("hard rock drums", 0), ("played hard, quietly", 0),
                       ("hard hitting drums", 1), ("a little louder drums", 1),
                       ("delicate drums", -1), ("light drums", -1),
                       ("light tango", 0)):  # fmt: skip
        assert dynamics_of_words(words) == way
        assert wish(inserter.text, words, usual=(0.0, -0.5)).loudness == pytest.approx(
            -0.5 + way * DYNAMICS_STEP
        )
    for words in ("not too loud", "nothing loud", "medium-loud pop", "hard-rock", "soft-shoe drums",
                  "hard techno", "without loud fills", "isn't too loud",
                  "without being too loud", "don't play too loud", "not too soft or too loud",
                  "avoid loud cymbals", "dont play loud", "rather than loud",
                  "not very very loud", "don't be loud", "get louder towards the end",
                  "get gradually quieter", "half as soft", "stop being loud"):  # fmt: skip
        assert dynamics_of_words(words) == 0 and without_loudness(words) == words
    assert dynamics_of_words("half as loud") == -1
    for words in (
        "not jazz, loud",
        "not only loud",
        "don't hold back, play loud",
        "not a ballad but loud",
        "nothing but loud",
        "why not loud",
        "drums that are not quiet and are loud",
        "don't be afraid to play loud",
    ):
        assert dynamics_of_words(words) == 1, words
    assert without_loudness("Add loud, dense drums").split() == ["add", ",", "dense", "drums"]
    assert without_loudness("Add Soft Rock drums") == "Add Soft Rock drums"


def test_drums_begin_with_the_song_and_end_with_it(inserter, song, grid, result):
    """Silence before and after, as a sequencer writes it, gets no drums unless it is asked to."""
    samples, rate = song
    padded = np.pad(samples, ((4 * rate, 6 * rate), (0, 0)))
    longer = BeatGrid.from_bpm(BPM, 4.0, 18.0)
    stem = inserter.insert(padded, rate, "Add funk drums", beats=longer).stem
    outside = np.concatenate([stem[: round(3.9 * rate)], stem[round(13.3 * rate) :]])
    assert np.abs(outside).max() < 1e-9  # but for what the filter of the sides rounds
    inside = stem[4 * rate : 12 * rate]
    assert rms_db(inside) == pytest.approx(rms_db(result.stem), abs=5)
    asked = inserter.insert(padded, rate, "Add funk drums", beats=longer, region=(0.0, 4.0)).stem
    assert np.abs(asked[: 4 * rate]).max() > 0.01


def test_seeds_of_one_sentence_are_about_as_loud_and_weigh_as_drums_do(inserter, song, grid):
    samples, rate = song
    heard = loudness(samples, rate)
    levels, bright, deep = [], [], []
    for seed in range(6):
        made = inserter.insert(samples, rate, "Add jazzy brushed drums", beats=grid, seed=seed)
        levels.append(loudness(made.stem, rate) - heard)
        power = np.abs(np.fft.rfft(made.stem.mean(axis=1))) ** 2
        hz = np.fft.rfftfreq(len(made.stem), 1 / rate)
        bright.append(power[hz > 7000].sum() / power.sum())
        deep.append(power[hz < 150].sum() / power.sum())
    assert np.ptp(levels) < 2.5  # LU; 12 once
    assert max(bright) < 0.4  # 0.91 once, of a kit of cymbals alone
    assert min(deep) > 0.3  # as in the kits, of which none has less


def test_styles_are_as_loud_as_they_are_played(inserter):
    loudness = {
        words: wish(inserter.text, words, usual=(0.25, usual)).level
        for usual in (-0.3, 0.3)
        for words in (f"{style} drums {usual}" for style in ("rock", "hard rock", "brushed jazz"))
    }
    assert [round(value, 2) for value in loudness.values()] == [-0.3, 0.15, -0.3, 0.3, 0.3, -0.15]
    assert wish(inserter.text, "a metal ballad", usual=(0.25, 0.0)).level < 0


def test_few_notes_are_softer_but_not_lost(inserter, song, grid, monkeypatch):
    """Drums that came out 20 dB too soft are brought to where so few notes belong."""
    plain, sparse = (
        wish(inserter.text, words, usual=(0.25, -0.5)) for words in ("Add drums", "sparse drums")
    )
    assert plain.level == plain.loudness == sparse.loudness == pytest.approx(-0.5)
    octaves = STEPS_OF_WORDS * DENSITY_STEP / 0.5
    assert sparse.level == pytest.approx(-0.5 - 0.3 * octaves)  # 3 dB for half the notes

    def soft(*given, **how):
        made = generate(*given, **how)
        return np.maximum(made - 20 / inserter.drawing.tokens.scale_db, how["kit"].stem.min())

    def level():
        return rms_db(inserter.insert(*song, "Add sparse rock drums", beats=grid).stem)

    before = level()
    monkeypatch.setattr("restem.insertion.generate", soft)
    assert before - 7 < level() < before + 1


def test_a_sentence_gets_the_name_of_its_stem():
    assert naming("drums", "Give it a swing feel.") == "Give it a swing feel drums"
    for words in ("Add funk drums", "A funky drum part", "Drums!"):
        assert naming("drums", words) == words
    assert naming("bass", "a ballad") == "a ballad bass" and naming("keys", "a key") == "a key keys"


def test_a_constant_under_a_quiet_song_changes_nothing(inserter, song, grid):
    samples, rate = song
    quiet = 0.02 * samples
    plain, offset = (
        inserter.insert(wave, rate, "Add funk drums", beats=grid).stem
        for wave in (quiet, quiet + 0.5)
    )
    assert rms_db(offset) == pytest.approx(rms_db(plain), abs=0.2)


def test_a_sentence_about_another_instrument_is_a_notice():
    for words, stem, said in (
        ("Add a funky bass line", "drums", "names bass"),
        ("Add a bossa nova guitar", "keys", "names guitar"),
        ("Add a trumpet solo", "drums", "no trumpet"),
        ("Add funk", "drums", None),
        ("Add a bass drum on every beat", "drums", None),
        ("Add drum and bass", "drums", None),
        ("Add a soft piano part", "keys", None),
        ("Add drums and a bass line", "drums", "names bass"),
        ("Add a synth bass line", "bass", None),
        ("Add a bass guitar", "bass", None),
        ("Add a bass drum", "bass", "names drums"),
        ("Add rock drums without hi-hat", "drums", "without hi-hat"),
        ("Add only a kick drum", "drums", "only a kick"),
        ("Add a shaker", "drums", "shaker"),
        ("Add drums with brushes, no fills", "drums", None),
        ("Play something that fits", "bass", None),
        ("Play an upbeat instrument that suits and grooves", "keys", None),
        ("Add drums and leave room for the other instruments", "drums", None),
        ("Add drums and no bass", "drums", None),
        ("Add drums at 60 BPM", "drums", "60 bpm"),
        ("Add 7/8 prog rock drums", "drums", "7/8"),
        ("Add 6/8 ballad drums", "drums", None),
        ("no drums please", "drums", "no drums"),
        ("The song has no drums yet, add jazzy drums", "drums", None),
        ("Add drums to bars 9-16", "drums", "bars 9"),
        ("Add hihats", "bass", "names drums"),
        ("Add a tom groove", "drums", "tom"),
        ("Add bass and drums", "drums", "names bass"),
        ("a bass line and jazzy drums, please", "drums", "names bass"),
        ("Follow the bass and play jazzy drums", "drums", None),
        ("With the piano and the bass, play drums", "drums", None),
        ("Add synthwave and retro drums", "drums", None),
        ("Add bass-heavy and punchy drums", "drums", None),
        ("This is a guitar and voice song, add soft drums", "drums", None),
        ("Let the guitar breathe and play sparse drums", "drums", None),
        ("Steady beat and deep bass", "bass", None),
        ("Play on the beat and add a walking bass", "bass", None),
        ("Double the guitar riff and play a heavy bass line", "bass", None),
        ("Off-beat and bouncy organ", "keys", None),
        ("Not half-time drums", "drums", None),
        ("Add a drum beat that locks with the bass", "drums", None),
        ("kick only", "drums", "kick only"),
        ("hi-hat only please", "drums", "hi-hat only"),
        ("don't use cymbals", "drums", "don't use cymbals"),
        ("do not play the ride", "drums", "do not play the ride"),
        ("Add a half-time beat", "drums", "half-time"),
        ("double time drums", "drums", "double time"),
        ("drums that only come in at the chorus", "drums", "at the chorus"),
        ("start the drums after 10 seconds", "drums", "after 10 seconds"),
        ("wait for 4 bars then come in", "drums", "wait for 4 bars"),
        ("quieter verse, louder chorus", "drums", "quieter verse"),
        ("get louder towards the end", "drums", "get louder"),
        ("a crescendo", "bass", "crescendo"),
        ("drums that vary from one bar to the next", "drums", None),
        ("Add drums, 16 bars 4/4", "drums", None),
        ("drums in verse-chorus form", "drums", None),
        ("coming in late behind the beat", "drums", None),
        ("palm-muted guitar, picked at the bridge", "guitar", None),
        ("don't get louder", "drums", None),
        ("a guitar with the chorus effect", "guitar", None),
        ("a chord on each beat", "keys", None),
        ("bass on beats one and three", "bass", None),
        ("chords on the off-beat", "guitar", None),
        ("play only on the first beat of each bar", "keys", None),
        ("two notes a beat", "bass", None),
        ("Add a disco beat", "bass", "names drums"),
        ("give me some hip-hop beats", "keys", "names drums"),
        ("alberti bass", "keys", None),
        ("a music box", "keys", "no music box"),
    ):
        found = Order(words, stem).doubts()
        assert (said in found[0]) if said else not found, words


def test_what_cannot_be_made_is_refused_in_a_sentence(inserter, song, grid):
    for how, says in (
        ({"steps": 0}, "Steps"),
        ({"guidance": float("nan")}, "Guidance"),
        ({"guidance": -1.0}, "Guidance"),
        ({"seed": -1}, "seed"),
        ({"region": "0-2"}, "region"),
        ({"region": 3.0}, "region"),
        ({"beats": [0.0, 0.5, 1.0]}, "BeatGrid"),
        ({"stem": "vocals"}, "makes drums, not vocals"),
    ):
        with pytest.raises(UserError, match=says):
            inserter.insert(*song, "Add rock drums", **{"beats": grid} | how)
    with pytest.raises(UserError, match=r"samples\.T"):
        inserter.insert(song[0].T, song[1], "Add rock drums")
    with pytest.raises(UserError, match="empty"):
        inserter.insert(*song, None)
    with pytest.raises(UserError, match="choose from drums, bass, guitar, keys"):
        Inserter.load(stem="vocals")
    assert len(repr(inserter)) < 500


def test_a_recording_to_sound_like_is_as_loud_as_drums_are(inserter, song, grid):
    """Its level is that of mel bands alone, and what is usual and asked for is told too."""
    plain = inserter.insert(*song, "Add rock drums", beats=grid).settings["stem_level_db"]
    drums = inserter.insert(*song, "Add pop drums", beats=grid, seed=3)
    like = kit_of(drums.stem, drums.sample_rate, inserter.model.tokens)
    made, hard = (
        inserter.insert(*song, "Add rock drums", beats=grid, like=like, dynamics=d)
        for d in (0.0, 2.0)
    )
    assert abs(made.settings["stem_level_db"] - plain) < 4  # 11 dB too soft once
    assert hard.settings["stem_level_db"] > made.settings["stem_level_db"] + 4


@pytest.mark.parametrize("style", ["jazz", "funk"])
def test_loud_drums_are_louder_than_soft_ones(inserter, song, grid, style):
    loud, soft = (
        np.mean(inserter.insert(*song, f"Add {words} {style} drums", beats=grid).stem ** 2)
        for words in ("loud", "soft")
    )
    assert 10 * np.log10(loud / soft) > 2


@pytest.mark.parametrize("style", ["rock", "electronic"])
def test_busy_drums_play_more_than_sparse_ones(inserter, song, grid, style):
    many, few = (
        onsets_per_beat(grid.times, onset_times(onset_envelope(made.stem.mean(axis=1), song[1])))
        for made in (
            inserter.insert(*song, f"Add {words} {style} drums", beats=grid)
            for words in ("busy", "sparse")
        )
    )
    assert many > few + 0.3


def test_same_seed_same_stem_other_seed_other_stem(inserter, song, grid, result):
    again = inserter.insert(*song, "Add funk drums", beats=grid)
    np.testing.assert_array_equal(again.stem, result.stem)
    other = inserter.insert(*song, "Add funk drums", beats=grid, seed=1)
    assert np.abs(other.stem - result.stem).max() > 0.01


def test_the_input_is_only_read(inserter, song, grid):
    samples = song[0].copy()
    inserter.insert(samples, song[1], "Add drums", beats=grid, steps=1)
    np.testing.assert_array_equal(samples, song[0])


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 6), (96000, 2)])
def test_any_rate_and_channels(inserter, rate, channels):
    rng = np.random.default_rng(0)
    time = np.arange(int(1.37 * rate)) / rate
    samples = 0.2 * np.sin(2 * np.pi * 220 * time)[:, None] * rng.uniform(0.5, 1, channels)
    made = inserter.insert(samples, rate, "Add rock drums", steps=2)
    assert made.stem.shape == samples.shape and np.isfinite(made.stem).all()


def test_a_tenth_of_a_second_of_mono_works(inserter):
    samples = 0.1 * np.sin(np.arange(4410) / 20)
    assert inserter.insert(samples, 44100, "drums", steps=2).stem.shape == (4410,)


def test_silence_gives_a_silent_stem_and_says_so(inserter):
    made = inserter.insert(np.zeros(44100), 44100, "Add drums")
    assert not made.stem.any() and "silent" in made.notices[0]
    constant = inserter.insert(np.full(44100, 0.5), 44100, "Add drums")
    assert not constant.stem.any() and "silent" in constant.notices[0]


def test_who_gave_the_tempo_is_not_told_to_give_it(inserter):
    noise = 0.1 * np.random.default_rng(0).normal(size=3 * 44100)
    unsure = replace(BeatGrid.from_bpm(100, 0.0, 3.0), confidence=0.1)
    for bpm, words in ((None, "give it with --bpm"), (100.0, "Where the bars begin")):
        made = inserter.insert(noise, 44100, "Add drums", beats=unsure, bpm=bpm, steps=1)
        assert any(words in notice for notice in made.notices)


def test_a_song_with_drums_is_noticed(inserter, song, grid, result):
    assert not any("drums already" in notice for notice in result.notices)
    loud = 10 ** (-3 / 20) * np.std(song[0]) / np.std(result.stem)
    mixed = inserter.insert(song[0] + loud * result.stem, song[1], "Add drums", beats=grid, steps=1)
    assert any("drums already" in notice for notice in mixed.notices)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instruction": "  "}, "instruction is empty"),
        ({"stem": "kazoo"}, "not kazoo"),
        ({"sample_rate": 4000}, "8 and 192 kHz"),
        ({"samples": np.zeros(100)}, "shorter than"),
        ({"samples": np.full(44100, np.nan)}, "not numbers"),
        ({"samples": np.zeros((44100, 2, 2))}, "shaped"),
        ({"density": 2.1}, "between -2 and 2"),
        ({"dynamics": np.nan}, "between -2 and 2"),
        ({"tight": 1.5}, "between 0 and 1"),
        ({"region": (1.0, 2.0)}, "ends at 1.00 s"),
        ({"region": (0.5, 0.55)}, "too short"),
        ({"region": (-1.0, 0.5)}, "0 or more"),
        ({"region": (0.0, np.nan)}, "0 or more"),
    ],
)
def test_bad_input_is_one_sentence(inserter, change, words):
    good = {"samples": np.ones(44100), "sample_rate": 44100, "instruction": "Add drums"}
    with pytest.raises(UserError, match=words):
        inserter.insert(**{**good, **change})


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a restem model"):
        Inserter.load(tmp_path)


@pytest.mark.parametrize(
    ("heard_bpm", "bpm", "seconds"),
    [(121, 120, 8), (120, 128, 30), (120, 60, 32), (121, 120, 240), (120, 120, 60)],
)
def test_a_tempo_given_alone_keeps_the_first_downbeat(heard_bpm, bpm, seconds):
    heard = BeatGrid.from_bpm(heard_bpm, 0.4, seconds)
    fixed = at_tempo(heard, bpm, seconds)
    assert fixed.bpm == pytest.approx(bpm)
    assert np.min(np.abs(fixed.downbeats - 0.4)) < 0.15


def test_a_tempo_out_of_range_is_named():
    with pytest.raises(UserError, match=r"between 20 and 400"):
        at_tempo(BeatGrid.from_bpm(120, 0.0, 8.0), 0.0, 8.0)


def test_silence_looks_as_it_did_in_training(inserter, song, monkeypatch):
    """A pause becomes the very value that silent frames have in training batches."""
    config = inserter.model.tokens
    seen = {}

    def catch(model, context, *args, **kwargs):
        seen["context"] = context
        return np.zeros((len(context), config.stem_values), np.float32)

    monkeypatch.setattr("restem.insertion.generate", catch)
    samples = song[0].copy()
    samples[2 * song[1] : 4 * song[1]] = 0
    inserter.insert(samples, song[1], "Add drums", beats=BeatGrid.from_bpm(BPM, 0.0, 8.0))
    pause = mel_from_tokens(seen["context"], config)[220:380]
    silent = (config.quiet_db - config.centre_db) / config.scale_db
    np.testing.assert_allclose(pause, silent, atol=1e-6)


@pytest.mark.parametrize("region", [(3.0, 5.5), (0.0, 0.7), (6.0, 99.0)])
def test_a_region_is_played_and_all_else_is_exact_silence(inserter, song, grid, region):
    made = inserter.insert(*song, "Add funk drums", beats=grid, region=region, steps=4)
    first, end = (min(round(edge * song[1]), len(song[0])) for edge in region)
    assert made.stem.shape == song[0].shape
    assert not made.stem[:first].any() and not made.stem[end:].any()
    level = np.sqrt(np.mean(made.stem[first:end] ** 2) / np.mean(song[0] ** 2))
    assert level > 0.03
    assert made.settings["region"] == [region[0], min(region[1], 8.0)]
    jump = np.abs(np.diff(made.stem[:, 0]))[max(first - 1, 0) : first + 20]  # a fade, no click
    assert jump.max() < 0.25 * np.abs(made.stem).max()


def test_a_region_works_on_its_surroundings_only(inserter, grid, monkeypatch):
    lengths = []

    def catch(model, context, phase, *args, **kwargs):
        lengths.append((len(context), phase[0]))
        return np.zeros((len(context), model.tokens.stem_values), np.float32)

    monkeypatch.setattr("restem.insertion.generate", catch)
    samples = 0.1 * np.sin(np.arange(30 * 22050) / 20)
    inserter.insert(samples, 22050, "Add drums", beats=grid)
    inserter.insert(samples, 22050, "Add drums", beats=grid, region=(20.0, 22.0))
    (whole, _), (part, first) = lengths
    assert whole == 751 and 128 <= part < 200
    at = inserter.model.tokens.token_times(1600, 1)  # four seconds before the region
    np.testing.assert_allclose(first[:15], phase_features(grid, at)[0], atol=1e-6)


def test_the_command_writes_four_files_that_null(tmp_path, song):
    """The whole command in a fresh process: 16-bit WAV in; mix minus stem is the song, exactly."""
    source = tmp_path / "my song.wav"
    soundfile.write(source, song[0], song[1], subtype="PCM_16")
    before = source.read_bytes()
    command = [
        sys.executable,
        "-m",
        "restem",
        "insert",
        str(source),
        "Add funk drums",
        "--bpm",
        "98",
        "--steps",
        "4",
        "--gain",  # so few steps make loud drums, and 16 bits are to do
        "-12",
        "-o",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "98" in done.stdout and "--bpm" in done.stdout
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "my song.drums.json",
        "my song.drums.wav",
        "my song.mix.wav",
        "my song.png",
    ]
    read = {
        n: soundfile.read(out / f"my song.{n}.wav", dtype="int16")[0].astype(int)
        for n in ("drums", "mix")
    }
    original = soundfile.read(source, dtype="int16")[0].astype(int)
    np.testing.assert_array_equal(read["mix"] - read["drums"], original)
    assert source.read_bytes() == before
    record = json.loads((out / "my song.drums.json").read_text())
    assert record["instruction"] == "Add funk drums" and record["bpm"] == pytest.approx(98.0)
    first = {p.name: p.read_bytes() for p in out.iterdir()}
    refused = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2 and "--force" in refused.stderr
    again = subprocess.run([*command, "--force"], capture_output=True, text=True, timeout=300)
    assert again.returncode == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == first


def test_beats_of_another_song_are_refused(inserter, song):
    samples, rate = song
    far = BeatGrid(np.arange(1000.0, 1004.0), np.arange(4) + 1, 4)
    with pytest.raises(UserError, match="None of the beats that were given lies in the song"):
        inserter.insert(samples, rate, "Add funk drums", beats=far)
