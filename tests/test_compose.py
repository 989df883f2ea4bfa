"""Chords, splits and MMA's own output."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from restem.dataset.compose import (
    Groove,
    compile_parts,
    list_grooves,
    melody,
    plan_chords,
    read_progressions,
    split_of,
    transpose_chord,
)
from restem.errors import UserError

LIBRARY = Path("/usr/share/mma/lib")
needs_mma = pytest.mark.skipif(
    not shutil.which("mma") or not LIBRARY.is_dir(), reason="Debian's package mma is not installed"
)


@pytest.mark.parametrize(
    ("chord", "shift", "expected"),
    [
        ("C", 2, "D"),
        ("Bb7", 2, "C7"),
        ("F#m7b5", 1, "Gm7b5"),
        ("Em7", 0, "Em7"),
        ("AbM7", 4, "CM7"),
        ("G13b9", 0, "G7"),
        ("Dm/A", 0, "Dm"),
        ("Bo7", 1, "Cdim7"),
        ("C69", 0, "C6"),
        ("Asus4", 12, "Asus4"),
    ],
)
def test_chords_move_and_keep_their_quality(chord, shift, expected):
    assert transpose_chord(chord, shift) == expected


def test_splits_are_fixed_and_of_the_right_size():
    splits = [split_of(f"style{i}.mma") for i in range(4000)]
    assert splits == [split_of(f"style{i}.mma") for i in range(4000)]
    assert abs(splits.count("test") / 4000 - 0.10) < 0.02
    assert abs(splits.count("validation") / 4000 - 0.05) < 0.015


def test_lead_sheets_are_read_by_metre(tmp_path):
    (tmp_path / "a.ls").write_text(
        "(meter 3 4)\n(section (style waltz))\n" + "C | G7 | Am | F |\n" * 3
    )
    (tmp_path / "b.ls").write_text("(meter 7 4)\nC | D | E | F | G | A | B | C |\n")
    found = read_progressions(tmp_path)
    assert found[3] == [["C", "G7", "Am", "F"] * 3] and found[4] == []


def test_a_chart_has_one_entry_a_bar():
    groove = Groove(Path("x.mma"), "X", "swing", 4, 4)
    sheets = {4: [["Dm7 G7", "CM7", "/", "junk", "A7", "D7", "G7", "C"]]}
    for seed in range(20):
        chart, _ = plan_chords(sheets, groove, 6, np.random.default_rng(seed))
        assert len(chart) == 6 and all(chart)


def test_the_melody_stays_in_its_song():
    groove = Groove(Path("x.mma"), "X", "swing", 4, 4)
    part = melody(["Am"] * 4, groove, np.random.default_rng(0))
    assert np.all(part.notes[:, 0] < 16) and np.all(np.diff(part.notes[:, 0]) > 0)
    assert set(np.unique(part.notes[:, 2] % 12)) <= {9, 11, 1, 4, 6}  # A major pentatonic


def test_an_empty_library_is_named(tmp_path):
    with pytest.raises(UserError, match="no MMA style files"):
        list_grooves(tmp_path)


@needs_mma
def test_mma_composes_drums_and_a_band():
    grooves = list_grooves(LIBRARY)
    assert len(grooves) > 800 and len({g.path for g in grooves}) > 200
    swing = next(g for g in grooves if g.path.stem == "bossanova" and g.name == "BossaNova")
    parts = compile_parts(swing, ["Cm7", "Fm7 G7", "Cm7", "G7"], seed=1)
    kinds = [part.kind for part in parts]
    assert kinds[0] == "drums" and "bass" in kinds and len(parts) >= 3
    assert all(p.notes[:, 0].min() >= 0 and p.notes[:, 0].max() < 16 for p in parts)
    again = compile_parts(swing, ["Cm7", "Fm7 G7", "Cm7", "G7"], seed=1)
    np.testing.assert_array_equal(parts[0].notes, again[0].notes)
    bass = next(part for part in parts if part.kind == "bass")
    assert bass.notes[0, 2] % 12 == 0  # the first bass note is the root of Cm7


@needs_mma
def test_a_groove_that_mma_rejects_is_a_value_error():
    groove = list_grooves(LIBRARY)[0]
    with pytest.raises(ValueError, match="rejects"):
        compile_parts(Groove(groove.path, "NoSuchGroove", "x", 4, 4), ["C"], 1)


def test_a_groove_that_mma_does_not_finish_is_a_value_error(monkeypatch):
    def endless(words, timeout, **_):
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.setattr(subprocess, "run", endless)
    with pytest.raises(ValueError, match=r"did not finish x\.mma:X within 60 s"):
        compile_parts(Groove(Path("x.mma"), "X", "swing", 4, 4), ["C"], 1)
