"""Tensors of a network that FSDP splits over processes: whole ones out, and parts of them back in.

All processes must call these in the same order. Other tensors pass as they are.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def is_split(tensor: Any) -> bool:
    """Whether this process holds only a part of the tensor."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Any) -> Tensor:
    """The tensor with the parts of all processes."""
    found: Tensor = tensor.full_tensor() if is_split(tensor) else tensor
    return found


def split_like(value: Tensor, model: Any) -> Tensor:
    """The part of `value` that this process holds of `model`, a tensor of the same shape."""
    if not is_split(model):
        return value
    from torch.distributed.tensor import distribute_tensor

    part: Tensor = distribute_tensor(value.to(model.device), model.device_mesh, model.placements)
    return part


def split_again(network: nn.Module) -> None:
    """Drop what the network keeps whole after use without training, which new weights would not
    reach."""
    for module in network.modules():
        reshard: Any = getattr(module, "reshard", None)
        if reshard is not None:
            reshard()
