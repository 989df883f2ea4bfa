"""A song, itself without its drums and what `restem restyle` made of it: where the drums strike.

    python scripts/check_restyle.py SONG.wav WITHOUT.wav RESULT_DIR --bpm 76

The song's first beat lies at 0 s. Printed for the old drums and the new: the share of beats with a
hit within 30 ms, and how many hits fall on each third and each half of a beat, which tells straight
from swung; and how much of the old drums is left in the background (SI-SDR in dB).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from restem.evaluation.onsets import beats_with_onset, onset_envelope, onset_times
from restem.evaluation.separation import si_sdr

PLACES = {"beat": 0, "first third": 1 / 3, "half": 1 / 2, "second third": 2 / 3}
NEAR = 1 / 24  # of a beat


def mono(path: Path, length: int | None = None) -> tuple[np.ndarray, int]:
    """The mean of the channels, (sample,), as long as was asked, and its rate."""
    samples, rate = soundfile.read(path, always_2d=True)
    wave = samples.mean(axis=1)
    missing = max(0, (length or len(wave)) - len(wave))
    return np.pad(wave, (0, missing))[:length], rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("song", type=Path)
    parser.add_argument("without", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--bpm", type=float, required=True)
    args = parser.parse_args()
    song, rate = mono(args.song)
    band, _ = mono(args.without, len(song))
    background, _ = mono(args.result / f"{args.song.stem}.background.wav", len(song))
    new, _ = mono(args.result / f"{args.song.stem}.drums.wav", len(song))
    beat = 60 / args.bpm
    beats = np.arange(0, len(song) / rate - 2 * beat, beat)
    for name, drums in (("old", song - band), ("new", new)):
        times = onset_times(onset_envelope(drums, rate))
        place = times / beat % 1
        near = {
            k: int(np.sum(np.abs((place - p + 0.5) % 1 - 0.5) < NEAR)) for k, p in PLACES.items()
        }
        hit = beats_with_onset(beats, times, 0.03)
        print(f"{name} drums: {hit:.2f} of {len(beats)} beats hit; strokes at the {near}")
    clean, left = si_sdr(band, song), si_sdr(band, background)
    print(f"like the band without drums: the song {clean:.1f} dB, the background {left:.1f} dB")


if __name__ == "__main__":
    main()
