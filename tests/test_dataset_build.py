"""A build gives pairs that sum, splits that share nothing, and the same bytes after any number of
interruptions; what is wrong with the input is said and left out."""

import fcntl
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import dataset_folders as folders
import numpy as np
import pytest
import soundfile

from restem.cli import main
from restem.dataset.build import Builder, BuildSettings
from restem.dataset.pairs import leak_matched_pairs, read_pairs
from restem.dataset.record import Clip, Parcel
from restem.dataset.sources import open_source
from restem.dataset.stages.check import Checker, CheckSettings, Place
from restem.dataset.stages.pair import integers_that_sum
from restem.dataset.stages.write import read_rows
from restem.errors import UserError

FAST = ("--captioner", "source", "--clip-samples", "44100")


def build(*words):
    return main(["dataset", "build", *FAST, *map(str, words)])


def decoded(row, name):
    return soundfile.read(io.BytesIO(row[name]["bytes"]), dtype="int16")[0].astype(np.int32)


def everything(folder):
    """All files of a finished dataset but the work folder, by name."""
    files = [p for p in folder.rglob("*") if p.is_file() and "work" not in p.parts]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    folders.rendered(folder, songs=6)
    return folder


@pytest.fixture(scope="module")
def dataset(songs, tmp_path_factory):
    out = tmp_path_factory.mktemp("built")
    assert build("--source", f"rendered={songs}", "-o", out) == 0
    return out


def test_pairs_sum_and_match_the_source(dataset, songs):
    rows = list(read_rows(dataset))
    assert len(rows) == 6 * 4
    for row in rows:
        number, index = row["song"], row["index"]
        drums = np.load(songs / f"{number}.drums.npy")[0, index * 44100 : (index + 1) * 44100]
        assert row["gain_db"] == 0
        assert np.array_equal(decoded(row, "mix") - decoded(row, "context"), drums)
        assert len(row["instruction"].split()) <= 7 and row["action"] in row["instruction"]
        assert len(row["short_caption"].split()) <= 5


def test_a_dataset_is_what_riffusion_trains_on(dataset):
    """Pairs for training hold the sound, words and order of the rows."""
    rows = [row for row in read_rows(dataset) if row["split"] == "train"]
    pairs = read_pairs(dataset, "train", "drums")
    assert [pair.name for pair in pairs] == [row["id"] for row in rows]
    assert pairs[3].instruction == rows[3]["instruction"]
    mix, context = pairs[3].load(44100)
    np.testing.assert_array_equal(np.round(mix * 32768), decoded(rows[3], "mix"))
    np.testing.assert_array_equal(np.round(context * 32768), decoded(rows[3], "context"))
    assert len(pairs[0].load(22050)[0]) == len(mix) // 2
    with pytest.raises(UserError, match="no pairs of the split train for the stem kazoo"):
        read_pairs(dataset, "train", "kazoo")


def test_clean_contexts_leak_as_separated_ones_do(dataset):
    clean = read_pairs(dataset, "train", "drums")[:3]
    assert [pair.leak for pair in clean] == [None] * 3
    separated = replace(clean[2], leak=0.25)
    pairs = leak_matched_pairs([*clean[:2], separated])
    assert pairs[2] is separated and pairs[0].fingerprint != clean[0].fingerprint
    for before, after in zip(clean[:2], pairs[:2], strict=True):
        mix, context = before.load(44100)
        same, leaky = after.load(44100)
        assert np.array_equal(same, mix) and np.array_equal(after.load(44100)[1], leaky)
        share = (leaky - context) @ (mix - context) / np.sum((mix - context) ** 2)
        assert 0.12 < share < 0.5  # 0.25, tilted by up to 6 dB


def test_splits_share_no_song(dataset):
    by_split = {}
    for row in read_rows(dataset, ["split", "song", "group"]):
        by_split.setdefault(row["split"], set()).add(row["group"])
    assert set(by_split) == {"train", "validation", "test"}
    assert sum(map(len, by_split.values())) == len(set.union(*by_split.values()))


def test_hugging_face_loads_and_streams_it(dataset, tmp_path):
    datasets = pytest.importorskip("datasets")

    def undecoded(rows):  # decoding needs torchcodec; the bytes are plain FLAC
        for name in ("mix", "context"):
            rows = rows.cast_column(name, datasets.Audio(decode=False))
        return rows

    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "validation", "test"}
    assert loaded["train"].features["mix"].sampling_rate == 44100
    first = undecoded(loaded["train"])[0]
    stored = next(row for row in read_rows(dataset) if row["id"] == first["id"])
    assert first["mix"]["bytes"] == stored["mix"]["bytes"]
    stream = datasets.load_dataset(str(dataset), split="train", streaming=True)
    assert next(iter(undecoded(stream)))["instruction"] == first["instruction"]


def test_a_second_run_does_no_work(dataset, songs, capsys):
    before = {p: p.stat().st_mtime_ns for p in dataset.rglob("*") if p.name != ".lock"}
    assert build("--source", f"rendered={songs}", "-o", dataset) == 0
    assert "nothing was to be done" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in dataset.rglob("*") if p.name != ".lock"}


def test_other_settings_do_only_what_they_change(songs, tmp_path):
    build("--source", f"rendered={songs}", "-o", tmp_path)
    flacs = {p: p.stat().st_mtime_ns for p in (tmp_path / "work" / "pair").rglob("*.flac")}
    first = [row["action"] for row in read_rows(tmp_path)]
    build("--source", f"rendered={songs}", "-o", tmp_path, "--seed", 1)
    assert [row["action"] for row in read_rows(tmp_path)] != first
    assert flacs == {p: p.stat().st_mtime_ns for p in (tmp_path / "work" / "pair").rglob("*.flac")}


def test_killed_builds_end_as_uninterrupted_ones(dataset, songs, tmp_path):
    """At three moments; scripts/check_build.py takes ten, and some while the shards are written."""
    words = [sys.executable, "-m", "restem", "dataset", "build", "--source", f"rendered={songs}"]
    words += ["-o", str(tmp_path), *FAST]
    there = sum(1 for path in (dataset / "work").rglob("*") if path.is_file())
    for moment in sorted(random.Random(5).sample(range(1, int(0.8 * there)), 3)):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            if sum(1 for path in (tmp_path / "work").rglob("*.[jf]*")) >= moment:
                process.kill()
            time.sleep(0.001)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "build.json").exists()
    (tmp_path / "data").mkdir(exist_ok=True)
    for folder in (tmp_path, tmp_path / "data", tmp_path / "work" / "pair"):
        (folder / ".0123456789ab.part").write_text("what a killed build was writing")
    assert build("--source", f"rendered={songs}", "-o", tmp_path) == 0
    assert everything(tmp_path) == everything(dataset)
    assert not list(tmp_path.rglob("*.part"))


def test_workers_end_with_a_build_that_is_killed(songs, tmp_path):
    words = [sys.executable, "-m", "restem", "dataset", "build", "--source", f"rendered={songs}"]
    words += ["-o", str(tmp_path), "--workers", "2", *FAST]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while len(listed.read_text().split()) < 3:  # two workers, and who looks after their memory
        assert process.poll() is None
        time.sleep(0.005)
    children = [int(pid) for pid in listed.read_text().split()]
    process.kill()
    process.wait()
    for _ in range(500):
        left = [pid for pid in children if running(pid)]
        if not left:
            break
        time.sleep(0.02)
    assert not left


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_an_interrupt_is_clean_and_says_how_to_go_on(songs, tmp_path):
    words = [sys.executable, "-m", "restem", "dataset", "build", "--source", f"rendered={songs}"]
    process = subprocess.Popen([*words, "-o", str(tmp_path), *FAST], stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    while not (tmp_path / "work" / "pair").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert "run the same command again" in process.communicate()[1]
    assert process.returncode == 130
    assert not list(tmp_path.rglob("*.part"))


def test_two_processes_give_what_one_gives(dataset, songs, tmp_path):
    assert build("--source", f"rendered={songs}", "-o", tmp_path, "--workers", 2) == 0
    assert everything(tmp_path) == everything(dataset)


def test_a_corrupt_song_is_named_and_the_others_go_on(tmp_path, capsys):
    folders.stem_folders(tmp_path / "in")
    (tmp_path / "in" / "song1" / "Bass DI.wav").write_bytes(b"RIFF nonsense")
    assert build("--source", f"stems={tmp_path / 'in'}", "-o", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "1 songs could not be used" in said.err and "song1: Bass DI.wav" in said.err
    assert {row["song"] for row in read_rows(tmp_path / "out")} == {"song0"}
    folders.write(tmp_path / "in" / "song1" / "Bass DI.wav", folders.sound(2.0, 5))
    assert build("--source", f"stems={tmp_path / 'in'}", "-o", tmp_path / "out") == 0
    assert {row["song"] for row in read_rows(tmp_path / "out")} == {"song0", "song1"}


def test_a_song_with_a_missing_stem_is_not_built_without_it(tmp_path, capsys):
    folders.stem_folders(tmp_path / "in")
    bass = tmp_path / "in" / "song1" / "Bass DI.wav"
    bass.unlink()
    bass.symlink_to(tmp_path / "gone.wav")
    assert build("--source", f"stems={tmp_path / 'in'}", "-o", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "1 songs could not be used" in said and f"no file {bass}" in said
    assert {row["song"] for row in read_rows(tmp_path / "out")} == {"song0"}


def test_nothing_to_keep_is_a_user_error(tmp_path, capsys):
    folders.song_folder(tmp_path / "in")
    assert build("--source", f"songs={tmp_path / 'in'}", "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "only a mix, and no --separator" in said and "No clip of 3 songs" in said


def test_two_builders_on_one_folder(songs, tmp_path, capsys):
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert build("--source", f"rendered={songs}", "-o", tmp_path) == 2
    assert "Another build is at work" in capsys.readouterr().err


def test_a_full_disk_stops_the_build_in_one_sentence(songs, tmp_path):
    words = [sys.executable, "-m", "restem", "dataset", "build", "--source", f"rendered={songs}"]

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run([*words, "-o", str(tmp_path), *FAST], preexec_fn=little_room,
                          capture_output=True, text=True)  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and last.startswith("restem: error: Could not write drums-0000")
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / "build.json").exists()
    assert build("--source", f"rendered={songs}", "-o", tmp_path) == 0  # with room it goes on


def test_the_same_source_twice_is_refused(songs, tmp_path, capsys):
    twice = ("--source", f"rendered={songs}", "--source", f"rendered={songs}")
    assert build(*twice, "-o", tmp_path) == 2
    assert "give each source once" in capsys.readouterr().err


def test_two_folders_of_one_kind_may_number_their_songs_alike(songs, tmp_path):
    again = shutil.copytree(songs, tmp_path / "again")
    sources = [open_source(f"rendered={folder}") for folder in (songs, again)]
    one = Builder(sources[:1], BuildSettings(), tmp_path / "out").songs
    both = Builder(sources, BuildSettings(), tmp_path / "out").songs
    assert [song.key for song in both[: len(one)]] == [song.key for song in one]
    assert [song.id for song in both[len(one) :]] == [f"again/{song.id}" for song in one]
    shutil.copytree(songs, tmp_path / "b" / songs.name)
    third = [sources[0], *(open_source(f"rendered={tmp_path / x / songs.name}") for x in ("b",))]
    Builder(third, BuildSettings(), tmp_path / "out")
    shutil.copytree(songs, tmp_path / "c" / songs.name)
    with pytest.raises(UserError, match="different names"):
        Builder([*third, open_source(f"rendered={tmp_path / 'c' / songs.name}")],
                BuildSettings(), tmp_path / "out")  # fmt: skip


@pytest.mark.parametrize("option, said", [
    (("--separator", "demucs=nowhere.th"), "no Demucs checkpoint at nowhere.th"),
    (("--captioner", "lp-music-caps=nowhere.pth"), "nowhere.pth"),
    (("--captioner", "a-friend"), "no captioner 'a-friend'"),
])  # fmt: skip
def test_missing_parts_are_said_before_anything_is_written(songs, tmp_path, option, said, capsys):
    assert build("--source", f"rendered={songs}", "-o", tmp_path / "out", *option) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def clip(number=0, **changes):
    base = Clip(
        id=f"s/{number}", source="s", song="a", group="a", split="train", stem="drums",
        index=number, start_s=0.0, made_by="stems", gain_db=0.0, mix_sha256=f"{number:064x}",
        context_sha256=f"{number + 1000:064x}", mix_db=-15.0, stem_db=-20.0, clipped=0,
        action="Add", instruction="Add jazz drums",
    )  # fmt: skip
    return base.but(**changes)


@pytest.mark.parametrize("changes, reason", [
    ({}, None),
    ({"mix_db": -80.0}, "silent mix"),
    ({"stem_db": -90.0}, "silent stem"),
    ({"stem_db": -56.0}, "silent stem"),
    ({"clipped": 5000}, "clipped"),
    ({"instruction": "Remove the drums"}, "instruction breaks a rule"),
    ({"instruction": ""}, "instruction breaks a rule"),
    ({"leak": 0.2}, "leak"),
])  # fmt: skip
def test_what_is_kept_out(changes, reason):
    checker = Checker(CheckSettings(max_leak=0.1))
    (found,) = checker.checked([clip(**changes)])
    assert found.dropped == reason
    assert dict(checker.dropped) == ({reason: 1} if reason else {})


def test_the_second_of_two_equal_clips_is_kept_out():
    checker = Checker(CheckSettings())
    found = list(checker.checked([clip(1), clip(2), clip(1, id="s/other")]))
    assert [c.dropped for c in found] == [None, None, "duplicate"]


def test_of_two_equal_clips_the_first_that_is_kept_stays():
    found = list(Checker(CheckSettings()).checked([clip(1, instruction=""), clip(1), clip(1)]))
    assert [c.dropped for c in found] == ["instruction breaks a rule", None, "duplicate"]


def test_the_share_of_separated_clips_is_kept():
    clips = [clip(n, made_by="stems" if n % 3 == 0 else "drums-1") for n in range(30)]
    checker = Checker(CheckSettings(max_separated=0.5))
    places = [Place.of(0, n, c) for n, c in enumerate(checker.checked(clips))]
    left = checker.limited(places)
    assert sum(not place.separated for place in left) == 10 and len(left) == 20
    assert left == sorted(left)
    assert checker.dropped["share of separated clips"] == 10 and checker.kept == 20


def test_integers_sum_even_where_the_mix_is_too_loud():
    rng = np.random.default_rng(0)
    mix, stem = rng.uniform(-1.7, 1.7, 5000), rng.uniform(-1.2, 1.2, 5000)
    mix_steps, context_steps, gain_db = integers_that_sum(mix, stem)
    assert gain_db < 0 and np.abs(mix_steps).max() <= 32767
    gain = 10 ** (gain_db / 20)
    difference = mix_steps.astype(float) - context_steps
    assert np.abs(difference - stem * gain * 32768).max() <= 0.5
    assert np.abs(mix_steps - mix * gain * 32768).max() <= 0.5
    assert np.abs(context_steps - (mix - stem) * gain * 32768).max() <= 1.0


def test_a_parcel_survives_its_text():
    parcel = Parcel("a", "s", "0f", (clip(1, facts={"tags": ["jazz"], "bpm": 90.5}),))
    assert Parcel.from_json(parcel.to_json()) == parcel
    with pytest.raises(ValueError):
        Parcel.from_json(parcel.to_json()[:40])


def test_inspect_counts_draws_and_makes_a_page(dataset, tmp_path, capsys):
    from PIL import Image

    assert main(["dataset", "inspect", str(dataset), "--clips", "3", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "24 clips of 6 songs" in said
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.min() == 0 and sheet.std() > 20
    page = (tmp_path / "index.html").read_text()
    wavs = sorted(tmp_path.glob("*.wav"))
    assert len(wavs) == 9 and all(w.name in page for w in wavs)
    mix, context, stem = (soundfile.read(w, dtype="int16")[0] for w in (wavs[1], wavs[0], wavs[2]))
    assert np.array_equal(mix, context + stem)


def test_the_card_says_what_was_done(dataset):
    card = (dataset / "README.md").read_text()
    for words in ("| train | 8 | 2 |", "rendered", "GPL-2+", "instruct-1.txt", "template (24)"):
        assert words in card
    record = json.loads((dataset / "build.json").read_text())
    assert record["kept"] == {"test": 8, "train": 8, "validation": 8}
    assert set(record["shards"]) == set(os.listdir(dataset / "data"))


@pytest.mark.skipif(
    not (find_spec("ray") and os.environ.get("RESTEM_SLOW_TESTS")),
    reason="minutes long: set RESTEM_SLOW_TESTS=1 and install ray (extra cluster)",
)
def test_ray_gives_what_processes_give(dataset, songs, tmp_path, capsys):
    words = ("--source", f"rendered={songs}", "--engine", "ray", "--workers", 2)
    try:
        assert build(*words, "-o", tmp_path / "out") == 0
        assert everything(tmp_path / "out") == everything(dataset)
        (tmp_path / "bad" / "work").mkdir(parents=True)
        (tmp_path / "bad" / "work" / "pair").write_text("in the way")
        assert build(*words, "-o", tmp_path / "bad") == 2
        assert "restem: error: Could not write" in capsys.readouterr().err
    finally:
        import ray

        ray.shutdown()
