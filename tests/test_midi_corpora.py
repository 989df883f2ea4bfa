"""Corpora: trees of files like DadaGP's and the Groove MIDI Dataset's, and MMA, against what is
known to be in them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from midi_builders import band, note, save, to_bytes
from tablatures import band_score, write

from restem.cli import main
from restem.dataset.compose import split_of
from restem.errors import UserError
from restem.symbolic.corpora import dadagp_pieces, groove_pieces, mma_pieces
from restem.symbolic.corpus_file import load_corpus
from restem.symbolic.rolls import ONSET, SOUND, notes_from_roll

COLUMNS = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,duration,split"


def corpus(folder: Path, *words: object) -> int:
    return main(["midi", "corpus", *map(str, words), "-o", str(folder / "c.npz")])


def test_a_song_of_dadagp_is_cut_into_chunks_with_its_drums_bass_and_guitar(tmp_path: Path) -> None:
    for kind in ("gp3", "gp4", "gp5"):
        write(band_score(37), tmp_path / "A" / "Aa" / f"Aa - One.{kind}")
    found = list(dadagp_pieces(tmp_path))
    assert [p.name for p in found[:2]] == ["Aa - One.gp3:1", "Aa - One.gp3:17"] and len(found) == 6
    for piece in found:
        assert piece.corpus == "dadagp" and len(piece.bars) == 16 and piece.steps == 16 * 48
        assert sorted(piece.parts) == ["bass", "drums", "guitar"]
    second = found[5].parts  # bars 17 to 32
    bass, guitar = (notes_from_roll(second[kind][None]) for kind in ("bass", "guitar"))
    assert bass[:4].tolist() == [[12 * i, 12 * i + 12, 28 + (80 + i) % 11] for i in range(4)]
    assert guitar[:2].tolist() == [[0, 24, 64 + 112 % 12], [24, 48, 64 + 113 % 12]]
    strokes = np.argwhere(second["drums"][ONSET])
    assert strokes[:4].tolist() == [[0, 36], [6, 42], [12, 38], [18, 46]] and len(strokes) == 128


def test_chunks_in_which_a_part_of_dadagp_rests_are_left_out(tmp_path: Path) -> None:
    song = band_score(32)
    for measure in song.tracks[1].measures[16:]:
        for beat in measure.voices[0].beats:
            beat.notes.clear()
    write(song, tmp_path / "Rests.gp5")
    song = band_score(16)
    del song.tracks[2]
    write(song, tmp_path / "No drums.gp5")
    assert [p.name for p in dadagp_pieces(tmp_path)] == ["Rests.gp5:1"]


def test_what_the_tokens_of_dadagp_give_back_is_no_song(tmp_path: Path) -> None:
    write(band_score(), tmp_path / "B" / "Bb - Two.gp4")
    (tmp_path / "B" / "Bb - Two.gp4.tokens.txt").write_text("artist:bb\ndowntune:0\nstart\n")
    write(band_score(seed=3), tmp_path / "B" / "Bb - Two.gp4.pygp.gp5")
    write(band_score(seed=4), tmp_path / "B" / "Bb - Two.gp2tokens2gp.gp5")
    (tmp_path / "B" / "Folder.gp5").mkdir()
    told: list[str] = []
    assert [p.name for p in dadagp_pieces(tmp_path, told.append)] == ["Bb - Two.gp4:1"]
    assert not told


def test_versions_of_a_song_of_dadagp_share_its_split(tmp_path: Path) -> None:
    endings = (".gp4", " (2).gp5", ".gp3", " (ver 3).gp4")
    songs = [f"cc - song {number}" for number in range(60)]
    # Such as a split by the whole file name would tear apart.
    torn = [song for song in songs if len({split_of(song + rest) for rest in endings}) > 1][:3]
    for seed, song in enumerate(torn):
        for number, ending in enumerate(endings):
            write(band_score(seed=4 * seed + number), tmp_path / f"{song.title()}{ending}")
    found = list(dadagp_pieces(tmp_path))
    assert len(torn) == 3 and len(found) == 12
    for piece in found:
        (song,) = (song for song in torn if re.match(rf"{song}[. ]", piece.name.lower()))
        assert piece.split == split_of(song)


def test_copies_in_another_key_are_left_out_and_damaged_files_named(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write(band_score(), tmp_path / "d" / "A" / "Dd - One.gp5")
    write(band_score(up=2), tmp_path / "d" / "B" / "Ee - The same higher.gp3")
    write(band_score(seed=5), tmp_path / "d" / "B" / "Ee - Another.gp4")
    whole = (tmp_path / "d" / "A" / "Dd - One.gp5").read_bytes()
    (tmp_path / "d" / "A" / "Dd - Cut.gp5").write_bytes(whole[: len(whole) // 3])
    assert corpus(tmp_path, "--dadagp", tmp_path / "d") == 0
    said = capsys.readouterr()
    assert said.out.startswith("2 songs or chunks of songs in") and "1 copies left out" in said.out
    assert said.err.count("restem: note:") == 1 and "Dd - Cut.gp5 is a damaged" in said.err
    pieces = load_corpus(tmp_path / "c.npz")
    assert [p.name for p in pieces] == ["Dd - One.gp5:1", "Ee - Another.gp4:1"]
    assert {"drums", "bass", "guitar"} == set(pieces[1].parts)


def test_damaged_songs_of_a_folder_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "songs").mkdir()
    save(tmp_path / "songs", band(8), "one.mid")
    save(tmp_path / "songs", band(8)[:50], "broken.mid")
    assert corpus(tmp_path, "--midi", tmp_path / "songs") == 0
    assert "restem: note: broken.mid is cut short" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--dadagp", "--midi", "--groove-midi", "--mma"])
def test_an_empty_folder_is_one_sentence(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    (tmp_path / "empty" / "inside" / "song.txt").write_text("tokens")
    assert corpus(tmp_path, option, tmp_path / "empty") == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and said.endswith(".") and "empty" in said
    assert not (tmp_path / "c.npz").exists()


def groove_midi(folder: Path) -> Path:
    """A small Groove MIDI Dataset: a funk of eight bars of train, whose snares are loud and a
    little late and whose hi-hats are soft and early, and others."""
    rows = [COLUMNS]

    def performance(path: str, style: str, kind: str, metre: str, split: str, bars: int) -> None:
        quarters, events = int(metre[0]), []
        for step in range(2 * quarters * bars):
            hat = step * 240 - 10 if step else 0
            events += note(9, 42, hat, hat + 40, 30)
            if step % 4 == 2:
                events += note(9, 40, step * 240 + 12, step * 240 + 60, 120)  # Roland's snare rim
            if step % 4 == 0:
                events += note(9, 36, step * 240, step * 240 + 60, 90)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(to_bytes([events]))
        rows.append(f"d1,s1,{path},{style},100,{kind},{metre},{path},9,{split}")

    performance("drummer1/session1/1_funk.mid", "funk", "beat", "4-4", "train", 8)
    performance("drummer1/session1/2_waltz.mid", "jazz/waltz", "beat", "3-4", "validation", 6)
    performance("drummer1/eval/3_rock.mid", "rock", "beat", "4-4", "test", 4)
    performance("drummer1/session1/4_fill.mid", "funk", "fill", "4-4", "train", 4)
    performance("drummer1/session1/5_short.mid", "funk", "beat", "4-4", "train", 2)
    rows.append("d1,s1,6,funk,100,beat,5-4,drummer1/session1/6.mid,9,train")
    rows.append("d1,s1,7,funk,100,beat,4-4,drummer1/session1/7_damaged.mid,9,train")
    (folder / "drummer1/session1/7_damaged.mid").write_bytes(b"MThd\0\0\0\6\0\1\0\1\1\xe0MTr")
    (folder / "info.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_groove_midi_keeps_its_splits_and_styles_and_lies_on_the_grid(tmp_path: Path) -> None:
    told: list[str] = []
    found = list(groove_pieces(groove_midi(tmp_path), told.append))
    assert [(p.split, p.style, len(p.bars), p.steps) for p in found] == [
        ("train", "funk", 8, 8 * 48),
        ("validation", "jazz", 6, 6 * 36),
        ("test", "rock", 4, 4 * 48),
    ]
    assert found[0].bars[1].tolist() == [48, 48, 4, 4] and found[1].bars[1].tolist() == [
        36,
        36,
        3,
        4,
    ]
    assert found[0].source == "drummer1/session1/1_funk.mid" and found[0].corpus == "groove"
    drums = found[0].parts["drums"]
    assert list(found[0].parts) == ["drums"]
    assert np.flatnonzero(drums[ONSET, :, 42]).tolist() == list(range(0, 384, 6))
    assert np.flatnonzero(drums[ONSET, :, 38]).tolist() == list(range(12, 384, 24))
    assert np.flatnonzero(drums[ONSET, :, 36]).tolist() == list(range(0, 384, 24))
    assert not drums[ONSET, :, 40].any()
    assert told == [
        "drummer1/session1/7_damaged.mid is a damaged MIDI file; get a complete copy of "
        f"{tmp_path.name}."
    ]


def test_the_touch_is_trained_on_velocities_and_timing_of_the_train_split(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")
    from restem.symbolic.train_touch import read_strokes

    told: list[str] = []
    strokes = read_strokes(groove_midi(tmp_path), "train", told.append)
    # The funk of eight bars, the fill of four and the short one of two.
    assert len(strokes.features) == 14 * (8 + 2 + 2) and len(told) == 1
    velocity, offset = np.rint(strokes.targets[:, 0] * 127), strokes.targets[:, 1] * 0.04
    first = offset[velocity == 30] == 0
    assert first.sum() == 3  # only the first strokes cannot be early
    assert np.allclose(offset[velocity == 30][~first], -10 / 480, atol=1e-4)
    assert np.allclose(offset[velocity == 120], 12 / 480, atol=1e-4)
    assert np.allclose(offset[velocity == 90], 0, atol=1e-4) and (velocity == 90).sum() == 28


def test_a_trained_touch_plays_as_the_drummer_did(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")
    from restem.symbolic.performance import Touch, play

    folder, out = groove_midi(tmp_path / "groove"), tmp_path / "touch"
    words = ["midi", "train", "--stem", "touch", "--groove-midi", str(folder), "-o", str(out)]
    assert main([*words, "--steps", "40"]) == 0
    assert "7_damaged.mid" in capsys.readouterr().err
    assert main([*words, "--steps", "40"]) == 2 and "--resume" in capsys.readouterr().err
    assert main([*words, "--steps", "300", "--resume"]) == 0
    checkpoint = str(out / "checkpoint.safetensors")
    assert main(["midi", "export", checkpoint, "--touch", "-o", str(tmp_path / "model")]) == 0
    capsys.readouterr()
    assert main(["midi", "export", checkpoint, "-o", str(tmp_path / "part")]) == 2
    assert "add --touch" in capsys.readouterr().err and not (tmp_path / "part").exists()
    (rock,) = (p for p in groove_pieces(folder) if p.split == "test")
    strokes = play(
        Touch.load(tmp_path / "model" / "touch.npz"), rock.parts["drums"], rock.bars, 0, 0.2
    )
    for pitch, velocity, late in ((42, 30, -10 / 480), (38, 120, 12 / 480)):
        own = strokes[(strokes[:, 1] == pitch) & (strokes[:, 0] > 0)]
        assert own[:, 2].mean() == pytest.approx(velocity, abs=6)
        # A fifth of the drummer's freedom was asked for.
        assert own[:, 3].mean() == pytest.approx(late / 5, abs=0.004)


@pytest.mark.parametrize(
    "option",
    ["--paper", "--noise-steps 9", "--prior 0.5", "--posterior mixed", "--with-validation",
     "--start-from embedded", "--corpus c.npz"],
)  # fmt: skip
def test_an_option_that_a_touch_does_not_heed_is_named(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")
    words = ["midi", "train", "--stem", "touch", "--groove-midi", str(groove_midi(tmp_path / "g"))]
    assert main([*words, *option.split(), "--steps", "1", "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"{option.split(maxsplit=1)[0]} has no effect with --stem touch; leave it out." in said
    assert len(said.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_an_option_for_a_touch_alone_is_named_with_another_stem(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")
    words = ["midi", "train", "--stem", "bass", "--corpus", "c.npz", "--groove-midi", str(tmp_path)]
    assert main([*words, "-o", str(tmp_path / "out")]) == 2
    assert "--groove-midi has no effect with --stem bass" in capsys.readouterr().err


def test_a_touch_is_trained_with_the_batch_and_the_rate_that_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")
    from restem.symbolic import train_touch

    sizes: list[int] = []
    rates: list[float] = []
    loss, config = train_touch.stroke_loss, train_touch.TrainingConfig
    monkeypatch.setattr(
        train_touch, "stroke_loss", lambda raw, to: (sizes.append(len(raw)), loss(raw, to))[1]
    )
    monkeypatch.setattr(
        train_touch, "TrainingConfig", lambda *w, **k: (rates.append(w[1]), config(*w, **k))[1]
    )
    words = ["midi", "train", "--stem", "touch", "--groove-midi", str(groove_midi(tmp_path / "g"))]
    for number, asked in enumerate(("--batch 7 --rate 3e-4", "")):
        folder = str(tmp_path / str(number))
        assert main([*words, *asked.split(), "--steps", "1", "-o", folder]) == 0
    assert sizes == [7, 1024] and rates == [3e-4, 2e-3]


def test_a_groove_midi_without_its_train_split_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is missing: training NOT CHECKED")
    from restem.symbolic.train_touch import train_touch

    groove_midi(tmp_path)
    for path in tmp_path.rglob("session1/*.mid"):
        path.unlink()
    with pytest.raises(UserError, match="no performance of the train split"):
        next(train_touch(tmp_path, tmp_path / "out", 2))
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_for_the_corpus_is_said_before_anything_is_gathered(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    save(tmp_path, band(8)[:50], "broken.mid")
    assert corpus(tmp_path / "none", "--midi", tmp_path) == 2
    said = capsys.readouterr().err
    assert "There is no folder" in said and "broken.mid" not in said


@pytest.mark.skipif(not shutil.which("mma"), reason="mma is missing: its songs NOT CHECKED")
def test_songs_of_mma_are_split_by_their_style_file(tmp_path: Path) -> None:
    library = Path("/usr/share/mma/lib")
    if not library.is_dir():
        pytest.skip(f"{library} is missing: the songs of mma NOT CHECKED")
    for name in ("8beat", "50srock"):
        (tmp_path / "lib" / "std").mkdir(parents=True, exist_ok=True)
        shutil.copy(library / "stdlib" / f"{name}.mma", tmp_path / "lib" / "std")
    (tmp_path / "lib" / "std" / "broken.mma").write_text("DefGroove Broken\nNonsense 1 2\n")
    found = list(mma_pieces(tmp_path / "lib", 8, bars=4, seed=1))
    assert len(found) >= 4 and {p.source for p in found} <= {"8beat", "50srock"}
    for piece in found:
        assert piece.corpus == "mma" and piece.split == split_of(f"{piece.source}.mma")
        assert len(piece.bars) == 4 and piece.steps == 4 * 48 and piece.style
        assert {"drums", "bass"} <= set(piece.parts)
        assert piece.parts["drums"][ONSET].sum() >= 16 and piece.parts["bass"][SOUND].any()
        pitches = np.flatnonzero(piece.parts["bass"][ONSET].any(axis=0))
        assert pitches.max() < 64
    again = next(mma_pieces(tmp_path / "lib", 8, bars=4, seed=1))
    assert all(np.array_equal(again.parts[k], found[0].parts[k]) for k in found[0].parts)


def test_a_song_that_mma_does_not_finish_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = tmp_path / "lib" / "std"
    styles.mkdir(parents=True)
    (styles / "8beat.mma").write_text("DefGroove Quick\n")
    (styles / "50srock.mma").write_text("DefGroove Slow\n")
    ready = save(tmp_path, band(16), "ready.mid")
    program = tmp_path / "bin" / "mma"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ngrep -q Slow "$1" && exec sleep 20\ncp "{ready}" "$3"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("restem.dataset.compose.MMA_SECONDS", 0.5)
    assert corpus(tmp_path, "--mma", tmp_path / "lib", "--songs", 2) == 0
    (note,) = capsys.readouterr().err.splitlines()
    assert "MMA did not finish 50srock.mma:Slow within 0.5 s; song" in note
    (song,) = load_corpus(tmp_path / "c.npz")
    assert song.source == "8beat"
