"""Generated drum stems in; how far the notes heard in them agree with librosa's onsets, out.

    python scripts/check_drum_notes.py restem-out/*.drums.wav

Notes nearer than 30 ms are one onset. The control, what chance finds: the same notes 90 ms later.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile as sf
from score_drum_notes import apart, matched

from restem.audio.drum_notes import CONFIG, DRUMS, PITCHES, hear_drums
from restem.audio.waveform import resampled

HOP = 128  # librosa's frames, samples
CONTROL_S = 0.09


def onsets_of(wave: np.ndarray) -> np.ndarray:
    """librosa's onsets (onset,) in s: peaks of the spectral flux, which knows no drums."""
    import librosa

    rate = CONFIG.sample_rate
    frames = librosa.onset.onset_detect(y=wave, sr=rate, hop_length=HOP)
    return librosa.frames_to_time(frames, sr=rate, hop_length=HOP)


def main() -> None:
    """A line for each stem, then all together."""
    counts: dict[float, np.ndarray] = {0.03: np.zeros(4), 0.05: np.zeros(4)}
    gaps = []
    for path in map(Path, sys.argv[1:]):
        stereo, rate = sf.read(path, dtype="float64", always_2d=True)
        wave = resampled(stereo.mean(axis=1), rate, CONFIG.sample_rate).astype(np.float32)
        heard = hear_drums(wave)
        notes, onsets = apart(heard.times), onsets_of(wave)
        for near in counts:
            pairs = matched(notes, onsets, near), matched(notes + CONTROL_S, onsets, near)
            counts[near] += (*pairs, len(notes), len(onsets))
        gaps += [onset - notes[np.abs(notes - onset).argmin()] for onset in onsets if len(notes)]
        names = [DRUMS[PITCHES.index(pitch)] for pitch in heard.pitches]
        kinds = {drum: names.count(drum) for drum in dict.fromkeys(DRUMS)}
        share = matched(notes, onsets, 0.03) / max(len(onsets), 1)
        print(f"{path.name}: {len(notes)} onsets of notes, {len(onsets)} of librosa's", end="")
        print(f", {share:.3f} of these found within 30 ms; {kinds}")
    for near, (pairs, chance, notes, onsets) in counts.items():
        both, moved = (2 * n / (notes + onsets) for n in (pairs, chance))
        print(
            f"within {1000 * near:.0f} ms: {pairs / notes:.3f} of {notes:.0f} notes' onsets are"
            f" librosa's, {pairs / onsets:.3f} of {onsets:.0f} of librosa's are notes';"
            f" F {both:.3f}, of the control {moved:.3f}"
        )
    close = np.array([gap for gap in gaps if abs(gap) < 0.05])
    print(f"librosa's lie {1000 * np.median(close):.1f} ms after the notes (median of the close)")


if __name__ == "__main__":
    main()
