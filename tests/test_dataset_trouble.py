"""What lies in a build's way stays, what a message says to do helps, bad input is one sentence."""

import io
import json
import re
import shutil
from pathlib import Path

import dataset_folders as folders
import numpy as np
import pyarrow
import pytest
import soundfile
import test_dataset_build
from pyarrow import parquet
from test_dataset_build import build, clip, everything

from restem.cli import main
from restem.dataset.pairs import read_pairs
from restem.dataset.songs import read_songs
from restem.dataset.stages.write import write_shard
from restem.errors import UserError


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    folders.rendered(folder, songs=2, splits=("train",))
    return folder


dataset = test_dataset_build.dataset  # that fixture, of the songs above


@pytest.fixture
def copy(dataset, tmp_path):
    return shutil.copytree(dataset, tmp_path / "copy")


@pytest.mark.parametrize(
    "name", ["data/mine.csv", "data/train-00000-of-00001.parquet", "README.md"]
)
def test_a_folder_that_no_build_made_is_refused_before_any_work(songs, tmp_path, capsys, name):
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine")
    assert build("--source", f"rendered={songs}", "-o", tmp_path) == 2
    assert "no build made it; choose another folder" in capsys.readouterr().err
    assert own.read_text() == "mine" and [p for p in tmp_path.rglob("*") if p.is_file()] == [own]


def test_only_shards_of_an_earlier_build_are_removed(songs, copy):
    (copy / "data" / "notes").mkdir()
    (copy / "data" / "mine.csv").write_text("mine")
    stale = copy / "data" / "train-00001-of-00002.parquet"
    stale.write_text("of an earlier build")
    assert build("--source", f"rendered={songs}", "-o", copy, "--seed", 1) == 0
    assert not stale.exists()
    assert {p.name for p in (copy / "data").iterdir()} == {
        "notes", "mine.csv", "train-00000-of-00001.parquet"}  # fmt: skip


def test_a_song_whose_clips_are_damaged_is_cut_again_as_the_message_says(
    songs, dataset, copy, capsys
):
    (flac, *_) = sorted((copy / "work" / "pair").rglob("*.flac"))
    flac.write_bytes(b"fLaC")
    shutil.rmtree(copy / "work" / "leak")
    assert build("--source", f"rendered={songs}", "-o", copy) == 2
    said = re.search(rf"{flac} is gone or damaged; remove (\S+) and", capsys.readouterr().err)
    shutil.rmtree(said[1])
    assert build("--source", f"rendered={songs}", "-o", copy) == 0
    shutil.rmtree(said[1])
    shutil.rmtree(copy / "data")
    assert build("--source", f"rendered={songs}", "-o", copy) == 0
    assert everything(copy) == everything(dataset)


def test_a_clip_that_cannot_be_read_is_named_and_not_the_shard(tmp_path):
    flac, context = clip().files(tmp_path / "0f")
    with pytest.raises(UserError, match=rf"{flac} is gone or damaged; remove {flac.parent} and"):
        write_shard(tmp_path / "train.parquet", [(clip(), flac, context)], "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["inspect", "leakage"])
def test_a_shard_cut_short_is_named_and_built_again(songs, dataset, copy, capsys, verb):
    (shard,) = (copy / "data").iterdir()
    shard.write_bytes(shard.read_bytes()[:-100])
    assert main(["dataset", verb, str(copy)]) == 2
    assert re.search(rf"{shard} cannot be read .*; remove it and build", capsys.readouterr().err)
    assert not (copy / "inspect").exists()
    shard.unlink()
    assert build("--source", f"rendered={songs}", "-o", copy) == 0
    assert everything(copy) == everything(dataset)


@pytest.mark.parametrize("damage", ["cut", "no sound", "stereo", "longer", "broken shard"])
def test_a_damaged_sound_in_a_shard_is_named(dataset, copy, damage):
    (shard,) = (copy / "data").iterdir()
    table = parquet.read_table(shard)
    rows = table.to_pylist()
    data = io.BytesIO(rows[1]["context"]["bytes"])
    samples, rate = soundfile.read(data)
    if damage == "cut":
        rows[1]["context"]["bytes"] = data.getvalue()[:1000]
    elif damage == "no sound":
        rows[1]["context"] = None
    else:
        other, data = np.append(samples, 0), io.BytesIO()
        other = np.stack([samples, samples], axis=1) if damage == "stereo" else other
        soundfile.write(data, other, rate, format="FLAC")
        rows[1]["context"]["bytes"] = data.getvalue()
    parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), shard)
    pair = next(p for p in read_pairs(copy, "train", "drums") if p.name == rows[1]["id"])
    if damage == "broken shard":
        shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"remove .* and build the dataset again") as error:
        pair.load(44100)
    assert str(shard) in str(error.value)
    assert damage == "broken shard" or f"the pair {pair.name} in" in str(error.value)


def test_pairs_whose_sound_was_replaced_by_as_much_are_others(tmp_path):
    line = {"name": "a", "mix": "m.wav", "context": "c.wav", "instruction": "Add", "split": "train"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(line))
    for number, name in enumerate(("m.wav", "c.wav")):
        folders.write(tmp_path / name, folders.sound(1.0, number))
    before = read_pairs(tmp_path, "train", "drums")[0].fingerprint
    assert read_pairs(tmp_path, "train", "drums")[0].fingerprint == before
    size = (tmp_path / "c.wav").stat().st_size
    folders.write(tmp_path / "c.wav", folders.sound(1.0, 2))
    assert (tmp_path / "c.wav").stat().st_size == size
    assert read_pairs(tmp_path, "train", "drums")[0].fingerprint != before


@pytest.mark.parametrize("verb", ["features", "features --pitched", "fit-leak-probe", "kits"])
@pytest.mark.parametrize("wrong", ["cut", "without takes"])
def test_a_damaged_record_is_named_and_nothing_is_written(tmp_path, capsys, verb, wrong):
    folders.rendered(tmp_path / "songs", songs=1)
    (record,) = (tmp_path / "songs").glob("*.json")
    whole = json.loads(record.read_text())
    del whole["takes"], whole["samples"]
    record.write_text(record.read_text()[:50] if wrong == "cut" else json.dumps(whole))
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.json").write_text("{}")
    name, *more = verb.split()
    assert main(["dataset", name, str(tmp_path / "songs"), *more, "-o", str(out)]) == 2
    assert f"{record} is no whole record of a song; remove it" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["model.json"]


def test_songs_of_notes_have_no_features(tmp_path, capsys):
    folders.rendered(tmp_path / "songs", songs=1)
    (record,) = (tmp_path / "songs").glob("*.json")
    about = json.loads(record.read_text()) | {"id": "0f" * 8, "takes": [{"source": "a.mid"}]}
    record.write_text(json.dumps(about))
    words = ["dataset", "features", str(tmp_path / "songs"), "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "is no song of `restem dataset render`" in capsys.readouterr().err
    with pytest.raises(UserError, match="no songs of the split"):
        read_songs(tmp_path / "out", "train")


@pytest.mark.parametrize("words", [
    "render --workers 0", "render --seed -1", "render --seconds nan", "features --workers 0",
])  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(tmp_path, capsys, words):
    verb, option, value = words.split()
    given = ["--soundfont", str(Path(__file__))] if verb == "render" else [str(tmp_path)]
    out = tmp_path / "out"
    assert main(["dataset", verb, *given, option, value, "-o", str(out)]) == 2
    assert f"argument {option}: '{value}' is not a" in capsys.readouterr().err
    assert not out.exists()
