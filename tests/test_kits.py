"""Kits: chosen by sentence, stored in bytes, taken from a recording, and heard by the network."""

import itertools

import numpy as np
import pytest
import soundfile
from test_generate import ASKED, CONFIG, Network

from restem.audio.spectrogram import log_mel, peak_hz
from restem.cli import main
from restem.errors import UserError
from restem.evaluation.loudness import loudness
from restem.generation import generate
from restem.insertion import Inserter
from restem.kits import CHOICE, FILE, POOL, Kit, Kits, kit_of, stored
from restem.manner import level_to
from restem.networks.onnx_model import EMBEDDED
from restem.text import TextEncoder
from restem.tokens import MARKS, PHASES, density_value, loudness_value, mel_from_tokens

RATE = CONFIG.spectrogram.sample_rate


def _kits(count=9):
    """Kit n is n steps above silence everywhere, and so is its phase."""
    text = np.eye(count, 384, dtype=np.float32)
    number = np.arange(1, count + 1)[:, None, None]
    stem = np.broadcast_to(number, (count, CONFIG.anchor, CONFIG.stem_values)).astype(np.uint8)
    phase = np.broadcast_to(number, (count, CONFIG.anchor, PHASES)).astype(np.float16)
    return Kits(stem, phase, text, CONFIG.silence)


def test_a_seed_chooses_among_the_nearest_kits():
    kits = _kits()
    wanted = np.zeros(384, np.float32)
    wanted[[2, 5, 7]] = 0.5, 0.6, 0.4
    chosen = [int(kits.choose(wanted, seed, 0.0).phase[0, 0]) for seed in range(40)]
    assert set(chosen) == {3, 6, 8} and CHOICE == 3
    assert chosen == [int(kits.choose(wanted, seed, 0.0).phase[0, 0]) for seed in range(40)]


def test_kits_are_as_loud_as_they_are_told_to_be():
    """All seeds' kits have one level, and what is silent in them stays so."""
    kits = _kits(30)
    kits.stem[:, 5] = 0
    wanted = np.linspace(1, 0.5, 384, dtype=np.float32)
    usual = kits.usual(wanted)[1]
    found = [kits.choose(wanted, seed, usual).stem for seed in range(10)]

    def level(stem):
        return np.log10(np.mean(10 ** (np.delete(stem, 5, axis=0) * 2)))

    for stem in found:
        assert level(stem) == pytest.approx(level(found[0]), abs=0.01)
        assert (stem[5] == CONFIG.silence).all()
    median = CONFIG.silence + np.median(kits.stem[:POOL, 0, 0]) / 40
    assert found[0][0, 0] == pytest.approx(median, abs=0.03)
    louder = kits.choose(wanted, 0, usual + 0.5).stem
    np.testing.assert_allclose(louder[0] - found[0][0], 5 / CONFIG.scale_db, atol=1e-4)


def test_the_near_kits_tell_what_is_usual():
    """Kits of known hits and level: 20 near ones with five hits, 20 far ones with one."""
    count = 40
    stem = np.zeros((count, CONFIG.anchor, CONFIG.stem_values), np.uint8)
    for n in range(count):
        for hit in range(5 if n < 20 else 1):
            stem[n, 2 + 5 * hit] = 80  # 40 dB above silence
    text = np.where(np.arange(count)[:, None] < 20, 1.0, -1.0) * np.ones(384, np.float32)
    phase = np.zeros((count, CONFIG.anchor, PHASES), np.float16)
    kits = Kits(stem, phase, text.astype(np.float32), CONFIG.silence)
    density, loudness = kits.usual(np.ones(384, np.float32))
    assert density == pytest.approx(density_value(5 / 1.28))
    power = 96 * (5 * 10 ** (-30 / 10) + 27 * 10 ** (-70 / 10)) / 32
    assert loudness == pytest.approx(loudness_value(power), abs=1e-3)


def test_kits_come_back_from_their_file(tmp_path):
    stem = np.random.default_rng(0).uniform(CONFIG.silence, 2, (1, 32, CONFIG.stem_values))
    kits = _kits(1)
    kits = Kits(stored(stem, CONFIG.silence), kits.phase, kits.text, CONFIG.silence)
    kits.save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
    back = Kits.load(tmp_path, CONFIG.silence)
    as_it_is = back.usual(ASKED.text)[1]
    found = back.choose(ASKED.text, 0, as_it_is).stem
    np.testing.assert_allclose(found, stem[0], atol=0.0126)  # half a step
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:200])
    with pytest.raises(UserError, match=r"kits\.npz is damaged"):
        Kits.load(tmp_path, CONFIG.silence)
    (tmp_path / FILE).unlink()
    assert Kits.load(tmp_path, CONFIG.silence) is None


@pytest.mark.parametrize("length", [128, 300])
def test_a_song_begins_after_its_kit(length):
    kit = Kit(np.full((32, CONFIG.stem_values), 0.25, np.float32), np.full((32, PHASES), 7.0))
    network = Network()
    level = np.linspace(0, 1, length, dtype=np.float32)
    context = np.repeat(level[:, None], CONFIG.context_values, axis=1)
    phase = np.zeros((length, PHASES), np.float32)
    shares = []
    stem = generate(
        network, context, phase, ASKED, seed=1, steps=3, guidance=1.0, kit=kit,
        progress=lambda share, words: shares.append(share),
    )  # fmt: skip
    np.testing.assert_allclose(stem[:, 0], level, atol=1e-6)
    assert shares == sorted(shares) and shares[-1] == 1.0 and shares[0] > 0
    for shown, heard, place, _ in network.calls:
        np.testing.assert_array_equal(shown[0, :32], kit.stem)
        np.testing.assert_array_equal(place[0, :32, :PHASES], kit.phase)
        assert (heard[0, :32] == CONFIG.silence).all()
        assert place.shape[2] == PHASES + MARKS and place[0, :32, PHASES:].all()
    first = network.calls[0]
    assert first[2][0, :, PHASES].sum() == 32  # all that is given
    np.testing.assert_allclose(first[1][0, 32:, 0], level[:96])


def test_the_kit_of_a_recording_is_its_loudest_second_at_any_level():
    rng = np.random.default_rng(3)
    samples = rng.normal(0, 0.001, 4 * RATE)
    samples[2 * RATE : int(3.5 * RATE)] *= 100
    loud, soft = kit_of(samples, RATE, CONFIG), kit_of(samples * 0.1, RATE, CONFIG)
    np.testing.assert_allclose(loud.stem, soft.stem, atol=0.1)
    assert loud.stem.shape == (32, CONFIG.stem_values) and not loud.phase.any()
    mel = log_mel(samples[2 * RATE : int(3.28 * RATE)].astype(np.float32), CONFIG.spectrogram)
    ours = mel_from_tokens(loud.stem, CONFIG).mean(axis=0) * CONFIG.scale_db
    shape = ours - mel[: len(ours)].mean(axis=0)
    assert shape.std() < 1.0  # the same spectrum but for a gain
    for bad in (samples[: RATE // 2], np.zeros(2 * RATE)):
        with pytest.raises(UserError, match="silent or shorter"):
            kit_of(bad, RATE, CONFIG)


def test_the_packaged_kits_answer_to_their_styles():
    """The kits chosen for a style are told by its words, and metal's are fuller than brushes at
    one loudness: in the mean of all cells, though a kick gives the loudness to both."""
    inserter = Inserter.load(EMBEDDED)
    assert inserter.kits is not None
    text = TextEncoder.load().encode(["Add soft brushed jazz drums", "Add loud heavy metal drums"])
    for vector, other in (text, text[::-1]):
        near = inserter.kits.text[inserter.kits._near(vector, CHOICE)].astype(np.float32)
        assert (near @ vector > near @ other + 0.15).all()
    jazz, metal = (
        np.mean([inserter.kits.choose(vector, seed, 0.0).stem for seed in range(6)])
        for vector in text
    )
    assert metal > jazz + 0.04  # 0.8 dB in the mean of all cells


def test_the_stem_takes_on_the_kit_that_it_is_told(demo_like):
    """Made like noise above 8 kHz and like noise below 300 Hz, stems differ the same way."""
    inserter, song, rate = demo_like
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=2 * RATE))
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    gate = (np.arange(2 * RATE) % (RATE // 4) < RATE // 20).astype(float)
    centres = []
    for kept in (hertz > 8000, hertz < 300):
        kit = kit_of(np.fft.irfft(spectrum * kept) * gate, RATE, inserter.model.tokens)
        stem = inserter.insert(song, rate, "Add drums", like=kit).stem
        power = np.abs(np.fft.rfft(stem)) ** 2
        centres.append(power @ np.fft.rfftfreq(len(stem), 1 / rate) / power.sum())
    assert centres[0] > 1.5 * centres[1]


@pytest.fixture(scope="module")
def demo_like():
    time = np.arange(6 * RATE) / RATE
    notes = 110 * 2 ** (np.floor(time * 2) % 4 / 12)
    song = 0.2 * np.sin(2 * np.pi * np.cumsum(notes) / RATE) * np.exp(-4 * (time * 2 % 1))
    return Inserter.load(), song, RATE


def test_a_stem_is_brought_to_a_loudness_as_the_ear_weighs_it():
    rng = np.random.default_rng(0)
    stem = rng.normal(0, 0.5, (5000, CONFIG.stem_values)).astype(np.float32)
    stem += 3  # far above silence
    stem[100:200] = CONFIG.silence
    mels, hz = CONFIG.spectrogram.mels, peak_hz(CONFIG.spectrogram)

    def rows(tokens):
        return tokens.reshape(len(tokens) * CONFIG.frames_per_token, -1)

    def plain(tokens):
        power = 10 ** ((rows(tokens)[:, :mels] * CONFIG.scale_db + CONFIG.centre_db) / 10)
        return float(loudness_value(power.sum(axis=1).mean()))

    for louder, band in itertools.product((-1.0, 0.8), (0, mels // 2, mels - 1)):
        made = np.full_like(stem, CONFIG.silence)
        rows(made)[:, band] = rows(stem)[:, band]
        asked = plain(made) + louder
        level_to(made, asked, CONFIG)
        assert (made[100:200] == CONFIG.silence).all()
        sine = np.sin(2 * np.pi * hz[band] * np.arange(2 * RATE) / RATE)
        weight_db = loudness(sine, RATE) + 0.691 + 10 * np.log10(2)
        assert 10 * (asked - plain(made)) == pytest.approx(weight_db, abs=0.3)
    silent = np.full_like(stem, CONFIG.silence)
    level_to(silent, 0.0, CONFIG)
    assert (silent == CONFIG.silence).all()


def test_a_recording_without_drums_is_no_kit(tmp_path, capsys):
    time = np.arange(4 * RATE) / RATE
    held = 0.2 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(2 * np.pi * 330 * time)) / 2
    for name in ("song.wav", "held.wav"):
        soundfile.write(tmp_path / name, held, RATE)
    words = ["insert", str(tmp_path / "song.wav"), "Add drums", "--bpm", "100"]
    words += ["--like", str(tmp_path / "held.wav"), "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "No drums are heard in held.wav; give a recording of drums alone" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
