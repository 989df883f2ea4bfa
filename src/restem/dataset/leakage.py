"""A dataset folder in, the leak readings of all its clips and of each way of making stems out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]

from restem.dataset.leak_probe import packaged_probe
from restem.dataset.songs import read_record
from restem.dataset.stages.write import read_rows
from restem.evaluation.intervals import scored_mean

ENOUGH_CLEAN = 20


@dataclass(frozen=True)
class Leakage:
    """`clips`: readings of each, a dict; `baseline`: the probe's mean on clean clips, if enough."""

    clips: list[dict[str, Any]]
    baseline: float | None

    def lines(self) -> list[str]:
        """A table: who made the stems, how many, mean score, mean excess of the probe, 95 %."""
        lines = [f"{'stems by':<28}{'clips':>6}  {'score (amplitude)':<28}probe's excess"]
        for made_by in sorted({clip["made_by"] for clip in self.clips}):
            own = [clip for clip in self.clips if clip["made_by"] == made_by]
            score = _interval([clip["residual"] for clip in own], 4)
            probe = _interval([clip["probe"] - (self.baseline or 0.0) for clip in own], 3)
            lines.append(f"{made_by:<28}{len(own):>6}  {score:<28}{probe}")
        if self.baseline is None:
            lines.append(
                f"Fewer than {ENOUGH_CLEAN} clips have given stems, so the probe is compared with "
                "rendered songs; add clean songs of the same kind for a fair excess."
            )
        return lines


def measure(folder: Path) -> Leakage:
    """Read every clip of a dataset; UserError if there is none."""
    clips = []
    columns = ["id", "made_by", "stem", "mix", "context"]
    for row in read_rows(folder, columns):
        mix, context = (decoded(row[name]["bytes"]) for name in ("mix", "context"))
        found = packaged_probe().leak(context, mix - context)
        about = {name: row[name] for name in ("id", "made_by", "stem")}
        clips.append(about | {"residual": found.residual, "probe": found.probe})
    clean = [clip["probe"] for clip in clips if clip["made_by"] == "stems"]
    baseline = float(np.mean(clean)) if len(clean) >= ENOUGH_CLEAN else None
    return Leakage(clips, baseline)


def decoded(data: bytes) -> np.ndarray:
    """(sample,) float64 of FLAC bytes."""
    return np.asarray(soundfile.read(io.BytesIO(data), dtype="float64")[0])


def rendered_pairs(
    songs: Path, split: str, samples: int = 225_351
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(context, drums), float32 (sample,), from the middle of each rendered song of a split.

    Raises UserError if a record is damaged.
    """
    for path in sorted(songs.glob("*.json")):
        record = read_record(path, "split", "samples")
        start = (record["samples"] - samples) // 2
        if record["split"] != split or start < 0:
            continue
        cut = slice(start, start + samples)
        context = np.load(path.with_suffix(".context.npy"), mmap_mode="r")[:, cut]
        drums = np.load(path.with_suffix(".drums.npy"), mmap_mode="r")[0, cut]
        drums = np.asarray(drums, np.float32) / 32768
        if np.sqrt(np.mean(drums**2)) > 1e-3:
            yield np.asarray(context, np.float32).sum(axis=0) / 32768, drums


def _interval(values: list[float], digits: int) -> str:
    scored = scored_mean(values)
    low, high = scored.low, scored.high
    return f"{scored.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
