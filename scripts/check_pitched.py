"""How much of a stem with a pitch is left when it becomes a picture and sound again; one table.

    python scripts/check_pitched.py SONGS [--count 4]

SONGS is a folder of `restem dataset render`; `count` clips of 6 s each of bass, guitar and keys.
Chroma:
mean correlation per frame of librosa's chroma_cqt with the original's, frames within 20 dB of the
loudest. Attack: correlation of the rises of a 10 ms envelope. LSD: log-spectral distance (log10),
window 2048. Not a score of a model: what one that made no error would reach.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import librosa
import numpy as np

from restem.audio.inversion import waveform_from_log_mel
from restem.audio.spectrogram import log_mel
from restem.tokens import PITCHED, TokenConfig

RATE, START, SECONDS = 44100, 2, 6
KINDS = ("bass", "guitar", "keys")


def clips(songs: Path, count: int) -> dict[str, list[np.ndarray]]:
    """Waveforms (sample,) by kind of stem, in the order of the songs."""
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for path in sorted(songs.glob("*.json")):
        stems = json.loads(path.read_text())["stems"]
        waves = np.load(path.with_suffix(".context.npy"), mmap_mode="r")
        for stem, wave in zip(stems, waves, strict=True):
            part = wave[START * RATE : (START + SECONDS) * RATE].astype(np.float32) / 32768
            kept = found.get(stem["kind"])
            if kept is not None and len(kept) < count and np.sqrt(np.mean(part**2)) > 0.002:
                kept.append(part)
    return found


def scores(true: np.ndarray, made: np.ndarray) -> list[float]:
    """Chroma, attack and log-spectral distance."""
    loud = librosa.feature.rms(y=true, hop_length=1024)[0]
    a, b = (librosa.feature.chroma_cqt(y=x, sr=RATE, hop_length=1024) for x in (true, made))
    n = min(a.shape[1], b.shape[1], len(loud))
    a, b = (x[:, :n][:, loud[:n] > 0.1 * loud.max()] for x in (a, b))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    chroma = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0) + 1e-12)
    attack = np.corrcoef(_rises(true), _rises(made))[0, 1]
    power = [np.abs(librosa.stft(x, n_fft=2048, hop_length=512)) ** 2 for x in (true, made)]
    low, high = (np.log10(x + power[0].max() * 1e-7) for x in power)
    return [chroma.mean(), attack, np.sqrt(((low - high) ** 2).mean(axis=0)).mean()]


def _rises(wave: np.ndarray) -> np.ndarray:
    frame = RATE // 100
    level = np.sqrt((wave[: len(wave) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1))
    rises: np.ndarray = np.maximum(np.diff(np.log10(level + level.max() * 1e-3)), 0)
    return rises


def main() -> None:
    """Both pictures over all clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--count", type=int, default=4)
    args = parser.parse_args()
    found = clips(args.songs, args.count)
    print("| picture | " + " | ".join(f"{k} ({len(v)})" for k, v in found.items()), end="")
    print(" | CPU s a second |\n|---|---|---|---|---|")
    for name, tokens in (("drums'", TokenConfig()), ("tonal", PITCHED)):
        picture, cells = tokens.spectrogram, []
        spent = 0.0
        for waves in found.values():
            rows = []
            for wave in waves:
                begun = time.process_time()
                made = waveform_from_log_mel(log_mel(wave, picture), picture, len(wave))
                spent += time.process_time() - begun
                rows.append(scores(wave, made))
            cells.append(" / ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)))
        seconds = SECONDS * sum(map(len, found.values()))
        print(f"| {name} | " + " | ".join(cells) + f" | {spent / seconds:.3f} |", flush=True)


if __name__ == "__main__":
    main()
