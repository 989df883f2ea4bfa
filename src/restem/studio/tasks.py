"""What the workers do: an upload in, samples and beats out; a request in, a take's files out.

Both run in a process of their own (see `worker`), with paths that the server chose. Arguments and
answers are JSON, `send` passes messages to the server while they work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from restem.audio.beats import BeatGrid
from restem.audio.files import AudioFile, atomic_path, read_audio, write_wav
from restem.audio.tracking import SAMPLE_RATE, track_beats
from restem.audio.waveform import mono_from_channels, resampled, rms_db
from restem.errors import UserError
from restem.hearing import SILENCE_DB
from restem.insertion import Inserter
from restem.metres import metre_notices
from restem.mixing import Mixdown, mix_down
from restem.pack import write_notes
from restem.region import only_inside
from restem.results import write_results
from restem.studio.notes import holds_notes
from restem.studio.notes import prepare as prepare_notes
from restem.studio.records import Grid, Region
from restem.studio.views import write_views
from restem.studio.watching import watchers

Send = Callable[[dict[str, Any]], None]
ASKED = ("steps", "guidance", "density", "dynamics", "tight", "region", "base")
LOWERING_STEPS_DB = (0.0, -0.25, -0.5, -0.75, -1.0)


def prepare(*, send: Send, upload: str, name: str, longest_seconds: float) -> dict[str, Any]:
    """Decode an upload beside itself and listen for its beats; what is known about it, JSON-ready.

    Raises UserError, in which the file has the user's `name`, if it cannot be used.
    """
    path = Path(upload)
    if holds_notes(path):
        facts = prepare_notes(upload, name)
        _check_seconds(facts["seconds"], longest_seconds)
        return facts
    try:
        _check_length(path, longest_seconds)
        audio = read_audio(path)
    except UserError as error:
        raise UserError(str(error).replace(upload, name).replace(path.name, name)) from None
    frames, channels = audio.samples.shape
    rate = audio.sample_rate
    _check_seconds(frames / rate, longest_seconds)  # some headers do not tell
    # Added to silence, the song has the very samples that it has in every mix.
    plain = mix_down(audio.samples, np.zeros_like(audio.samples), audio.wav_subtype)
    write_wav(path.parent / "decoded.wav", plain.mix, rate, plain.subtype)
    write_views(path.parent, "song", plain.mix, rate, _full_scale(plain))
    del plain
    mono = resampled(mono_from_channels(audio.samples), rate, SAMPLE_RATE)
    if rms_db(mono) < SILENCE_DB:
        beats = BeatGrid.from_bpm(120.0, 0.0, max(frames / rate, 1.0), 4)
    else:
        beats = track_beats(mono)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "seconds": frames / rate,
        "sample_rate": rate,
        "channels": channels,
        "samples": frames,
        "container": audio.container,
        "subtype": audio.subtype,
        "sha256": digest,
        "tracked": grid_record(beats).model_dump(),
    }


def make(
    *,
    send: Send,
    upload: str,
    name: str,
    folder: str,
    request: dict[str, Any],
    seed: int,
    grid: dict[str, Any],
    base_stem: str | None,
) -> dict[str, Any]:
    """Make one take into `folder`, with the files of `restem insert`, and say what became of it."""
    audio = _audio(upload)
    on_progress, on_preview = watchers(send)
    region = Region(**request["region"]) if request["region"] else None
    how: dict[str, Any] = {name: request[name] for name in ("stem", "steps", "guidance")}
    how |= {name: request[name] for name in ("density", "dynamics")}
    how["tight"] = request["tight"] or 0.0
    insertion = _inserter(request["stem"]).insert(
        audio.samples,
        audio.sample_rate,
        request["instruction"],
        **how,
        seed=seed,
        beats=beat_grid(Grid(**grid)),
        region=(region.start, region.end) if region else None,
        progress=on_progress,
        preview=on_preview,
    )
    send({"progress": [0.9, "writing"]})
    if region and base_stem:
        insertion = replace(insertion, notes=None)  # those outside of the region are not known
        base = around(read_audio(base_stem).samples, region, audio.sample_rate)
        mixdown = _filled(audio, insertion.stem, base)
        insertion.stem[:] = mixdown.stem / _full_scale(mixdown)  # for the picture
    else:
        mixdown = mix_down(audio.samples, insertion.stem, audio.wav_subtype)
        if (level := insertion.settings["stem_level_db"]) is not None:
            level += mixdown.turned_down_db(insertion.stem)
            insertion.settings["stem_level_db"] = round(level, 2)
    of_the_metre = metre_notices(request["instruction"], insertion.beats.beats_per_bar)
    notices = [*insertion.notices, *of_the_metre, *mixdown.notices]
    final, part = Path(folder), Path(folder + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    asked = {key: request[key] for key in ASKED}
    write_results(part, Path(upload), audio, insertion, mixdown, {"seed": seed, **asked}, notices)
    write_notes(part, Path(upload).stem, mixdown, audio.sample_rate, insertion)
    _name_song(part / f"{Path(upload).stem}.{request['stem']}.json", name)
    for view, samples in (("stem", mixdown.stem), ("mix", mixdown.mix)):
        write_views(part, view, samples, audio.sample_rate, _full_scale(mixdown))
    shutil.rmtree(final, ignore_errors=True)  # of a server that ended before it wrote it down
    os.replace(part, final)
    return {
        "seed": seed,
        "notices": notices,
        "stem_level_db": insertion.settings["stem_level_db"],
        "subtype": mixdown.subtype,
        "bpm": round(insertion.beats.bpm, 2),
    }


def around(base: NDArray, region: Region, sample_rate: int) -> NDArray[np.float64]:
    """`base` (sample, channel) untouched outside the region; inside it fades away within 10 ms."""
    inside = base.astype(np.float64)
    only_inside(inside, (region.start, region.end), sample_rate)
    return np.asarray(base - inside)


def _filled(audio: AudioFile, new: NDArray, base: NDArray) -> Mixdown:
    """Mix with both stems; if it clips and up to 1 dB less of what is new helps, with so much
    less."""
    plain = None
    for lowering_db in LOWERING_STEPS_DB:
        part = new * 10 ** (lowering_db / 20) + base
        mixdown = mix_down(audio.samples, part, audio.wav_subtype)
        if mixdown.subtype == audio.wav_subtype and mixdown.stem_gain_db == 0:
            return mixdown
        plain = plain or mixdown
        if not plain.subtype.startswith("PCM"):
            break
    assert plain is not None
    return plain


def grid_record(beats: BeatGrid) -> Grid:
    """A beat grid as the API and the disk hold it."""
    return Grid(
        times=beats.times.tolist(),
        positions=beats.positions.tolist(),
        beats_per_bar=beats.beats_per_bar,
        bpm=beats.bpm,
        confidence=beats.confidence,
    )


def beat_grid(record: Grid) -> BeatGrid:
    """The inverse of `grid_record`."""
    return BeatGrid(
        np.array(record.times),
        np.array(record.positions),
        record.beats_per_bar,
        record.confidence,
    )


@cache
def _inserter(stem: str) -> Inserter:
    return Inserter.load(stem=stem)


@lru_cache(maxsize=1)
def _audio(upload: str) -> AudioFile:
    """The song of the last take, which is often that of the next."""
    return read_audio(upload)


def _check_length(path: Path, longest_seconds: float) -> None:
    """Refuse what its own header calls too long before any memory is spent on it."""
    try:
        with soundfile.SoundFile(path) as file:
            seconds = file.frames / file.samplerate
    except (soundfile.LibsndfileError, TypeError, ValueError, ZeroDivisionError):
        return  # read_audio knows more formats and says what is wrong
    _check_seconds(seconds, longest_seconds)


def _check_seconds(seconds: float, longest_seconds: float) -> None:
    if seconds > longest_seconds:
        raise UserError(
            f"The song lasts {seconds / 60:.1f} minutes; the studio takes up to "
            f"{longest_seconds / 60:g}. Cut out the part you need."
        )


def _name_song(record: Path, name: str) -> None:
    """Give the song in a take's record the name that its owner knows."""
    content = json.loads(record.read_text(encoding="utf-8"))
    content["song"]["file"] = name
    with atomic_path(record) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _full_scale(mixdown: Mixdown) -> float:
    bits = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}.get(mixdown.subtype)
    return float(1 << (bits - 1)) if bits else 1.0
