"""What a build knows about itself in, the dataset card (README.md with a YAML head) out."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from restem.audio.files import atomic_path
from restem.dataset.record import Clip, fingerprint
from restem.dataset.sources import Source
from restem.dataset.stages.instruct import PROMPT, prompt_text

if TYPE_CHECKING:
    from restem.dataset.build import BuildSettings, Report

PACKAGES = ("numpy", "soundfile", "soxr", "onnxruntime", "pyarrow", "torch")
SHOWN = 8


def write_card(
    folder: Path, sources: list[Source], settings: BuildSettings, report: Report, kept: list[Clip]
) -> None:
    """Write README.md into the dataset's folder; the same build gives the same text."""
    with atomic_path(folder / "README.md") as part:
        part.write_text(card(sources, settings, report, kept), encoding="utf-8")


def card(sources: list[Source], settings: BuildSettings, report: Report, kept: list[Clip]) -> str:
    """The card's text."""
    seconds = settings.pair.samples / 44100
    lines = ["---", "pretty_name: restem triplets", "task_categories: [audio-to-audio]",
             "language: [en]", "tags: [music, stems, restem]", *_configuration(kept), "---", "",
             "# Mixes, the mixes without a stem, and an instruction for that stem", ""]  # fmt: skip
    lines += [
        f"{len(kept)} clips of {seconds:.2f} s, mono, 44.1 kHz, 16 bit, made by `restem dataset "
        "build`. The stem of a clip is its mix minus its context, sample by sample. Splits go by "
        "song: clips of one recording are never in two of them.",
        "",
        "| split | clips | songs |",
        "|---|---|---|",
    ]
    for split, count in report.kept.items():
        songs = len({(c.source, c.song) for c in kept if c.split == split})
        lines.append(f"| {split} | {count} | {songs} |")
    lines += ["", "## Where it comes from", "",
              "| source | clips | licence | cite |", "|---|---|---|---|"]  # fmt: skip
    by_source = Counter(clip.source for clip in kept)
    lines += [f"| {s.kind} | {by_source[s.kind]} | {s.licence} | {s.citation} |" for s in sources]
    lines += ["", "## How it was made", ""]
    lines += [f"- stems by: {_counts(Counter(c.made_by for c in kept))}"]
    lines += [f"- captions by: {_counts(Counter(c.caption_by for c in kept))}"]
    lines += [f"- instructions by: {_counts(Counter(c.instruction_by for c in kept))}"]
    lines += [f"- prompt: {PROMPT}, hash {fingerprint(prompt_text())}"]
    leaks = sorted(c.leak for c in kept if c.leak is not None)
    if leaks:
        lines += [f"- leak score: median {leaks[len(leaks) // 2]:.4f}, highest {leaks[-1]:.4f}"]
    lines += [f"- versions: {', '.join(_versions())}"]
    lines += ["", "## What was kept out", "", "| reason | clips |", "|---|---|"]
    lines += [f"| {reason} | {count} |" for reason, count in report.dropped.items()]
    lines += [f"| (songs that could not be used) | {len(report.failed)} songs |"]
    lines += [f"| (listed by a source, but without audio) | {len(report.missing)} entries |"]
    lines += ["", "## Examples", "", "| instruction | caption | by |", "|---|---|---|"]
    step = max(1, len(kept) // SHOWN)
    lines += [f"| {c.instruction} | {_cell(c.caption)} | {c.instruction_by} |"
              for c in kept[::step][:SHOWN]]  # fmt: skip
    return "\n".join(lines) + "\n"


def _configuration(kept: list[Clip]) -> list[str]:
    lines = ["configs:", "- config_name: default", "  data_files:"]
    for split in dict.fromkeys(clip.split for clip in sorted(kept, key=lambda c: c.split)):
        lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    return lines if kept else []


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
