"""A folder or a hub's name comes in, a Riffusion model goes out; and a model becomes a folder.

The layout is that of Stable Diffusion 1.x in diffusers; a folder written here whose UNet has 8
channels is read by `StableDiffusionInstructPix2PixPipeline.from_pretrained` as it stands. Weights
are safetensors only.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from restem.audio.files import cannot_write
from restem.diffusion.schedule import NoiseSchedule
from restem.errors import UserError
from restem.networks.riffusion import LATENT_CHANNELS, Riffusion, RiffusionSettings

SETTINGS = "restem.json"
_PARTS = ("unet", "vae", "text_encoder")
_WORDS = ("tokenizer", "scheduler")  # parts without weights


def load_riffusion(model: str | Path, revision: str | None = None) -> Riffusion:
    """Load a checkpoint from a folder, or from the Hugging Face hub by its name.

    Raises UserError if a part is missing, is damaged, does not fit its configuration or holds
    pickled weights, which can run anything when they are loaded.
    """
    _need_diffusers()
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    _refuse_pickles(Path(model))
    origin: dict[str, Any] = {"pretrained_model_name_or_path": str(model), "revision": revision}
    with _quiet():
        unet = _part(UNet2DConditionModel, "unet", origin)
        vae = _part(AutoencoderKL, "vae", origin)
        text_encoder = _part(CLIPTextModel, "text_encoder", origin)
        try:
            tokenizer = CLIPTokenizer.from_pretrained(**origin, subfolder="tokenizer")
            scheduler = _scheduler(origin)
        except Exception as error:
            raise _unreadable("tokenizer or scheduler", model, error) from None
    for part in (vae, text_encoder):
        part.requires_grad_(False).eval()
    _check_shapes(model, unet, vae)
    _check_text(model, unet, text_encoder, tokenizer)
    return Riffusion(
        unet,
        vae,
        text_encoder,
        tokenizer,
        scheduler,
        schedule_from_config(scheduler.config),
        _settings(_settings_file(model, revision)),
    )


def _check_shapes(model: str | Path, unet: Any, vae: Any) -> None:
    for what, found, known in (
        ("VAE", vae.config.latent_channels, LATENT_CHANNELS),
        ("VAE", vae.config.in_channels, 3),
        ("UNet", unet.config.out_channels, LATENT_CHANNELS),
    ):
        if found != known:
            where = "pictures" if known == 3 else "latents"
            raise UserError(
                f"The {what} of {model} has {where} of {found} channels, not of {known}; give a "
                "checkpoint of Stable Diffusion 1.x."
            )


def _check_text(model: str | Path, unet: Any, text_encoder: Any, tokenizer: Any) -> None:
    text = text_encoder.config
    if unet.config.cross_attention_dim != text.hidden_size:
        raise UserError(
            f"The parts of {model} do not fit each other: the UNet wants text of width "
            f"{unet.config.cross_attention_dim}, the text encoder gives {text.hidden_size}."
        )
    # What the library makes of missing files is a tokenizer without words and without an end.
    words = max(tokenizer.get_vocab().values(), default=0) + 1
    if tokenizer.model_max_length > text.max_position_embeddings or words > text.vocab_size:
        raise UserError(
            f"The tokenizer of {model} is not complete or does not fit its text encoder, which "
            f"takes {text.max_position_embeddings} tokens out of {text.vocab_size}; "
            "give a whole Stable Diffusion checkpoint."
        )


def save_riffusion(
    model: Riffusion, folder: Path, extra: Mapping[str, bytes] = MappingProxyType({})
) -> None:
    """Write a folder of diffusers' layout, with `extra` files by name, all of it or nothing.

    The InstructPix2Pix pipeline loads it if the UNet has 8 channels (the readings R1 and R4).
    A folder of that name is replaced once the new one is whole. UserError if it cannot be written.
    """
    with _quiet():
        from diffusers import StableDiffusionInstructPix2PixPipeline

        pipeline: Any = StableDiffusionInstructPix2PixPipeline(
            vae=model.vae,
            text_encoder=model.text_encoder,
            tokenizer=model.tokenizer,
            unet=model.unet,
            scheduler=model.scheduler,
            safety_checker=None,  # it judges photographs
            feature_extractor=None,
            requires_safety_checker=False,
        )
    stage: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".restem-", dir=folder.parent))
        with _quiet():
            pipeline.save_pretrained(stage / "new", safe_serialization=True)
        text = json.dumps(model.settings.to_dict(), indent=2)
        (stage / "new" / SETTINGS).write_text(text + "\n", encoding="utf-8")
        for name, data in extra.items():
            (stage / "new" / name).write_bytes(data)
        _put_in_place(stage / "new", folder, aside=stage / "old")
    except Exception as error:
        # safetensors raises its own kind of error where the disk is full.
        known = error if isinstance(error, OSError) else OSError(str(error).splitlines()[0])
        raise cannot_write(folder, known) from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def _put_in_place(new: Path, folder: Path, aside: Path) -> None:
    """Rename `new` to `folder`; what was there goes `aside`, and back if that fails."""
    if not folder.exists():
        os.replace(new, folder)
        return
    os.replace(folder, aside)
    try:
        os.replace(new, folder)
    except BaseException:  # also Ctrl-C
        os.replace(aside, folder)
        raise


def schedule_from_config(config: Any) -> NoiseSchedule:
    """The noise schedule of a diffusers scheduler's configuration; UserError for another kind."""
    if config.get("beta_schedule") != "scaled_linear" or config.get("trained_betas") is not None:
        raise UserError(
            f"The checkpoint's noise schedule is {config.get('beta_schedule')!r}; "
            "only Stable Diffusion's 'scaled_linear' is known here."
        )
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise UserError(f"The checkpoint predicts {prediction!r}; only noise and v are known here.")
    return NoiseSchedule(
        timesteps=int(config["num_train_timesteps"]),
        beta_start=float(config["beta_start"]),
        beta_end=float(config["beta_end"]),
        prediction=prediction,
        spacing=config.get("timestep_spacing", "leading"),
        offset=int(config.get("steps_offset", 0)),
        last_is_clean=bool(config.get("set_alpha_to_one", False)),
    )


def _need_diffusers() -> None:
    try:
        import diffusers  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise UserError(
            "Riffusion needs diffusers; install it with pip install 'restem[riffusion]'."
        ) from None


def _refuse_pickles(folder: Path) -> None:
    """A sentence of our own for what diffusers would refuse in five lines, or load after all."""
    if not folder.is_dir():
        if folder.exists() or folder.is_absolute() or str(folder).count("/") != 1:
            raise UserError(f"{folder} is neither a folder nor a name on the hub, such as a/b.")
        return
    for part in (*_PARTS, *_WORDS):
        if not (folder / part).is_dir():
            raise UserError(f"{folder} has no folder {part}; give a Stable Diffusion checkpoint.")
    for part in _PARTS:
        if not any((folder / part).glob("*.safetensors")):
            pickles = [
                p.name for end in ("bin", "ckpt", "pt") for p in (folder / part).glob(f"*.{end}")
            ]
            if pickles:
                raise UserError(
                    f"{part}/{pickles[0]} in {folder} is a pickle, which may run any program "
                    "when it is loaded; convert it to safetensors first."
                )
            raise UserError(f"{folder / part} holds no weights (*.safetensors).")


def _part(kind: Any, name: str, origin: dict[str, Any]) -> Any:
    try:
        part, info = kind.from_pretrained(
            **origin, subfolder=name, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:
        raise _unreadable(name, origin["pretrained_model_name_or_path"], error) from None
    missing = sorted(str(key) for key in info["missing_keys"])
    if missing:  # the libraries fill these with random numbers and go on
        raise UserError(
            f"The {name} of {origin['pretrained_model_name_or_path']} does not fit its "
            f"configuration: {len(missing)} tensors are missing, such as {missing[0]}."
        )
    return part.float()


def _scheduler(origin: dict[str, Any]) -> Any:
    """The scheduler of the checkpoint as DDIM, whose steps are those of `schedule.Ddim`."""
    from diffusers import DDIMScheduler

    config = DDIMScheduler.load_config(**origin, subfolder="scheduler")
    config.setdefault("set_alpha_to_one", False)
    return DDIMScheduler.from_config({**config, "clip_sample": False})


def _unreadable(part: str, model: str | Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200].rstrip(". ")
    return UserError(f"The {part} of {model} cannot be loaded: {reason}.")


def _settings_file(model: str | Path, revision: str | None) -> Path | None:
    """Where our settings of a checkpoint lie, in its folder or fetched from the hub; None for one
    of others, which has none. UserError if the hub cannot tell."""
    if Path(model).is_dir():
        path = Path(model) / SETTINGS
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(str(model), SETTINGS, revision=revision))
    except EntryNotFoundError:  # there, or without a network in what was fetched before
        return None
    except Exception as error:
        raise _unreadable(SETTINGS, model, error) from None


def _settings(path: Path | None) -> RiffusionSettings:
    if path is None:
        return RiffusionSettings()
    try:
        return RiffusionSettings.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}.") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' bars and warnings off: the library never prints."""
    import diffusers.utils.logging as diffusers_log
    import transformers.utils.logging as transformers_log

    levels = [(log, log.get_verbosity()) for log in (diffusers_log, transformers_log)]
    for log, _ in levels:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, level in levels:
            log.set_verbosity(level)
            log.enable_progress_bar()
