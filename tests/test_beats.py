"""Beat grids: phases by hand-made truth, corrections, and files of beats good and bad."""

import numpy as np
import pytest

from restem.audio.beats import BeatGrid, read_beats
from restem.errors import UserError


def test_steady_grid_covers_the_song_and_passes_through_the_downbeat():
    grid = BeatGrid.from_bpm(120, first_downbeat=1.2, duration=10, beats_per_bar=4)
    np.testing.assert_allclose(grid.times, np.arange(0.2, 10.0, 0.5))
    np.testing.assert_allclose(grid.downbeats, [1.2, 3.2, 5.2, 7.2, 9.2])
    assert grid.positions[0] == 3
    assert grid.bpm == pytest.approx(120)
    assert grid.confidence == 1.0


def test_grid_of_a_short_song_still_has_two_beats():
    assert len(BeatGrid.from_bpm(60, 0.0, 0.1).times) == 2


def test_phases_between_beats_and_past_both_ends():
    grid = BeatGrid(np.array([1.0, 1.5, 2.0, 3.0]), np.array([3, 4, 1, 2]), 4)
    beat, bar = grid.phases([1.0, 1.25, 1.75, 2.0, 2.5])
    np.testing.assert_allclose(beat, [0, 0.5, 0.5, 0, 0.5], atol=1e-12)
    np.testing.assert_allclose(bar, [0.5, 0.625, 0.875, 0, 0.125], atol=1e-12)
    period = (3.0 - 1.0) / 3  # mean of the few intervals there are
    beat, bar = grid.phases([1.0 - period / 2, 1.0 - 2.5 * period, 3.0 + 0.25 * period])
    np.testing.assert_allclose(beat, [0.5, 0.5, 0.25])
    np.testing.assert_allclose(bar, [1.5 / 4, 3.5 / 4, 1.25 / 4])


def test_phases_stay_below_one_and_keep_their_shape():
    grid = BeatGrid.from_bpm(117.3, 0.31, 30, 3)
    t = np.random.default_rng(0).uniform(-20, 60, (5, 7))
    beat, bar = grid.phases(np.concatenate([t.ravel(), grid.times, grid.times - 1e-13]))
    assert (beat >= 0).all() and (beat < 1).all() and (bar >= 0).all() and (bar < 1).all()
    beat, bar = grid.phases(t)
    count = (t - 0.31) * 117.3 / 60
    assert beat.shape == bar.shape == (5, 7)
    np.testing.assert_allclose(beat, count % 1, atol=1e-9)
    np.testing.assert_allclose(bar, count / 3 % 1, atol=1e-9)
    assert grid.phases([])[0].shape == (0,)


def test_an_odd_bar_fills_its_own_length():
    positions = np.array([1, 2, 3, 4, 1, 2, 1, 2, 3, 4])
    grid = BeatGrid(np.arange(10.0), positions, 4)
    _, bar = grid.phases([4.0, 5.0, 6.0, 7.0])
    np.testing.assert_allclose(bar, [0, 0.5, 0, 0.25])


def test_extended_counts_on_in_both_directions():
    grid = BeatGrid(np.array([2.0, 3.0, 4.0]), np.array([2, 3, 1]), 3).extended(0.0, 6.5)
    np.testing.assert_allclose(grid.times, [0, 1, 2, 3, 4, 5, 6, 7])
    assert grid.positions.tolist() == [3, 1, 2, 3, 1, 2, 3, 1]


def test_half_and_double_tempo_keep_the_downbeat_and_undo_each_other():
    grid = BeatGrid.from_bpm(160, 0.75, 20, 4)
    half, double = grid.halved(), grid.doubled()
    assert half.bpm == pytest.approx(80) and double.bpm == pytest.approx(320)
    assert half.downbeats[0] == pytest.approx(0.75)
    assert np.isin(np.round(grid.downbeats, 6), np.round(double.downbeats, 6)).all()
    back = double.halved()
    np.testing.assert_allclose(back.times, grid.times)
    assert (np.diff(half.downbeats) == pytest.approx(3.0)) and half.beats_per_bar == 4


@pytest.mark.parametrize("beats", [1, -1, 2, 4, 0])
def test_whole_shifts_move_the_count_only(beats):
    grid = BeatGrid.from_bpm(100, 0.6, 12, 4)
    moved = grid.shifted(beats)
    np.testing.assert_array_equal(moved.times, grid.times)
    _, bar = grid.phases(grid.times - beats * 0.6)
    np.testing.assert_allclose(moved.phases(grid.times)[1], np.round(bar * 4) / 4 % 1, atol=1e-9)


def test_half_a_beat_of_shift_moves_the_times():
    grid = BeatGrid.from_bpm(100, 0.6, 12, 4)
    np.testing.assert_allclose(grid.shifted(0.5).times, grid.times + 0.3)
    np.testing.assert_allclose(grid.shifted(-0.5).downbeats[0], 0.3)


@pytest.mark.parametrize(
    ("times", "positions", "bar"),
    [
        ([1.0], [1], 4),
        ([1.0, 1.0], [1, 2], 4),
        ([1.0, np.nan], [1, 2], 4),
        ([1.0, 2.0], [1], 4),
        ([1.0, 2.0], [1, 3], 4),
        ([1.0, 2.0], [0, 1], 4),
        ([1.0, 2.0], [1, 2], 0),
    ],
)
def test_impossible_grids_are_refused(times, positions, bar):
    with pytest.raises(ValueError):
        BeatGrid(np.array(times), np.array(positions), bar)


def test_grids_cannot_be_changed():
    with pytest.raises(ValueError):
        BeatGrid.from_bpm(100, 0, 5).times[0] = 3.0


@pytest.mark.parametrize("bpm", [0, -3, 5, 1e9, float("nan")])
def test_impossible_tempi_are_refused(bpm):
    with pytest.raises(UserError, match="BPM"):
        BeatGrid.from_bpm(bpm, 0, 10)


def test_reads_two_columns(tmp_path):
    path = tmp_path / "song.beats"
    path.write_text("# beats\n0.50\t2\n1.00\t3\n\n1.50\t1\n2.00\t2\n2.50\t3\n3.00\t1\n")
    grid = read_beats(path)
    assert grid.beats_per_bar == 3
    assert grid.positions.tolist() == [2, 3, 1, 2, 3, 1]
    np.testing.assert_allclose(grid.times, np.arange(0.5, 3.1, 0.5))


def test_reads_commas_quotes_and_windows_lines(tmp_path):
    path = tmp_path / "song.csv"
    path.write_bytes(b'\xef\xbb\xbf0.5,"1"\r\n1.0,"2"\r\n1.5,"1"\r\n')
    assert read_beats(path).positions.tolist() == [1, 2, 1]
    assert read_beats(path).beats_per_bar == 2


def test_reads_one_column_from_a_downbeat(tmp_path):
    path = tmp_path / "song.txt"
    path.write_text("1\n2\n3\n4\n5\n")
    assert read_beats(path).positions.tolist() == [1, 2, 3, 4, 1]
    assert read_beats(path, beats_per_bar=3).positions.tolist() == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "fewer than two"),
        ("0.5\n", "fewer than two"),
        ("0.5\nhello\n", "line 2.*seconds"),
        ("0.5\nnan\n", "line 2.*seconds"),
        (",\n", "line 1.*seconds"),
        ("0.5 1\n0.4 2\n", "line 2.*rise"),
        ("0.5 1\n1.0 3\n", "line 2.*beat 3 follows beat 1"),
        ("0.5 1\n1.0\n", "line 2.*or none"),
        ("0.5 1\n1.0 2.5\n", "line 2.*not a beat number"),
        ("0.5 inf\n1.0 2\n", "line 1.*not a beat number"),
        ("0.5 New Point\n", "line 1.*not a beat number"),
        ("500\n1000\n1500\n", "0.12 BPM.*in seconds"),
        ("0.5\n0.501\n", "6e.04 BPM.*in seconds"),
    ],
)
def test_bad_files_name_the_line(tmp_path, content, complaint):
    path = tmp_path / "bad.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=complaint):
        read_beats(path)


def test_missing_binary_and_folder(tmp_path):
    (tmp_path / "song.wav").write_bytes(b"RIFF\xff\xfe\x00\x81")
    for path in (tmp_path / "none.txt", tmp_path / "song.wav", tmp_path):
        with pytest.raises(UserError, match=path.name):
            read_beats(path)
