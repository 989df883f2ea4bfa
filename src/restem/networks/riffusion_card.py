"""What a training was given comes in, the model card of its result goes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restem.networks.train_riffusion import RiffusionTraining


def licences(model: str) -> dict[str, bytes]:
    """The licence files of a checkpoint's folder by name; a hub's name has none here."""
    folder = Path(model)
    if not folder.is_dir():
        return {}
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name.lower().startswith(("license", "licence"))
    }


def card(
    settings: RiffusionTraining, source: str, pairs: int, processes: int, licences: list[str]
) -> str:
    """The text of the model card; `source` is the name of the pairs' folder, if they lay in one."""
    base = _base(settings)
    drawn = "the mix" if settings.target == "mix" else f"the {settings.stem} alone"
    place = f" of the folder `{source}`" if source else ""
    leaks = ", some of it let into clean contexts" if settings.leak_matched else ""
    batch = settings.batch * settings.accumulation * processes
    pipeline = "loads" if settings.reading in ("R1", "R4") else "does not load (UNet of 4 channels)"
    return f"""# {settings.stem.capitalize()} for a song, by a fine-tuned {base}

Draws {drawn}, as a spectrogram, from a song without {settings.stem} and a sentence:

    restem insert SONG "Add {settings.stem}" --model THIS_FOLDER

diffusers' `StableDiffusionInstructPix2PixPipeline` {pipeline} this folder.

- Fine-tuned from: `{base}`
- On: {pairs:,} pairs{place}, stem {settings.stem}{leaks}
- Steps: {settings.steps:,} of {batch} pairs
- Settings: target {settings.target}, reading {settings.reading}, {_settings(settings)}

## Licence

{_licence(settings, licences)}
"""


def _base(settings: RiffusionTraining) -> str:
    """A hub's name with its version, or the last name of a folder: where it lay is private."""
    if Path(settings.model).is_dir():
        return Path(settings.model).resolve().name
    return f"{settings.model}@{settings.revision}" if settings.revision else settings.model


def _settings(settings: RiffusionTraining) -> str:
    average = "average of the weights" if settings.ema else "no average of the weights"
    trained = f"LoRA of rank {settings.lora}" if settings.lora else "the whole UNet"
    adam = "8-bit AdamW" if settings.eight_bit else "AdamW"
    return (
        f"{trained}, {adam}, highest rate {settings.learning_rate:g}, warm-up {settings.warmup}, "
        f"{average}, precision {settings.precision}, seed {settings.seed}"
    )


def _licence(settings: RiffusionTraining, licences: list[str]) -> str:
    words = (
        "These weights are derived from those of the base, and its licence goes on to hold for "
        "them. Weights derived from Riffusion are under CreativeML OpenRAIL-M: whoever uses this "
        "folder or passes it on must keep that licence, its limits of use among it."
    )
    if licences:
        names = ", ".join(f"[{name}]({name})" for name in licences)
        return f"{words}\nThe base's own licence lies beside this page: {names}."
    if not Path(settings.model).is_dir():
        return f"{words}\nThe base's own page: https://huggingface.co/{settings.model}"
    return f"{words}\nThe base's folder had no licence file; add the one that it came with."
