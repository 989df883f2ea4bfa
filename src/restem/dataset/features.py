"""Rendered songs in, their stems' mel spectrograms as compact arrays out, ready for training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from restem.audio.spectrogram import log_mel
from restem.dataset.engine import over_processes
from restem.dataset.sentences import Labels, instruction
from restem.dataset.songs import read_record
from restem.errors import UserError
from restem.text import TextEncoder
from restem.tokens import TokenConfig

# Half a decibel a step from the spectrogram's floor up.
FLOOR_DB, STEP_DB = -80.0, 0.5
# Encoding a sentence costs more than a training window, so each take has a fixed few.
SENTENCES = 8


def mels_to_bytes(mel_db: np.ndarray) -> np.ndarray:
    """Decibels to uint8 steps."""
    return np.clip(np.round((mel_db - FLOOR_DB) / STEP_DB), 0, 255).astype(np.uint8)


def bytes_to_mels(steps: np.ndarray) -> np.ndarray:
    """uint8 steps to decibels, float32."""
    return (steps * np.float32(STEP_DB) + np.float32(FLOOR_DB)).astype(np.float32)


def make_features(
    songs: Path, out: Path, config: TokenConfig, workers: int
) -> Iterator[tuple[int, int]]:
    """Write the mel steps of each song that lacks them; yields (done, of); rerunning resumes.

    `NNNNN.context.npy` is uint8 (stem, frame, column), `NNNNN.drums.npy` (take, frame, column),
    `NNNNN.text.npy` float16 (take, sentence, 384), its sentences stand in `NNNNN.json`.
    """
    yield from each_song(songs, out, config, workers, _one)


def each_song(
    songs: Path,
    out: Path,
    config: TokenConfig,
    workers: int,
    make: Callable[..., None],
) -> Iterator[tuple[int, int]]:
    """`make` (record, out=, config=) each song without a record in `out`; yields (done, of).

    Raises UserError if there are no songs, a record is not of a rendered song, one in `out` is of
    another song of the same number, or a worker dies.
    """
    records = sorted(songs.glob("*.json"))
    if not records:
        raise UserError(f"{songs} holds no rendered songs; make some with `restem dataset render`.")
    out.mkdir(parents=True, exist_ok=True)
    missing = [path for path in records if not _is_made(path, out / path.name)]
    work = over_processes(partial(make, out=out, config=config), missing, workers)
    for done, _ in enumerate(work, start=len(records) - len(missing) + 1):
        yield done, len(records)


def _is_made(record: Path, made: Path) -> bool:
    """Whether a song's features are there; UserError if they are those of another one."""
    if not made.exists():
        return False
    own, kept = (_as_rendered(read_record(path, "id")) for path in (record, made))
    if any(own[key] != kept[key] for key in own.keys() & kept.keys()):
        raise UserError(
            f"{made} holds another song than {record}; name another folder with -o for these songs."
        )
    return True


def _as_rendered(record: dict) -> dict:
    """A record without the sentences that its takes have got since."""
    takes = [
        {k: v for k, v in take.items() if k != "sentences"} for take in record.get("takes", [])
    ]
    return record | {"takes": takes}


def rendered_record(path: Path) -> dict:
    """The record of a song of `restem dataset render`; UserError for a damaged or another one."""
    record = read_record(path, "id", "style", "stems", "takes")
    if not str(record["id"]).isdecimal():  # as of `restem midi render`, whose songs have no labels
        raise UserError(f"{path} is no song of `restem dataset render`; name a folder of those.")
    return record


def _one(path: Path, out: Path, config: TokenConfig) -> None:
    record = rendered_record(path)
    write_mels(path, out, config)
    write_words(record, out)


def write_mels(record: Path, out: Path, config: TokenConfig) -> None:
    """The mel steps of one rendered song's stems and takes."""
    for kind in ("context", "drums"):
        waves = np.load(record.with_suffix(f".{kind}.npy")).astype(np.float32) / 32768
        mels = np.stack([mels_to_bytes(log_mel(wave, config.spectrogram)) for wave in waves])
        np.save(out / f"{record.stem}.{kind}.npy", mels)


def write_words(song: dict, out: Path) -> None:
    """Sentences for each take, encoded, and the record that says that the song is done."""
    rng = np.random.default_rng(int(song["id"]))
    for take in song["takes"]:
        labels = Labels(**take["labels"])
        take["sentences"] = [instruction("drums", labels, rng) for _ in range(SENTENCES)]
    text = [_encoder().encode(take["sentences"]) for take in song["takes"]]
    np.save(out / f"{song['id']}.text.npy", np.stack(text).astype(np.float16))
    partial = out / f"{song['id']}.part"
    partial.write_text(json.dumps(song))
    partial.replace(out / f"{song['id']}.json")


@lru_cache(maxsize=1)
def _encoder() -> TextEncoder:
    return TextEncoder.load()
