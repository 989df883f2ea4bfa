"""Clips and rows come in; every row's scores, the floor and the table as Markdown go out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restem.benchmark.clips import RATE, Clip, write_sound
from restem.benchmark.rows import Offer
from restem.evaluation.cache import Cache
from restem.evaluation.embeddings import Embedding
from restem.evaluation.evaluate import chosen_embeddings, evaluate
from restem.evaluation.frechet import frechet_distance
from restem.evaluation.listening import hear
from restem.evaluation.threads import one_thread_arithmetic

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

    def score(self, name: str, offer: Offer, seed: int, kind: str) -> dict[str, Any]:
        """The report of one row and seed against the true `kind` ("mix" or "stem"). Clips that
        are there already are not made again."""
        place = self.place(name, seed)
        self._make(name, offer, seed, place)
        report = evaluate(
            place / kind,
            self.folder / kind,
            self.folder / "context" if kind == "stem" else None,
            self.embeddings,
            self.folder / "cache",
        )
        return report

    def place(self, name: str, seed: int) -> Path:
        """Where the clips of one row and seed lie, in `mix` and `stem`."""
        words = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")
        return self.folder / self.rows / words / f"seed{seed}"

    def _make(self, name: str, offer: Offer, seed: int, place: Path) -> None:
        missing = [c for c in self.clips if not (place / "mix" / f"{c.name}.wav").exists()]
        for number, clip in enumerate(missing):
            if number % 100 == 0:
                self.say(f"{name}, seed {seed}: {len(self.clips) - len(missing) + number} clips")
            offered = offer(clip, seed)
            if offered.stem is not None:
                write_sound(place / "stem" / f"{clip.name}.wav", offered.stem)
            write_sound(place / "mix" / f"{clip.name}.wav", offered.mix)

    def floor(self, kind: str, seed: int = 0) -> dict[str, float]:
        """FD and FAD of one random half of the true clips against the other half.

        Empty for fewer than four clips.
        """
        order = np.random.default_rng(seed).permutation(len(self.clips))
        half = len(order) // 2
        if half < 2:
            return {}
        cache = Cache(self.folder / "cache")
        with one_thread_arithmetic():
            heard = [
                hear(self.folder / kind / f"{self.clips[i].name}.wav", self.embeddings, cache)
                for i in order[: 2 * half]
            ]
        scores = {}
        for key, embedding in zip(("fd", "fad"), self.embeddings, strict=True):
            rows = [h.embedded[embedding.name].features for h in heard]
            scores[key] = frechet_distance(np.concatenate(rows[:half]), np.concatenate(rows[half:]))
        return scores


def summary(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean over seeds of each score, its spread over seeds, and the interval of the first."""
    scores: dict[str, Any] = {}
    for key in COLUMNS:
        found = [r[key] for r in reports if r.get(key) and r[key]["value"] is not None]
        if found:
            values = [f["value"] for f in found]
            scores[key] = {
                "value": float(np.mean(values)),
                "seed_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "low": found[0]["low"],
                "high": found[0]["high"],
            }
    scores["seeds"] = len(reports)
    scores["clips"] = reports[0]["clips"]
    scores["silent"] = sum("is silent" in w and "generated" in w for w in reports[0]["warnings"])
    return scores


def markdown(table: dict[str, Any]) -> str:
    """Rows of `summary` as a Markdown table, with ratios to the context alone."""
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
        flag = f" ({row['silent']} of {row['clips']} silent)" if row["silent"] else ""
        lines.append("| " + " | ".join([name + flag, *cells]) + " |")
    floor = table["floor"]
    cells = [f"{floor[k]:.3g}" if k in floor else "" for k in keys] + [""] * len(ratios)
    lines.append("| " + " | ".join(["floor: half of the truth against the other", *cells]) + " |")
    return "\n".join(lines)


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
    words = f"{table['clips']} clips of {table['songs']} songs, {seconds:.0f} s; "
    words += "embeddings " + ", ".join(f"{k}: {v}" for k, v in table["embeddings"].items())
    path.with_suffix(".md").write_text(f"Target: {kind}. {words}.\n\n{markdown(table)}\n")
    save_chart(table["rows"], path.with_suffix(".png"))
