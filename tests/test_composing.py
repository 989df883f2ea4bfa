"""Bass, guitar and keys are composed as notes, in the song's key, on its beats, and played."""

import mido
import numpy as np
import pytest
import soundfile

from restem import BeatGrid, Inserter, UserError
from restem.audio.waveform import rms_db, sounding_db
from restem.composing import _above_lowest_string
from restem.insertion import Order
from restem.symbolic.blips import without_blips
from restem.symbolic.voices import program_for
from restem.takes import make_takes

RATE, SECONDS, BPM = 44100, 16.0, 120.0
CHORDS = ((45, 3), (41, 4), (48, 4), (43, 4))  # lowest note and its third, a bar each
GRID = BeatGrid.from_bpm(BPM, 0.0, SECONDS)


def tone(midi: float, seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    hz = 440 * 2 ** ((midi - 69) / 12)
    wave = sum(np.sin(2 * np.pi * hz * n * t) / n for n in range(1, 9))
    return 0.06 * wave * np.exp(-3 * t) * np.minimum(t / 0.004, 1)


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    """Chords above middle C on every beat, for a bass to go under."""
    wave = np.zeros(int(SECONDS * RATE))
    for beat in range(int(SECONDS * BPM / 60)):
        root, third = CHORDS[beat // 4 % 4]
        for midi in (root + 12, root + 12 + third, root + 19):
            at = round(beat * 60 / BPM * RATE)
            made = tone(midi, 0.6)[: len(wave) - at]
            wave[at : at + len(made)] += made
    return wave


@pytest.fixture(scope="module")
def bass() -> Inserter:
    return Inserter.load(stem="bass")


def made(inserter, song, words="Add a rock bass line", stem="bass", **how):
    return inserter.insert(song, RATE, words, stem=stem, beats=GRID, **how)


@pytest.mark.parametrize("stem", ["bass", "guitar", "keys"])
def test_the_notes_are_of_the_chords_and_the_sound_is_of_the_notes(song, stem):
    result = made(Inserter.load(stem=stem), song, f"Add {stem}", stem)
    notes = result.notes
    assert len(notes.starts) >= 8
    bar = np.clip(notes.starts // 2 % 4, 0, 3).astype(int)
    roots, thirds = np.array(CHORDS)[bar].T
    above = (notes.pitches - roots) % 12
    assert np.mean((above == 0) | (above == thirds) | (above == 7)) > 0.6
    sounding = np.zeros(len(song), bool)
    for start, end in zip(notes.starts, notes.ends, strict=True):
        sounding[round(start * RATE) : round(max(end, start + 0.05) * RATE) + 4000] = True
    assert np.abs(result.stem[~sounding]).max(initial=0) < 1e-3  # where there is no note


def test_same_seed_same_bytes_and_another_seed_plays_another_line(song, bass):
    first, again = made(bass, song), made(bass, song)
    np.testing.assert_array_equal(first.stem, again.stem)
    assert first.settings == again.settings and first.settings["model_sha256"] == bass.model.sha256
    other = made(bass, song, seed=1)
    assert not np.array_equal(first.stem, other.stem)


def test_tight_notes_lie_on_the_grid_and_others_near_it(song, bass):
    off = {}
    for tight in (0.0, 0.5, 1.0):
        places = made(bass, song, tight=tight).notes.starts * BPM / 60 * 12  # steps
        off[tight] = np.abs(places - np.round(places)) / 12 * 60 / BPM
    assert off[1.0].max() < 1e-9
    assert off[0.0].max() < 0.011 and off[0.0].mean() > 0.001
    assert off[0.5].mean() == pytest.approx(off[0.0].mean() / 2)


def test_density_adds_notes_and_dynamics_decibels(song, bass):
    counts = [
        np.mean([len(made(bass, song, density=d, seed=s).notes.starts) for s in range(3)])
        for d in (-2, 0, 2)
    ]
    assert counts[0] < 0.8 * counts[1] and counts[1] < 0.9 * counts[2]
    level = [sounding_db(made(bass, song, dynamics=d).stem, RATE) for d in (-1, 0, 1)]
    np.testing.assert_allclose(np.diff(level), 5, atol=0.5)
    usual = rms_db(song) - 4
    assert level[1] == pytest.approx(usual, abs=0.5)


def test_words_set_density_and_dynamics_unless_they_are_asked(song, bass):
    busy, sparse = (
        len(made(bass, song, f"Add a {word} rock bass line").notes.starts)
        for word in ("busy", "sparse")
    )
    assert busy > 1.3 * sparse
    soft = made(bass, song, "Add a soft walking bass")
    told = made(bass, song, "Add a soft walking bass", dynamics=0.0)
    assert sounding_db(told.stem, RATE) - sounding_db(soft.stem, RATE) == pytest.approx(5, abs=0.5)


def test_outside_of_a_region_is_silence(song, bass):
    result = made(bass, song, region=(4.3, 7.9))
    inside = slice(round(4.3 * RATE), round(7.9 * RATE))
    assert np.abs(result.stem[inside]).max() > 0.01
    rest = result.stem.copy()
    rest[inside] = 0
    assert not rest.any()
    assert (result.notes.starts > 3.9).all() and (result.notes.starts < 8.1).all()


def test_takes_carry_their_notes_and_the_pack_writes_them(song, bass, tmp_path):
    from restem.audio.files import read_audio
    from restem.mixing import mix_down
    from restem.pack import write_pack

    order = Order("Add a rock line on upright bass", "bass")
    takes = list(make_takes(bass, song[:, None], RATE, order, 3, beats=GRID))
    lines = [tuple(take.notes.pitches) for take in takes]
    assert len(set(lines)) == 3
    path = tmp_path / "song.wav"
    soundfile.write(path, song, RATE, "PCM_24")
    audio = read_audio(path)
    mixdown = mix_down(audio.samples, takes[0].stem, "PCM_24")
    write_pack(tmp_path, path, audio, mixdown, takes[0])
    midi = mido.MidiFile(tmp_path / "song.pack" / "song.bass.mid")
    programs = [m.program for m in midi if m.type == "program_change"]
    assert programs == [takes[0].settings["program"]] == [32]
    played, now = [], 0.0
    for message in midi:
        now += message.time
        if message.type == "note_on" and message.velocity:
            played.append((now, message.note))
    notes = takes[0].notes
    ordered = sorted(zip(notes.starts, notes.pitches, strict=True))
    assert [pitch for _, pitch in played] == [pitch for _, pitch in ordered]
    np.testing.assert_allclose([t for t, _ in played], [t for t, _ in ordered], atol=0.002)


def test_a_song_that_ends_before_its_file_gets_no_softer_part(song, bass):
    longer = np.concatenate([song, np.zeros(3 * len(song))])
    level = sounding_db(made(bass, song).stem, RATE)
    grid = BeatGrid.from_bpm(BPM, 0.0, 4 * SECONDS)
    tailed = bass.insert(longer, RATE, "Add a rock bass line", stem="bass", beats=grid).stem
    assert sounding_db(tailed, RATE) == pytest.approx(level, abs=1.0)


def test_the_part_rests_where_the_song_is_silent_and_ends_with_it(song, bass):
    paused = song.copy()
    paused[: 4 * RATE] = 0
    paused[9 * RATE : 13 * RATE] = 0
    for seed in range(3):
        result = made(bass, paused, seed=seed)
        starts = result.notes.starts
        assert (starts > 3.9).all(), "it does not come in before the song"
        assert not ((starts > 10.1) & (starts < 12.9)).any(), "and plays on alone for a second"
        assert (starts < SECONDS).all() and len(starts) > 4


@pytest.mark.parametrize("seconds", [0.3, 3.0])
def test_short_songs_noise_and_silence(bass, seconds):
    rng = np.random.default_rng(0)
    for wave in (0.1 * rng.standard_normal(round(seconds * RATE)), np.zeros(round(seconds * RATE))):
        result = bass.insert(wave, RATE, "Add bass", stem="bass")
        assert result.stem.shape == wave.shape and np.isfinite(result.stem).all()
        if not wave.any():
            assert not result.stem.any()


@pytest.mark.parametrize(
    "stem, words, program",
    [
        ("bass", "Add a funky slap bass", 36),
        ("bass", "acoustic rock song, electric bass", 33),
        ("bass", "an acoustic bass", 32),
        ("guitar", "electric guitar in an acoustic ballad", 27),
        ("guitar", "acoustic rock guitar", 25),
        ("guitar", "fingerstyle guitar", 25),
        ("keys", "funky clav", 7),
        ("keys", "8-stop church organ", 19),
        ("guitar", "double-stop acoustic guitar licks", 25),
        ("bass", "stop-time slap bass", 36),
        ("bass", "Add walking upright bass", 32),
        ("bass", "Add a jazz bass line", 32),
        ("bass", "Add a punk bass line played on an upright", 32),
        ("bass", "Add bass", 33),
        ("guitar", "Add distorted guitar", 30),
        ("guitar", "Add acoustic jazz guitar", 25),
        ("guitar", "bossa nova guitar", 24),
        ("keys", "Add a Rhodes", 4),
        ("keys", "Add gospel organ", 16),
        ("keys", "Add keys", 0),
        ("bass", "Add an acid jazz bass", 32),
        ("bass", "Add a rock bass, no slap", 33),
        ("guitar", "electric guitar solo in heavy metal", 30),
        ("guitar", "hard bop jazz guitar", 26),
        ("guitar", "palm muted guitar", 28),
        ("keys", "piano part with vibrant chords", 0),
        ("keys", "piano for a church service", 0),
        ("keys", "organic piano", 0),
        ("keys", "electronic piano", 4),
        ("keys", "Add organs", 16),
        ("keys", "Add a Moog lead", 81),
        ("guitar", "palm-mute chugs", 28),
        ("guitar", "heavy guitar riffs", 30),
        ("bass", "Add an electric jazz bass", 33),
        ("bass", "Add a Moog bass", 38),
    ],
)
def test_sentences_choose_the_instrument(stem, words, program):
    assert program_for(stem, words) == program


def test_a_model_of_notes_draws_no_spectrograms(bass):
    with pytest.raises(UserError, match="writes notes"):
        bass.stem_mel(np.zeros((100, 80)), "Add bass", None, stem="bass")


def test_what_rings_at_the_end_of_the_file_fades(song):
    part = made(Inserter.load(stem="keys"), song, "Add long held organ chords", "keys").stem
    assert np.abs(part[-RATE // 4 : -RATE // 10]).max() > 0.01, "it rings on to the end"
    assert part[-1] == 0 and np.abs(part[-20:]).max() < 0.002


def test_an_only_note_at_the_end_is_no_louder_than_others(bass):
    rng = np.random.default_rng(1)
    for seconds in (0.11, 0.18, 0.34, 0.6):
        for seed in range(4):
            wave = 0.1 * rng.standard_normal(round(seconds * RATE))
            assert (
                np.abs(bass.insert(wave, RATE, "Add bass", stem="bass", seed=seed).stem).max() < 2
            )


def test_notes_known_are_those_that_sound(song, bass):
    for words, region in (("Add a disco bass", (5.5, 7.0)), ("Add a disco bass", None)):
        notes = bass.insert(song, RATE, words, beats=GRID, region=region).notes
        start, end = region or (0.0, SECONDS)
        assert len(notes.starts) and (notes.starts >= start).all() and (notes.ends <= end).all()
        assert (np.diff(np.sort(notes.starts)) > 0.01).all()  # one at a time
    guitar = made(Inserter.load(stem="guitar"), song, "Add a busy disco guitar", "guitar").notes
    for pitch in np.unique(guitar.pitches):
        same = np.flatnonzero(guitar.pitches == pitch)
        same = same[np.argsort(guitar.starts[same])]
        assert (guitar.ends[same[:-1]] <= guitar.starts[same[1:]]).all()


def test_a_bass_stays_low(song, bass):
    for seed in range(4):
        notes = made(bass, song, "Add a walking bass", seed=seed).notes
        assert np.median(notes.pitches) <= 47 and notes.pitches.min() >= 28


def test_a_low_note_that_is_lifted_to_another_is_one_with_it():
    rows = np.array([[0, 6, 38], [0, 12, 50], [6, 12, 64], [12, 18, 50]])
    lifted, times = _above_lowest_string(rows, rows[:, :2] / 10.0)
    assert lifted.tolist() == [[0, 12, 50], [6, 12, 64], [12, 18, 50]]
    assert times[:, 1].tolist() == [1.2, 1.2, 1.8]
    none = np.zeros((0, 3), int)
    assert len(_above_lowest_string(none, np.zeros((0, 2)))[0]) == 0


def test_a_blip_is_lengthened_or_one_with_the_next_stroke():
    rows = np.array(
        [[0, 12, 60], [12, 13, 60], [12, 13, 64], [13, 24, 60], [24, 25, 65], [27, 28, 67],
         [36, 48, 60], [36, 37, 64], [37, 48, 67], [59, 60, 72]]
    )  # fmt: skip
    times = rows[:, :2] * 0.04
    mended, after = without_blips(rows, times, 2.42)
    assert mended[:, 0].tolist() == [0, 12, 12, 24, 27, 36, 36, 36, 59]
    lengths = np.diff(after)[:, 0]
    expected = [0.48, 0.48, 0.15, 0.12, 0.15, 0.48, 0.15, 0.48, 0.06]
    np.testing.assert_allclose(lengths, expected, atol=1e-9)
    assert (after[:, 0] == mended[:, 0] * 0.04).all()
    long = np.array([[0, 12, 60], [1, 12, 64], [12, 15, 62]])  # a rolled chord stays one
    same, still = without_blips(long, long[:, :2] * 0.04, 9.0)
    assert np.array_equal(same, long) and np.array_equal(still, long[:, :2] * 0.04)
    none = np.zeros((0, 3), int)
    assert len(without_blips(none, np.zeros((0, 2)), 1.0)[0]) == 0


def test_no_note_of_a_recording_is_a_blip(song):
    guitar = Inserter.load(stem="guitar")
    notes = made(guitar, song, "Add a busy disco guitar", "guitar", region=(2.0, 8.0)).notes
    following = np.append(notes.starts, 8.0)[np.searchsorted(notes.starts, notes.starts + 0.025)]
    least = np.minimum(0.09, following - notes.starts)
    assert (notes.ends - notes.starts > least - 0.025).all()


def test_a_guitar_has_no_string_below_e(song):
    guitar = Inserter.load(stem="guitar")
    lowest = []
    for seed in range(3):
        low = made(guitar, song, "distorted guitar", "guitar", seed=seed)
        lowest.append(low.notes.pitches.min())
        assert (low.notes.ends > low.notes.starts).all()
    assert min(lowest) >= 40


def test_a_region_without_song_says_so(song, bass):
    paused = song.copy()
    paused[4 * RATE : 12 * RATE] = 0
    result = made(bass, paused, region=(6.0, 9.0))
    assert not result.stem.any() and any("no notes" in notice for notice in result.notices)


def test_steps_are_kept_within_what_the_model_knows_and_guidance_is_refused_beyond(song, bass):
    settings = made(bass, song, steps=500, guidance=3.0, region=(0.0, 2.0)).settings
    assert (settings["steps"], settings["guidance"]) == (bass.model.model.noise.steps, 3.0)
    with pytest.raises(UserError, match="between 0 and 16"):
        made(bass, song, guidance=16.5)
