"""Songs and a model come in; the paper's figures and a page to listen to, of our own, go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import soundfile

from restem.audio.spectrogram import log_mel, mel_filters
from restem.audio.tracking import track_beats
from restem.benchmark.clips import RATE, WholeSong
from restem.insertion import Inserter
from restem.picture import CONFIG, draw_picture, save_picture

SECONDS = 10.0
SENTENCES = ("Add soft brushed jazz drums", "Add heavy metal drums", "Add reggae drums")


@dataclass(frozen=True, eq=False)
class Example:
    """A stretch of a song, and the stems made for it, (sample,) each, by their sentences."""

    song: WholeSong
    made: dict[str, np.ndarray]
    beats: tuple[np.ndarray, np.ndarray]  # times in seconds and positions in the bar


def example(inserter: Inserter, song: WholeSong, sentences: Sequence[str], seed: int) -> Example:
    """Stems for the stretch of SECONDS in which the true stem is loudest, on one set of beats."""
    size = min(len(song.stem), int(SECONDS * RATE))
    energy = np.concatenate([[0.0], np.cumsum(np.square(song.stem, dtype=np.float64))])
    starts = np.arange(0, len(song.stem) - size + 1, RATE // 2)
    first = int(starts[np.argmax(energy[starts + size] - energy[starts])])
    part = slice(first, first + size)
    cut = WholeSong(song.name, song.context[part], song.stem[part], song.instruction, song.caption)
    beats = track_beats(cut.context)
    made = {
        sentence: inserter.insert(cut.context, RATE, sentence, beats=beats, seed=seed).stem
        for sentence in sentences
    }
    return Example(cut, made, (beats.times, beats.positions))


def save_insertion(shown: Example, path: Path) -> None:
    """Figure 3: full mix, background (the mix without the stem) and what was generated."""
    song, (sentence, stem) = shown.song, next(iter(shown.made.items()))
    _save(
        {
            "full mix": song.context + song.stem,
            "background": song.context,
            "generated": song.context + stem,
            "generated stem": stem,
        },
        shown,
        sentence,
        path,
    )


def save_restyling(shown: Example, path: Path) -> None:
    """Figure 4: one song with its own stem, without it, and with those of several sentences."""
    song = shown.song
    panels = {"full mix": song.context + song.stem, "background": song.context}
    panels |= {words: song.context + stem for words, stem in shown.made.items()}
    _save(panels, shown, "One song, several sentences", path)


def _save(sounds: dict[str, np.ndarray], shown: Example, title: str, path: Path) -> None:
    panels = {
        name: log_mel(np.asarray(sound, dtype=np.float32), CONFIG) for name, sound in sounds.items()
    }
    filters = mel_filters(CONFIG)
    bin_hz = np.arange(filters.shape[1]) * CONFIG.sample_rate / CONFIG.n_fft
    mel_hz = filters @ bin_hz / filters.sum(axis=1)
    seconds = len(shown.song.context) / RATE
    save_picture(path, draw_picture(panels, seconds, mel_hz, *shown.beats, title))


def save_page(examples: Sequence[Example], folder: Path) -> None:
    """`index.html` with all examples to hear and see; sounds as Ogg Vorbis beside it."""
    rows = []
    for number, shown in enumerate(examples):
        song = shown.song
        sounds = {"full mix": song.context + song.stem, "background": song.context}
        sounds |= {words: song.context + stem for words, stem in shown.made.items()}
        cells = []
        for place, (name, sound) in enumerate(sounds.items()):
            file = f"{number:02d}-{place}.ogg"
            _write_ogg(folder / file, sound)
            cells.append(
                f"<figure><figcaption>{escape(name)}</figcaption>"
                f'<audio controls preload="none" src="{file}"></audio></figure>'
            )
        picture = f"{number:02d}.png"
        save_restyling(shown, folder / picture)
        rows.append(
            f"<section><h2>{escape(song.name)}</h2>{''.join(cells)}"
            f'<img loading="lazy" src="{picture}" alt="mel spectrograms"></section>'
        )
    partial = folder / "index.part"
    partial.write_text(PAGE.format(rows="\n".join(rows)), encoding="utf-8")
    partial.replace(folder / "index.html")


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>restem: examples</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem;
  margin: 2rem auto; padding: 0 1rem }}
figure {{ display: inline-block; margin: 0 1rem 1rem 0 }}
img {{ max-width: 100% }}
</style>
<h1>Stems by a sentence</h1>
<p>Each song as it was, without its stem, and with stems that restem made for it.</p>
{rows}
</html>
"""


def _write_ogg(path: Path, sound: np.ndarray) -> None:
    partial = path.with_suffix(".part")
    peak = max(1.0, float(np.abs(sound).max()) / 0.99)  # one gain, so that nothing clips
    soundfile.write(partial, sound / peak, RATE, format="OGG", subtype="VORBIS")
    partial.replace(path)
