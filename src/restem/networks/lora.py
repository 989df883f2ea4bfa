"""A UNet in, the same with matrices of low rank to train out."""

from __future__ import annotations

from typing import Any

from restem.errors import UserError


def add_lora(unet: Any, rank: int) -> None:
    """Trainable matrices of low rank in the attention (Hu et al. 2021, arXiv 2106.09685).

    The first convolution learns as a whole, since its new channels begin at zero.
    """
    try:
        from peft import LoraConfig
    except ImportError:
        raise UserError("LoRA needs peft; install it with pip install peft.") from None
    layers = ["to_q", "to_k", "to_v", "to_out.0"]
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers))
    unet.conv_in.requires_grad_(True)
