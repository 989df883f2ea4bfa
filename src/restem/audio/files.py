"""An audio file's path in, its samples and format out; samples in, a whole WAV file or none out."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from restem.audio.room import blocks, large_files, room
from restem.audio.streams import holds_more, lossless_subtype, share_present
from restem.errors import UserError

SHORTEST_SECONDS = 0.1
MOST_FRAMES = 1 << 40
NOTES = (".mid", ".midi", ".gp3", ".gp4", ".gp5", ".gpx", ".gp")
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000
KINDS = "WAV, FLAC, OGG, Opus, MP3 or AIFF"
# A decoder may keep a few hundred samples of padding to itself; more than this is a cut file.
MISSING_SECONDS_ALLOWED = 0.1

# The WAV sample formats in which a sum can be exact: libsndfile's name -> (format tag, bits).
WAV_SUBTYPES = {
    "PCM_U8": (1, 8),
    "PCM_16": (1, 16),
    "PCM_24": (1, 24),
    "PCM_32": (1, 32),
    "FLOAT": (3, 32),
    "DOUBLE": (3, 64),
}
# Uncompressed and lossless formats of other containers, and the WAV format that holds the same.
_SAME_IN_WAV = {
    "PCM_S8": "PCM_U8",
    "ALAC_16": "PCM_16",
    "ALAC_20": "PCM_24",
    "ALAC_24": "PCM_24",
    "ALAC_32": "PCM_32",
}
LARGEST_RIFF_BYTES = 0xFFFFFFFF  # sizes in a plain WAV file are 32-bit; beyond, RF64 takes over
_BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True, eq=False)
class AudioFile:
    """What a file holds.

    `samples`: (sample, channel) float64, full scale at 1.0. PCM of b bits is exact: `samples *
    2**(b - 1)` are the file's integers (8-bit unsigned counted from its middle, 128).
    `container` and `subtype`: libsndfile's names, such as "FLAC" and "PCM_16".
    """

    samples: NDArray[np.float64]
    sample_rate: int
    container: str
    subtype: str

    @property
    def wav_subtype(self) -> str:
        """The WAV sample format that holds the same samples; "PCM_24" for compressed files."""
        same = _SAME_IN_WAV.get(self.subtype, self.subtype)
        return same if same in WAV_SUBTYPES else "PCM_24"

    @property
    def compressed(self) -> bool:
        """Whether the samples are a decoder's output and not those of an original on a grid."""
        return _SAME_IN_WAV.get(self.subtype, self.subtype) not in WAV_SUBTYPES


def read_audio(path: str | Path) -> AudioFile:
    """Read any file that libsndfile reads, and m4a or aac if the program ffmpeg is installed.

    Raises UserError if there is no such file, if it is damaged or no audio file, if its samples
    are not all finite, if it lasts less than 0.1 s or its rate lies outside 8 to 192 kHz.
    """
    path = Path(path)
    _check_is_file(path)
    if path.suffix.lower() in NOTES:
        raise UserError(f"{path.name} holds notes, not sound; use `restem midi insert`.")
    audio = _read_through_ffmpeg(path) if _needs_ffmpeg(path) else _read_libsndfile(path, path.name)
    rate, seconds = audio.sample_rate, len(audio.samples) / max(1, audio.sample_rate)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise UserError(
            f"{path.name} has a sample rate of {rate} Hz; convert it to one from "
            f"{LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz."
        )
    if seconds < SHORTEST_SECONDS:
        raise UserError(f"{path.name} lasts {seconds:.3f} s; give at least {SHORTEST_SECONDS} s.")
    if not all(np.isfinite(audio.samples[b]).all() for b in blocks(len(audio.samples))):
        raise UserError(f"{path.name} holds samples that are not numbers (NaN or Inf); repair it.")
    return audio


def check_wav_subtype(name: str) -> str:
    """The name in capitals; UserError unless it is a WAV sample format in which sums can be exact.

    `name`: libsndfile's, in any case of letters.
    """
    if name.upper() in WAV_SUBTYPES:
        return name.upper()
    exact = ", ".join(WAV_SUBTYPES)
    if name.upper() in soundfile.available_subtypes("WAV"):
        raise UserError(f"{name.upper()} would not keep the song's samples; choose from {exact}.")
    raise UserError(f"There is no WAV sample format {name!r}; choose from {exact}.")


def write_wav(
    path: str | Path, samples: NDArray, sample_rate: int, subtype: str, first: bytes = b""
) -> None:
    """Write (sample, channel) `samples` as WAV, or RF64 past 4 GiB; equal input gives equal bytes.

    `first`: whole chunks to stand before the format, such as a broadcast extension.

    PCM takes integers as they stand in the file (8 bit: counted from its middle, 128), FLOAT and
    DOUBLE take floats. The file appears whole or not at all. Raises UserError if it cannot be
    written, ValueError for samples that do not fit `subtype`.
    """
    _, bits = WAV_SUBTYPES[subtype]
    if np.issubdtype(samples.dtype, np.integer) != subtype.startswith("PCM"):
        raise ValueError(f"{subtype} cannot take samples of type {samples.dtype}")
    half = 1 << (bits - 1)
    fits = samples.min(initial=0) >= -half and samples.max(initial=0) < half
    if subtype.startswith("PCM") and not fits:
        raise ValueError(f"samples exceed {bits} bits")
    frames, channels = samples.shape
    data_bytes = frames * channels * bits // 8
    with atomic_path(path) as part, open(part, "wb") as file:
        file.write(_wav_header(frames, channels, sample_rate, subtype, first))
        step = max(1, _BLOCK_SAMPLES // channels)
        for start in range(0, frames, step):
            file.write(_wav_bytes(samples[start : start + step], subtype))
        file.write(b"\0" * (data_bytes % 2))


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; what was written there becomes `path` if all went well.

    Otherwise it is removed. An OSError inside becomes a UserError that names `path`.
    """
    path = Path(path)
    part = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink()


def cannot_write(path: Path, error: OSError) -> UserError:
    """The sentence for a file or folder that the system will not let us write."""
    reason = error.strerror or str(error)
    if error.errno == errno.ENAMETOOLONG:
        return UserError(f"Could not write to {path.name}: a name is too long; rename the song.")
    what = "free some space or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose"
    return UserError(f"Could not write {path.name}: {reason}; {what} another folder.")


def _check_is_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give one audio file.")
        if not path.exists():
            raise UserError(f"There is no file {path}; check its name.")
        if not path.is_file():
            raise UserError(f"{path} is not a regular file; save the audio to a file first.")
        with open(path, "rb") as file:
            if not file.read(1):
                raise UserError(f"{path} is empty; give an audio file.")
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"Cannot open {path}: {reason}.") from error


def _read_libsndfile(path: Path, name: str) -> AudioFile:
    unreadable = f"{name} cannot be read as audio"
    try:
        with soundfile.SoundFile(_for_libsndfile(path)) as file:
            container, subtype = file.format, file.subtype
            promised, rate = file.frames / share_present(path, container), file.samplerate
            samples = _all_samples(file)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise UserError(f"{unreadable} ({reason}); give a sound {KINDS} file.") from error
    except (TypeError, ValueError, AssertionError) as error:  # among them raw data without a header
        raise UserError(f"{unreadable}; give a {KINDS} file.") from error
    if promised - len(samples) > MISSING_SECONDS_ALLOWED * rate:
        raise UserError(
            f"{name} is damaged: {len(samples) / rate:.1f} of its {promised / rate:.1f} s can be "
            "read; give a whole file."
        )
    if holds_more(path, container, len(samples) / rate):
        decoded = _read_through_ffmpeg(path, "does not say how long it is, so it ")
        return AudioFile(decoded.samples, decoded.sample_rate, container, subtype)
    return AudioFile(samples, rate, container, subtype)


def _for_libsndfile(path: Path) -> str | bytes:
    """With a folder, because libsndfile takes the mere name "-" for standard input; in bytes
    where names need not be text."""
    name = os.path.join(os.curdir, path)
    return name if os.name == "nt" else os.fsencode(name)


def _all_samples(file: soundfile.SoundFile) -> NDArray[np.float64]:
    """(sample, channel); of a damaged file, those that can be read."""
    if file.frames > MOST_FRAMES:  # so says a stream that was written into a pipe
        raise ValueError("it does not say how long it is")
    samples = room((file.frames, file.channels), np.float64)
    # In one go: after each piece soundfile seeks, and an MP3 decoder then stumbles.
    return samples[: len(file.read(out=samples))]


def _needs_ffmpeg(path: Path) -> bool:
    """Whether this is an MPEG-4 file, by its content, or an AAC stream, by its name."""
    with open(path, "rb") as file:
        return file.read(12)[4:8] == b"ftyp" or path.suffix.lower() in (".aac", ".m4a")


def _read_through_ffmpeg(path: Path, why: str = "") -> AudioFile:
    program = shutil.which("ffmpeg")
    if program is None:
        raise UserError(
            f"{path.name} {why}needs the program ffmpeg, which is not installed; install it, or "
            f"convert the file to {KINDS}."
        )
    with tempfile.TemporaryDirectory(prefix="restem-", dir=large_files()) as folder:
        decoded = Path(folder, "decoded.wav")
        # "file:" and the white list: neither a strange name nor a playlist opens the network.
        command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file"]
        command += ["-i", f"file:{path}", "-map", "0:a:0", "-c:a", "pcm_f32le"]
        command += ["-rf64", "auto", f"file:{decoded}"]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        if result.returncode != 0 or not decoded.exists():
            lines = result.stderr.decode(errors="replace").strip().splitlines()
            reason = f" ({lines[-1][-200:].rstrip('.')})" if lines else ""
            raise UserError(f"ffmpeg cannot read {path.name}{reason}; give a sound audio file.")
        audio = _read_libsndfile(decoded, path.name)
    subtype = lossless_subtype(path) or "AAC"
    return AudioFile(audio.samples, audio.sample_rate, "MPEG4", subtype)


def _wav_header(
    frames: int, channels: int, sample_rate: int, subtype: str, first: bytes = b""
) -> bytes:
    """Everything before the samples, as Microsoft's RIFF and EBU Tech 3306 (RF64) lay it out.

    Written here because libsndfile stamps the time of day into its float files (PEAK chunk), so
    that the same song would never give the same bytes.
    """
    tag, bits = WAV_SUBTYPES[subtype]
    frame_bytes = channels * bits // 8
    data_bytes = frames * frame_bytes
    fmt = struct.pack(
        "<HHIIHH", tag, channels, sample_rate, sample_rate * frame_bytes, frame_bytes, bits
    )
    chunks = _chunk(b"fmt ", fmt)
    if tag == 3:
        chunks = _chunk(b"fmt ", fmt + b"\0\0") + _chunk(
            b"fact", struct.pack("<I", min(frames, LARGEST_RIFF_BYTES))
        )
    chunks = first + chunks
    riff_bytes = 4 + len(chunks) + 8 + data_bytes + data_bytes % 2
    if riff_bytes <= LARGEST_RIFF_BYTES:
        return (
            struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
            + chunks
            + struct.pack("<4sI", b"data", data_bytes)
        )
    sizes = _chunk(b"ds64", struct.pack("<QQQI", riff_bytes + 36, data_bytes, frames, 0))
    head = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE")
    return head + sizes + chunks + struct.pack("<4sI", b"data", 0xFFFFFFFF)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body


def _wav_bytes(samples: NDArray, subtype: str) -> bytes:
    if subtype == "PCM_U8":
        return (samples.astype(np.int16) + 128).astype(np.uint8).tobytes()
    if subtype == "PCM_24":
        wide = np.ascontiguousarray(samples, dtype="<i4")
        return wide.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    plain = {"PCM_16": "<i2", "PCM_32": "<i4", "FLOAT": "<f4", "DOUBLE": "<f8"}
    return samples.astype(plain[subtype]).tobytes()
