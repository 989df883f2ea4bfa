"""Does the sentence move what it says? Pairs of sentences on three axes, over many contexts.

    python scripts/bench_axes.py SONGS --genres TRAINING_SONGS [--count 20] [--only WORD] [-o FILE]

Both are folders of `restem dataset render`; SONGS of `--split test`. Context, beats and seed of a
pair are the same, so that only the words differ. Measured is, for rhythm, how many onsets a beat
has and, for dynamics, the loudness to the song; for genre, how much more the pattern (which drum
at which sixteenth of the bar) is like that of one genre's true drums than like the other's. Stems
are brought to one loudness for rhythm and genre.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restem import BeatGrid, Inserter
from restem.audio.drum_notes import DRUMS, PITCHES, hear_drums
from restem.evaluation.loudness import loudness, loudness_relation
from restem.evaluation.onsets import onset_envelope, onset_times, onsets_per_beat

sys.path.insert(0, str(Path(__file__).parent))
from bench_insertion import RATE, Stretch, rendered_stretches

SECONDS = 10.0
LEVEL_LUFS = -23.0
SLOTS = 16  # of a bar
SONGS_A_GENRE = 30
RHYTHM = (
    ("busy rock drums", "sparse rock drums"),
    ("busy funk drums", "minimal funk drums"),
    ("dense samba drums", "sparse samba drums"),
    ("fast heavy metal drums", "slow heavy metal drums"),
    ("busy jazz drums", "sparse jazz drums"),
    ("busy pop drums", "simple pop drums"),
    ("busy reggae drums", "sparse reggae drums"),
    ("dense electronic drums", "minimal electronic drums"),
    ("busy drums with many notes", "sparse drums with few notes"),
    ("a frantic drum part", "a laid-back drum part"),
)
DYNAMICS = (
    ("loud rock drums", "quiet rock drums"),
    ("loud jazz drums", "soft jazz drums"),
    ("powerful pop drums", "gentle pop drums"),
    ("loud funk drums", "quiet funk drums"),
    ("hard-hitting metal drums", "soft metal drums"),
    ("loud samba drums", "gentle samba drums"),
    ("loud drums", "quiet drums"),
    ("forceful electronic drums", "quiet electronic drums"),
    ("loud country drums", "soft country drums"),
    ("drums played hard", "drums played softly"),
)
GENRES = (
    ("jazz", "rock"),
    ("jazz", "electronic"),
    ("jazz", "metal"),
    ("latin", "rock"),
    ("latin", "electronic"),
    ("funk", "electronic"),
    ("metal", "latin"),
    ("country", "jazz"),
    ("metal", "electronic"),
    ("funk", "latin"),
)
Meter = Callable[[np.ndarray, "Context"], float]


@dataclass(frozen=True)
class Context:
    """Some seconds of a song, (sample,), and its true beats."""

    wave: np.ndarray
    grid: BeatGrid


def contexts(stretches: list[Stretch], count: int) -> list[Context]:
    """The beginnings of the first stretches in 4/4."""
    found = []
    for s in stretches:
        inside = s.grid.times < SECONDS
        if s.grid.beats_per_bar == 4:
            grid = BeatGrid(s.grid.times[inside], s.grid.positions[inside], 4, 1.0)
            found.append(Context(s.context[: int(SECONDS * RATE)], grid))
    return found[:count]


def levelled(stem: np.ndarray) -> np.ndarray:
    """The stem at one loudness, so that level is not mistaken for anything else."""
    heard = loudness(stem, RATE)
    return stem * 10 ** ((LEVEL_LUFS - heard) / 20) if np.isfinite(heard) else stem


def rhythm(stem: np.ndarray, context: Context) -> float:
    return onsets_per_beat(context.grid.times, onset_times(onset_envelope(levelled(stem), RATE)))


def dynamics(stem: np.ndarray, context: Context) -> float:
    return loudness_relation(stem, context.wave, RATE)


def pattern(stem: np.ndarray, times: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(drum x sixteenth) strokes a bar of 4/4 by the drums that are heard; `times` of beats."""
    notes = hear_drums(stem)
    drums = list(dict.fromkeys(DRUMS))
    place = np.interp(notes.times, times, np.arange(len(times)), left=-1, right=-1)
    counts = np.zeros((len(drums), SLOTS))
    for at, pitch in zip(place, notes.pitches, strict=True):
        if at >= 0:
            slot = round(at * 4)
            beat = min(slot // 4, len(times) - 1)
            column = (int(positions[beat]) - 1) * 4 + slot % 4
            counts[drums.index(DRUMS[PITCHES.index(int(pitch))]), column] += 1
    return counts.ravel() / max(len(times) / 4, 1)


def templates(folder: Path) -> dict[str, np.ndarray]:
    """genre -> its mean pattern in 4/4, less the mean of all genres, of length 1."""
    wanted, found = {g for pair in GENRES for g in pair}, {}
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        family = record["takes"][0]["family"]
        mine = found.setdefault(family, [])
        if family in wanted and record["beats_per_bar"] == 4 and len(mine) < SONGS_A_GENRE:
            drums = np.load(path.with_suffix(".drums.npy"))[0] / 32768
            mine.append(pattern(drums, np.array(record["beats"]), np.array(record["positions"])))
    means = {genre: np.mean(found[genre], axis=0) for genre in sorted(wanted)}
    middle = np.mean(list(means.values()), axis=0)
    print({genre: len(found[genre]) for genre in means}, flush=True)
    return {g: (m - middle) / np.linalg.norm(m - middle) for g, m in means.items()} | {"": middle}


def genre_meter(pair: tuple[str, str], known: dict[str, np.ndarray]) -> Meter:
    """How much more a stem's pattern is like the first genre's than like the second's."""

    def measure(stem: np.ndarray, context: Context) -> float:
        own = pattern(stem, context.grid.times, context.grid.positions) - known[""]
        return float(own @ (known[pair[0]] - known[pair[1]]) / max(np.linalg.norm(own), 1e-9))

    return measure


class Made:
    """Stems by (context, sentence), each made once."""

    def __init__(self, inserter: Inserter, songs: list[Context]) -> None:
        self._inserter, self.songs = inserter, songs
        self._stems: dict[tuple[int, str], np.ndarray] = {}
        self.changed = 0

    def stem(self, index: int, sentence: str) -> np.ndarray:
        if (index, sentence) not in self._stems:
            song = self.songs[index]
            before = song.wave.copy()
            made = self._inserter.insert(song.wave, RATE, f"Add {sentence}", beats=song.grid)
            self.changed += not np.array_equal(before, song.wave)
            self._stems[index, sentence] = made.stem
        return self._stems[index, sentence]


def effect(made: Made, pair: tuple[str, str], measure: Meter) -> np.ndarray:
    """Differences (context,) of what is measured, first sentence less second."""
    values = [
        [measure(made.stem(i, sentence), song) for sentence in pair]
        for i, song in enumerate(made.songs)
    ]
    return np.subtract(*np.array(values).T)


def report(name: str, rows: dict[str, np.ndarray]) -> dict:
    """Mean difference, share of contexts that moved right, and the effect size, with intervals."""
    print(f"\n{name}\n\n| pair | difference (95 %) | moved as said | effect size (95 %) |")
    print("|---|---|---|---|")
    out = {}
    each = {pair: d[None] for pair, d in rows.items()} | {"all": np.stack(list(rows.values()))}
    for pair, d in each.items():
        mean, size = over_contexts(d, np.mean), over_contexts(d, effect_size)
        right = float((d > 0).mean())
        out[pair] = {"mean": mean, "moved": right, "effect size": size}
        told = f"{mean[0]:+.2f} ({mean[1]:+.2f} to {mean[2]:+.2f}) | {right:.2f}"
        print(f"| {pair} | {told} | {size[0]:.2f} ({size[1]:.2f} to {size[2]:.2f}) |", flush=True)
    return out


def effect_size(differences: np.ndarray) -> float:
    """Their mean over their standard deviation."""
    return float(differences.mean() / max(differences.std(ddof=1), 1e-9))


def over_contexts(d: np.ndarray, score: Callable, draws: int = 2000) -> tuple[float, float, float]:
    """A score of differences (pair, context) with its 95 % interval: contexts are drawn anew, since
    the pairs of one context are alike."""
    rng, count = np.random.default_rng(0), d.shape[1]
    drawn = [score(d[:, rng.integers(count, size=count)]) for _ in range(draws)]
    return float(score(d)), *(float(x) for x in np.percentile(drawn, [2.5, 97.5]))


def main() -> None:
    """Measure and print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("songs", type=Path)
    parser.add_argument("--genres", type=Path, required=True, help="training songs")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--only", metavar="WORD", default="", help="pairs that hold this word")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    known = templates(args.genres)
    songs = contexts(rendered_stretches(args.songs, 2 * args.count), args.count)
    made = Made(Inserter.load(args.model), songs)
    results = {}
    for name, pairs, meter in (("rhythm", RHYTHM, rhythm), ("dynamics", DYNAMICS, dynamics)):
        rows = {
            " / ".join(pair): effect(made, pair, meter)
            for pair in pairs
            if args.only in "/".join(pair)
        }
        results[name] = report(name, rows)
    rows = {}
    for pair in [pair for pair in GENRES if args.only in pair or not args.only]:
        sentences = (f"{pair[0]} drums", f"{pair[1]} drums")
        rows[" / ".join(pair)] = effect(made, sentences, genre_meter(pair, known))
    results["genre"] = report("genre", rows)
    print(f"\n{len(songs)} contexts; stems whose context was changed: {made.changed}")
    if args.output:
        args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
