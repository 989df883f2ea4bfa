"""Songs with a stem apart come in; clips with their words, beats and true stem go out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from restem.audio.beats import BeatGrid
from restem.audio.files import atomic_path, read_audio
from restem.audio.tracking import track_beats
from restem.audio.waveform import mono_from_channels, resampled
from restem.dataset.sentences import Labels, instruction
from restem.dataset.sources import open_source
from restem.dataset.sources.reading import read_stems
from restem.errors import UserError

RATE = 44100
CLIP_SAMPLES = 225_351  # 5.11 s, 512 columns of 10 ms: the clips of the paper
SILENT_DB = -60.0  # a clip whose stem is softer than this has nothing to insert
PEAK = 0.7  # of context and stem together, so that no row of the table need clip


@dataclass(frozen=True, eq=False)
class Clip:
    """One stretch of a song, mono float32 at 44.1 kHz, (sample,) each.

    `beats` were tracked in the whole song without the stem. `instruction` asks for the stem,
    `caption` names the music with it in a few words.
    """

    name: str
    song: str
    context: np.ndarray
    stem: np.ndarray
    beats: BeatGrid
    instruction: str
    caption: str

    @property
    def mix(self) -> np.ndarray:
        return self.context + self.stem


@dataclass(frozen=True, eq=False)
class WholeSong:
    """A song before it is cut: context and stem (sample,) float32 at 44.1 kHz, and its words."""

    name: str
    context: np.ndarray
    stem: np.ndarray
    instruction: str
    caption: str


def clips_of(song: WholeSong, samples: int = CLIP_SAMPLES) -> list[Clip]:
    """All full clips of a song, one after the other, but for those whose stem is silent."""
    beats = track_beats(song.context)
    clips = []
    for number in range(len(song.context) // samples):
        part = slice(number * samples, (number + 1) * samples)
        context, stem = song.context[part], song.stem[part]
        if 10 * np.log10(np.mean(stem**2) + 1e-20) < SILENT_DB:
            continue
        peak = float(np.max(np.abs(context) + np.abs(stem)))
        gain = np.float32(min(1.0, PEAK / peak))
        grid = _moved(beats, part.start / RATE, samples / RATE)
        name = f"{song.name}-{number:03d}"
        words = (song.instruction, song.caption)
        clips.append(Clip(name, song.name, context * gain, stem * gain, grid, *words))
    return clips


def rendered_songs(folder: Path, split: str) -> Iterator[WholeSong]:
    """Songs of `restem dataset render` with their first drums; UserError if there are none."""
    found = False
    for path in sorted(folder.glob("*.json")):
        try:
            song = _rendered_song(path, split)
        except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError) as error:
            raise UserError(f"{path} is damaged ({error!r}); render its song again.") from None
        if song:
            found = True
            yield song
    if not found:
        raise UserError(f"{folder} holds no rendered songs of the split {split!r}.")


def _rendered_song(path: Path, split: str) -> WholeSong | None:
    """A song by its record, or None if it is not of the split."""
    record = json.loads(path.read_text())
    if record.get("split") != split:
        return None
    context = np.load(path.with_suffix(".context.npy"), mmap_mode="r")
    stem = np.load(path.with_suffix(".drums.npy"), mmap_mode="r")[0]
    labels = Labels(**record["takes"][0]["labels"])
    words = instruction("drums", labels, np.random.default_rng(int(path.stem)))
    mixed = np.asarray(np.sum(context, axis=0, dtype=np.float32) / 32768, dtype=np.float32)
    caption = f"{labels.style} drums"
    return WholeSong(path.stem, mixed, stem.astype(np.float32) / 32768, words, caption)


def stem_songs(source: str, stem: str, instruction: str, caption: str) -> Iterator[WholeSong]:
    """Test songs with this stem of a source KIND=PATH of `restem dataset build`, as MUSDB18.

    The full mix is the sum of the stems, the context the sum of all others. Raises UserError for
    an unknown source and one without such songs.
    """
    found = False
    for song in open_source(source).songs():
        if song.split != "test" or stem not in song.stems:
            continue
        found = True
        waves = {
            name: wave.mean(axis=1).astype(np.float32)  # as in training: what cancels is not there
            for name, wave in read_stems(song).items()
        }
        context = np.sum([wave for name, wave in waves.items() if name != stem], axis=0)
        name = re.sub(r"[\W_]+", "-", song.id).strip("-")
        yield WholeSong(name, np.asarray(context), waves[stem], instruction, caption)
    if not found:
        raise UserError(f"{source} holds no test songs with {stem} apart.")


def song_from_files(context: Path, stem: Path, instruction: str, caption: str) -> WholeSong:
    """One song whose context and stem are two aligned recordings; the longer one is cut."""
    sides = []
    for path in (context, stem):
        audio = read_audio(path)
        sides.append(resampled(mono_from_channels(audio.samples), audio.sample_rate, RATE))
    length = min(map(len, sides))
    return WholeSong(context.stem, sides[0][:length], sides[1][:length], instruction, caption)


def write_clips(clips: Sequence[Clip], folder: Path) -> None:
    """Write `context`, `stem` and `mix` of clips as WAV, one file a clip, and their list.

    Raises UserError if the folder holds other clips.
    """
    listed = folder / "clips.json"
    about = [{"name": c.name, "instruction": c.instruction, "caption": c.caption} for c in clips]
    if listed.exists() and listed.read_text() != json.dumps(about, indent=1) + "\n":
        raise UserError(f"{folder} holds the rows of other clips; name another folder.")
    for clip in clips:
        for kind in ("context", "stem", "mix"):
            write_sound(folder / kind / f"{clip.name}.wav", getattr(clip, kind))
    with atomic_path(listed) as part:
        part.write_text(json.dumps(about, indent=1) + "\n")


def write_sound(path: Path, samples: np.ndarray) -> None:
    """A mono float WAV at 44.1 kHz, under a temporary name until it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    soundfile.write(partial, samples.astype(np.float32), RATE, subtype="FLOAT", format="WAV")
    partial.replace(path)


def _moved(beats: BeatGrid, start: float, seconds: float) -> BeatGrid:
    """The beats around a stretch, timed from its start; at least two of them."""
    near = (beats.times >= start - 4) & (beats.times < start + seconds + 4)
    if near.sum() < 2:
        return BeatGrid.from_bpm(120.0, 0.0, seconds)
    return BeatGrid(
        beats.times[near] - start, beats.positions[near], beats.beats_per_bar, beats.confidence
    )
