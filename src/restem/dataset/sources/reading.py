"""A reference to audio in; its samples at 44.1 kHz, (sample, channel) with two channels, out."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr

from restem.audio.files import read_audio
from restem.dataset.record import AudioRef, Song
from restem.errors import UserError

SAMPLE_RATE = 44100


def read_reference(ref: AudioRef) -> np.ndarray:
    """(sample, 2) float32 at 44.1 kHz; mono becomes two equal channels, of more two are read.

    Raises UserError with one sentence if the audio is missing or damaged.
    """
    if ref.row is not None:
        samples, rate = _read_row(ref), SAMPLE_RATE
    elif ref.member is not None:
        samples, rate = _read_member(Path(ref.path), ref.member)
    elif ref.stream is not None:
        samples, rate = _read_stream(Path(ref.path), ref.stream)
    else:
        audio = read_audio(ref.path)
        samples, rate = audio.samples, audio.sample_rate
    start = round(ref.start_s * rate)
    end = None if ref.seconds is None else start + round(ref.seconds * rate)
    samples = np.asarray(samples[start:end], np.float32)
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
    if samples.ndim == 1 or samples.shape[1] == 1:
        return np.repeat(samples.reshape(-1, 1), 2, axis=1)
    return samples[:, :2]


def read_stems(song: Song) -> dict[str, np.ndarray]:
    """Each stem of a song as (sample, 2), all padded to the longest."""
    stems = {}
    for name, parts in song.stems.items():
        tracks = [read_reference(part) for part in parts]
        stems[name] = _sum(tracks)
    longest = max(len(wave) for wave in stems.values())
    return {name: _padded(wave, longest) for name, wave in stems.items()}


def read_mix(song: Song) -> np.ndarray:
    """(sample, 2): the song's own mix, or the sum of its stems."""
    return read_reference(song.mix) if song.mix else _sum(list(read_stems(song).values()))


def _sum(tracks: list[np.ndarray]) -> np.ndarray:
    total = np.zeros((max(len(t) for t in tracks), 2), np.float64)
    for track in tracks:
        total[: len(track)] += track
    return total.astype(np.float32)


def _padded(wave: np.ndarray, samples: int) -> np.ndarray:
    return np.pad(wave, ((0, samples - len(wave)), (0, 0)))


def _read_row(ref: AudioRef) -> np.ndarray:
    try:
        rows = np.load(ref.path, mmap_mode="r", allow_pickle=False)
        assert ref.row is not None
        return np.asarray(rows[ref.row], np.float32)[:, None] / 32768
    except (OSError, ValueError, EOFError, IndexError) as error:
        raise UserError(f"{ref.name} cannot be read as rendered audio; render it again.") from error


def _read_stream(path: Path, stream: int) -> tuple[np.ndarray, int]:
    program = shutil.which("ffmpeg")
    if program is None:
        raise UserError(
            f"{path.name} needs the program ffmpeg, which is not installed; install it, or use "
            "MUSDB18-HQ with its wav files."
        )
    with tempfile.TemporaryDirectory(prefix="restem-") as folder:
        decoded = Path(folder, "stream.wav")
        command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file"]
        command += ["-i", f"file:{path}", "-map", f"0:a:{stream}", "-c:a", "pcm_f32le"]
        done = subprocess.run(
            [*command, f"file:{decoded}"], stdin=subprocess.DEVNULL, capture_output=True
        )
        if done.returncode != 0 or not decoded.exists():
            raise UserError(f"ffmpeg cannot read stream {stream} of {path.name}; get it again.")
        audio = read_audio(decoded)
    return audio.samples, audio.sample_rate


def _read_member(first_part: Path, member: str) -> tuple[np.ndarray, int]:
    try:
        data = _archive(first_part).read(member)
    except (KeyError, OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise UserError(f"{member} cannot be taken out of {first_part.name}; get it again.") from (
            error
        )
    with tempfile.TemporaryDirectory(prefix="restem-") as folder:
        path = Path(folder, Path(member).name)
        path.write_bytes(data)
        audio = read_audio(path)
    return audio.samples, audio.sample_rate


def archive_names(first_part: Path) -> list[str]:
    """The files in an archive given by its first part; UserError if it is damaged."""
    return _archive(first_part).namelist()


@lru_cache(maxsize=2)
def _archive(first_part: Path) -> zipfile.ZipFile:
    parts = sorted(first_part.parent.glob(f"{first_part.stem}.[0-9][0-9][0-9]"))
    try:
        return zipfile.ZipFile(io.BufferedReader(_Joined(parts)))
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{first_part.name} and its {len(parts) - 1} further parts are no whole zip archive; "
            "get all parts again."
        ) from error


class _Joined(io.RawIOBase):
    """Several files one after another, read as one."""

    def __init__(self, parts: list[Path]) -> None:
        self._files = [path.open("rb") for path in parts]
        self._sizes = [path.stat().st_size for path in parts]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: sum(self._sizes)}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        at = self._at
        for file, size in zip(self._files, self._sizes, strict=True):
            if at < size:
                file.seek(at)
                got = file.readinto(memoryview(buffer)[: size - at])
                self._at += got
                return got
            at -= size
        return 0
