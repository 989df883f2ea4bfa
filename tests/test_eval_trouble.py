"""`restem evaluate` on files with something wrong: each is named, and the others are scored."""

import argparse
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from restem.errors import UserError
from restem.evaluation import pairing
from restem.evaluation.cache import Cache
from restem.evaluation.embeddings import Embedded
from restem.evaluation.evaluate import add_parser, evaluate, write_report
from restem.evaluation.listening import hear
from restem.evaluation.pairing import paired_clips

RATE = 22050


@dataclass(frozen=True)
class Levels:
    """An embedding that is quick to have: the levels of 8 bands; NaN for a peak of exactly 0.75."""

    name: str
    role: str
    sample_rate: int = 16000
    dimensions: int = 8
    weights_sha256: str = "0" * 64
    published: bool | None = None

    def embed(self, waveform):
        spectrum = np.abs(np.fft.rfft(waveform))
        levels = np.log([band.mean() + 1e-6 for band in np.array_split(spectrum, 8)])
        if np.isclose(np.abs(waveform).max(), 0.75, atol=1e-4):
            levels[0] = np.nan
        features = np.asarray(levels, np.float32)
        return Embedded(features[None], features if self.role == "clip" else None)


EMBEDDINGS = (Levels("clip levels", "clip"), Levels("frame levels", "frame"))


def drums(seed, seconds=2.0):
    """Noise bursts on a grid of 0.4 s; what `seconds` leaves out does not change the rest."""
    random = np.random.default_rng(seed)
    clock = np.arange(int(4 * RATE)) / RATE
    wave = 0.1 * random.standard_normal(len(clock)) * np.exp(-(clock % 0.4) / 0.03)
    return wave[: int(seconds * RATE)]


def tone(hz, peak, seconds=2.0):
    return peak * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)


def write(folder, name, samples, rate=RATE, subtype="FLOAT"):
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / f"{name}.wav", samples, rate, subtype=subtype)


@pytest.fixture
def folders(tmp_path):
    """Three good clips in `ours`, `theirs` and `behind`."""
    for seed in range(3):
        write(tmp_path / "ours", f"c{seed}", drums(seed))
        write(tmp_path / "theirs", f"c{seed}", drums(seed + 10))
        write(tmp_path / "behind", f"c{seed}", tone(220, 0.3))
    return tmp_path / "ours", tmp_path / "theirs", tmp_path / "behind"


def scored(ours, theirs, behind=None, cache=None):
    return evaluate(ours, theirs, behind, EMBEDDINGS, cache)


def told(report, start):
    return [warning for warning in report["warnings"] if warning.startswith(start)]


def scores(report):
    return {key: value for key, value in report.items() if key not in ("warnings", "settings")}


# --- clips that cannot be measured -----------------------------------------------------------


def test_absurd_samples_are_named_and_the_others_scored(folders, tmp_path):
    good = scores(scored(*folders))
    absurd = drums(7)
    absurd[1000] = 1e25
    write(folders[0], "absurd", absurd)
    write(folders[1], "absurd", drums(7))
    for _ in range(2):  # heard, and out of the cache
        report = scored(*folders[:2], cache=tmp_path / "cache")
        (warning,) = told(report, "absurd: ")
        assert "the generated clip cannot be used: absurd.wav has a sample of 1e+25" in warning
        assert report["clips"] == 3
        assert all(report[key] == good[key] for key in ("fd", "fad", "kld", "beat_f"))
    write(tmp_path / "loud", "loud", drums(1) * 1e5)  # far too loud, but a sound
    assert np.isfinite(hear(tmp_path / "loud" / "loud.wav", EMBEDDINGS, Cache(None)).envelope).all()


def test_features_that_are_no_numbers_are_refused(folders):
    write(folders[0], "c1", tone(100, 0.75))
    report = scored(*folders)
    (warning,) = told(report, "c1: ")
    assert "the generated clip cannot be used: c1.wav cannot be measured" in warning
    assert report["clips"] == 2


def test_a_file_that_the_system_will_not_open_is_named(folders, monkeypatch):
    whole = Path.open

    def opened(path, *arguments, **options):
        if path == folders[1] / "c2.wav":
            raise PermissionError(13, "Permission denied")
        return whole(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    report = scored(*folders)
    (warning,) = told(report, "c2: ")
    assert "the target cannot be used: c2.wav cannot be read (Permission denied)" in warning
    assert report["clips"] == 2


def test_a_bad_context_costs_only_the_scores_with_context(folders, tmp_path):
    good = scores(scored(*folders))
    (folders[2] / "c0.wav").write_text("no audio")
    report = scored(*folders)
    (warning,) = told(report, "c0: ")
    assert warning.startswith("c0: the context cannot be used: c0.wav cannot be read as audio")
    assert warning.endswith("; left out of the scores with context")
    assert report["clips"] == 3
    assert report["chroma_fit"]["clips"] == 2
    for key in ("fd", "fad", "kld", "beat_f", "onset_correlation", "audio_seconds"):
        assert report[key] == good[key]
    for name in ("c1", "c2"):
        (folders[2] / f"{name}.wav").write_text("no audio")
    report = scored(*folders)
    assert report["clips"] == 3 and report["chroma_fit"]["value"] is None
    for folder, side in zip(folders, ("generated clip", "target"), strict=False):
        (folder / "c0.wav").write_text("no audio")
        assert f"c0: the {side} cannot be used" in "\n".join(scored(*folders)["warnings"])
        write(folder, "c0", drums(0))


# --- names -----------------------------------------------------------------------------------


def test_names_that_are_not_utf_8_come_through(folders, tmp_path, monkeypatch):
    name = os.fsdecode(b"caf\xe9")
    try:
        (folders[0] / f"{name}.wav").write_text("no audio")
    except OSError:
        pytest.skip("NOT TESTED: this file system takes UTF-8 names only")
    write(folders[1], "x", drums(5))
    (folders[1] / "x.wav").rename(folders[1] / f"{name}.wav")
    monkeypatch.setattr("restem.evaluation.evaluate.load_embedding",
                        lambda name: EMBEDDINGS[name == "MTT_vgg"])  # fmt: skip
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, "utf-8", errors="strict"))
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    folder = tmp_path / "reports"
    folder.mkdir()
    parsed = parser.parse_args(
        ["evaluate", *map(str, folders[:2]), "-o", str(folder / "report.json")]
    )
    assert parsed.run(parsed) == 0
    sys.stdout.flush()
    assert rb"warning: caf\udce9: the generated clip cannot be used" in printed.getvalue()
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert len(told(report, f"{name}: ")) == 1  # read back as it was
    assert [path.name for path in folder.iterdir()] == ["report.json"]


def test_no_draft_stays_behind_whatever_goes_wrong(tmp_path, monkeypatch):
    def interrupted(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report({"fd": None}, tmp_path / "report.json")
    assert not list(tmp_path.iterdir())


def test_what_is_passed_over_is_named(folders):
    for folder in folders[:2]:
        (folder / "film.mp4").write_text("")
        (folder / "more").mkdir()
        (folder / ".hidden").write_text("")
    report = scored(*folders)
    for folder in ("ours", "theirs"):
        (warning,) = told(report, f"{folder}: ")
        assert warning.startswith(f"{folder}: passed over film.mp4, more; clips must lie in")
    assert not told(report, "behind: ") and report["clips"] == 3
    for number in range(6):
        (folders[2] / f"note{number}.txt").write_text("")
    (warning,) = told(scored(*folders), "behind: ")
    assert "note4.txt and 1 more; " in warning


def names_only(folder, names):
    folder.mkdir()
    for name in names:
        (folder / f"{name}.wav").write_text("")
    return folder


def test_many_lone_names_are_told_without_the_slow_hints(tmp_path, monkeypatch):
    ours = names_only(tmp_path / "ours", [f"a clip of some length {n:04}" for n in range(200)])
    theirs = names_only(tmp_path / "theirs", [f"a clip of some length_{n:04}" for n in range(200)])
    looked = []
    monkeypatch.setattr(pairing, "get_close_matches",
                        lambda name, others, **options: looked.extend(others) or [])  # fmt: skip
    with pytest.raises(UserError, match="no file name in common"):
        paired_clips(ours, theirs)
    for folder in (ours, theirs):
        (folder / "both.wav").write_text("")
    pairs, warnings = paired_clips(ours, theirs)
    assert (len(pairs), len(warnings)) == (1, 400)
    assert not looked


# --- lengths ---------------------------------------------------------------------------------


def test_clips_of_different_lengths_are_compared_as_far_as_both_go(folders, tmp_path):
    """Longer on one side by noise: all scores are those of clips that were cut before."""
    cut = scores(scored(*folders))
    scored(*folders, cache=tmp_path / "cache")
    same = {path.name for path in (tmp_path / "cache").iterdir()}
    noise = np.random.default_rng(0).standard_normal(RATE)
    write(folders[0], "c0", np.concatenate([drums(0), noise]))
    write(folders[1], "c1", np.concatenate([drums(11), noise]))
    for _ in range(2):  # heard, and out of the cache
        report = scored(*folders, cache=tmp_path / "cache")
        assert scores(report) == cut
    assert told(report, "c0: ") == [
        "c0: wrong length, it lasts 3.00 s and its target 2.00 s; compared as far as both go"
    ]
    assert len(told(report, "c1: wrong length, it lasts 2.00 s and its target 3.00 s")) == 1
    # each longer file is heard whole and cut: twice 4 parts, and once with its context
    assert len({path.name for path in (tmp_path / "cache").iterdir()} - same) == 2 * 9


def test_a_context_of_another_length_is_named(folders):
    cut = scores(scored(*folders))
    noise = np.random.default_rng(0).standard_normal(RATE)
    write(folders[2], "c0", np.concatenate([tone(220, 0.3), noise]))
    report = scored(*folders)
    assert scores(report) == cut
    assert told(report, "c0: ") == [
        "c0: wrong length of the context, it lasts 3.00 s and the clips 2.00 s; "
        "compared as far as both go"
    ]


# --- levels and beats ------------------------------------------------------------------------


def clipped(tmp_path, samples, subtype="FLOAT", rate=RATE):
    write(tmp_path / "levels", "one", samples, rate, subtype)
    return hear(tmp_path / "levels" / "one.wav", (), Cache(None)).clipped


def test_only_flat_tops_count_as_clipping(tmp_path):
    for hz in (25, 60, 440):
        assert clipped(tmp_path, tone(hz, 1.5)) == 0
        assert clipped(tmp_path, tone(hz, 32000.0)) == 0  # written as if they were integers
        for subtype in ("PCM_16", "PCM_U8"):  # grids make the crests of slow waves flat
            assert clipped(tmp_path, tone(hz, 0.999), subtype) == 0
            assert clipped(tmp_path, tone(hz, 0.05), subtype) == 0
        for top in (1.0, 0.6):
            cut = np.clip(tone(hz, 1.5), -top, top)
            flat = np.count_nonzero(np.abs(cut) >= top)
            assert clipped(tmp_path, cut) == pytest.approx(flat, rel=0.02)
            assert clipped(tmp_path, np.stack([cut, 0.5 * cut], 1)) > 1.9 * clipped(tmp_path, cut)
            assert clipped(tmp_path, cut * 32767 / 32768, "PCM_16") == pytest.approx(flat, rel=0.02)
    assert clipped(tmp_path, np.zeros(RATE)) == clipped(tmp_path, np.full(RATE, 0.5)) == 0


def test_sounding_targets_without_a_beat_are_counted(folders):
    write(folders[0], "c1", tone(220, 0.3))
    write(folders[1], "c1", tone(220, 0.3))
    report = scored(*folders)
    assert report["beat_f"]["clips"] == 3
    assert told(report, "beat_f: librosa hears no beat in 1 of 3 sounding targets")
    write(folders[0], "c1", drums(1))
    write(folders[1], "c1", drums(11))
    assert not told(scored(*folders), "beat_f: ")
