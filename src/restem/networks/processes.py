"""One process of several, or one alone: what Hugging Face's accelerate is asked for, and when."""

from __future__ import annotations

import os
from typing import Any

import torch

from restem.errors import UserError

# How many processes there are, as torchrun and accelerate say it, and as the kinds of MPI do.
COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def accelerator_of_several() -> Any:
    """The accelerator of a process that was started as one of several; None for one alone.

    Raises UserError where accelerate is not installed.
    """
    if all(os.environ.get(name, "1") in ("", "0", "1") for name in COUNTS):
        return None
    try:
        from accelerate import Accelerator
    except ImportError:
        raise UserError(
            "Several processes need accelerate to share a step; pip install accelerate."
        ) from None
    return Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())


def is_first() -> bool:
    """Whether this process is the one of several that speaks for all."""
    return os.environ.get("RANK", "0") == "0"  # set for each at the latest by its accelerator
