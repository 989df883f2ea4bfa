"""What a build knows about itself in, the dataset card (README.md with a YAML head) out."""

from __future__ import annotations

from array import array
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from restem.audio.files import atomic_path
from restem.dataset.record import Clip, fingerprint
from restem.dataset.sources import Source
from restem.dataset.stages.instruct import PROMPT, prompt_text

if TYPE_CHECKING:
    from restem.dataset.build import BuildSettings
    from restem.dataset.finish import Report

PACKAGES = ("numpy", "soundfile", "soxr", "onnxruntime", "pyarrow", "torch")
SHOWN = 8


class Tally:
    """What the card says about the clips, counted as they are written: `of` of them in all."""

    def __init__(self, of: int) -> None:
        self.of, self.clips = of, 0
        self.songs: dict[str, set[tuple[str, str]]] = {}
        self.sources: Counter[str] = Counter()
        self.makers: Counter[str] = Counter()
        self.captioners: Counter[str] = Counter()
        self.writers: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.leaks = array("d")
        self.examples: list[Clip] = []

    def add(self, clip: Clip) -> None:
        """Count one clip."""
        if self.clips % max(1, self.of // SHOWN) == 0 and len(self.examples) < SHOWN:
            self.examples.append(clip)
        self.clips += 1
        self.songs.setdefault(clip.split, set()).add((clip.source, clip.song))
        self.sources[clip.source] += 1
        self.makers[clip.made_by] += 1
        self.captioners[clip.caption_by] += 1
        self.writers[clip.instruction_by] += 1
        if "unanswered" in clip.facts:
            self.unanswered[clip.facts["unanswered"]] += 1
        if clip.leak is not None:
            self.leaks.append(clip.leak)


def write_card(
    folder: Path, sources: list[Source], settings: BuildSettings, report: Report, tally: Tally
) -> None:
    """Write README.md into the dataset's folder; the same build gives the same text."""
    with atomic_path(folder / "README.md") as part:
        part.write_text(card(sources, settings, report, tally), encoding="utf-8")


def card(sources: list[Source], settings: BuildSettings, report: Report, tally: Tally) -> str:
    """The card's text."""
    seconds = settings.pair.samples / 44100
    lines = ["---", "pretty_name: restem triplets", "task_categories: [audio-to-audio]",
             "language: [en]", "tags: [music, stems, restem]", *_configuration(report), "---", "",
             "# Mixes, the mixes without a stem, and an instruction for that stem", ""]  # fmt: skip
    lines += [
        f"{tally.clips} clips of {seconds:.2f} s, mono, 44.1 kHz, 16 bit, made by `restem dataset "
        "build`. The stem of a clip is its mix minus its context, sample by sample. Splits go by "
        "song: clips of one recording are never in two of them.",
        "",
        "| split | clips | songs |",
        "|---|---|---|",
    ]
    lines += [f"| {s} | {count} | {len(tally.songs[s])} |" for s, count in report.kept.items()]
    lines += ["", "## Where it comes from", "",
              "| source | clips | licence | cite |", "|---|---|---|---|"]  # fmt: skip
    lines += [f"| {s.kind} | {tally.sources[s.kind]} | {s.licence} | {s.citation} |"
              for s in sources]  # fmt: skip
    lines += ["", "## How it was made", ""]
    lines += [f"- stems by: {_counts(tally.makers)}"]
    lines += [f"- captions by: {_counts(tally.captioners)}"]
    lines += [f"- instructions by: {_counts(tally.writers)}"]
    lines += [f"- prompt: {PROMPT}, hash {fingerprint(prompt_text())}"]
    leaks = sorted(tally.leaks)
    if leaks:
        lines += [f"- leak score: median {leaks[len(leaks) // 2]:.4f}, highest {leaks[-1]:.4f}"]
    lines += [f"- versions: {', '.join(_versions())}"]
    lines += ["", "## What was kept out", "", "| reason | clips |", "|---|---|"]
    lines += [f"| {reason} | {count} |" for reason, count in report.dropped.items()]
    lines += [f"| (songs that could not be used) | {len(report.failed)} songs |"]
    lines += [f"| (listed by a source, but without audio) | {len(report.missing)} entries |"]
    lines += ["", "## Examples", "", "| instruction | caption | by |", "|---|---|---|"]
    lines += [f"| {c.instruction} | {_cell(c.caption)} | {c.instruction_by} |"
              for c in tally.examples]  # fmt: skip
    return "\n".join(lines) + "\n"


def _configuration(report: Report) -> list[str]:
    lines = ["configs:", "- config_name: default", "  data_files:"]
    for split in report.kept:
        lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    return lines if report.kept else []


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(counter.items())) or "nobody"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _versions() -> list[str]:
    found = []
    for package in ("restem", *PACKAGES):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return found
