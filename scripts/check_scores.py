"""Damage real stems more and more and see whether the scores follow; print one table.

    python scripts/check_scores.py STEMS [--count 60]

STEMS is a folder of WAV files, such as `stem` in the folder of `restem table1`. Each is scored
against itself: with white noise, through a low-pass filter, late by part of a second (cyclically),
silent, and untouched. Exits with 1 unless every step of damage makes the scores worse and every
silent clip is named: FD and FAD with noise and with the filter, beats and onsets with lateness.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, sosfilt

from restem.evaluation.evaluate import evaluate

Damage = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
SCORES = ("fd", "fad", "kld", "beat_f", "onset_correlation")
NOISE_DB = (-40, -20, 0)
CUTS_HZ = (8000, 3000, 1000)
LATE_S = (0.005, 0.015, 0.03, 0.1)
# Onsets are told apart up to 30 ms, beats (70 ms are forgiven) from 30 ms on; later, a shift by
# half a beat meets the beat's other half.
LATE_STEPS = {"onset_correlation": (0, 1, 2, 3), "beat_f": (0, 3, 4)}


def noisy(level_db: float) -> Damage:
    """White noise at a level to the sound's own."""

    def damage(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal(wave.shape)
        return wave + noise * np.sqrt(np.mean(wave**2)) * 10 ** (level_db / 20)

    return damage


def dull(cut_hz: float) -> Damage:
    """A Butterworth low-pass filter of order 8."""

    def damage(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(sosfilt(butter(8, cut_hz, fs=rate, output="sos"), wave, axis=0))

    return damage


def late(seconds: float) -> Damage:
    """Shifted; what falls off the end comes first."""
    return lambda wave, rate, rng: np.roll(wave, round(seconds * rate), axis=0)


SERIES: dict[str, list[tuple[str, Damage]]] = {
    "noise": [(f"noise at {db} dB", noisy(db)) for db in NOISE_DB],
    "low-pass": [(f"low-pass at {hz} Hz", dull(hz)) for hz in CUTS_HZ],
    "late": [(f"{1000 * s:.0f} ms late", late(s)) for s in LATE_S],
}


def scored(name: str, damage: Damage, paths: list[Path], place: Path) -> dict[str, float]:
    """The scores of damaged stems against the untouched ones, and how many are named as silent;
    printed as a row."""
    made = place / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for number, path in enumerate(paths):
        wave, rate = soundfile.read(path)
        worse = damage(wave, rate, np.random.default_rng(number))
        soundfile.write(made / path.name, worse, rate, subtype="FLOAT")
    report = evaluate(made, place / "true", None, (), place / "cache")
    silent = sum("the generated clip is silent" in warning for warning in report["warnings"])
    found = {key: report[key]["value"] for key in SCORES}
    cells = ["" if found[key] is None else f"{found[key]:.3g}" for key in SCORES]
    print(f"| {name} | " + " | ".join([*cells, str(silent)]) + " |", flush=True)
    return found | {"silent": silent}


def steady(values: list[float], falling: bool) -> bool:
    """Whether each value is truly above (falling: below) the one before; None is no value."""
    if None in values:
        return False
    return all(b < a if falling else b > a for a, b in pairwise(values))


def main() -> int:
    """Score every series and say which way each went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stems", type=Path)
    parser.add_argument("--count", type=int, default=60)
    args = parser.parse_args()
    paths = sorted(args.stems.glob("*.wav"))
    order = np.random.default_rng(0).permutation(len(paths))[: args.count]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "true").mkdir()
        for i in order:
            shutil.copyfile(paths[i], place / "true" / paths[i].name)
        paths = sorted((place / "true").iterdir())
        print(f"{len(paths)} stems\n\n| | " + " | ".join([*SCORES, "silent"]) + " |")
        print("|---" * (len(SCORES) + 2) + "|")
        true = scored("untouched", lambda wave, rate, rng: wave, paths, place)
        for series, damages in SERIES.items():
            rows = [true] + [scored(name, damage, paths, place) for name, damage in damages]
            steps = LATE_STEPS if series == "late" else dict.fromkeys(("fd", "fad"), range(4))
            for key, places in steps.items():
                values = [rows[i][key] for i in places]
                if not steady(values, series == "late"):
                    wrong.append(f"{key} does not get worse with each step of {series}: {values}")
        silence = scored("silence", lambda wave, rate, rng: np.zeros_like(wave), paths, place)
        if silence["silent"] != len(paths):
            wrong.append(f"only {silence['silent']} of {len(paths)} silent clips are named")
    good = "Every score gets worse with each step of its damage, and all silent clips are named."
    print("\n" + ("\n".join(wrong) or good))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
