"""A checkpoint of Stable Diffusion's layout with small random weights, and a few pairs of clips."""

import json
import string

import numpy as np
import soundfile
import torch

from restem.audio.riffusion_image import PictureConfig

# 32 bands and 32 frames of 20 ms; a VAE that halves twice makes 8 by 8 latents of them.
PICTURE = PictureConfig(hop=882, window=2646, n_fft=4096, mels=32, frames=32)


def make_checkpoint(folder, seed=0, width=16):
    """Write the folder that `StableDiffusionPipeline.from_pretrained` reads; returns it."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(width, 2 * width), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32, attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip
    unet.save_pretrained(folder / "unet", safe_serialization=True)
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16), latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        scaling_factor=0.18215,
    )  # fmt: skip
    vae.save_pretrained(folder / "vae", safe_serialization=True)
    config = CLIPTextConfig(
        hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2,
        vocab_size=1000, max_position_embeddings=77, bos_token_id=998, eos_token_id=999,
        pad_token_id=999,
    )  # fmt: skip
    CLIPTextModel(config).save_pretrained(folder / "text_encoder", safe_serialization=True)
    _tokenizer().save_pretrained(folder / "tokenizer")
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
        set_alpha_to_one=False, clip_sample=False,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    index = {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.6.0",
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None], "feature_extractor": [None, None],
    }  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index))
    settings = {"picture": PICTURE.to_dict()}
    (folder / "restem.json").write_text(json.dumps(settings))
    return folder


def _tokenizer():
    """CLIP's byte-pair encoding without merges: every letter is a token."""
    from transformers import CLIPTokenizer

    letters = string.printable.strip()
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words = [*dict.fromkeys(words), "<|startoftext|>", "<|endoftext|>"]
    ids = {word: number for number, word in enumerate(words)}
    ids |= {"<|startoftext|>": 998, "<|endoftext|>": 999}
    return CLIPTokenizer(vocab=ids, merges=[], model_max_length=77)


def make_pairs(folder, count=6, seconds=0.7, seed=0):
    """Write a folder of pairs: tones as the context, clicks as the drums."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 44100)) / 44100
    lines = []
    for n in range(count):
        context = 0.2 * np.sin(2 * np.pi * rng.uniform(80, 2000) * time)
        drums = 0.3 * rng.standard_normal(len(time)) * np.exp(-20 * (time % 0.25))
        for name, wave in (("mix", context + drums), ("context", context)):
            soundfile.write(folder / f"p{n}.{name}.flac", wave.clip(-1, 1), 44100, "PCM_16")
        lines.append(json.dumps({
            "name": f"p{n}", "mix": f"p{n}.mix.flac", "context": f"p{n}.context.flac",
            "instruction": f"Add drums of kind {n}", "caption": "a tune", "stem": "drums",
            "split": "train" if n < count - 1 else "test",
        }))  # fmt: skip
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    return folder
