"""How well bass, guitar and keys fit their songs, on held-out rendered songs; a table for each.

    python scripts/bench_pitched.py SONGS [--model DIR] [--count 20] [--split test] [--stems DIR]
        [--retrieval TRAINING_SONGS]

SONGS is a folder of `restem dataset render`. From each song one stem of a kind is taken out; all
that is not of this kind, drums too, is the context. Beats are given. "Other context, these beats"
is made for another song at this song's beats: what the right context adds to it comes from
listening. Chroma fit is the agreement of pitch classes with the context
(`restem.evaluation.fit.chroma_fit`), accents are onset strengths at the half-beats; intervals are
over songs. With --stems the stems of each row are written as WAV, for `restem evaluate`. With
--retrieval there is a row of real stems out of training songs, chosen by tempo and words.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from bench_insertion import accents, markdown

from restem import BeatGrid, Inserter
from restem.benchmark.retrieval import Retrieval
from restem.evaluation.fit import chroma_fit
from restem.evaluation.intervals import scored_mean
from restem.evaluation.loudness import loudness_relation
from restem.evaluation.onsets import (
    beats_with_onset,
    onset_correlation,
    onset_envelope,
    onset_times,
)

RATE, START, SECONDS = 44100, 2, 12
KINDS = ("bass", "guitar", "keys")


@dataclass(frozen=True)
class Place:
    """12 s of a song: context and true stem (sample,), its beats, and what asks for the stem."""

    context: np.ndarray
    stem: np.ndarray
    grid: BeatGrid
    sentence: str


def places(songs: Path, split: str, kind: str, count: int) -> list[Place]:
    """The first stem of a kind in each of the first songs in which it can be heard."""
    found = []
    for path in sorted(songs.glob("*.json")):
        record = json.loads(path.read_text())
        kinds = [stem["kind"] for stem in record["stems"]]
        if record["split"] != split or kind not in kinds or len(found) == count:
            continue
        part = slice(START * RATE, (START + SECONDS) * RATE)
        waves = np.load(path.with_suffix(".context.npy"), mmap_mode="r")[:, part] / 32768
        drums = np.load(path.with_suffix(".drums.npy"), mmap_mode="r")[0, part] / 32768
        others = [wave for wave, other in zip(waves, kinds, strict=True) if other != kind]
        stem = waves[kinds.index(kind)]
        if len(others) < 1 or np.sqrt(np.mean(stem**2)) < 0.005 or stem.shape[0] < SECONDS * RATE:
            continue
        times = np.array(record["beats"]) - START
        inside = (times >= 0) & (times < SECONDS)
        positions = np.array(record["positions"])[inside]
        grid = BeatGrid(times[inside], positions, record["beats_per_bar"], 1.0)
        sentence = f"Add a {record['style']} {kind}" + (" part" if kind != "bass" else " line")
        found.append(Place(np.sum([*others, drums], axis=0), stem, grid, sentence))
    return found


def scores(place: Place, stem: np.ndarray) -> dict[str, float]:
    """One stem against a place's context, true stem and beats."""
    true, envelope = onset_envelope(place.stem, RATE), onset_envelope(stem, RATE)
    context = onset_envelope(place.context, RATE)
    struck = accents(envelope, place.grid)
    return {
        "chroma fit to context": chroma_fit(stem, place.context, RATE),
        "chroma fit to true stem": chroma_fit(stem, place.stem, RATE),
        "onsets like true stem": onset_correlation(true, envelope),
        "onsets like context": onset_correlation(context, envelope),
        "accents like true stem": onset_correlation(accents(true, place.grid), struck),
        "accents like context": onset_correlation(accents(context, place.grid), struck),
        "beats hit 70 ms": beats_with_onset(place.grid.times, onset_times(envelope), 0.07),
        "loudness to context, LU": loudness_relation(stem, place.context, RATE),
    }


def table(
    inserter: Inserter,
    found: list[Place],
    kind: str,
    folder: Path | None = None,
    retrieval: Retrieval | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Scores of every place by row and column; stems go to `folder`, if there is one."""
    rows: dict[str, dict[str, list[float]]] = {}
    for i, place in enumerate(found):
        far = found[(i + len(found) // 2) % len(found)]

        def made(
            context: np.ndarray, grid: BeatGrid = place.grid, words: str = place.sentence
        ) -> np.ndarray:
            return inserter.insert(context, RATE, words, stem=kind, beats=grid).stem

        stems = {
            "restem": made(place.context),
            "other context, these beats": made(far.context),
            "true stem": place.stem,
            "another song's stem": far.stem,
        }
        if retrieval:
            real = retrieval.beside(place.context, place.grid, place.sentence)
            stems["retrieval"] = real.astype(np.float64)
        for name, stem in stems.items():
            if folder:
                place_for = folder / name.replace(" ", "-").replace(",", "")
                place_for.mkdir(parents=True, exist_ok=True)
                soundfile.write(place_for / f"{i:02d}.wav", stem, RATE, "FLOAT")
            for key, value in scores(place, stem).items():
                rows.setdefault(name, {}).setdefault(key, []).append(value)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("songs", type=Path)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--split", default="test")
    parser.add_argument("--stem", choices=KINDS, action="append")
    parser.add_argument("--stems", type=Path, metavar="DIR")
    parser.add_argument("--retrieval", type=Path, metavar="TRAINING_SONGS")
    parser.add_argument("--sentence", help="what to ask of all songs in place of their style")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    kept = {}
    for kind in args.stem or KINDS:
        found = places(args.songs, args.split, kind, args.count)
        if args.sentence:
            found = [replace(place, sentence=args.sentence) for place in found]
        inserter = Inserter.load(args.model, stem=kind)
        retrieval = args.retrieval and Retrieval(args.retrieval, inserter.text, kind)
        rows = table(inserter, found, kind, args.stems and args.stems / kind, retrieval)
        means = {n: {k: float(np.nanmean(v)) for k, v in row.items()} for n, row in rows.items()}
        print(f"\n{kind}, {len(found)} songs\n\n{markdown(means)}\n", flush=True)
        for key, values in rows["restem"].items():
            others = ("other context, these beats", "true stem", "retrieval")
            for name in (other for other in others if other in rows):
                gap = np.subtract(values, rows[name][key])
                mean = scored_mean(gap[np.isfinite(gap)])
                line = f"{mean.value:+.3f} ({mean.low:+.3f} to {mean.high:+.3f})"
                print(f"{key}, restem above {name}: {line}")
        kept[kind] = {"songs": len(found), "rows": means}
    if args.output:
        args.output.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
