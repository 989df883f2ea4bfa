"""Damage real stems more and more and see whether the scores follow; print one table.

    python scripts/check_scores.py STEMS [--count 60]

STEMS is a folder of WAV files, such as `stem` in the folder of `restem table1`. Each is scored
against itself: with white noise, through a low-pass filter, late by part of a second (cyclically),
silent, and untouched. Exits with 1 if a score goes the wrong way.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, sosfilt

from restem.evaluation.evaluate import evaluate

Damage = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
SCORES = ("fd", "fad", "kld", "beat_f", "onset_correlation")
NOISE_DB = (-40, -20, 0)
CUTS_HZ = (8000, 3000, 1000)
LATE_S = (0.03, 0.1, 0.25)


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
    """The scores of damaged stems against the untouched ones, printed as a row."""
    made = place / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for number, path in enumerate(paths):
        wave, rate = soundfile.read(path)
        worse = damage(wave, rate, np.random.default_rng(number))
        soundfile.write(made / path.name, worse, rate, subtype="FLOAT")
    report = evaluate(made, place / "true", None, (), place / "cache")
    silent = sum("is silent" in warning for warning in report["warnings"])
    found = {key: report[key]["value"] for key in SCORES}
    cells = ["" if found[key] is None else f"{found[key]:.3g}" for key in SCORES]
    print(f"| {name} | " + " | ".join([*cells, str(silent)]) + " |", flush=True)
    return found


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
            falling = ("beat_f", "onset_correlation") if series == "late" else ()
            for key in falling or ("fd", "fad"):
                values = [row[key] for row in rows]
                if values != sorted(values, reverse=bool(falling)):
                    wrong.append(f"{key} does not go one way with {series}: {values}")
        scored("silence", lambda wave, rate, rng: np.zeros_like(wave), paths, place)
    print("\n" + ("\n".join(wrong) or "Every score goes one way with its damage."))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
