"""Nothing comes in; the picture of the model, figure 1, goes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Name, left, bottom, width, height (in units of the figure), words, kind
BOXES = (
    ("song", 0.0, 3.4, 1.7, 0.9, "song\nwithout the stem", "sound"),
    ("beats", 2.3, 4.7, 1.9, 0.9, "beat tracker", "net"),
    ("mel", 2.3, 3.4, 1.9, 0.9, "mel spectrogram", "plain"),
    ("sentence", 0.0, 0.2, 1.7, 0.9, '"Add jazzy drums"', "sound"),
    ("text", 2.3, 0.2, 1.9, 0.9, "sentence encoder", "net"),
    ("noise", 0.0, 2.0, 1.7, 0.9, "noise", "sound"),
    ("noisy", 2.3, 2.0, 1.9, 0.9, "noisy stem\n+ stem so far", "plain"),
    ("net", 5.4, 1.6, 2.0, 2.4, "transformer:\n40 ms tokens,\nconvolution,\nattention, MLP", "net"),
    ("clean", 8.1, 2.35, 1.7, 0.9, "stem's\nspectrogram", "plain"),
    ("wave", 8.1, 3.9, 1.7, 0.9, "stem", "sound"),
    ("mix", 5.2, 4.9, 2.0, 0.9, "mix = song + stem", "sound"),
)  # fmt: skip
COLOURS = {"sound": "#fde68a", "net": "#fdba74", "plain": "#e2e8f0"}
ITALIC: Any = {"ha": "center", "va": "center", "fontsize": 8, "style": "italic"}
PAPER = {"fc": "white", "ec": "none", "pad": 1.0}
# From, to, words on the way
ARROWS = (
    ("song", "mel", ""), ("song", "beats", ""), ("noise", "noisy", ""), ("sentence", "text", ""),
    ("mel", "net", "context"), ("beats", "net", "beat phase"), ("noisy", "net", ""),
    ("text", "net", "how to play"), ("net", "clean", ""), ("clean", "wave", "inversion"),
    ("wave", "mix", ""),
)  # fmt: skip


def save_diagram(path: Path) -> None:
    """Draw the embedded model, from song and sentence to mix, as PNG (extra `evaluation`)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot(xlim=(-0.3, 10.1), ylim=(-0.1, 6.1))
    axis.set_axis_off()
    patches = {}
    for name, left, bottom, width, height, words, kind in BOXES:
        patches[name] = FancyBboxPatch(
            (left, bottom), width, height, "round,pad=0.05", fc=COLOURS[kind], ec="#334155"
        )
        axis.add_patch(patches[name])
        axis.text(left + width / 2, bottom + height / 2, words, ha="center", va="center")
    places = {box[0]: (box[1] + box[3] / 2, box[2] + box[4] / 2) for box in BOXES}
    for start, end, words in ARROWS:
        arrow = FancyArrowPatch(
            places[start], places[end], patchA=patches[start], patchB=patches[end],
            arrowstyle="-|>", mutation_scale=14, color="#334155",
        )  # fmt: skip
        axis.add_patch(arrow)
        (x0, y0), (x1, y1) = places[start], places[end]
        axis.text((x0 + x1) / 2, (y0 + y1) / 2, words, bbox=PAPER, **ITALIC)
    again = FancyArrowPatch(
        places["clean"], places["noisy"], patchA=patches["clean"], patchB=patches["noisy"],
        connectionstyle="arc3,rad=-0.6", arrowstyle="-|>", mutation_scale=14, color="#94a3b8",
    )  # fmt: skip
    axis.add_patch(again)
    axis.text(6.1, 0.75, "each denoising step", bbox=PAPER, **ITALIC)
    partial = path.with_suffix(".part")
    figure.savefig(partial, dpi=110, format="png")
    partial.replace(path)
