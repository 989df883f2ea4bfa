"""A song file and its insertion in; the four files of the result out, all of them or none."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restem.audio.files import AudioFile, atomic_path, cannot_write, write_wav
from restem.mixing import Mixdown
from restem.picture import draw_song, save_picture

if TYPE_CHECKING:
    from restem.audio.beats import BeatGrid
    from restem.insertion import Insertion

# Their versions, and the processor, can change the last bits of a stem.
_ARITHMETIC = ("numpy", "scipy", "soxr", "onnxruntime", "soundfile")


def write_results(
    stage: Path,
    song: Path,
    audio: AudioFile,
    insertion: Insertion,
    mixdown: Mixdown,
    request: Mapping[str, Any],
    notices: list[str],
    take: int | None = None,
) -> None:
    """Write the files named by `restem.insert_command.result_names` into the folder `stage`.

    `request`: what the user asked for beyond `insertion.settings`, JSON-ready; `take`: the stem's
    number where there are several. Raises UserError if the folder cannot be written.
    """
    stem = str(insertion.settings["stem"])
    title = str(insertion.settings["instruction"])
    number = "" if take is None else f".{take}"
    write_wav(
        stage / f"{song.stem}.{stem}{number}.wav", mixdown.stem, audio.sample_rate, mixdown.subtype
    )
    write_wav(stage / f"{song.stem}.mix.wav", mixdown.mix, audio.sample_rate, mixdown.subtype)
    with atomic_path(stage / f"{song.stem}.{stem}.json") as part:
        record = make_record(song, audio, insertion, mixdown, request, notices)
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    image = draw_song(
        audio.samples, insertion.stem, audio.sample_rate, insertion.beats, stem, title
    )
    save_picture(stage / f"{song.stem}.png", image)


def make_record(
    song: Path,
    audio: AudioFile,
    insertion: Insertion,
    mixdown: Mixdown,
    request: Mapping[str, Any],
    notices: list[str],
) -> dict[str, Any]:
    """All that is needed to make the same bytes again; no time of day and no folder's name."""
    return {
        **insertion.settings,
        "request": dict(request),
        "song": insertion.settings.get("song") or about_song(song, audio),
        "output": {
            "subtype": mixdown.subtype,
            "stem_gain_db": mixdown.stem_gain_db,
            "song_rounded": mixdown.song_rounded,
        },
        "notices": notices,
        "made_with": {"python": platform.python_version(), "machine": platform.machine()}
        | {name: _version(name) for name in _ARITHMETIC},
        "beats": beat_lines(insertion.beats),
    }


def about_song(song: Path, audio: AudioFile) -> dict[str, Any]:
    """What the record says of a song's file."""
    frames, channels = audio.samples.shape
    with open(song, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "file": song.name,
        "sha256": digest,
        "container": audio.container,
        "subtype": audio.subtype,
        "sample_rate": audio.sample_rate,
        "channels": channels,
        "samples": frames,
    }


def beat_lines(beats: BeatGrid) -> list[str]:
    """The grid as lines of a file for --beats: the exact time in seconds, the number in the bar."""
    pairs = zip(beats.times.tolist(), beats.positions.tolist(), strict=True)
    return [f"{time!r} {position}" for time, position in pairs]


@contextmanager
def all_or_nothing(folder: Path, names: list[str]) -> Iterator[Path]:
    """Yield a hidden folder inside `folder` for the files `names`; they move out if all went well.

    Otherwise nothing stays, nor the folders that were made for it. Raises UserError at once if
    `folder` cannot be written, so that nobody computes for nothing.
    """
    made: list[Path] = []
    stage: Path | None = None
    try:
        try:
            _make_folder(folder, made)
            stage = Path(tempfile.mkdtemp(prefix=".restem-", dir=folder))
            for name in names:
                _make_folder((folder / name).parent, made)
                (stage / name).parent.mkdir(exist_ok=True)
                (stage / name).touch()  # a name may be too long or not allowed on this disk
        except OSError as error:
            raise cannot_write(folder, error) from error
        yield stage
        _move(stage, folder, names)
        made.clear()
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)
        for path in reversed(made):
            with suppress(OSError):  # somebody else may have put a file there
                path.rmdir()


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make `folder` and its parents, and note in `made` those that were not there."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        made.append(path)
    if not folder.is_dir():
        raise NotADirectoryError(20, "it is a file, not a folder")


def _move(stage: Path, folder: Path, names: list[str]) -> None:
    """Move the finished files; signals to stop wait meanwhile, so that no set is half moved.

    Where one cannot be moved, those that had been replaced come back.
    """
    moved: list[Path] = []
    aside: list[tuple[Path, Path]] = []
    stops = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    came: list[int] = []
    waiting = {n: signal.signal(n, lambda number, frame: came.append(number)) for n in stops}
    try:
        for number, name in enumerate(names):
            if os.path.lexists(folder / name):
                os.replace(folder / name, stage / f".old-{number}")
                aside.append((stage / f".old-{number}", folder / name))
            os.replace(stage / name, folder / name)
            moved.append(folder / name)
    except OSError as error:
        for path in moved:
            path.unlink(missing_ok=True)
        for old, path in aside:
            os.replace(old, path)
        raise cannot_write(folder / name, error) from error
    finally:
        for number, handler in waiting.items():
            if handler is not None:  # one that Python did not install cannot be put back
                signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
