"""How loud stems are beside songs, by sentence and seed, and whether they go with the songs.

    python scripts/check_levels.py SONG... [--stem drums] [--seconds 24] [--seeds 4]

Of each song the first seconds after ten are taken. Prints the loudness of stems to sentences beside
the song in LU (BS.1770-4), and their spread over seeds; then how far a stem is up or down, in dB
beside the same stem for the song as it is, where the song is made softer, stops and fades out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from restem import BeatGrid, Inserter
from restem.audio.files import read_audio
from restem.audio.tracking import track_beats
from restem.audio.waveform import mono_from_channels, resampled
from restem.evaluation.loudness import loudness_relation

SENTENCES = {
    "drums": ("Add drums", "a simple rock beat", "hard rock drums", "jazz brushes", "bossa nova"),
    "bass": ("Add a bass line", "a walking bass", "a funky bass"),
    "guitar": ("Add a guitar", "a strummed acoustic guitar", "an electric rock guitar"),
    "keys": ("Add piano", "an organ", "an electric piano"),
}
# Parts of the song, as shares of its length, and by how many dB they are turned down.
SOFT, STOP, FADE = (0.2, 0.5, -12.0), (0.6, 0.7, -200.0), (0.8, 1.0, -60.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("songs", type=Path, nargs="+", metavar="SONG")
    parser.add_argument("--stem", choices=SENTENCES, default="drums")
    parser.add_argument("--seconds", type=float, default=24.0)
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args()
    inserter = Inserter.load(stem=args.stem)
    for path in args.songs:
        audio = read_audio(path)
        rate = audio.sample_rate
        first = round(min(10.0, len(audio.samples) / rate - args.seconds) * rate)
        song = audio.samples[max(first, 0) :][: round(args.seconds * rate)]
        beats = track_beats(resampled(mono_from_channels(song), rate, 44100))
        print(path.name)
        for words in SENTENCES[args.stem]:
            apart = [
                loudness_relation(
                    inserter.insert(song, rate, words, seed=seed, beats=beats).stem, song, rate
                )
                for seed in range(args.seeds)
            ]
            print(f"  {words:28s} {np.round(apart, 1)} LU, spread {np.ptp(apart):.1f}")
        words = SENTENCES[args.stem][0]
        print(f"  goes with the song: {_followed(inserter, song, rate, beats, words)}")
    return 0


def _followed(inserter: Inserter, song: np.ndarray, rate: int, beats: BeatGrid, words: str) -> str:
    """What becomes of a stem where the song is soft, silent and fading."""
    changed, place = song.copy(), np.arange(len(song)) / len(song)
    for start, end, down_db in (SOFT, STOP):
        changed[(place >= start) & (place < end)] *= 10 ** (down_db / 20)
    changed *= 10 ** (np.interp(place, FADE[:2], (0, FADE[2])) / 20)[:, None]
    before, after = (
        inserter.insert(wave, rate, words, beats=beats).stem for wave in (song, changed)
    )
    told = []
    for name, start, end in (("soft", 0.3, 0.48), ("stop", 0.63, 0.69), ("fade", 0.9, 0.95)):
        part = slice(round(start * len(song)), round(end * len(song)))
        powers = [float(np.mean(wave[part] ** 2)) + 1e-20 for wave in (after, before)]
        told.append(f"{name} {10 * np.log10(powers[0] / powers[1]):.1f} dB")
    return ", ".join(told)


if __name__ == "__main__":
    sys.exit(main())
