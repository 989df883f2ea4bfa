"""Folders of songs in, pieces for training out: planes of four kinds on one grid, with a style."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restem.dataset.compose import (
    Groove,
    Part,
    compile_parts,
    list_grooves,
    melody,
    plan_chords,
    read_progressions,
    split_of,
)
from restem.dataset.drums import read_groove_midi
from restem.errors import UserError
from restem.symbolic.parts import KINDS, STEMS, kind_of, planes_of
from restem.symbolic.rolls import (
    ONSET,
    STEPS_PER_QUARTER,
    bars_in_steps,
    planes_from_notes,
    snapped,
)
from restem.symbolic.scores import SUFFIXES, read_song
from restem.symbolic.song import Song, Track

CHUNK_BARS = 16
LeftOut = Callable[[str], None]  # is told, in a sentence, which file was passed over and why
# Beside its songs DadaGP holds what its tokens give back: X.gp4.pygp.gp5, X.gp2tokens2gp.gp5.
_GIVEN_BACK = re.compile(r"\.(pygp|gp2tokens2gp)\.gp5$", re.I)
_VERSION = re.compile(r"(\s*\((ver(sion|\.)?\s*)?\d+\))?\.gp[345]$")


@dataclass(frozen=True)
class Piece:
    """A song or a part of one. `parts`: kind -> planes (2, step, 128); `bars` (bar, 4) in steps."""

    name: str
    corpus: str
    split: str
    style: str
    parts: Mapping[str, np.ndarray]
    bars: np.ndarray

    @property
    def steps(self) -> int:
        return int(self.bars[-1, 0] + self.bars[-1, 1])

    @property
    def source(self) -> str:
        """The style file or song that it comes from: pieces of one source are alike."""
        return re.split(":" if self.corpus == "groove" else "[/:]", self.name)[0]


def piece_from_song(
    song: Song, found: Mapping[str, list[Track]], corpus: str, split: str, style: str = ""
) -> Piece:
    """A whole song as one piece."""
    bars = bars_in_steps(song.bars(), song.ticks_per_quarter)
    steps = int(bars[-1, 0] + bars[-1, 1])
    parts = {kind: planes_of(tracks, song, steps) for kind, tracks in found.items() if tracks}
    return Piece(song.name, corpus, split, style, parts, bars)


def folder_pieces(folder: Path, left_out: LeftOut | None = None) -> Iterator[Piece]:
    """Every MIDI and Guitar Pro song below a folder; what cannot be read is passed over, and
    `left_out` told why.

    A song's split hangs on its name alone. Raises UserError if the folder holds no such file.
    """
    for path in _song_files(folder, SUFFIXES):
        yield from _read(path, "folder", path.name, left_out)


def dadagp_pieces(folder: Path, left_out: LeftOut | None = None) -> Iterator[Piece]:
    """Chunks of 16 bars of the DadaGP songs below a folder that have drums, bass and guitar.

    DadaGP (Sarmento et al., ISMIR 2021) is a tree of gp3 to gp5 files, beside each its tokens as
    text and what the tokens give back as Guitar Pro, which are passed over. All chunks of a song
    share its split, and so do the versions "Song.gp4" and "Song (2).gp5" of one song.
    """
    for path in _song_files(folder, SUFFIXES[2:]):
        if _GIVEN_BACK.search(path.name):
            continue
        for piece in _read(path, "dadagp", _VERSION.sub("", path.name.lower()), left_out):
            for chunk in chunks(piece):
                if all(kind in chunk.parts and chunk.parts[kind][ONSET].any() for kind in STEMS):
                    yield chunk


def _song_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    paths = sorted(path for path in found if path.is_file())
    if not paths:
        kinds = "MIDI or Guitar Pro" if ".mid" in suffixes else "Guitar Pro (gp3, gp4, gp5)"
        raise UserError(f"{folder} holds no {kinds} files; name another folder.")
    return paths


def _read(path: Path, corpus: str, song_name: str, left_out: LeftOut | None) -> Iterator[Piece]:
    """The song of a file, or nothing if it cannot be read; its split is that of `song_name`."""
    try:
        song = read_song(path)
    except UserError as error:
        if left_out is not None:
            left_out(str(error))
        return
    found: dict[str, list[Track]] = {kind: [] for kind in KINDS}
    for track in song.tracks:
        found[kind_of(track)].append(track)
    yield piece_from_song(song, found, corpus, split_of(song_name))


def chunks(piece: Piece, count: int = CHUNK_BARS) -> Iterator[Piece]:
    """The piece cut into chunks of `count` bars; a shorter rest is left out unless it is all."""
    total = len(piece.bars)
    whole = dict(piece.parts)  # a packed piece is unpacked once, not once a chunk
    for first in range(0, max(total - count, 0) + 1, count):
        bars = piece.bars[first : first + count].copy()
        start, stop = int(bars[0, 0]), int(bars[-1, 0] + bars[-1, 1])
        bars[:, 0] -= start
        parts = {kind: planes[:, start:stop] for kind, planes in whole.items()}
        yield Piece(
            f"{piece.name}:{first + 1}", piece.corpus, piece.split, piece.style, parts, bars
        )


def mma_pieces(
    library: Path,
    count: int,
    bars: int = CHUNK_BARS,
    seed: int = 0,
    leadsheets: Path | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Piece]:
    """Songs composed by MMA, `count` tries through its grooves; split by style file.

    What MMA rejects, or does not finish in time, is passed over, so that it does not end a long
    run, and `left_out` told. The other songs stay what they are: each has its own random numbers.
    """
    grooves = list_grooves(library)
    progressions = read_progressions(leadsheets)
    order = np.random.default_rng(seed).permutation(len(grooves))
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        groove = grooves[int(order[index % len(grooves)])]
        chart, _ = plan_chords(progressions, groove, bars, rng)
        try:
            parts = compile_parts(groove, chart, int(rng.integers(1_000_000)))
        except ValueError as error:  # one of 1,993 grooves does not compile
            if left_out is not None:
                left_out(f"{error}; song {index + 1} of {count} is left out.")
            continue
        if rng.random() < 0.5:
            parts.append(melody(chart, groove, rng))
        name = f"{groove.path.stem}/{groove.name}/{index}"
        yield _composed(parts, groove, bars, name, "mma", split_of(groove.path.name))


def groove_pieces(folder: Path, left_out: LeftOut | None = None) -> Iterator[Piece]:
    """The performances of the Groove MIDI Dataset, quantised: drums alone, with their styles and
    the dataset's own splits."""
    for source in read_groove_midi(folder, left_out=left_out or (lambda _: None)):
        count = int(source.quarters // source.quarters_per_bar)
        if source.fill or count < 4:
            continue
        groove = Groove(
            folder, source.source, source.style, source.quarters_per_bar, source.quarters_per_bar
        )
        parts = [Part("drums", 0, source.notes)]
        yield _composed(parts, groove, count, source.source, "groove", source.split)


def _composed(
    parts: Iterable[Part], groove: Groove, bars: int, name: str, corpus: str, split: str
) -> Piece:
    """A piece of note arrays in quarters; bars of six quarters are 6/8 written twice as long."""
    compound = groove.quarters_per_bar == 6
    quarters = 3 if compound else groove.quarters_per_bar
    length = quarters * STEPS_PER_QUARTER
    metre = (6, 8) if compound else (quarters, 4)
    table = np.array([(i * length, length, *metre) for i in range(bars)], dtype=np.int64)
    scale = (0.5 if compound else 1.0) * STEPS_PER_QUARTER
    parts = list(parts)
    starts = np.maximum(snapped(np.concatenate([part.notes[:, 0] for part in parts]) * scale), 0)
    notes: dict[str, list[np.ndarray]] = defaultdict(list)
    first = 0
    for part in parts:
        start = starts[first : first + len(part.notes)]
        first += len(part.notes)
        end = np.floor(part.notes[:, :2].sum(axis=1) * scale + 0.5)
        end = np.maximum(end.astype(np.int64), start + 1)
        kind = part.kind if part.kind in KINDS else "other"
        notes[kind].append(np.stack([start, end, part.notes[:, 2].astype(np.int64)], axis=1))
    planes = {
        kind: planes_from_notes(np.concatenate(found), bars * length)
        for kind, found in notes.items()
    }
    return Piece(name, corpus, split, groove.style, planes, table)


class Duplicates:
    """Finds pieces most of whose bars were all in one earlier piece, in whatever key."""

    def __init__(self, share: float = 0.9) -> None:
        self.share = share
        self._seen: dict[bytes, set[int]] = defaultdict(set)
        self._count = 0

    def is_new(self, piece: Piece) -> bool:
        """Whether the piece is new; if so, it is remembered."""
        marks = set(fingerprints(piece))
        shared: dict[int, int] = defaultdict(int)
        for mark in marks:
            for earlier in self._seen[mark]:
                shared[earlier] += 1
        if not marks or max(shared.values(), default=0) >= self.share * len(marks):
            return False
        for mark in marks:
            self._seen[mark].add(self._count)
        self._count += 1
        return True


def fingerprints(piece: Piece) -> list[bytes]:
    """One hash for each bar that is not empty: its onsets, pitches counted from its lowest note."""
    marks = []
    for start, length in piece.bars[:, :2].tolist():
        drums = _onsets(piece.parts.get("drums"), start, length)
        tones = np.concatenate(
            [_onsets(piece.parts.get(kind), start, length) for kind in ("bass", "guitar", "other")]
        )
        if len(tones):
            tones[:, 1] -= tones[:, 1].min()
        if len(drums) + len(tones):
            content = drums.tobytes() + b"|" + tones.tobytes() + bytes([length % 251])
            marks.append(hashlib.blake2b(content, digest_size=8).digest())
    return marks


def _onsets(planes: np.ndarray | None, start: int, length: int) -> np.ndarray:
    if planes is None:
        return np.zeros((0, 2), dtype=np.int64)
    return np.argwhere(planes[ONSET, start : start + length]).astype(np.int64)
