"""Scores of a table's rows come in; a picture with one panel a score goes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PANELS = {"fd": "FD (lower is better)", "fad": "FAD (lower is better)", "kld": "KLD (lower)"}


def save_chart(rows: dict[str, Any], path: Path) -> None:
    """Bars of FD, FAD and KLD by row with their 95 % intervals, as PNG (extra `evaluation`)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {k: words for k, words in PANELS.items() if any(k in r for r in rows.values())}
    figure = Figure(figsize=(4 * len(panels) + 2, 0.34 * len(rows) + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    names = list(rows)[::-1]
    for axis, (key, words) in zip(axes, panels.items(), strict=True):
        for place, name in enumerate(names):
            score = rows[name].get(key)
            if score is None:
                continue
            own = name.startswith("Subtractive")
            axis.barh(place, score["value"], color="#c2410c" if own else "#94a3b8")
            axis.plot([score["low"], score["high"]], [place, place], color="#1e293b", lw=1)
        axis.set_title(words, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(names)), names, fontsize=9)
    partial = path.with_suffix(".part")
    figure.savefig(partial, dpi=110, format="png")
    partial.replace(path)
