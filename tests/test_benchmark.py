"""Table 1 and the figures on small real audio: rows whose place in the table is known."""

import json
import re
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from restem.benchmark.arguments import songs_of
from restem.benchmark.clips import (
    CLIP_SAMPLES,
    RATE,
    WholeSong,
    clips_of,
    rendered_songs,
    stem_songs,
)
from restem.benchmark.commands import chosen
from restem.benchmark.retrieval import Retrieval
from restem.benchmark.rows import reference_rows, sdedit
from restem.benchmark.table import IDENTITY, markdown, summary
from restem.cli import main
from restem.errors import UserError
from restem.evaluation.onsets import onset_correlation, onset_envelope
from restem.insertion import Inserter
from restem.networks.embedded import EmbeddedNetwork, NetworkConfig
from restem.networks.export import write_onnx
from restem.networks.onnx_model import OnnxModel
from restem.text import TextEncoder
from restem.tokens import TokenConfig

SONG = Path(__file__).parents[1] / "examples" / "evening-bus.ogg"
BPM = 98.0


def _drums(seconds, bpm=BPM, first=0.0, seed=0):
    """Noise bursts on the beats, the first of each bar louder."""
    rng = np.random.default_rng(seed)
    wave = np.zeros(int(seconds * RATE), np.float32)
    for i in range(int((seconds - first) * bpm / 60)):
        at = int((first + i * 60 / bpm) * RATE)
        burst = rng.standard_normal(4000) * np.exp(-np.arange(4000) / 500)
        end = min(len(wave), at + 4000)
        wave[at:end] += ((0.3 if i % 4 == 0 else 0.1) * burst[: end - at]).astype(np.float32)
    return wave


@pytest.fixture(scope="module")
def song():
    samples, rate = soundfile.read(SONG)
    assert rate == RATE
    context = samples.mean(axis=1).astype(np.float32)
    drums = _drums(len(context) / RATE)[: len(context)]
    return WholeSong("bus", context, drums, "Add funk drums", "funk drums")


@pytest.fixture(scope="module")
def clips(song):
    return clips_of(song)


def _rendered(folder, name, split, bpm, seed):
    """A song in the format of `restem dataset render`: a chord, and bursts on its beats."""
    seconds = 16 * 60 / bpm
    drums = _drums(seconds, bpm, seed=seed)
    tone = (0.1 * np.sin(np.arange(len(drums)) * 0.03)).astype(np.float32)
    for kind, waves in (("context", tone[None]), ("drums", drums[None])):
        np.save(folder / f"{name}.{kind}.npy", np.round(waves * 32767).astype(np.int16))
    labels = {"style": "funk", "bpm": bpm, "metre": "4/4", "loudness": "loud", "density": None}
    record = {"split": split, "bpm": bpm, "beats_per_bar": 4, "samples": len(drums)}
    take = {"labels": labels | {"kit": None, "feel": None}, "source": "mma"}
    (folder / f"{name}.json").write_text(json.dumps(record | {"takes": [take]}))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base model of the shipped format with random weights."""
    folder = tmp_path_factory.mktemp("base")
    tokens = TokenConfig()
    torch.manual_seed(0)
    sizes = {"width": 32, "blocks": 1, "heads": 2, "spread": 0.9}
    config = NetworkConfig(tokens.stem_values, tokens.context_values, tokens.phases, **sizes)
    write_onnx(EmbeddedNetwork(config), tokens, folder / "network.onnx")
    about = {"name": "base", "stems": [], "steps": 4, "guidance": 1.0, "logits": [6.0, -2.0]}
    (folder / "model.json").write_text(json.dumps(about | {"tokens": tokens.to_dict()}))
    return folder


def test_clips_are_the_songs_stretches(song, clips):
    assert len(clips) == len(song.context) // CLIP_SAMPLES
    second = clips[1]
    part = slice(CLIP_SAMPLES, 2 * CLIP_SAMPLES)
    gain = second.context @ song.context[part] / (song.context[part] @ song.context[part])
    np.testing.assert_allclose(second.context, gain * song.context[part], atol=1e-6)
    np.testing.assert_allclose(second.stem, gain * song.stem[part], atol=1e-6)
    assert 0 < gain <= 1 and np.abs(second.mix).max() <= 0.7 + 1e-6
    assert second.beats.bpm == pytest.approx(BPM, rel=0.01)


def test_reference_rows_are_what_they_say(clips):
    rows = reference_rows(list(clips), None)
    clip = clips[0]
    offered = {name: row.offer(clip, 0) for name, row in rows.items()}
    np.testing.assert_array_equal(offered["oracle"].mix, clip.mix)
    np.testing.assert_array_equal(offered[IDENTITY].mix, clip.context)
    assert not offered["silence"].mix.any()
    random = offered["random stem"].stem
    assert random is not None and np.corrcoef(random, clip.stem)[0, 1] < 0.9
    truth = onset_envelope(clip.stem, RATE)
    kept = onset_correlation(truth, onset_envelope(offered["round trip of the stem"].stem, RATE))
    assert kept > 0.9


def test_retrieval_takes_the_stem_of_that_tempo_and_lays_it_on_the_beats(tmp_path, clips):
    for i, bpm in enumerate((60.0, BPM * 1.02, 150.0)):
        _rendered(tmp_path, f"{i:05d}", "train", bpm, seed=i)
    retrieval = Retrieval(tmp_path, TextEncoder.load())
    clip = clips[0]
    stem = retrieval.stem(clip)
    assert stem.shape == clip.context.shape
    frames = np.round(clip.beats.times * 100).astype(int)
    frames = frames[(frames > 2) & (frames < 500)]
    envelope = onset_envelope(stem, RATE)
    at_beats = envelope[frames[:, None] + np.arange(-2, 3)].max(axis=1)
    assert at_beats.mean() > 5 * envelope.mean()
    with pytest.raises(UserError, match="no rendered songs to train on"):
        Retrieval(tmp_path / "none", TextEncoder.load())


def test_stems_to_retrieve_that_were_made_anew_are_others(tmp_path):
    text = TextEncoder.load()
    _rendered(tmp_path, "00000", "train", BPM, seed=0)
    first, same = (Retrieval(tmp_path, text).digest for _ in range(2))
    record = json.loads((tmp_path / "00000.json").read_text())
    record["takes"][0]["labels"]["style"] = "heavy metal"
    (tmp_path / "00000.json").write_text(json.dumps(record))
    relabelled = Retrieval(tmp_path, text).digest
    np.save(tmp_path / "00000.drums.npy", np.load(tmp_path / "00000.drums.npy")[:, :-1])
    assert first == same and len({first, relabelled, Retrieval(tmp_path, text).digest}) == 3


def test_sdedit_without_steps_is_the_round_trip_and_with_all_forgets_the_song(base, clips):
    editor = Inserter(OnnxModel.load(base), TextEncoder.load())
    clip = clips[0]
    context = onset_envelope(clip.context, RATE)[20:]  # not the edge, where all sound begins

    def likeness(strength):
        made = sdedit(editor, 10, strength)(clip, 0).mix
        assert made.shape == clip.context.shape and np.isfinite(made).all()
        return onset_correlation(context, onset_envelope(made, RATE)[20:])

    assert likeness(0.05) > 0.9
    assert likeness(1.0) < 0.3


def test_the_choice_of_clips_is_seeded(clips):
    assert [c.name for c in chosen(clips, 2)] == [c.name for c in chosen(clips, 2)]
    with pytest.raises(UserError, match="only"):
        chosen(clips, 1000)


def test_the_whole_table_on_two_songs(tmp_path, base, capsys):
    """Oracle best, identity's ratio one, silence flagged, SDEdit swept, a rerun changes nothing."""
    songs = tmp_path / "songs"
    songs.mkdir()
    for i, bpm in enumerate((80.0, 90.0)):
        _rendered(songs, f"{i:05d}", "test", bpm, seed=i)
    words = ["table1", "--data", f"rendered={songs}", "--base", str(base), "--seeds", "1",
             "--clips", "4", "-o", str(tmp_path / "out")]  # fmt: skip
    assert main(words) == 0
    table = json.loads((tmp_path / "out" / "table1-mix.json").read_text())
    rows = table["rows"]
    assert rows["oracle"]["kld"]["value"] == pytest.approx(0, abs=1e-6)
    assert rows["oracle"]["fd"]["value"] <= min(r["fd"]["value"] for r in rows.values())
    assert rows["silence"]["silent"] == 4
    assert {"SDEdit-20, strength 0.1", "SDEdit-50, strength 1.0"} <= set(table["sdedit_sweep"])
    assert any(name.startswith("SDEdit-50") for name in rows) and "Subtractive" in rows
    assert "4 of 4 silent" in markdown(table) and "| oracle |" in markdown(table)
    stems = json.loads((tmp_path / "out" / "table1-stem.json").read_text())["rows"]
    assert not any("SDEdit" in name for name in stems)
    names = ("table1-mix.json", "table1-mix.md", "table1-stem.json")
    first = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    assert main(words) == 0
    assert {name: (tmp_path / "out" / name).read_bytes() for name in names} == first
    err = capsys.readouterr().err
    assert "left out: retrieval (give --retrieval)" in err and "full clips" in err
    assert "Left out: retrieval" in markdown(table)
    halves = table["halves"]
    assert {"the truth", "Subtractive", "silence", IDENTITY} <= set(halves)
    assert halves["the truth"]["fd"] < halves["silence"]["fd"]
    assert "against the other half of the truth, 2 each: the truth" in markdown(table)
    assert "Of the way from silence to the truth the context alone goes FD" in markdown(table)
    assert re.search(r"\| SDEdit-20, strength 0\.\d, \d+ steps", markdown(table))
    # Another model in the same folder: its row is made anew, the others stay.
    stems = sorted((tmp_path / "out" / "rows" / "subtractive" / "seed0" / "stem").iterdir())
    oracle = sorted((tmp_path / "out" / "rows" / "oracle" / "seed0" / "stem").iterdir())[0]
    before, kept = stems[0].read_bytes(), oracle.stat().st_mtime_ns
    other = tmp_path / "other"
    shutil.copytree(OnnxModel.load().folder, other)
    about = json.loads((other / "model.json").read_text()) | {"steps": 3}
    (other / "model.json").write_text(json.dumps(about))
    assert main([*words, "--model", str(other)]) == 0
    assert "Subtractive, seed 0: made anew" in capsys.readouterr().err
    assert stems[0].read_bytes() != before and oracle.stat().st_mtime_ns == kept
    assert main([*words[:-3], "3", "-o", words[-1]]) == 2
    assert "other clips" in capsys.readouterr().err


def test_a_table_of_one_clip_and_strange_numbers_are_refused(tmp_path, capsys):
    songs = tmp_path / "songs"
    songs.mkdir()
    _rendered(songs, "00000", "test", 160.0, seed=0)
    words = ["table1", "--data", f"rendered={songs}", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "At least two clips" in capsys.readouterr().err
    for option in (["--clips", "0"], ["--seeds", "-1"], ["--seeds", "x"]):
        assert main([*words, *option]) == 2
        assert "is not a whole number of 1 or more" in capsys.readouterr().err
    (songs / "00000.drums.npy").write_bytes(b"")
    assert main(words) == 2
    assert "00000.json is damaged" in capsys.readouterr().err


def test_a_missing_package_is_named_before_songs_are_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("restem.evaluation.evaluate.find_spec", lambda name: None)
    words = ["table1", "--data", f"rendered={tmp_path}", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "Scores need torch; run `pip install" in capsys.readouterr().err


def test_figures_are_written(tmp_path, song):
    files = []
    for kind in ("context", "stem"):
        files.append(tmp_path / f"{kind}.wav")
        soundfile.write(files[-1], getattr(song, kind)[: 6 * RATE], RATE)
    data = f"pair={files[0]},{files[1]}"
    out = tmp_path / "figures"
    assert main(["figures", "--data", data, "--sentence", "Add rock drums", "-o", str(out)]) == 0
    for name in ("figure1.png", "figure3.png", "figure4.png", "00.png", "00-2.ogg"):
        assert (out / name).stat().st_size > 1000
    page = (out / "index.html").read_text()
    assert "Add rock drums" in page and page.count("<audio") >= 3


@pytest.mark.parametrize("data", ["rendered=", "tape=x", "pair=one.wav"])
def test_unknown_data_is_named(tmp_path, data, capsys):
    for verb in ("table1", "figures"):
        assert main([verb, "--data", data, "-o", str(tmp_path / "o")]) == 2
        assert "restem: error:" in capsys.readouterr().err
        assert not (tmp_path / "o").exists()


def test_songs_of_one_name_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for side in ("context", "drums"):
            soundfile.write(tmp_path / folder / f"{side}.wav", np.full(RATE, 0.1), RATE)
    data = [f"pair={tmp_path / f}/context.wav,{tmp_path / f}/drums.wav" for f in ("a", "b")]
    songs = list(songs_of(Namespace(data=data, instruction="Add drums", caption="drums")))
    assert [song.name for song in songs] == ["context", "context-v2"]


def test_clips_of_musdb18_are_all_full_stretches_of_the_sum(tmp_path):
    """Two stems in the layout of MUSDB18-HQ; the mixture file, which differs, is not looked at."""
    rng = np.random.default_rng(0)
    for part, seconds in (("train", 6.0), ("test", 11.0)):
        folder = tmp_path / part / "Someone - A Song"
        folder.mkdir(parents=True)
        for stem in ("drums", "bass", "other", "vocals"):
            wave = 0.05 * rng.standard_normal((int(seconds * RATE), 2))
            soundfile.write(folder / f"{stem}.wav", wave, RATE, subtype="FLOAT")
        soundfile.write(folder / "mixture.wav", np.zeros((100, 2)), RATE)
    song = next(stem_songs(f"musdb18={tmp_path}", "drums", "Add drums", "drums"))
    found = clips_of(song)
    assert len(found) == 2 and found[0].song == "test-Someone-A-Song"
    parts = {
        stem: soundfile.read(tmp_path / "test" / "Someone - A Song" / f"{stem}.wav")[0].mean(axis=1)
        for stem in ("drums", "bass", "other", "vocals")
    }
    whole = sum(parts.values())[:CLIP_SAMPLES]
    gain = found[0].mix @ whole / (whole @ whole)
    np.testing.assert_allclose(found[0].mix, gain * whole, atol=1e-5)
    np.testing.assert_allclose(found[0].stem, gain * parts["drums"][:CLIP_SAMPLES], atol=1e-5)
    with pytest.raises(UserError, match="no test songs with guitar"):
        list(stem_songs(f"musdb18={tmp_path}", "guitar", "Add guitar", "guitar"))


def test_folders_without_test_songs_are_named(tmp_path):
    with pytest.raises(UserError, match="no rendered songs of the split"):
        list(rendered_songs(tmp_path, "test"))


def test_a_summary_keeps_the_spread_over_seeds():
    reports = [
        {"fd": {"value": v, "low": v - 1, "high": 9.0}, "clips": 3, "warnings": ["fd: few"]}
        for v in (1.0, 3.0)
    ]
    row = summary(reports)
    assert row["fd"]["value"] == 2 and row["fd"]["seed_sd"] == pytest.approx(np.sqrt(2))
    assert row["seeds"] == 2 and row["clips"] == 3 and "fad" not in row
    assert (row["fd"]["low"], row["fd"]["high"]) == (1.0, 9.0) and row["warnings"] == ["fd: few"]


def test_what_cancels_in_mono_is_not_in_the_context_as_it_is_not_in_training(tmp_path):
    rng, folder = np.random.default_rng(0), tmp_path / "test" / "song"
    folder.mkdir(parents=True)
    waves = {}
    for stem in ("drums", "bass", "other", "vocals"):
        mono = 0.1 * rng.standard_normal(RATE)
        waves[stem] = mono
        wide = np.stack([mono, -mono if stem == "other" else mono], axis=1)
        soundfile.write(folder / f"{stem}.wav", wide, RATE, "FLOAT")
    song = next(stem_songs(f"musdb18={tmp_path}", "drums", "Add drums", "drums"))
    np.testing.assert_allclose(song.context, waves["bass"] + waves["vocals"], atol=1e-6)
