"""How often drums are heard in songs that have some, and in songs without.

    python scripts/check_drums_already.py SONGS [--real CONTEXT DRUMS]

SONGS is a folder of `restem dataset render`; each song is judged whole without its drums, with
them, and the drums alone. A real song's two files are judged in pieces of twenty seconds, with the
drums only where they are louder than -60 dB. "By the log-mel alone" is `audio.presence`, which is
all that was asked before 0.15.0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from restem import Inserter
from restem.audio.files import read_audio
from restem.audio.presence import drums_present
from restem.audio.spectrogram import log_mel
from restem.audio.waveform import mono_from_channels, resampled, rms_db
from restem.hearing import DRUMS_HEARD, WORKING_DB, drums_play

RATE, SECONDS, QUIET_DB = 44100, 20, -60.0


def rendered(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Context and drums (sample,) of each song."""
    for path in sorted(folder.glob("*.json")):
        context = np.load(path.with_suffix(".context.npy")).astype(np.float32).sum(axis=0)
        drums = np.load(path.with_suffix(".drums.npy"))[0].astype(np.float32)
        yield context / 32768, drums / 32768


def pieces(context: Path, drums: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Context and drums (sample,) of each twenty seconds."""
    sides = []
    for path in (context, drums):
        audio = read_audio(path)
        mono = mono_from_channels(audio.samples)
        sides.append(resampled(mono, audio.sample_rate, RATE).astype(np.float32))
    step = SECONDS * RATE
    for start in range(0, min(map(len, sides)) - step, step):
        yield sides[0][start : start + step], sides[1][start : start + step]


def report(name: str, songs: Iterator[tuple[np.ndarray, np.ndarray]]) -> None:
    """Count what is heard, and print a table."""
    config = Inserter.load().drawing.tokens.context_spectrogram
    counts: dict[str, list[int]] = {}
    for context, drums in songs:
        kinds = {"without drums": context}
        if rms_db(drums) > QUIET_DB:
            kinds |= {"with drums": context + drums, "drums alone": drums}
        for kind, wave in kinds.items():
            level = rms_db(wave)
            if level < QUIET_DB:
                continue
            mel = log_mel(wave, config, 10 ** ((WORKING_DB - level) / 20))
            count = counts.setdefault(kind, [0, 0, 0])
            count[0] += 1
            count[1] += drums_play(wave, mel)
            count[2] += drums_present(mel) > DRUMS_HEARD
    print(f"\n{name}\n\n| | number | drums heard | by the log-mel alone |\n|---|---|---|---|")
    for kind, (number, both, one) in counts.items():
        print(f"| {kind} | {number} | {both / number:.2f} | {one / number:.2f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("songs", type=Path)
    parser.add_argument("--real", type=Path, nargs=2, metavar=("CONTEXT", "DRUMS"))
    args = parser.parse_args()
    report("rendered songs", rendered(args.songs))
    if args.real:
        report("the real song, pieces of 20 s", pieces(*args.real))


if __name__ == "__main__":
    main()
