"""Reading and writing of audio files against libsndfile, the standard library and scipy."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile as sf

from restem.audio import files
from restem.audio.files import AudioFile, read_audio, write_wav
from restem.errors import UserError

PCM_BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


def noise(frames: int = 8001, channels: int = 2, level: float = 0.2) -> np.ndarray:
    return np.clip(np.random.default_rng(1).normal(0, level, (frames, channels)), -1, 1)


def integers(bits: int, frames: int = 8001, channels: int = 2) -> np.ndarray:
    """Random integers of the whole range, both ends among them."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    drawn = np.random.default_rng(2).integers(low, high, (frames, channels), endpoint=True)
    drawn[0], drawn[1] = low, high
    return drawn.astype(np.int32)


# ---- reading ----


@pytest.mark.parametrize(
    ("ending", "subtype", "bits"),
    [
        ("wav", "PCM_U8", 8),
        ("wav", "PCM_16", 16),
        ("wav", "PCM_24", 24),
        ("wav", "PCM_32", 32),
        ("rf64", "PCM_24", 24),
        ("flac", "PCM_S8", 8),
        ("flac", "PCM_16", 16),
        ("flac", "PCM_24", 24),
        ("aiff", "PCM_S8", 8),
        ("aiff", "PCM_16", 16),
        ("caf", "ALAC_24", 24),
    ],
)
def test_lossless_formats_give_their_exact_integers(tmp_path, ending, subtype, bits):
    written = integers(bits)
    if ending == "caf":  # libsndfile's ALAC encoder spoils noise of the whole range
        written //= 4
    sf.write(tmp_path / f"song.{ending}", written << (32 - bits), 44100, subtype=subtype)
    audio = read_audio(tmp_path / f"song.{ending}")
    assert np.array_equal(audio.samples * 2.0 ** (bits - 1), written)
    assert (audio.sample_rate, audio.subtype, audio.compressed) == (44100, subtype, False)
    assert PCM_BITS[audio.wav_subtype] == bits


@pytest.mark.parametrize(("subtype", "kind"), [("FLOAT", np.float32), ("DOUBLE", np.float64)])
def test_float_samples_come_back_unchanged_above_full_scale_too(tmp_path, subtype, kind):
    written = (noise() * 20).astype(kind)
    sf.write(tmp_path / "song.wav", written, 48000, subtype=subtype)
    audio = read_audio(tmp_path / "song.wav")
    assert np.array_equal(audio.samples, written)
    assert audio.wav_subtype == subtype


@pytest.mark.parametrize(
    ("name", "subtype", "rate"),
    [
        ("song.ogg", "VORBIS", 44100),
        ("song.opus", "OPUS", 48000),
        ("song.mp3", "MPEG_LAYER_III", 44100),
        ("song.wav", "ULAW", 8000),
        ("song.wav", "IMA_ADPCM", 22050),
    ],
)
def test_compressed_formats_become_24_bit(tmp_path, name, subtype, rate):
    container = "OGG" if name.endswith("opus") else None
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)[:, None]
    sf.write(tmp_path / name, tone, rate, subtype=subtype, format=container)
    audio = read_audio(tmp_path / name)
    assert audio.subtype == subtype and audio.compressed and audio.wav_subtype == "PCM_24"
    spectrum = np.abs(np.fft.rfft(audio.samples[: rate // 2, 0]))
    assert np.argmax(spectrum) * 2 == 440


@pytest.mark.parametrize("rate", [8000, 192000])
def test_the_extreme_sample_rates_and_the_shortest_song_are_read(tmp_path, rate):
    sf.write(tmp_path / "song.wav", noise(rate // 10), rate)
    assert len(read_audio(tmp_path / "song.wav").samples) == rate // 10


def test_a_file_named_like_standard_input_is_a_file(tmp_path, monkeypatch):
    sf.write(tmp_path / "song.wav", noise(), 8000)
    (tmp_path / "song.wav").rename(tmp_path / "-")
    monkeypatch.chdir(tmp_path)
    assert read_audio("-").samples.shape == (8001, 2)


def _missing(folder: Path) -> Path:
    return folder / "nowhere.wav"


def _folder(folder: Path) -> Path:
    return folder


def _empty(folder: Path) -> Path:
    (folder / "empty.wav").touch()
    return folder / "empty.wav"


def _text(folder: Path) -> Path:
    (folder / "text.wav").write_text("These are words.\n" * 100)
    return folder / "text.wav"


def _raw(folder: Path) -> Path:
    (folder / "noise.raw").write_bytes(bytes(9999))
    return folder / "noise.raw"


def _cut(folder: Path, name: str, share: float) -> Path:
    sf.write(folder / name, noise(88200), 44100)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(len(whole) * share)])
    return folder / name


def _cut_flac(folder: Path) -> Path:
    return _cut(folder, "cut.flac", 0.5)


def _headless_flac(folder: Path) -> Path:
    return _cut(folder, "cut.flac", 0.001)


def _cut_mp3(folder: Path) -> Path:
    return _cut(folder, "cut.mp3", 0.5)


def _cut_wav(folder: Path) -> Path:
    return _cut(folder, "cut.wav", 0.5)


def _cut_aiff(folder: Path) -> Path:
    return _cut(folder, "cut.aiff", 0.5)


def _spoilt_ogg(folder: Path) -> Path:
    path = _cut(folder, "spoilt.ogg", 1.0)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 5000] = bytes(5000)
    path.write_bytes(whole)
    return path


def _with(folder: Path, value: float) -> Path:
    samples = noise().astype(np.float32)
    samples[4000, 1] = value
    sf.write(folder / "odd.wav", samples, 44100, subtype="FLOAT")
    return folder / "odd.wav"


def _nan(folder: Path) -> Path:
    return _with(folder, np.nan)


def _inf(folder: Path) -> Path:
    return _with(folder, -np.inf)


def _short(folder: Path) -> Path:
    sf.write(folder / "short.wav", noise(2205), 44100)
    return folder / "short.wav"


def _no_samples(folder: Path) -> Path:
    sf.write(folder / "none.wav", noise(0), 44100)
    return folder / "none.wav"


def _slow(folder: Path) -> Path:
    sf.write(folder / "slow.wav", noise(), 4000)
    return folder / "slow.wav"


def _fast(folder: Path) -> Path:
    sf.write(folder / "fast.wav", noise(80000), 384000)
    return folder / "fast.wav"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def _null_character(folder: Path) -> Path:
    return folder / "so\0ng.wav"


def _endless_name(folder: Path) -> Path:
    return folder / ("x" * 5000 + ".wav")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, "no file"),
        (_folder, "is a folder"),
        (_empty, "is empty"),
        (_text, "cannot be read as audio"),
        (_raw, "cannot be read as audio"),
        (_cut_flac, "cannot be read as audio"),
        (_headless_flac, "cannot be read as audio"),
        (_cut_mp3, "is damaged"),
        (_cut_wav, "1.0 of its 2.0 s"),
        (_cut_aiff, "1.0 of its 2.0 s"),
        (_spoilt_ogg, "is damaged"),
        (_nan, "NaN or Inf"),
        (_inf, "NaN or Inf"),
        (_short, "0.050 s"),
        (_no_samples, "0.000 s"),
        (_slow, "4000 Hz"),
        (_fast, "384000 Hz"),
        (_pipe, "regular file"),
        (_null_character, "no file|Cannot open"),
        (_endless_name, "Cannot open"),
    ],
)
def test_bad_files_give_one_sentence(tmp_path, make, words):
    with pytest.raises(UserError, match=words) as caught:
        read_audio(make(tmp_path))
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message


def test_an_unreadable_file_gives_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sf.write("song.wav", noise(), 44100)
    Path("song.wav").chmod(0)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    try:
        if user == 0:  # root may read everything; nobody may not
            os.seteuid(65534)
        with pytest.raises(UserError, match=r"Cannot open song\.wav: Permission denied"):
            read_audio("song.wav")
    finally:
        os.seteuid(user)


# ---- m4a and aac ----


def test_m4a_without_ffmpeg_names_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    (tmp_path / "misnamed.wav").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("song.m4a", "misnamed.wav"):
        with pytest.raises(UserError, match="needs the program ffmpeg"):
            read_audio(tmp_path / name)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="SKIPPED: the program ffmpeg is absent")
@pytest.mark.parametrize(("name", "codec"), [("s.m4a", "aac"), ("s.aac", "aac"), ("s.m4a", "alac")])
def test_ffmpeg_decodes_m4a_and_aac(tmp_path, name, codec):
    song = (noise(30000) * 2**15).astype(np.int16)
    sf.write(tmp_path / "song.wav", song, 32000)
    make = ["ffmpeg", "-v", "error", "-i", tmp_path / "song.wav", "-c:a", codec, tmp_path / name]
    subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
    audio = read_audio(tmp_path / name)
    assert audio.sample_rate == 32000 and audio.samples.shape[1] == 2
    assert audio.wav_subtype == ("PCM_16" if codec == "alac" else "PCM_24")
    if codec == "alac":
        assert np.array_equal(audio.samples * 2**15, song)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="SKIPPED: the program ffmpeg is absent")
def test_ffmpeg_failure_is_one_sentence(tmp_path):
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(1000))
    with pytest.raises(UserError, match=r"^ffmpeg cannot read song.m4a"):
        read_audio(tmp_path / "song.m4a")


# ---- writing ----


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("subtype", "bits"), PCM_BITS.items())
def test_written_integers_are_what_libsndfile_reads(tmp_path, subtype, bits, channels):
    written = integers(bits, frames=1001, channels=channels)
    write_wav(tmp_path / "song.wav", written, 22050, subtype)
    read, rate = sf.read(tmp_path / "song.wav", dtype="int32", always_2d=True)
    assert np.array_equal(read >> (32 - bits), written) and rate == 22050
    info = sf.info(tmp_path / "song.wav")
    assert (info.format, info.subtype, info.frames) == ("WAV", subtype, 1001)
    with wave.open(str(tmp_path / "song.wav")) as file:
        assert file.getparams()[:4] == (channels, bits // 8, 22050, 1001)


@pytest.mark.parametrize(("subtype", "kind"), [("FLOAT", np.float32), ("DOUBLE", np.float64)])
def test_written_floats_are_what_libsndfile_and_scipy_read(tmp_path, subtype, kind):
    written = (noise(channels=3) * 9).astype(kind)
    write_wav(tmp_path / "song.wav", written, 96000, subtype)
    assert np.array_equal(sf.read(tmp_path / "song.wav", dtype=kind)[0], written)
    assert sf.info(tmp_path / "song.wav").subtype == subtype
    rate, read = scipy.io.wavfile.read(tmp_path / "song.wav")
    assert rate == 96000 and np.array_equal(read, written)


def test_many_blocks_make_one_file(tmp_path):
    written = integers(24, frames=300_001)
    write_wav(tmp_path / "song.wav", written, 44100, "PCM_24")
    assert np.array_equal(sf.read(tmp_path / "song.wav", dtype="int32")[0] >> 8, written)


def test_beyond_4_gib_the_file_is_rf64():
    frames = 2**32 // 6 + 1000  # stereo, 24 bit
    header = files._wav_header(frames, 2, 44100, "PCM_24")
    assert header[:4] == b"RF64"
    assert files._wav_header(frames - 2000, 2, 44100, "PCM_24")[:4] == b"RIFF"


def test_libsndfile_reads_our_rf64(tmp_path):
    frames = 2**32 // 6 + 1000
    with open(tmp_path / "long.wav", "wb") as file:
        file.write(files._wav_header(frames, 2, 44100, "PCM_24"))
        file.truncate(file.tell() + frames * 6)  # a hole on the disk, no 4 GiB
    info = sf.info(tmp_path / "long.wav")
    assert (info.format, info.frames, info.channels, info.subtype) == ("RF64", frames, 2, "PCM_24")


def test_equal_samples_give_equal_bytes_and_a_new_file_the_usual_rights(tmp_path):
    for name in ("a.wav", "b.wav"):
        write_wav(tmp_path / name, noise().astype(np.float32), 44100, "FLOAT")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.wav").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("samples", "subtype"),
    [
        (np.zeros((10, 1)), "PCM_16"),
        (np.zeros((10, 1), np.int32), "FLOAT"),
        (np.full((10, 1), 2**15), "PCM_16"),
        (np.full((10, 1), -129), "PCM_U8"),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path, samples, subtype):
    with pytest.raises(ValueError):
        write_wav(tmp_path / "song.wav", samples, 44100, subtype)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "song.wav").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match=r"Could not write song\.wav"):
            write_wav(tmp_path / "song.wav", integers(16), 44100, "PCM_16")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]
    assert (tmp_path / "song.wav").read_bytes() == b"old"


@pytest.mark.parametrize("place", ["missing/song.wav", "file/song.wav", "folder"])
def test_impossible_places_give_a_sentence(tmp_path, place):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(UserError, match="Could not write"):
        write_wav(tmp_path / place, integers(16), 44100, "PCM_16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


# ---- names of sample formats ----


def test_every_wav_format_is_known_to_libsndfile():
    for name in files.WAV_SUBTYPES:
        assert sf.check_format("WAV", name)
        assert files.check_wav_subtype(name.lower()) == name


def test_formats_that_cannot_hold_a_sum_are_refused():
    with pytest.raises(UserError, match="would not keep"):
        files.check_wav_subtype("ULAW")
    with pytest.raises(UserError, match="There is no WAV sample format 'PCM_12'"):
        files.check_wav_subtype("PCM_12")


def test_every_subtype_of_libsndfile_maps_to_one_that_we_write():
    for name in sf.available_subtypes():
        audio = AudioFile(np.zeros((1, 1)), 44100, "WAV", name)
        assert audio.wav_subtype in files.WAV_SUBTYPES
        assert audio.compressed == (not name.startswith(("PCM", "ALAC", "FLOAT", "DOUBLE")))


def test_a_long_mp3_is_read_in_one_go(tmp_path):
    """A decoder that is made to seek at a block's border loses bits there."""
    time = np.arange(30 * 44100) / 44100
    burst = (time - ((1 << 20) / 44100 + 0.05)) % 0.5 < 0.05  # begins where pieces would end
    noise = np.random.default_rng(0).normal(0, 0.3, len(time)) * burst
    tones = [0.2 * np.sin(2 * np.pi * hz * time) for hz in (440, 660)]
    stereo = np.clip(np.stack(tones, axis=1) + noise[:, None], -1, 1)
    path = tmp_path / "long.mp3"
    how = {"bitrate_mode": "VARIABLE", "compression_level": 0.8}
    sf.write(path, stereo, 44100, format="MP3", subtype="MPEG_LAYER_III", **how)
    np.testing.assert_array_equal(read_audio(path).samples, sf.read(path, dtype="float64")[0])


def test_a_stream_without_a_length_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "streamed.flac"
    sf.write(path, np.zeros((44100, 2)), 44100)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # of the 36 bits that say how many samples there are
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(UserError, match="cannot be read as audio"):
        read_audio(path)
