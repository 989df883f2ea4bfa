"""The options of `restem insert` and a Riffusion model of the user's, in; its stem, out."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restem.arguments import within
from restem.errors import UserError

if TYPE_CHECKING:  # nothing heavy is imported before the arguments are known to be good
    from restem.audio.beats import BeatGrid
    from restem.audio.files import AudioFile
    from restem.insertion import Insertion
    from restem.networks.riffusion import Riffusion

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_OWN = ("text_guidance", "context_guidance", "sampler", "device", "revision")
# What other models follow and this one does not, and what stands there if it was not asked for.
_OF_OTHERS = {
    "region": None, "density": None, "dynamics": None, "tight": 0.0, "like": None, "takes": 1,
}  # fmt: skip


def add_riffusion_options(parser: argparse.ArgumentParser) -> None:
    """What only a Riffusion model takes; the defaults are those of `SamplingSettings`."""
    add = parser.add_argument_group("with a Riffusion model (restem[riffusion])").add_argument
    add("--text-guidance", metavar="X", type=within(float, 0, 100),
        help="closeness to the sentence (default: 7.5; 20 steps)")  # fmt: skip
    add("--context-guidance", metavar="X", type=within(float, 0, 100),
        help="closeness to the song (default: 1.5)")  # fmt: skip
    add("--sampler", choices=("ddim", "euler", "euler-ancestral"), help="default: ddim")
    add("--device", metavar="NAME", help="where to compute, such as cuda (default: cpu)")
    add("--revision", metavar="NAME", help="which version of a model on the hub")


def is_riffusion(model: str) -> bool:
    """Whether --model names a folder in diffusers' layout, or else a model on the hub."""
    folder = Path(model)
    if folder.is_dir():
        return (folder / "model_index.json").is_file() or (folder / "unet").is_dir()
    return not folder.exists() and _HUB_NAME.fullmatch(model) is not None


def open_riffusion(args: argparse.Namespace) -> Riffusion | None:
    """The Riffusion that --model names, loaded, where it shall compute; None for other models.

    UserError for options that the model does not follow, and for a --model that is none or that is
    not trained for insertion.
    """
    if not is_riffusion(args.model):
        for name in _OWN:
            if getattr(args, name) is not None:
                raise UserError(
                    f"{_option(name)} is for Riffusion models; name one with --model, or leave "
                    f"{_option(name)} out."
                )
        _check_other(args.model)
        return None
    _check_options(args)
    model = _loaded(args)
    from restem.riffusion.insertion import check_trained

    check_trained(model, args.model)
    _check_stem(model.settings.stem, args)
    for part in (model.unet, model.vae, model.text_encoder):
        _to(part, args.device or "cpu")
    return model


def insertion_by(
    model: Riffusion,
    args: argparse.Namespace,
    audio: AudioFile,
    beats: BeatGrid | None,
    progress: Callable[[float, str], None],
) -> Insertion:
    """What the model makes for a song; the beats are those of picture and record alone."""
    from restem import __version__
    from restem.beat_options import heard_beats
    from restem.insertion import Insertion
    from restem.networks.riffusion_sampling import SamplingSettings
    from restem.riffusion.insertion import insert_clip

    how = ("steps", "text_guidance", "context_guidance", "sampler")
    given = {name: getattr(args, name) for name in how if getattr(args, name) is not None}
    made = insert_clip(
        model,
        audio.samples,
        audio.sample_rate,
        args.instruction,
        sampling=SamplingSettings(**given),
        seed=args.seed,
        progress=lambda done, words: progress(0.9 * done, words),
    )
    beats = heard_beats(audio, args.bpm) if beats is None else beats
    name = Path(args.model).resolve().name if Path(args.model).is_dir() else args.model
    origin = {"model": name, "revision": args.revision, "version": __version__}
    return Insertion(made.stem, made.sample_rate, beats, made.settings | origin | beats.summary())


def _check_options(args: argparse.Namespace) -> None:
    for name, default in _OF_OTHERS.items():
        if getattr(args, name) != default:
            raise UserError(f"A Riffusion model does not know {_option(name)}; leave it out.")
    if args.guidance is not None:
        raise UserError(
            "A Riffusion model has two scales; give --text-guidance and --context-guidance in "
            "place of --guidance."
        )
    if args.revision is not None and Path(args.model).is_dir():
        raise UserError(
            f"{args.model} is a folder here, which has no versions; leave out --revision."
        )


def _check_other(model: str) -> None:
    """UserError if --model names nothing that could be any model."""
    if model != "embedded" and not any(Path(model).glob("*.onnx")):
        raise UserError(
            f"{model} is no model; give a folder of `restem train export` or `restem midi export`, "
            "a Riffusion folder in diffusers' layout (with model_index.json), or the name of a "
            "Riffusion model on the Hugging Face hub, such as owner/name."
        )


def _loaded(args: argparse.Namespace) -> Riffusion:
    from restem.progress import Progress

    progress = Progress(sys.stderr)
    try:
        progress(0.0, "loading the model")
        with warnings.catch_warnings(action="ignore"):  # of the libraries, for their callers
            return _load(args.model, args.revision)
    except UserError as error:
        if Path(args.model).is_dir():
            raise
        raise UserError(
            f"{args.model} is no folder here, so it is taken for a Riffusion model on the Hugging "
            f"Face hub: {error}"
        ) from None
    finally:
        progress.close()


def _load(model: str, revision: str | None) -> Riffusion:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise UserError(
            "Riffusion needs torch and diffusers; install them with "
            "pip install 'restem[riffusion]'."
        ) from None
    from restem.networks.riffusion_checkpoint import load_riffusion

    return load_riffusion(model, revision)


def _check_stem(stem: str, args: argparse.Namespace) -> None:
    """UserError if the model's stem, part of the files' names, is no name or not what is asked."""
    from restem.insertion import STEMS

    if not re.fullmatch(r"\w[\w +&-]*", str(stem)):
        raise UserError(f"{args.model}/restem.json names the stem {stem!r}; write a word there.")
    if args.stem not in (None, stem):
        raise UserError(f"{args.model} makes {stem}, not {args.stem}; leave out --stem.")
    if args.pack and stem not in STEMS:
        raise UserError(f"--pack is for {', '.join(STEMS)}; leave it out for {stem}.")


def _to(part: Any, device: str) -> None:
    try:
        part.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"The device {device} cannot be used: {reason}.") from None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
