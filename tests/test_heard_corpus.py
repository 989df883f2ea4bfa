"""Rendered songs become pieces of what is heard of them beside the true notes of one stem."""

import json

import numpy as np
import pytest

from restem import BeatGrid, UserError
from restem.audio.pitch_notes import PitchNotes
from restem.audio.sampler import play_notes
from restem.cli import main
from restem.symbolic.corpus_file import RollBatches, load_corpus, save_corpus
from restem.symbolic.heard_corpus import heard_pieces
from restem.symbolic.rolls import ONSET, notes_from_roll

RATE, SECONDS = 44100, 8
BASS = [(i * 0.5, i * 0.5 + 0.4, 36 + 5 * (i % 3), 90) for i in range(16)]
KEYS = [(i * 1.0, i * 1.0 + 0.9, p, 90) for i in range(8) for p in (60, 64, 67)]


def played(rows, program):
    table = np.array(rows, float)
    notes = PitchNotes(table[:, 0], table[:, 1], table[:, 2].astype(int), table[:, 3].astype(int))
    return play_notes(notes, program, SECONDS * RATE, RATE)


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    stems = np.stack([played(BASS, 33), played(KEYS, 0)])
    np.save(folder / "00000.context.npy", np.round(stems * 20000).astype(np.int16))
    np.save(folder / "00000.drums.npy", np.zeros((1, SECONDS * RATE), np.int16))
    grid = BeatGrid.from_bpm(120, 0.0, SECONDS - 0.1)
    record = {
        "id": "00000", "split": "train", "style": "bossa nova",
        "beats": grid.times.tolist(), "positions": grid.positions.tolist(), "beats_per_bar": 4,
        "stems": [{"kind": "bass", "program": 33, "notes": BASS},
                  {"kind": "keys", "program": 0, "notes": KEYS}],
    }  # fmt: skip
    (folder / "00000.json").write_text(json.dumps(record))
    return folder


def test_a_piece_holds_the_true_part_and_what_is_heard_of_the_others(songs, tmp_path):
    pieces = {piece.name: piece for piece in heard_pieces(songs)}
    assert list(pieces) == ["00000/bass", "00000/keys"]
    bass = pieces["00000/bass"]
    own = notes_from_roll(bass.parts["bass"][None])
    assert own[:, [0, 2]].tolist() == [[6 * 2 * i, p] for i, (_, _, p, _) in enumerate(BASS)]
    heard = {tuple(row) for row in notes_from_roll(bass.parts["other"][None])[:, [0, 2]]}
    true = {(24 * i, pitch) for i in range(8) for pitch in (60, 64, 67)}
    assert len(heard & true) > 0.8 * len(true) and len(heard - true) < 0.3 * len(heard)
    # and of the bass, which is not in that mix, nothing
    assert not bass.parts["other"][ONSET, :, :48].any()
    path = tmp_path / "heard.npz"
    save_corpus(pieces.values(), path)
    again = {piece.name: piece for piece in load_corpus(path, "train")}
    for name, piece in pieces.items():
        for kind, planes in piece.parts.items():
            np.testing.assert_array_equal(again[name].parts[kind], planes)


def test_training_asks_for_what_was_heard_in_whole_sentences(songs):
    batches = RollBatches(list(heard_pieces(songs)), "keys", seed=0)
    assert len(batches.words[True, "bossa nova"]) > 5 and len(batches.words[True, ""]) == 1
    batch = batches.batch(0, 8)
    assert batch.clean.any() and batch.context.any()
    assert len(np.unique(batch.text, axis=0)) > 2


def test_the_same_songs_give_the_same_pieces(songs):
    first, again = (list(heard_pieces(songs, seed=4)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.parts["other"], b.parts["other"])


def test_songs_without_notes_and_empty_folders(songs, tmp_path):
    record = json.loads((songs / "00000.json").read_text())
    del record["stems"][0]["notes"]
    (songs / "00000.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="render its songs anew"):
        list(heard_pieces(songs))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no rendered songs"):
        list(heard_pieces(tmp_path / "empty"))


def test_folders_are_mixed_by_the_seed_and_a_folder_named_twice_is_mixed_anew(
    songs, tmp_path, monkeypatch
):
    seeds = []

    def heard(folder, seed=0):
        seeds.append(seed)
        return heard_pieces(folder, seed)

    monkeypatch.setattr("restem.symbolic.heard_corpus.heard_pieces", heard)
    out = tmp_path / "c.npz"
    named = ["--heard", str(songs)]
    assert main(["midi", "corpus", *named, *named, "--seed", "7", "-o", str(out)]) == 0
    assert seeds == [7, 8] and len(load_corpus(out)) == 4
