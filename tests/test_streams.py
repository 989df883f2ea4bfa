"""MP3 and Ogg files that hold more than libsndfile reads of them are not cut without a word."""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest
import soundfile as sf

from restem.audio.files import read_audio
from restem.audio.streams import holds_more
from restem.errors import UserError

QUIET, LOUD = 4, 12  # seconds


@pytest.fixture(scope="module")
def mp3(tmp_path_factory):
    """An MP3 of a variable rate: 12 s of noise, then 4 s of nearly nothing."""
    noise = np.random.default_rng(0).normal(0, 0.1, (16 * 44100, 2))
    noise[LOUD * 44100 :] *= 1e-4
    path = tmp_path_factory.mktemp("mp3") / "song.mp3"
    sf.write(path, noise, 44100, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE")
    return path


def without_first_frame(mp3, path):
    """The same without the frame of its Xing header, which says how long it is."""
    data = mp3.read_bytes()
    assert b"Xing" in data[:200] or b"Info" in data[:200]
    start = data.index(data[:2], 4)
    path.write_bytes(data[start:])
    return path


def test_whole_files_are_read_as_they_are(mp3, tmp_path):
    assert len(read_audio(mp3).samples) == 16 * 44100
    tag = b"ID3\x03\0\0" + bytes([0, 0, 100, 0]) + b"\xff\xfb\x90\x64" * 3200  # a picture, say
    (tmp_path / "tagged.mp3").write_bytes(tag + mp3.read_bytes() + b"TAG" + bytes(125))
    assert len(read_audio(tmp_path / "tagged.mp3").samples) == 16 * 44100
    for rate in (8000, 22050, 48000):
        sf.write(tmp_path / "low.mp3", np.random.default_rng(1).normal(0, 0.1, rate * 3), rate)
        assert len(read_audio(tmp_path / "low.mp3").samples) == pytest.approx(3 * rate, abs=2500)
    for name, kind in (("a.ogg", "VORBIS"), ("a.opus", "OPUS")):
        sf.write(tmp_path / name, np.zeros((48000, 2)), 48000, format="OGG", subtype=kind)
        assert len(read_audio(tmp_path / name).samples) == 48000


def test_what_the_header_does_not_tell_is_not_cut(mp3, tmp_path, monkeypatch):
    short = without_first_frame(mp3, tmp_path / "short.mp3")
    with sf.SoundFile(short) as file:
        read = file.frames / 44100
    assert read < 15 and holds_more(short, "MP3", read)
    assert not holds_more(short, "MP3", 16.0)
    one = tmp_path / "one.ogg"
    sf.write(one, np.zeros((44100, 1)), 44100)
    (tmp_path / "two.ogg").write_bytes(one.read_bytes() * 2)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for name in ("short.mp3", "two.ogg"):
        with pytest.raises(UserError, match=r"does not say how long it is, so it needs.* ffmpeg"):
            read_audio(tmp_path / name)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="SKIPPED: the program ffmpeg is absent")
def test_ffmpeg_reads_it_whole(mp3, tmp_path):
    audio = read_audio(without_first_frame(mp3, tmp_path / "short.mp3"))
    assert len(audio.samples) == pytest.approx(16 * 44100, abs=3000)
    assert (audio.container, audio.subtype) == ("MP3", "MPEG_LAYER_III")


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_need_not_be_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    sf.write(path, np.full((44100, 1), 0.25), 44100, format="WAV")
    assert read_audio(os.fsdecode(path)).samples[5] == 0.25


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="SKIPPED: ffprobe is absent")
@pytest.mark.parametrize("bits", [16, 24])
def test_apple_lossless_keeps_its_samples_and_its_bits(tmp_path, bits):
    whole = np.random.default_rng(0).integers(-(2**15), 2**15, (44100, 2)) << (bits - 16)
    sf.write(tmp_path / "a.wav", (whole << (32 - bits)).astype(np.int32), 44100, f"PCM_{bits}")
    make = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-c:a", "alac", tmp_path / "a.m4a"]
    subprocess.run(make, check=True)
    audio = read_audio(tmp_path / "a.m4a")
    assert (audio.subtype, audio.wav_subtype) == (f"ALAC_{bits}", f"PCM_{bits}")
    assert not audio.compressed and np.array_equal(audio.samples * 2 ** (bits - 1), whole)
