"""An audio file and what was read of it in; whether it holds more, or held more once, out.

libsndfile guesses by its first frame how long an MP3 without a Xing header is, and of several
streams in an Ogg file it reads the first. What lies beyond would be cut without a word, as would
what a WAV or AIFF file lacks that was cut off.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

# Of ISO 11172-3 and 13818-3: kbit/s by whether it is version 1, and by layer.
_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)
_HALVINGS = {3: 1, 2: 2, 0: 4}  # of the rate, by the version's bits
KEPT_FRAMES = 4  # of a header and of a decoder's delay, which are not heard
BEGINS = 2  # flag of an Ogg page
UNKNOWN_BYTES = 0x7FFFF000  # from here on, sizes are those of a stream that was written into a pipe


def holds_more(path: Path, container: str, seconds: float) -> bool:
    """Whether a file of libsndfile's `container` lasts longer than the `seconds` that were read."""
    if container not in ("MP3", "OGG"):
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _is_chained(data) if container == "OGG" else _mpeg_seconds(data) > seconds


def lossless_subtype(path: Path) -> str | None:
    """libsndfile's name for the samples of a file that ffmpeg reads, if its floats keep them all.

    None too where ffmpeg's own ffprobe is not installed.
    """
    program = shutil.which("ffprobe")
    if program is None:
        return None
    command = [program, "-v", "error", "-protocol_whitelist", "file", "-select_streams", "a:0"]
    command += ["-show_entries", "stream=codec_name,bits_per_raw_sample,bits_per_sample"]
    command += ["-of", "default=noprint_wrappers=1", f"file:{path}"]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    about = dict(line.split("=", 1) for line in said.split() if "=" in line)
    codec = about.get("codec_name", "")
    bits = {about.get("bits_per_raw_sample"), about.get("bits_per_sample")} & {"16", "20", "24"}
    if len(bits) != 1 or not codec.startswith(("alac", "flac", "pcm_s")):
        return None
    return f"{'ALAC' if codec == 'alac' else 'PCM'}_{bits.pop()}"


def share_present(path: Path, container: str) -> float:
    """Of the sound that a WAV or AIFF file of libsndfile's `container` says to hold, the share that
    is there; 1 for other files."""
    order, sound = {"WAV": ("<", b"data"), "WAVEX": ("<", b"data"), "AIFF": (">", b"SSND")}.get(
        container, ("", b"")
    )
    length = path.stat().st_size
    with open(path, "rb") as file:
        at = 12
        while sound and at + 8 <= length:
            file.seek(at)
            name, size = struct.unpack(f"{order}4sI", file.read(8))
            if name == sound:
                known = 0 < size < UNKNOWN_BYTES
                return min(1.0, max(length - at - 8, 1) / size) if known else 1.0
            at += 8 + size + size % 2
    return 1.0


def _mpeg_seconds(data: mmap.mmap) -> float:
    """How long the frames of MPEG audio last, less those that need not be heard."""
    at = 0
    if data[:3] == b"ID3":  # a tag, which may hold pictures and all that
        a, b, c, d = (byte & 0x7F for byte in data[6:10])
        at = 10 + (a << 21 | b << 14 | c << 7 | d)
    total, longest = 0.0, 0.0
    while (at := data.find(b"\xff", at)) >= 0:
        frame = _frame(data, at)
        # What looks like a frame is one if another follows it, or the file ends with it.
        if frame and (at + frame[0] >= len(data) or _frame(data, at + frame[0])):
            total, longest = total + frame[1], max(longest, frame[1])
            at += frame[0]
        else:
            at += 1
    return total - KEPT_FRAMES * longest


def _frame(data: mmap.mmap, at: int) -> tuple[int, float] | None:
    """Bytes and seconds of the frame whose header is there, if it is one."""
    if at + 4 > len(data):
        return None
    (word,) = struct.unpack(">I", data[at : at + 4])
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    kbits, rate = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or not 0 < kbits < 15 or rate == 3:
        return None
    hertz = _RATES[rate] // _HALVINGS[version]
    bits = 1000 * _KBITS[version == 3, layer][kbits - 1]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    slot = 4 if layer == 1 else 1
    size = (samples // 8 * bits // hertz // slot + (word >> 9 & 1)) * slot
    return size, samples / hertz


def _is_chained(data: mmap.mmap) -> bool:
    """Whether one stream of an Ogg file begins after another (RFC 3533)."""
    at, begun = 0, False
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data):
        begins = bool(data[at + 5] & BEGINS)
        if begins and begun:
            return True
        begun |= not begins
        laces = data[at + 26]
        at += 27 + laces + sum(data[at + 27 : at + 27 + laces])
    return False
