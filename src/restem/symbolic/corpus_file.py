"""Pieces in, one compressed file of bit-packed rolls out, and training windows from it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restem.audio.files import atomic_path
from restem.dataset.sentences import Labels, instruction
from restem.errors import UserError
from restem.symbolic import cells
from restem.symbolic.corpora import Piece
from restem.symbolic.heard_corpus import HEARD
from restem.symbolic.model import TEXT_VALUES
from restem.symbolic.other_rhythms import changed
from restem.symbolic.parts import KINDS
from restem.text import EMBEDDING_SIZE, TextEncoder

MOST_TRIES = 24
PACKED = (*KINDS, "keys")  # in a file's order
OTHER_RHYTHM = 0.4  # share of windows that are in a rhythm which their style does not have
SENTENCES = 10  # a style, for pieces that were heard


def save_corpus(pieces: Iterable[Piece], path: Path) -> int:
    """Write pieces into one .npz file and return their number; UserError if there are none."""
    rows, bars, planes = [], [], []
    step = bar = 0
    for piece in pieces:
        kinds = [kind for kind in PACKED if kind in piece.parts]
        packed = np.zeros((piece.steps, len(PACKED), 2, 16), dtype=np.uint8)
        for kind in kinds:
            found = np.packbits(piece.parts[kind][:, : piece.steps], axis=-1)
            packed[: found.shape[1], PACKED.index(kind)] = found.swapaxes(0, 1)
        rows.append(
            {
                "name": piece.name,
                "corpus": piece.corpus,
                "split": piece.split,
                "style": piece.style,
                "kinds": kinds,
                "step": step,
                "steps": piece.steps,
                "bar": bar,
                "bars": len(piece.bars),
            }
        )
        step, bar = step + piece.steps, bar + len(piece.bars)
        bars.append(piece.bars)
        planes.append(packed)
    if not rows:
        raise UserError("There is nothing to train on; name at least one corpus that holds songs.")
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            planes=np.concatenate(planes),
            bars=np.concatenate(bars),
            rows=np.frombuffer(json.dumps(rows).encode(), dtype=np.uint8),
        )
    return len(rows)


def load_corpus(path: Path, split: str | None = None) -> list[Piece]:
    """The pieces of a corpus file, of one split or of all; their planes are unpacked when asked."""
    try:
        with np.load(path) as file:
            planes, bars = file["planes"], file["bars"]
            rows = json.loads(file["rows"].tobytes())
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not a corpus of rolls ({error}); make one with restem midi corpus."
        ) from None
    pieces = []
    for row in rows:
        if split in (None, row["split"]):
            own = planes[row["step"] : row["step"] + row["steps"]]
            pieces.append(
                Piece(
                    row["name"],
                    row["corpus"],
                    row["split"],
                    row["style"],
                    PackedParts(own, row["kinds"]),
                    bars[row["bar"] : row["bar"] + row["bars"]],
                )
            )
    return pieces


class PackedParts(Mapping[str, np.ndarray]):
    """The parts of a piece, kept packed (step, kind, plane, 16 bytes) until one is looked at."""

    def __init__(self, packed: np.ndarray, kinds: list[str]) -> None:
        self._packed, self._kinds = packed, kinds

    def __getitem__(self, kind: str) -> np.ndarray:
        if kind not in self._kinds:
            raise KeyError(kind)
        return self.cut(kind, 0, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def cut(self, kind: str, start: int, stop: int | None) -> np.ndarray:
        """Planes (2, step, 128) of some steps only."""
        packed = self._packed[start:stop, PACKED.index(kind)]
        return np.unpackbits(packed, axis=-1).astype(bool).swapaxes(0, 1)


@dataclass(frozen=True)
class RollBatch:
    """What the network is shown: all float32 but `clean` and `real`, shapes (window, token, ...).

    `clean` (bool): the part's cells; `real` (bool): cells that exist and are to be found, neither
    void nor given; `context`, `place` as in cells; `text` (window, 386). `density` (window, 1, 1):
    that of the noise, where windows differ in it.
    """

    clean: np.ndarray
    real: np.ndarray
    context: np.ndarray
    place: np.ndarray
    text: np.ndarray
    density: np.ndarray | None = None


class RollBatches:
    """Random windows of a corpus for one stem, drawn from the step's number alone."""

    def __init__(self, pieces: list[Piece], stem: str, seed: int) -> None:
        self.stem, self.seed = stem, seed
        self.pieces = [piece for piece in pieces if stem in piece.parts]
        if not self.pieces:
            raise UserError(f"No song of the corpus has {stem}; add songs that do.")
        # Long songs repeat themselves: the square root keeps them from crowding out short ones.
        weights = np.sqrt([len(piece.bars) for piece in self.pieces])
        # So do the songs of one style file.
        songs = Counter(piece.source for piece in self.pieces)
        weights /= np.sqrt([songs[piece.source] for piece in self.pieces])
        # Drums without a band teach how drummers play, but nothing of fitting in.
        weights *= [0.4 if len(piece.parts) == 1 else 1.0 for piece in self.pieces]
        self.chances = weights / weights.sum()
        self.words = _words(self.pieces, stem, seed)

    def batch(self, step: int, size: int) -> RollBatch:
        rng = np.random.default_rng((self.seed, step))
        windows = [self.window(rng) for _ in range(size)]
        return RollBatch(*(np.stack(column) for column in zip(*windows, strict=True)))

    def window(
        self, rng: np.random.Generator, other_rhythm: float = OTHER_RHYTHM
    ) -> tuple[np.ndarray, ...]:
        """One window: a stretch of a piece, transposed, some of its context and text hidden, and
        with a chance of `other_rhythm` in another rhythm, without its style's name."""
        for _ in range(MOST_TRIES):
            piece = self.pieces[int(rng.choice(len(self.pieces), p=self.chances))]
            other = rng.random() < other_rhythm
            bars, grid, parts = self._stretch(piece, rng, other)
            clean = cells.cells_from_planes(parts[self.stem], self.stem, grid)
            if clean.any(axis=1).mean() > 0.25:  # else the part rests: not what a user asks for
                break
        heard = piece.corpus == HEARD
        parts = self._hidden(parts, rng, heard)
        place = cells.places(bars)[: len(grid)]
        known = _known_tokens(cells.bar_of_token(bars)[: len(grid)], rng)
        place[:, cells.PLACE_KNOWN] = known
        place[:, cells.PLACE_KNOWN + 1 :] = cells.given_flags(parts, self.stem)
        real = cells.spread(grid >= 0, self.stem) & ~known[:, None]
        context = cells.context_cells(parts, self.stem, grid)
        text = np.zeros(TEXT_VALUES, dtype=np.float32)
        words = self.words[heard, "" if other or rng.random() < 0.25 else piece.style]
        text[:EMBEDDING_SIZE] = words[int(rng.integers(len(words)))] if len(words) > 1 else words[0]
        return tuple(_window(x) for x in (clean, real, context.astype(np.float32), place)) + (text,)

    def _stretch(
        self, piece: Piece, rng: np.random.Generator, other: bool
    ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Bars, grid and planes of up to a window from a random bar on, perhaps in an `other`
        rhythm."""
        lengths = -(-piece.bars[:, 1] // cells.TOKEN_STEPS)
        fits = np.cumsum(lengths[::-1])[::-1] >= min(cells.WINDOW, int(lengths.sum()))
        first = int(rng.integers(fits.sum()))
        # One bar more, and for twice the tempo twice as many, for other rhythms to take from.
        wanted = 2 * cells.WINDOW + 1 if other else cells.WINDOW
        count = int(np.searchsorted(np.cumsum(lengths[first:]), wanted)) + 1
        bars = piece.bars[first : first + count].copy()
        start, stop = int(bars[0, 0]), int(bars[-1, 0] + bars[-1, 1])
        bars[:, 0] -= start
        shift = int(rng.integers(-5, 7))
        parts = {}
        for kind in piece.parts:
            planes = (
                piece.parts.cut(kind, start, stop)
                if isinstance(piece.parts, PackedParts)
                else piece.parts[kind][:, start:stop]
            )
            parts[kind] = planes if kind == "drums" else cells.transposed(planes, shift)
        if other:
            bars, parts = changed(bars, parts, rng)
        return bars, cells.token_grid(bars)[: cells.WINDOW], parts

    def _hidden(
        self, parts: dict[str, np.ndarray], rng: np.random.Generator, heard: bool
    ) -> dict[str, np.ndarray]:
        """The parts around the stem, each hidden at times, so that any subset will do. What is
        heard of a recording is all that there is of it."""
        if rng.random() < 0.05:
            return {}
        chance = {"other": 0.0 if heard else 0.3}
        return {
            kind: planes
            for kind, planes in parts.items()
            if kind != self.stem and rng.random() >= chance.get(kind, 0.15)
        }


def _words(pieces: list[Piece], stem: str, seed: int) -> dict[tuple[bool, str], np.ndarray]:
    """Vectors (wording, 384) by whether a piece was heard and by its style.

    Songs of notes are told their style. Those that were heard are also asked for a part in whole
    sentences, as users of recordings do.
    """
    encoder, rng = TextEncoder.load(), np.random.default_rng((seed, 3))
    found = {(heard, ""): encoder.encode([""]) for heard in (False, True)}
    for heard, style in sorted({(piece.corpus == HEARD, piece.style) for piece in pieces}):
        wordings = [style]
        if heard and style:
            labels = Labels(style)
            wordings += [instruction(stem, labels, rng) for _ in range(SENTENCES)]
        found[heard, style] = encoder.encode(wordings)
    return found


def _known_tokens(bar: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which tokens are given: none, a beginning, both ends, or some bars."""
    draw, total = rng.random(), int(bar[-1]) + 1
    if draw < 0.5 or total < 2:
        return np.zeros(len(bar), bool)
    if draw < 0.8:
        return np.asarray(bar < rng.integers(1, total))
    if draw < 0.9:
        first, last = np.sort(rng.integers(0, total, 2))
        return np.asarray((bar < first) | (bar > last))
    return np.asarray((rng.random(total) < 0.5)[bar])


def _window(array: np.ndarray) -> np.ndarray:
    """An array (token, ...) with zeros after its end, or cut, to the length of a window."""
    short = cells.WINDOW - len(array)
    if short <= 0:
        return array[: cells.WINDOW]
    return np.concatenate([array, np.zeros((short, *array.shape[1:]), dtype=array.dtype)])
