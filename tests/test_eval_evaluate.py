"""`restem evaluate` on folders of real files: the report, its warnings, its bytes, bad input."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from restem.errors import UserError
from restem.evaluation.embeddings import load_embedding
from restem.evaluation.evaluate import add_parser, evaluate, summary, write_report
from restem.evaluation.pairing import paired_clips

pytestmark = pytest.mark.skipif(
    find_spec("musicnn") is None, reason="NOT TESTED: run `pip install --no-deps musicnn==0.1.0`"
)
RATE, SECONDS, CLIPS = 22050, 3.0, 20


def drums(seed, shift_s=0.0):
    """Kicks and noise bursts on a grid of its own tempo, 16-bit clean."""
    random = np.random.default_rng(seed)
    interval = random.uniform(0.35, 0.6)
    clock = np.arange(int(SECONDS * RATE)) / RATE - shift_s
    beat, eighth = clock % interval, clock % (interval / 2)
    kick = 0.5 * np.sin(2 * np.pi * 60 * beat) * np.exp(-beat / 0.06)
    hat = 0.15 * random.standard_normal(len(clock)) * np.exp(-eighth / random.uniform(0.01, 0.04))
    return np.round((kick + hat) * (clock >= 0) * 32767) / 32768


def chord(seed):
    clock = np.arange(int(SECONDS * RATE)) / RATE
    root = 110 * 2 ** (seed / 12)
    return sum(0.1 * np.sin(2 * np.pi * root * ratio * clock) for ratio in (1, 1.26, 1.5))


def write(folder, name, samples, rate=RATE):
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / f"{name}.wav", samples, rate, subtype="PCM_16")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Folders: target; same (copies), shifted, noisy; context."""
    root = tmp_path_factory.mktemp("clips")
    for clip in range(CLIPS):
        name, noise = (
            f"clip{clip}",
            np.random.default_rng(clip).standard_normal(int(SECONDS * RATE)),
        )
        write(root / "target", name, drums(clip))
        write(root / "same", name, drums(clip))
        write(root / "shifted", name, drums(clip, shift_s=0.11))
        write(root / "noisy", name, np.clip(drums(clip) + 0.1 * noise, -1, 1))
        write(root / "context", name, chord(clip))
    return root


@pytest.fixture(scope="module")
def cached(clips, tmp_path_factory):
    """Reports of all folders, through one cache."""
    cache = tmp_path_factory.mktemp("cache")
    taggers = [load_embedding("MSD_musicnn"), load_embedding("MTT_vgg")]
    return {
        name: evaluate(clips / name, clips / "target", clips / "context", taggers, cache)
        for name in ("same", "shifted", "noisy")
    }


# --- the report ------------------------------------------------------------------------------


def test_report_has_its_keys_and_names_its_embeddings(cached):
    report = cached["noisy"]
    assert report["clips"] == CLIPS
    assert report["audio_seconds"] == pytest.approx(CLIPS * SECONDS)
    assert isinstance(report["warnings"], list)
    assert report["settings"]["resampler"] == "soxr HQ"
    for key in ("fd", "fad", "fad_inf", "kld", "inception_score"):
        embedding = report[key]["embedding"]
        assert embedding["name"] == ("MTT_vgg" if key.startswith("fad") else "MSD_musicnn")
        assert len(embedding["sha256"]) == 64
    for key in ("fd", "fad", "kld", "inception_score", "beat_f", "onset_correlation"):
        assert report[key]["low"] <= report[key]["value"] <= report[key]["high"]
    assert report["fad_inf"]["value"] is None
    assert any(
        warning.startswith(f"fad_inf: {CLIPS} clips are too few") for warning in report["warnings"]
    )
    assert any(warning.startswith(f"fd: {CLIPS} clips") for warning in report["warnings"])
    assert summary(report)[0] == "20 clips, 60.0 s"


def test_copies_are_perfect_and_damage_is_heard(cached):
    same, shifted, noisy = cached["same"], cached["shifted"], cached["noisy"]
    assert same["fd"]["value"] == pytest.approx(0, abs=1e-6)
    assert same["fad"]["value"] == pytest.approx(0, abs=1e-6)
    assert same["kld"]["value"] == 0
    assert same["onset_correlation"]["value"] == same["onset_correlation"]["low"] == 1
    assert same["beat_f"]["value"] > 0.7  # below 1 only where librosa hears no beat at all
    assert noisy["fd"]["value"] > 5 * shifted["fd"]["value"]
    assert noisy["fad"]["value"] > 2 * shifted["fad"]["value"]
    assert noisy["kld"]["value"] > shifted["kld"]["value"] > 0
    assert shifted["onset_correlation"]["value"] < 0.3 < noisy["onset_correlation"]["value"]
    assert shifted["beat_f"]["value"] < 0.5 * same["beat_f"]["value"]


def test_context_scores_stand_beside_those_of_the_truth(cached, clips, tmp_path):
    for name in ("chroma_fit", "loudness_relation", "waveform_leak_db", "spectral_leak"):
        same, noisy = cached["same"][name], cached["noisy"][name]
        assert same["value"] == same["target"] == noisy["target"]
        assert same["clips"] == CLIPS
    louder = cached["noisy"]["loudness_relation"]
    assert louder["value"] > louder["target"] + 0.5
    for clip in range(2):
        write(tmp_path / "leaky", f"clip{clip}", drums(clip) + 0.5 * chord(clip))
    leaky = evaluate(tmp_path / "leaky", clips / "target", clips / "context")
    assert leaky["waveform_leak_db"]["value"] > leaky["waveform_leak_db"]["target"] + 10
    assert leaky["spectral_leak"]["value"] > 0.2 > leaky["spectral_leak"]["target"]


def run_in_process(arguments, **environment):
    code = (
        "import argparse, sys; from restem.evaluation.evaluate import add_parser;"
        "parser = argparse.ArgumentParser(); add_parser(parser.add_subparsers());"
        "arguments = parser.parse_args(sys.argv[1:]); sys.exit(arguments.run(arguments))"
    )
    source = Path(__file__).parents[1] / "src"
    subprocess.run(
        [sys.executable, "-c", code, "evaluate", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(source), **environment},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_reports_are_equal_byte_for_byte(clips, tmp_path, cached):
    """Other thread settings, without a cache, filling it, and out of it."""
    for folder in ("shifted", "target", "context"):
        (tmp_path / folder).mkdir()
        for clip in range(3):
            shutil.copy(clips / folder / f"clip{clip}.wav", tmp_path / folder)
    common = [tmp_path / "shifted", tmp_path / "target", tmp_path / "context"]
    three = {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    run_in_process([*common[:2], "--context", common[2], "-o", tmp_path / "a.json"], **three)
    cache, threads = tmp_path / "cache", torch.get_num_threads()
    write_report(evaluate(*common, cache=cache), tmp_path / "b.json")
    kept = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    write_report(evaluate(*common, cache=cache), tmp_path / "c.json")
    assert kept == {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert torch.get_num_threads() == threads
    first = (tmp_path / "a.json").read_bytes()
    assert first == (tmp_path / "b.json").read_bytes() == (tmp_path / "c.json").read_bytes()
    assert json.loads(first)["clips"] == 3


# --- trouble that is named -------------------------------------------------------------------


def test_troubled_clips_are_named_and_the_others_scored(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for name in ("good", "silent", "clipped", "short", "rate", "broken", "missing-a", "quiet"):
        write(theirs, name, drums(1) if name != "quiet" else np.zeros(RATE))
    write(ours, "good", drums(2))
    write(ours, "silent", np.zeros(int(SECONDS * RATE)))
    write(ours, "clipped", np.clip(drums(1) * 20, -1, 32767 / 32768))
    write(ours, "short", drums(1)[: RATE * 2])
    write(ours, "rate", drums(1), rate=2 * RATE)
    write(ours, "missing-b", drums(1))
    write(ours, "quiet", drums(1)[:RATE])
    (ours / "broken.wav").write_text("this is no audio")
    (ours / "notes.txt").write_text("not a clip")
    report = evaluate(ours, theirs)
    warnings = "\n".join(report["warnings"])
    assert report["clips"] == 6
    for expected in (
        "missing-b: in ours, but there is no target of that name (misnamed? the nearest is missing",
        "missing-a: in theirs, but there is no generated clip of that name",
        "broken: ",
        "silent: the generated clip is silent",
        "quiet: the target is silent; left out of the rhythm scores",
        "clipped: the generated clip is clipped (",
        "short: wrong length, it lasts 2.00 s and its target 3.00 s",
        "rate: the rates differ, 44100 Hz and its target 22050 Hz",
        "inception_score: needs at least 20 clips",
    ):
        assert expected in warnings
    assert "good" not in warnings
    assert report["beat_f"]["clips"] == report["onset_correlation"]["clips"] == 5
    assert report["inception_score"]["value"] is None
    json.dumps(report, allow_nan=False)


def test_one_clip_has_rhythm_but_no_distance(clips, tmp_path):
    write(tmp_path / "one", "clip3", drums(3))
    report = evaluate(tmp_path / "one", clips / "target")
    assert report["fd"]["value"] is report["fad"]["value"] is report["fad_inf"]["value"] is None
    assert report["onset_correlation"]["value"] == 1
    assert "fd: needs at least 2 clips; not computed" in report["warnings"]


def test_bad_input_gives_one_sentence(clips, tmp_path, monkeypatch):
    def refused(complaint, *arguments, **options):
        with pytest.raises(UserError, match=complaint) as caught:
            evaluate(*arguments, **options)
        assert "\n" not in str(caught.value)

    target = clips / "target"
    (tmp_path / "empty").mkdir()
    refused("no audio clips in", tmp_path / "empty", target)
    refused("is no folder", tmp_path / "nowhere", target)
    refused("is no folder", target / "clip1.wav", target)
    write(tmp_path / "other", "other", drums(0))
    refused("no file name in common", tmp_path / "other", target)
    refused("No file in", target, target, tmp_path / "other")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "clip1.wav").write_text("no audio")
    refused("None of the 1 pairs can be read", tmp_path / "broken", target)
    write(tmp_path / "twice", "clip1", drums(0))
    shutil.copy(tmp_path / "twice" / "clip1.wav", tmp_path / "twice" / "clip1.flac")
    refused("which have one name", tmp_path / "twice", target)
    refused("cache folder", target, target, cache=target / "clip1.wav")
    both = [load_embedding("MSD_musicnn"), load_embedding("MTT_musicnn")]
    refused("play the same part", target, target, embeddings=both)


def test_contexts_that_are_missing_are_named(clips, tmp_path):
    write(tmp_path, "clip1", chord(0))
    pairs, warnings = paired_clips(clips / "same", clips / "target", tmp_path)
    assert [pair.name for pair in pairs if pair.context] == ["clip1"]
    assert len(warnings) == CLIPS - 1
    assert "clip0: no context of that name; left out of the scores with context" in warnings


# --- the command -----------------------------------------------------------------------------


def run(*arguments):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["evaluate", *map(str, arguments)])
    return parsed.run(parsed)


def test_command_writes_the_report_and_prints_the_scores(clips, tmp_path, capsys):
    write(tmp_path / "ours", "clip0", drums(0))
    write(tmp_path / "ours", "clip1", drums(5))
    arguments = [tmp_path / "ours", clips / "target", "-o", tmp_path / "report.json"]
    for _ in range(2):  # a report may be made anew
        assert run(*arguments, "--embedding", "MTT_musicnn", "--embedding", "MTT_vgg") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["fd"]["embedding"]["name"] == "MTT_musicnn"
    printed = capsys.readouterr().out
    assert "beat_f" in printed and "warning: " in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "report.json"]


def test_command_refuses_before_it_listens(clips, tmp_path):
    with pytest.raises(UserError, match=r"no folder .* to write in"):
        run(clips / "same", clips / "target", "-o", tmp_path / "no" / "r.json")
    with pytest.raises(UserError, match="needs its checkpoint"):
        run(clips / "same", clips / "target", "-o", tmp_path / "r.json", "--embedding", "vggish")
    with pytest.raises(UserError, match="no weights at"):
        run(
            *(clips / "same", clips / "target", "-o", tmp_path / "r.json"),
            *("--embedding", f"panns-cnn14-16k={tmp_path / 'none.pth'}"),
        )
    clip = clips / "same" / "clip0.wav"
    before = clip.read_bytes()
    with pytest.raises(UserError, match="is there already and is no report"):
        run(clips / "same", clips / "target", "-o", clip)
    assert clip.read_bytes() == before
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_report({"fd": None}, tmp_path / "taken")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_metrics_and_the_command_load_without_torch_and_librosa():
    code = (
        "import sys, restem.evaluation.evaluate, restem.evaluation.fit;"
        "heavy = {'torch', 'librosa', 'mir_eval', 'threadpoolctl'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    source = Path(__file__).parents[1] / "src"
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(source)}, check=True
    )
