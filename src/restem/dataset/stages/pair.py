"""A song in, clips with and without a stem, as FLAC files and a parcel, out."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

from restem.audio.files import atomic_path, cannot_write
from restem.audio.waveform import rms_db
from restem.dataset.record import Clip, Parcel, Song, fingerprint
from restem.dataset.sources.reading import SAMPLE_RATE, read_reference, read_stems
from restem.dataset.stages.separate import Separator, open_separator
from restem.errors import UserError

VERSION = "pair 1"
CLIP_SAMPLES = 225_351  # 5.11 s: 512 frames of the paper's spectrogram
HIGHEST = 32767
FLAT_LEVEL, FLAT_RUN = 0.999, 4


@dataclass(frozen=True)
class PairSettings:
    """The grid of clips, the stems to leave out, and who separates songs without stems."""

    stems: tuple[str, ...] = ("drums",)
    samples: int = CLIP_SAMPLES
    hop: int = CLIP_SAMPLES
    separator: str = "none"


def made_of(song: Song, settings: PairSettings, separator: str) -> str:
    """Fingerprint of the song's files, by size and time of change, and of the settings."""
    files = {ref.path for ref in song.references}
    stamps = []
    for path in sorted(files):
        try:
            status = Path(path).stat()
            stamps.append((path, status.st_size, status.st_mtime_ns))
        except OSError:
            stamps.append((path, -1, -1))
    return fingerprint(VERSION, asdict(song), asdict(settings), separator, stamps)


def pair_song(song: Song, made: str, settings: PairSettings, folder: Path) -> Parcel:
    """Cut a song into clips under `folder`; a song that cannot be read gives a parcel that says so.

    Raises UserError if the separator is not there or the folder cannot be written.
    """
    separator = _separator(settings.separator)
    try:
        pairs, made_by = stem_pairs(song, settings.stems, separator)
    except UserError as error:
        return Parcel(song.id, song.source, made, failed=str(error))
    clips: list[Clip] = []
    target = folder / song.key
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(target, error) from error
    starts = clip_starts(max((len(mix) for mix, _ in pairs.values()), default=0), settings)
    for stem, (mix, wave) in pairs.items():
        for index, start in enumerate(starts):
            cut = slice(start, start + settings.samples)
            clips.append(_clip(song, stem, index, start, mix[cut], wave[cut], made_by, target))
    reason = (
        None if clips else "shorter than one clip" if pairs else _lacks(song, settings, separator)
    )
    return Parcel(song.id, song.source, made, tuple(clips), reason)


@lru_cache(maxsize=1)
def _separator(name: str) -> Separator | None:
    return open_separator(name)


def _lacks(song: Song, settings: PairSettings, separator: Separator | None) -> str:
    wanted = ", ".join(settings.stems)
    if song.stems:
        return f"no stem called {wanted}"
    return f"the separator gives no {wanted}" if separator else "only a mix, and no --separator"


def stem_pairs(
    song: Song, stems: tuple[str, ...], separator: Separator | None
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], str]:
    """{stem: (mono mix, mono stem)} of a song, and who made the stems."""
    if song.stems:
        waves = {name: wave.mean(axis=1) for name, wave in read_stems(song).items()}
        mix = np.sum(list(waves.values()), axis=0)
        return {s: (mix, waves[s]) for s in stems if s in waves and len(waves) > 1}, "stems"
    if separator is None:
        return {}, "none"
    assert song.mix is not None
    whole = read_reference(song.mix)
    found = separator.separate(whole)
    mono = whole.mean(axis=1)
    pairs = {s: (mono, found[s].mean(axis=1)) for s in stems if s in found}
    return pairs, separator.name


def clip_starts(samples: int, settings: PairSettings) -> list[int]:
    """First samples of the whole clips that fit."""
    return list(range(0, samples - settings.samples + 1, settings.hop))


def integers_that_sum(mix: np.ndarray, stem: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mix and context (sample,) int16 whose difference is the stem exactly, and the gain in dB.

    All three stay within 16 bit: where one would not, all are turned down.
    """
    context = mix - stem
    peak = max(float(np.abs(wave).max(initial=0.0)) for wave in (mix, stem, context))
    gain = min(1.0, (HIGHEST - 1) / 32768 / peak) if peak > 0 else 1.0
    mix_steps = np.round(mix * gain * 32768).astype(np.int32)
    stem_steps = np.round(stem * gain * 32768).astype(np.int32)
    context_steps = mix_steps - stem_steps
    return mix_steps.astype(np.int16), context_steps.astype(np.int16), 20 * float(np.log10(gain))


def gone(path: Path) -> UserError:
    """The sentence for a FLAC file of ours that cannot be read; its song is then cut again."""
    return UserError(f"{path} is gone or damaged; remove {path.parent} and run the build again.")


def flac_bytes(wave: np.ndarray) -> bytes:
    """An int16 waveform (sample,) as a FLAC file; equal samples give equal bytes."""
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _clip(
    song: Song, stem: str, index: int, start: int, mix: np.ndarray, wave: np.ndarray,
    made_by: str, folder: Path,
) -> Clip:  # fmt: skip
    mix_steps, context_steps, gain_db = integers_that_sum(mix, wave)
    name = f"{stem}-{index:04d}"
    for kind, steps in (("mix", mix_steps), ("context", context_steps)):
        with atomic_path(folder / f"{name}.{kind}.flac") as part:
            part.write_bytes(flac_bytes(steps))
    steps = mix_steps.astype(np.float64) - context_steps
    return Clip(
        id=f"{song.source}/{song.id}/{name}",
        source=song.source,
        song=song.id,
        group=song.group,
        split=song.split,
        stem=stem,
        index=index,
        start_s=round(start / SAMPLE_RATE, 6),
        made_by=made_by,
        gain_db=round(gain_db, 4),
        mix_sha256=hashlib.sha256(mix_steps.tobytes()).hexdigest(),
        context_sha256=hashlib.sha256(context_steps.tobytes()).hexdigest(),
        mix_db=round(rms_db(mix_steps / 32768), 2),
        stem_db=round(rms_db(steps / 32768), 2),
        clipped=_flat_tops(mix) if not song.stems else 0,
        facts=song.facts,
    )


def _flat_tops(mix: np.ndarray) -> int:
    """Samples in runs of at least four at full scale, as a clipped recording has them."""
    full = np.abs(mix) >= FLAT_LEVEL
    runs = np.lib.stride_tricks.sliding_window_view(full, FLAT_RUN).all(axis=-1)
    return int(np.count_nonzero(runs))
