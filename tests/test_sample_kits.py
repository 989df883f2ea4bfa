"""Hydrogen kits: read from their folders, played at the right times by the right layers."""

import numpy as np
import pytest
import soundfile

from restem.dataset.compose import Part
from restem.dataset.sample_kits import read_kits
from restem.errors import UserError

RATE = 44100
INSTRUMENT = "<instrument><name>{name}</name><volume>1</volume>{layers}</instrument>"
LAYER = "<layer><filename>{file}</filename><max>{top}</max><gain>1</gain></layer>"


def _kit(folder, instruments):
    """Each instrument is (name, [(file, highest velocity, value)]), a tenth of a second long."""
    folder.mkdir(parents=True)
    parts = []
    for name, layers in instruments:
        for file, _, value in layers:
            wave = np.full(RATE // 10, value, np.float32)
            soundfile.write(folder / file, wave, RATE, subtype="FLOAT")
        text = "".join(LAYER.format(file=file, top=top) for file, top, _ in layers)
        parts.append(INSTRUMENT.format(name=name, layers=text))
    xml = f'<drumkit_info xmlns="urn:x"><name>kit</name>{"".join(parts)}</drumkit_info>'
    (folder / "drumkit.xml").write_text(xml)


@pytest.fixture
def kit(tmp_path):
    _kit(tmp_path / "kits" / "one", [
        ("Kick", [("soft.wav", 0.5, 0.1), ("hard.wav", 1, 0.4)]),
        ("Snare Rock", [("snare.wav", 1, 0.2)]),
        ("Closed HH", [("closed.wav", 1, 0.05)]),
        ("Open HH", [("open.wav", 1, 0.3)]),
    ])  # fmt: skip
    (kit,) = read_kits(tmp_path / "kits")
    return kit


def _played(kit, *notes):
    part = Part("drums", 0, np.array([(at, 0.1, pitch, v) for at, pitch, v in notes], float))
    return kit.render(part, 60.0, RATE, np.random.default_rng(0))


def test_strokes_come_at_their_times_from_the_layer_of_their_velocity(kit):
    wave = _played(kit, (0.25, 36, 127), (0.5, 36, 32), (0.75, 38, 127))
    assert np.flatnonzero(wave)[0] == RATE // 4
    assert wave[RATE // 4 + 10] == pytest.approx(0.4, abs=1e-3)
    assert wave[RATE // 2 + 10] == pytest.approx(0.1 * 32 / 127, abs=1e-3)
    assert wave[3 * RATE // 4 + 10] == pytest.approx(0.2, abs=1e-3)


def test_a_closed_hat_ends_an_open_one_and_what_is_missing_is_played_by_its_like(kit):
    wave = _played(kit, (0.0, 46, 127), (0.05, 42, 127))
    assert wave[RATE // 25] == pytest.approx(0.3, abs=1e-3)
    assert wave[RATE // 20 + RATE // 50] == pytest.approx(0.05, abs=1e-3)  # the open one is gone
    electric_snare, cowbell = _played(kit, (0.0, 40, 127)), _played(kit, (0.0, 56, 127))
    assert electric_snare[10] == pytest.approx(0.2, abs=1e-3) and not cowbell.any()


def test_folders_without_whole_kits_are_named(tmp_path):
    with pytest.raises(UserError, match="no Hydrogen drum kits"):
        read_kits(tmp_path)
    _kit(tmp_path / "bells", [("Cowbell", [("bell.wav", 1, 0.1)])])
    with pytest.raises(UserError, match="no Hydrogen drum kits"):
        read_kits(tmp_path)
    (tmp_path / "bells" / "drumkit.xml").write_text("<drumkit_info><name>")
    with pytest.raises(UserError, match="not a drum kit of Hydrogen"):
        read_kits(tmp_path)
