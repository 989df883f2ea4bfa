"""A dataset folder in; counts, a contact sheet of spectrograms and a page to listen to, out."""

from __future__ import annotations

import html
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from restem.audio.files import atomic_path, write_wav
from restem.audio.spectrogram import SpectrogramConfig, log_mel
from restem.dataset.leakage import decoded
from restem.dataset.stages.write import read_rows

KINDS = ("mix", "context", "stem")
WIDE, HIGH, GAP, CAPTION = 256, 96, 6, 14
COLUMNS = ("id", "split", "stem", "source", "song", "made_by", "instruction_by", "action", "leak",
           "instruction", "caption", "short_caption")  # fmt: skip


def inspect_dataset(folder: Path, out: Path, clips: int) -> list[str]:
    """Write sheet.png, index.html and the clips' sound into `out`; lines of counts to print.

    The clips are spread evenly over the dataset. UserError if the folder holds no dataset.
    """
    rows = list(read_rows(folder, list(COLUMNS)))
    out.mkdir(parents=True, exist_ok=True)
    step = max(1, len(rows) // clips)
    wanted = {row["id"] for row in rows[::step][:clips]}
    shown = [_shown(row, out) for row in read_rows(folder) if row["id"] in wanted]
    sheet = _sheet(shown)
    with atomic_path(out / "sheet.png") as part:
        sheet.save(part, format="PNG")
    with atomic_path(out / "index.html") as part:
        part.write_text(_page(folder.name, shown), encoding="utf-8")
    return [*_counts(rows), str(out / "sheet.png"), str(out / "index.html")]


def _counts(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"{len(rows)} clips of {len({(r['source'], r['song']) for r in rows})} songs"]
    for column in ("split", "source", "stem", "made_by", "instruction_by", "action"):
        counts = Counter(row[column] for row in rows)
        lines.append(f"{column}: " + ", ".join(f"{n} {k}" for k, n in sorted(counts.items())))
    leaks = [row["leak"] for row in rows if row["leak"] is not None]
    if leaks:
        quarter = np.percentile(leaks, [25, 50, 75, 100])
        lines.append("leak: quartiles and most " + ", ".join(f"{value:.4f}" for value in quarter))
    return lines


def _shown(row: dict[str, Any], out: Path) -> dict[str, Any]:
    """The row with three pictures, its sound written into `out`."""
    mix, context = (decoded(row[name]["bytes"]) for name in ("mix", "context"))
    waves = {"mix": mix, "context": context, "stem": mix - context}
    name = row["id"].replace("/", "_").replace(os.sep, "_")
    for kind, wave in waves.items():
        steps = np.round(wave * 32768).clip(-32768, 32767).astype(np.int16)
        write_wav(out / f"{name}.{kind}.wav", steps[:, None], 44100, "PCM_16")
    config = SpectrogramConfig(mels=HIGH, hop=882, fine_per_frame=0)
    top = float(log_mel(mix.astype(np.float32), config).max())
    pictures = [_picture(log_mel(waves[kind].astype(np.float32), config), top) for kind in KINDS]
    return {**{c: row[c] for c in COLUMNS}, "name": name, "pictures": pictures}


def _picture(mel_db: np.ndarray, top: float) -> Image.Image:
    """70 dB under the mix's loudest point, low frequencies at the bottom, dark is loud."""
    grey = np.clip((top - mel_db) / 70, 0, 1) * 255
    return Image.fromarray(grey.T[::-1].astype(np.uint8)).resize((WIDE, HIGH))


def _sheet(shown: list[dict[str, Any]]) -> Image.Image:
    cell = HIGH + CAPTION + GAP
    sheet = Image.new("L", (3 * (WIDE + GAP) + GAP, cell * len(shown) + GAP), 255)
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(shown):
        top = GAP + number * cell
        text = f"{row['id']}: {row['instruction']}"[:120].encode("ascii", "replace").decode()
        pen.text((GAP, top), text, fill=0)
        for place, picture in enumerate(row["pictures"]):
            sheet.paste(picture, (GAP + place * (WIDE + GAP), top + CAPTION))
    return sheet


def _page(title: str, shown: list[dict[str, Any]]) -> str:
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        f"<title>{html.escape(title)}</title><style>body{{font:16px system-ui;max-width:60rem;"
        "margin:2rem auto;padding:0 1rem}}article{{border-top:1px solid #aaa;padding:1rem 0}}"
        "audio{{vertical-align:middle}}</style>".replace("{{", "{").replace("}}", "}"),
        f"<h1>{html.escape(title)}</h1><img src='sheet.png' alt='Spectrograms of mix, context and "
        "stem of every clip below' style='max-width:100%'>",
    ]
    for row in shown:
        leak = "" if row["leak"] is None else f", leak {row['leak']:.4f}"
        parts.append(
            f"<article><h2>{html.escape(row['instruction'])}</h2>"
            f"<p>{html.escape(row['caption'])}</p><p><small>{html.escape(row['id'])}, "
            f"{html.escape(row['split'])}, stems by {html.escape(row['made_by'])}{leak}</small></p>"
        )
        for kind in KINDS:
            file = html.escape(f"{row['name']}.{kind}.wav", quote=True)
            parts.append(
                f"<label>{kind} <audio controls preload='none' src='{file}'></audio></label>"
            )
        parts.append("</article>")
    return "\n".join(parts) + "\n"
