"""Rolls and the network's tokens: places, ranges, void cells, and windows of a corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from midi_builders import band, save

from restem.errors import UserError
from restem.symbolic import cells
from restem.symbolic.corpora import Duplicates, Piece, chunks, fingerprints, folder_pieces
from restem.symbolic.corpus_file import RollBatches, load_corpus, save_corpus
from restem.symbolic.rolls import ONSET, SOUND, flat, notes_from_roll, roll_from_notes

FOUR = np.array([(i * 48, 48, 4, 4) for i in range(16)])
MIXED = np.array([(0, 48, 4, 4), (48, 42, 7, 8), (90, 15, 5, 16), (105, 36, 6, 8)])


def planes(notes: list, steps: int) -> np.ndarray:
    return flat(roll_from_notes(np.array(notes).reshape(-1, 3), steps))


def random_planes(stem: str, steps: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = cells.RANGES[stem]
    start = rng.integers(0, steps - 12, 60)
    length = 1 if stem == "drums" else rng.integers(1, 12, 60)
    notes = np.stack([start, start + length, rng.integers(low, high, 60)], axis=1)
    return planes(notes.tolist(), steps)


@pytest.mark.parametrize("stem", ["drums", "bass", "guitar"])
@pytest.mark.parametrize("bars", [FOUR, MIXED], ids=["4/4", "mixed"])
def test_cells_and_planes_agree(stem: str, bars: np.ndarray) -> None:
    steps = int(bars[-1, 0] + bars[-1, 1])
    grid = cells.token_grid(bars)
    made = random_planes(stem, steps, 3)
    token_cells = cells.cells_from_planes(made, stem, grid)
    assert token_cells.shape == (len(grid), cells.values_of(stem))
    back = cells.planes_from_cells(token_cells, stem, grid, steps)
    assert np.array_equal(back[ONSET], made[ONSET])
    if stem == "drums":
        assert np.array_equal(cells.cells_from_planes(back, stem, grid), token_cells)
    else:  # gaps of a step are closed, nothing else
        assert not (made[SOUND] & ~back[SOUND]).any()


def test_tokens_begin_with_bars_and_void_steps_stay_empty() -> None:
    grid = cells.token_grid(MIXED)
    assert grid.shape == (8 + 7 + 3 + 6, 6)
    assert grid[[0, 8, 15, 18], 0].tolist() == [0, 48, 90, 105]
    assert (grid[17] == [102, 103, 104, -1, -1, -1]).all()
    full = np.ones((2, 141, 128), bool)
    drums = cells.cells_from_planes(full, "drums", grid)
    assert np.array_equal(drums, cells.spread(grid >= 0, "drums"))
    assert sorted(set(grid[grid >= 0].tolist())) == list(range(141))


def test_pitches_out_of_range_are_folded_by_octaves_and_odd_drums_left_out() -> None:
    grid = cells.token_grid(FOUR[:1])
    bass = cells.cells_from_planes(planes([[0, 1, 12], [6, 7, 100]], 48), "bass", grid)
    back = cells.planes_from_cells(bass, "bass", grid, 48)
    assert notes_from_roll(back[None])[:, 2].tolist() == [24, 64]
    assert not cells.cells_from_planes(planes([[0, 1, 20], [6, 7, 100]], 48), "drums", grid).any()


def test_gaps_of_a_step_within_a_note_are_closed_but_not_before_a_new_onset() -> None:
    grid = cells.token_grid(FOUR[:1])
    holed = planes([[0, 4, 40], [6, 9, 40], [10, 12, 40]], 48)
    holed[ONSET, 10, 40] = False
    back = cells.planes_from_cells(cells.cells_from_planes(holed, "bass", grid), "bass", grid, 48)
    assert notes_from_roll(back[None]).tolist() == [[0, 4, 40], [6, 12, 40]]


def test_places_tell_beats_bars_and_metres() -> None:
    place = cells.places(MIXED)
    assert place.shape == (24, cells.PLACES) and place.dtype == np.float32
    # All bars begin alike up to phrase and metre; the middle of the 4/4 bar is half a turn on.
    assert np.allclose(place[[0, 8, 15, 18], :6], [0, 1, 0, 1, 0, 1], atol=1e-6)
    assert np.allclose(place[4, :6], [0, -1, 0, 1, 0, 1], atol=1e-6)
    assert place[0, 10] == 1 and place[8, 10] == np.float32(7 / 8)
    assert place[[0, 8, 18], 11].tolist() == [0, 0, 1]
    assert not place[:, cells.PLACE_KNOWN :].any()


def test_context_order_and_flags() -> None:
    grid = cells.token_grid(FOUR[:2])
    bass = random_planes("bass", 96, 1)
    other = planes([[0, 6, 61], [6, 12, 73]], 96)
    context = cells.context_cells({"bass": bass, "other": other}, "drums", grid)
    assert context.shape[1] == cells.context_values("drums")
    width = cells.values_of("bass")
    assert np.array_equal(context[:, :width], cells.cells_from_planes(bass, "bass", grid))
    assert not context[:, width : width + cells.values_of("guitar")].any()
    chroma = context[:, -144:].reshape(len(grid), 2, 6, 12)
    assert np.argwhere(chroma[:, 0]).tolist() == [[0, 0, 1], [1, 0, 1]]  # C sharp, twice
    assert chroma[0, SOUND, :, 1].all()
    assert cells.given_flags({"bass": bass, "other": other}, "drums").tolist() == [1, 0, 1]
    assert cells.given_flags({"drums": bass}, "bass").tolist() == [1, 0, 0]


def piece(seed: int, shift: int = 0, bars: np.ndarray = FOUR, style: str = "rock") -> Piece:
    steps = int(bars[-1, 0] + bars[-1, 1])
    parts = {stem: random_planes(stem, steps, seed + i) for i, stem in enumerate(cells.RANGES)}
    moved = {k: p if k == "drums" else cells.transposed(p, shift) for k, p in parts.items()}
    return Piece(f"song {seed} {shift}", "test", "train", style, moved, bars)


def test_duplicates_are_found_in_any_key_and_only_they() -> None:
    known = Duplicates()
    assert known.is_new(piece(1)) and known.is_new(piece(50))
    assert not known.is_new(piece(1)) and not known.is_new(piece(1, shift=3))
    first, second = piece(1), piece(200)
    mixed = {
        k: np.where(np.arange(768)[:, None] < 384, first.parts[k], second.parts[k])
        for k in first.parts
    }
    assert known.is_new(Piece("half new", "test", "train", "", mixed, FOUR))
    assert fingerprints(piece(1)) == fingerprints(piece(1, shift=5))


def test_corpus_file_returns_the_same_pieces(tmp_path: Path) -> None:
    pieces = [piece(1), piece(2, bars=MIXED, style="")]
    pieces[1].parts.pop("guitar")  # type: ignore[attr-defined]
    assert save_corpus(pieces, tmp_path / "c.npz") == 2
    loaded = load_corpus(tmp_path / "c.npz")
    for before, after in zip(pieces, loaded, strict=True):
        assert (before.name, before.style, list(before.parts)) == (
            after.name,
            after.style,
            list(after.parts),
        )
        assert np.array_equal(before.bars, after.bars)
        for kind, rolls in before.parts.items():
            assert np.array_equal(after.parts[kind], rolls)
    assert load_corpus(tmp_path / "c.npz", "test") == []
    with pytest.raises(UserError, match="nothing to train on"):
        save_corpus([], tmp_path / "empty.npz")
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(UserError, match="not a corpus"):
        load_corpus(tmp_path / "bad.npz")


def test_chunks_begin_at_zero_and_keep_their_notes() -> None:
    parts = list(chunks(piece(1), 4))
    assert len(parts) == 4 and all(c.bars[0, 0] == 0 and c.steps == 192 for c in parts)
    assert np.array_equal(parts[2].parts["bass"], piece(1).parts["bass"][:, 384:576])
    assert len(list(chunks(piece(1, bars=MIXED)))) == 1


def test_batches_hang_on_the_step_alone_and_hold_what_the_piece_holds() -> None:
    batches = RollBatches([piece(1), piece(9, bars=MIXED)], "bass", seed=4)
    first, again, other = batches.batch(7, 6), batches.batch(7, 6), batches.batch(8, 6)
    for name in ("clean", "real", "context", "place", "text"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.clean, other.clean)
    assert first.clean.shape == (6, cells.WINDOW, cells.values_of("bass"))
    known = first.place[..., cells.PLACE_KNOWN] > 0
    assert not first.real[known].any()
    inside = first.place[..., cells.PLACE_KNOWN - 1] > 0
    assert not first.real[~inside].any() and not first.clean[~inside].any()
    hidden = first.place[..., cells.PLACE_KNOWN + 1] == 0  # the drums' flag
    assert not first.context[hidden][:, : cells.values_of("drums")].any()
    with pytest.raises(UserError, match="No song of the corpus has bass"):
        RollBatches(
            [Piece("x", "t", "train", "", {"drums": piece(1).parts["drums"]}, FOUR)], "bass", 0
        )


def test_songs_of_one_style_file_weigh_less_for_being_many() -> None:
    parts = piece(1).parts

    def named(name: str, corpus: str) -> Piece:
        return Piece(name, corpus, "train", "", parts, FOUR)

    pieces = [named(f"bossa/Bossa{i}/{i}", "mma") for i in range(9)] + [named("a.mid", "folder")]
    chances = RollBatches(pieces, "bass", 0).chances
    assert chances[:9].sum() == pytest.approx(3 * chances[9])
    assert pieces[0].source == "bossa" and next(chunks(pieces[9], 4)).source == "a.mid"
    assert named("drummer1/session1/2:17", "groove").source == "drummer1/session1/2"


def test_windows_in_another_rhythm_are_not_told_their_style() -> None:
    batches = RollBatches([piece(1)], "bass", seed=4)
    rng = np.random.default_rng(0)
    unnamed = np.pad(batches.words[False, ""][0], (0, 2))
    for chance, told in ((0.0, True), (1.0, False)):
        texts = [batches.window(rng, chance)[-1] for _ in range(12)]
        assert any(not np.array_equal(text, unnamed) for text in texts) == told


def test_folders_are_read_and_unreadable_files_passed_over(tmp_path: Path) -> None:
    save(tmp_path, band(8), "one.mid")
    save(tmp_path, band(8)[:50], "broken.mid")
    (tmp_path / "notes.txt").write_text("no song")
    found = list(folder_pieces(tmp_path))
    assert [p.name for p in found] == ["one.mid"]
    assert sorted(found[0].parts) == ["bass", "guitar", "other"] and len(found[0].bars) == 8
    assert found[0].parts["bass"][ONSET].sum() == 32
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no MIDI"):
        list(folder_pieces(tmp_path / "empty"))
