"""Clips and rows come in; every row's scores and the table as Markdown go out."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from restem.benchmark.clips import RATE, Clip, write_sound
from restem.benchmark.rows import Row
from restem.evaluation.cache import Cache
from restem.evaluation.embeddings import Embedding
from restem.evaluation.evaluate import chosen_embeddings, evaluate
from restem.evaluation.frechet import frechet_distance
from restem.evaluation.listening import hear
from restem.evaluation.threads import one_thread_arithmetic, side_by_side

Say = Callable[[str], None]
COLUMNS = {
    "fd": "FD",
    "fad": "FAD",
    "kld": "KLD",
    "inception_score": "IS",
    "beat_f": "beat F",
    "onset_correlation": "onset corr.",
    "chroma_fit": "chroma fit",
}
RELATIVE = ("fd", "fad", "kld")  # also shown as ratios to the context alone
IDENTITY = "identity (context only)"


@dataclass(frozen=True)
class Bench:
    """Where clips and rows lie, and with which embeddings they are scored."""

    folder: Path
    clips: Sequence[Clip]
    embeddings: tuple[Embedding, Embedding]
    say: Say
    rows: str = "rows"  # folder of what the rows offer

    @classmethod
    def of(
        cls, folder: Path, clips: Sequence[Clip], embeddings: Sequence[Embedding], say: Say
    ) -> Bench:
        return cls(folder, clips, chosen_embeddings(embeddings), say)

    def score(self, name: str, row: Row, seed: int, kind: str) -> dict[str, Any]:
        """The report of one row and seed against the true `kind` ("mix" or "stem"). Clips that
        are there already are not made again, unless something else made them."""
        place = self.place(name, seed)
        self._make(name, row, seed, place)
        return evaluate(
            place / kind,
            self.folder / kind,
            self.folder / "context" if kind == "stem" else None,
            self.embeddings,
            self.folder / "cache",
        )

    @cached_property
    def clips_digest(self) -> str:
        """A hash of what the clips hold."""
        digest = hashlib.sha256()
        for clip in self.clips:
            digest.update(f"{clip.name} {clip.instruction} {clip.caption}".encode())
            for wave in (clip.context, clip.stem, clip.beats.times, clip.beats.positions):
                digest.update(np.ascontiguousarray(wave).tobytes())
        return digest.hexdigest()

    def place(self, name: str, seed: int) -> Path:
        """Where the clips of one row and seed lie, in `mix` and `stem`."""
        words = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")
        return self.folder / self.rows / words / f"seed{seed}"

    def _make(self, name: str, row: Row, seed: int, place: Path) -> None:
        made_by, by = place / "made-by.txt", f"{row.by} {self.clips_digest}\n"
        if place.exists() and not (made_by.exists() and made_by.read_text() == by):
            self.say(f"{name}, seed {seed}: made anew, since it was made by something else")
            shutil.rmtree(place)
        place.mkdir(parents=True, exist_ok=True)
        made_by.write_text(by)
        missing = [c for c in self.clips if not (place / "mix" / f"{c.name}.wav").exists()]

        def make(number: int) -> None:
            if number % 100 == 0:
                self.say(f"{name}, seed {seed}: {len(self.clips) - len(missing) + number} clips")
            clip = missing[number]
            offered = row.offer(clip, seed)
            if offered.stem is not None:
                write_sound(place / "stem" / f"{clip.name}.wav", offered.stem)
            write_sound(place / "mix" / f"{clip.name}.wav", offered.mix)

        with one_thread_arithmetic():
            side_by_side(make, range(len(missing)))

    def halves(self, kind: str, made: Path | None = None, seed: int = 0) -> dict[str, float]:
        """FD and FAD of one random half of the clips, true or `made`, against the other half of
        the true ones. Empty for fewer than four clips.

        Fréchet distances of fewer clips are higher, and those of clips that belong together lower:
        these are to be compared with each other alone.
        """
        order = np.random.default_rng(seed).permutation(len(self.clips))
        half = len(order) // 2
        if half < 2:
            return {}
        cache = Cache(self.folder / "cache")
        with one_thread_arithmetic():
            heard = [
                hear(folder / f"{self.clips[i].name}.wav", self.embeddings, cache)
                for folder, part in (
                    (made or self.folder / kind, order[:half]),
                    (self.folder / kind, order[half : 2 * half]),
                )
                for i in part
            ]
        scores = {}
        for key, embedding in zip(("fd", "fad"), self.embeddings, strict=True):
            rows = [h.embedded[embedding.name].features for h in heard]
            scores[key] = frechet_distance(np.concatenate(rows[:half]), np.concatenate(rows[half:]))
        return scores


def summary(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean over seeds of each score and of its interval, its spread over seeds, and warnings."""
    scores: dict[str, Any] = {}
    for key in [k for k, v in reports[0].items() if isinstance(v, dict) and "value" in v]:
        found = [r[key] for r in reports if r.get(key) and r[key]["value"] is not None]
        if found:
            values = [f["value"] for f in found]
            low, high = ([f[edge] for f in found if f.get(edge) is not None]
                         for edge in ("low", "high"))  # fmt: skip
            scores[key] = {
                "value": float(np.mean(values)),
                "seed_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "low": float(np.mean(low)) if low else None,
                "high": float(np.mean(high)) if high else None,
            }
    scores["seeds"] = len(reports)
    scores["clips"] = reports[0]["clips"]
    warnings = [warning for report in reports for warning in report["warnings"]]
    scores["silent"] = sum("is silent" in w and "generated" in w for w in warnings)
    scores["warnings"] = list(dict.fromkeys(warnings))
    return scores


def markdown(table: dict[str, Any]) -> str:
    """Rows of `summary` as a Markdown table, with ratios to the context alone, and what to know
    of it below."""
    rows = table["rows"]
    keys = [key for key in COLUMNS if any(key in row for row in rows.values())]
    identity = rows.get(IDENTITY, {})
    ratios = [key for key in RELATIVE if key in identity]
    head = ["", *(COLUMNS[k] for k in keys), *(f"{COLUMNS[k]} / identity" for k in ratios)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in rows.items():
        cells = [_cell(row.get(key)) for key in keys]
        for key in ratios:
            value = row[key]["value"] / identity[key]["value"] if key in row else None
            cells.append("" if value is None else f"{value:.2f}")
        lines.append("| " + " | ".join([_label(name, row, table), *cells]) + " |")
    return "\n".join([*lines, "", *_remarks(table)])


def _label(name: str, row: dict[str, Any], table: dict[str, Any]) -> str:
    swept = (table.get("sdedit_sweep") or {}).get(name)
    steps = f", {swept['executed_steps']} steps" if swept else ""
    made = row["clips"] * row["seeds"]
    return name + steps + (f" ({row['silent']} of {made} silent)" if row["silent"] else "")


def _remarks(table: dict[str, Any]) -> list[str]:
    """What the context alone earns, what is left out, and warnings that are not of one clip."""
    rows, lines = table["rows"], []
    ends = [rows.get(name, {}) for name in (IDENTITY, "silence", "oracle")]
    earned = []
    for key in RELATIVE:
        if all(key in end for end in ends):
            alone, silence, truth = (end[key]["value"] for end in ends)
            if silence > truth:
                earned.append(f"{COLUMNS[key]} {100 * (silence - alone) / (silence - truth):.0f} %")
    if earned:
        lines.append(f"Of the way from silence to the truth the context alone goes "
                     f"{', '.join(earned)}.")  # fmt: skip
    if halves := {name: scores for name, scores in table["halves"].items() if scores}:
        each = [f"{name} {s['fd']:.3g} and {s['fad']:.3g}" for name, s in halves.items()]
        lines.append(f"FD and FAD of one half of the clips against the other half of the truth, "
                     f"{table['clips'] // 2} each: {'; '.join(each)}.")  # fmt: skip
    lines += [f"Left out: {words}." for words in table.get("left_out", [])]
    told = {w for row in rows.values() for w in row["warnings"] if w.split(":")[0] in (
        *COLUMNS, "fad_inf")}  # fmt: skip
    return lines + [f"Warning: {words}." for words in sorted(told)]


def _cell(score: dict[str, Any] | None) -> str:
    if score is None:
        return ""
    spread = f" ± {score['seed_sd']:.2g}" if score["seed_sd"] is not None else ""
    return f"{score['value']:.3g}{spread}"


def write_table(folder: Path, kind: str, table: dict[str, Any]) -> None:
    """`table1-KIND.json`, `.md` and `.png` in `folder`."""
    from restem.benchmark.chart import save_chart

    path = folder / f"table1-{kind}.json"
    path.write_text(json.dumps(table, indent=2) + "\n")
    seconds = table["clips"] * table["clip_samples"] / RATE
    words = f"{table['clips']} clips of {table['songs']} songs, {seconds:.0f} s; of all their "
    words += f"{table['full_clips']} full clips {table['sounding_clips']} have a sounding stem; "
    words += "embeddings " + ", ".join(f"{k}: {v}" for k, v in table["embeddings"].items())
    path.with_suffix(".md").write_text(f"Target: {kind}. {words}.\n\n{markdown(table)}\n")
    save_chart(table["rows"], path.with_suffix(".png"))
