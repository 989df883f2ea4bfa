"""A folder of clips with and without a stem comes in, pairs for subtractive training go out.

    FOLDER/pairs.jsonl       one pair a line
    FOLDER/NAME.mix.flac     the clip with the stem
    FOLDER/NAME.context.flac the same clip without it

A line holds `name`, `mix`, `context` (file names in the folder), `instruction` and `split`, and may
hold `caption` and `stem` (drums if it is left out). A folder of `restem dataset build` will do too.
A dataset of another kind needs nothing but a function that gives a list of `Pair`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from restem.audio.files import read_audio
from restem.audio.waveform import resampled
from restem.dataset.leak_probe import RATE, leak_matched
from restem.errors import UserError

INDEX = "pairs.jsonl"


@dataclass(frozen=True)
class Pair:
    """One triplet: a mix, its context (the mix without a stem) and an instruction.

    `load(sample_rate)` gives mix and context, mono (sample,) float32 of one length; the stem is
    their difference. `fingerprint` changes when the sound does. `leak` is the score of a context
    that a separator made, None for one of given stems.
    """

    name: str
    instruction: str
    caption: str
    stem: str
    fingerprint: str
    load: Callable[[int], tuple[np.ndarray, np.ndarray]]
    leak: float | None = None


def read_pairs(folder: Path, split: str, stem: str) -> list[Pair]:
    """The pairs of a split and a stem, in the order of the file.

    Raises UserError if the folder, a file or the stem is not there, or a line is not understood.
    """
    path = folder / INDEX
    if not path.exists() and any((folder / "data").glob("*.parquet")):
        from restem.dataset.shard_pairs import pairs_of_shards

        return pairs_of_shards(folder, split, stem)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"There is no {INDEX} in {folder}; give a folder of pairs.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    rows = [_row(line, number, path) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise UserError(f"{path} is empty; write one pair a line.")
    there = sorted({row["stem"] for row in rows})
    if stem not in there:
        raise UserError(f"{path} has no pairs for the stem {stem}; it has {', '.join(there)}.")
    chosen = [row for row in rows if row["stem"] == stem and row["split"] == split]
    if not chosen:
        raise UserError(f"{path} has no pairs of the split {split} for the stem {stem}.")
    return [_pair(folder, row) for row in chosen]


def leak_matched_pairs(pairs: list[Pair]) -> list[Pair]:
    """The same pairs, the contexts of given stems with some of their stem let in.

    How much is drawn for each pair, always the same: from the scores of the separated ones among
    them, or between -60 and -10 dB where there are none. So a trace of the stem in the context
    tells a model nothing. The difference of such a pair is no longer the whole stem.
    """
    gains = np.array([pair.leak for pair in pairs if pair.leak is not None])
    kind = hashlib.sha256(gains.tobytes()).hexdigest()[:12]

    def leaky(pair: Pair) -> Pair:
        if pair.leak is not None:
            return pair
        load = partial(_load_leaky, pair, gains if len(gains) else None)
        return replace(pair, fingerprint=f"{pair.fingerprint} leaks {kind}", load=load)

    return [leaky(pair) for pair in pairs]


def _load_leaky(pair: Pair, gains: np.ndarray | None, rate: int) -> tuple[np.ndarray, np.ndarray]:
    mix, context = pair.load(RATE)
    rng = np.random.default_rng(int(hashlib.sha256(pair.name.encode()).hexdigest()[:16], 16))
    context = leak_matched(mix, context, rng, gains).astype(np.float32)
    return resampled(mix, RATE, rate), resampled(context, RATE, rate)


def _row(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
        found: dict[str, Any] = {"stem": "drums", "caption": "", **row}
    except (ValueError, TypeError):
        raise UserError(f"Line {number} of {path} is not a JSON object; repair it.") from None
    for key in ("name", "mix", "context", "instruction", "split", "stem", "caption"):
        if not isinstance(found.get(key), str):
            raise UserError(f"Line {number} of {path} has no text {key!r}; add it.")
    return found


def _pair(folder: Path, row: dict[str, Any]) -> Pair:
    mix, context = folder / row["mix"], folder / row["context"]
    for path in (mix, context):
        if not path.is_file():
            raise UserError(f"The pair {row['name']} lacks its file {path}; complete the folder.")
    return Pair(
        row["name"],
        row["instruction"],
        row["caption"],
        row["stem"],
        f"{row['name']} {_hash(mix)} {_hash(context)}",
        partial(_load, row["name"], mix, context),
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(name: str, mix: Path, context: Path, rate: int) -> tuple[np.ndarray, np.ndarray]:
    clips = [read_audio(path) for path in (mix, context)]
    if clips[0].samples.shape != clips[1].samples.shape or (
        clips[0].sample_rate != clips[1].sample_rate
    ):
        raise UserError(f"Mix and context of the pair {name} differ in length, channels or rate.")
    # The plain mean: both halves of a pair must be treated alike, so that they still subtract.
    monos = [resampled(clip.samples.mean(axis=1), clip.sample_rate, rate) for clip in clips]
    return monos[0], monos[1]
