"""Rendered songs in; pictures that keep pitch, and sentences that ask for a stem of them, out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from restem.audio.spectrogram import SpectrogramConfig, log_mel, mel_filters
from restem.dataset.features import (
    SENTENCES,
    bytes_to_mels,
    each_song,
    mels_to_bytes,
    rendered_record,
)
from restem.dataset.sentences import Labels, instruction
from restem.dataset.songs import Song, read_record, read_steps, read_text
from restem.errors import UserError
from restem.text import TextEncoder
from restem.tokens import TokenConfig

AUDIBLE_DB = -30.0  # of a stem beside all others; below it is neither asked for nor heard
SOFT_DB, LOUD_DB = -10.0, 0.0  # of a stem beside its context
SPARSE, BUSY = 0.8, 1.8  # notes a beat
STACCATO, SUSTAINED = 0.5, 0.9  # share of the time in which it sounds
REGISTERS_HZ = {"bass": (49.0, 82.0), "guitar": (98.0, 220.0), "keys": (110.0, 262.0)}
PARTIAL_DB = 18.0  # the lowest band that is so near to the loudest one is the lowest note's
FLUX_FRAMES, FLUX_DB = 3, 2.5  # mean rise of the bands that counts as a note


def make_pitched_features(
    songs: Path, out: Path, config: TokenConfig, workers: int
) -> Iterator[tuple[int, int]]:
    """Write the pictures of each song that lacks them; yields (done, of); rerunning resumes.

    `NNNNN.tones.npy` is uint8 (source, frame, column): the song's stems, then its drum takes.
    `NNNNN.text.npy` is float16 (target, sentence, 384). The record `NNNNN.json` has `targets`: for
    each kind of stem in the song one `source`, the sources of its `context`, `level_db` beside
    that, `labels` and `sentences`.
    """
    yield from each_song(songs, out, config, workers, _one)


def read_pitched(folder: Path, split: str) -> list[Song]:
    """A song of one take for every target of one split, in a fixed order.

    Raises UserError if there are none, or a record or features are damaged.
    """
    songs = []
    for path in sorted(folder.glob("*.json")):
        record = read_record(path, "split", "stems", "takes", "targets")
        if record["split"] != split or not record["targets"]:
            continue
        sources = len(record["stems"]) + len(record["takes"])
        tones = read_steps(path.with_suffix(".tones.npy"), sources)
        texts = read_text(path.with_suffix(".text.npy"), len(record["targets"]))
        for target, text in zip(record["targets"], texts, strict=True):
            about = {"stems": target["context"], "takes": [target], "stem": target["stem"]}
            name = f"{path.stem} ({target['stem']})"
            context, own = (np.array(tones[n]) for n in (target["context"], [target["source"]]))
            songs.append(Song(name, {**record, **about}, context, own, text[None]))
    if not songs:
        raise UserError(f"{folder} holds no pitched stems of the split {split!r}.")
    return songs


def _one(path: Path, out: Path, config: TokenConfig) -> None:
    record = rendered_record(path)
    waves = np.concatenate([np.load(path.with_suffix(f".{k}.npy")) for k in ("context", "drums")])
    rng = np.random.default_rng(int(record["id"]))
    tones = np.stack(
        [
            mels_to_bytes(log_mel(wave.astype(np.float32) / 32768, config.spectrogram))
            for wave in waves
        ]
    )
    record["targets"] = list(_targets(record, waves, tones, config, rng))
    texts = [_encoder().encode(target["sentences"]) for target in record["targets"]]
    shape = (len(texts), SENTENCES, TextEncoder.size)
    np.save(out / f"{path.stem}.tones.npy", tones)
    np.save(out / f"{path.stem}.text.npy", np.array(texts, np.float16).reshape(shape))
    partial = out / f"{path.stem}.part"
    partial.write_text(json.dumps(record))
    partial.replace(out / path.name)


def _targets(
    record: dict,
    waves: np.ndarray,
    tones: np.ndarray,
    config: TokenConfig,
    rng: np.random.Generator,
) -> Iterator[dict]:
    """One stem of each kind, with a context in which nothing else of its kind plays."""
    kinds = [stem["kind"] for stem in record["stems"]]
    power = np.array([np.mean(np.square(wave, dtype=np.float64)) for wave in waves])
    audible = power > power[: len(kinds)].sum() * 10 ** (AUDIBLE_DB / 10)
    for stem in config.stems:
        own = [i for i, kind in enumerate(kinds) if kind == stem and audible[i]]
        if not own:
            continue
        source = own[int(rng.integers(len(own)))]
        take = len(kinds) + int(rng.integers(len(waves) - len(kinds)))
        context = [i for i, kind in enumerate(kinds) if kind != stem and audible[i]]
        context += [take] if power[take] > 0 else []
        if not context:
            continue
        band = np.sum([waves[i].astype(np.float32) for i in context], axis=0)
        level = 10 * np.log10(power[source] / (np.mean(np.square(band)) + 1.0))
        labels = describe(
            stem,
            record["stems"][source]["program"],
            bytes_to_mels(tones[source]),
            config.spectrogram,
            record,
            float(level),
        )
        yield {
            "source": source,
            "stem": stem,
            "context": context,
            "level_db": round(float(level), 2),
            "labels": asdict(labels),
            "sentences": [instruction(stem, labels, rng) for _ in range(SENTENCES)],
        }


def describe(
    stem: str,
    program: int,
    rows: np.ndarray,
    config: SpectrogramConfig,
    record: dict,
    level_db: float,
) -> Labels:
    """What can truly be said of a stem from its picture (frame, column) in dB and its song's
    record; `level_db` is its level beside its context."""
    mels = rows[:, : config.mels]
    loud = mels.max(axis=1)
    top = float(np.percentile(loud, 95))
    sounds = loud > top - 25
    seconds = len(rows) / config.frame_rate
    notes = count_notes(mels) / (seconds * record["bpm"] / 60)
    centres = np.argmax(mel_filters(config), axis=1) * config.sample_rate / config.n_fft
    near = mels[sounds] > loud[sounds, None] - PARTIAL_DB
    pitch = float(np.median(centres[near.argmax(axis=1)]))
    low, high = REGISTERS_HZ[stem]
    share = float(sounds.mean())
    return Labels(
        style=record["style"],
        bpm=record["bpm"],
        metre=record["metre"],
        loudness="soft" if level_db < SOFT_DB else "loud" if level_db > LOUD_DB else "medium",
        density="sparse" if notes < SPARSE else "busy" if notes > BUSY else "medium",
        articulation="short" if share < STACCATO else "long" if share > SUSTAINED else None,
        register="low" if pitch < low else "high" if pitch > high else None,
        program=program,
    )


def count_notes(mels: np.ndarray) -> int:
    """How often many bands of a picture (frame, band) in dB rise together."""
    levels = np.maximum(mels, mels.max() - 50)
    rise = np.maximum(levels[FLUX_FRAMES:] - levels[:-FLUX_FRAMES], 0).mean(axis=1)
    found, last = 0, -100
    for frame in np.flatnonzero(rise > FLUX_DB):
        near = rise[max(frame - 5, 0) : frame + 6]
        if rise[frame] == near.max() and frame - last > 5:
            found, last = found + 1, int(frame)
    return found


@lru_cache(maxsize=1)
def _encoder() -> TextEncoder:
    return TextEncoder.load()
