"""What an optimiser keeps of each parameter, as named tensors; and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from restem.diffusion.sharding import split_like

Named = Iterable[tuple[str, Tensor]]


def is_adam(optimizer: Any) -> bool:
    """Whether it is PyTorch's Adam or AdamW, also inside of accelerate's wrapping."""
    return isinstance(_inner(optimizer), torch.optim.Adam | torch.optim.AdamW)


def named_state(optimizer: Any, trained: Named) -> Iterator[tuple[str, Tensor]]:
    """("optimizer.KIND.PARAMETER", tensor) for all that is kept, but the count of steps."""
    for name, parameter in trained:
        for kind, value in optimizer.state.get(parameter, {}).items():
            if kind != "step" and isinstance(value, Tensor):
                yield f"optimizer.{kind}.{name}", value


def count_of(optimizer: Any, trained: Named, otherwise: int) -> int:
    """How many steps it made; `otherwise` before the first."""
    states = [optimizer.state.get(parameter, {}) for _, parameter in trained]
    counts = [int(state["step"]) for state in states if "step" in state]
    return counts[-1] if counts else otherwise


def restore_state(optimizer: Any, trained: Named, tensors: dict[str, Tensor], count: float) -> None:
    """Put back what `named_state` gave, and the count of steps."""
    states: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, kind, name = key.split(".", 2)
            states.setdefault(name, {})[kind] = value
    for name, parameter in trained:
        if name in states:
            optimizer.state[parameter] = {
                "step": _counter(optimizer, count, parameter),
                **{
                    kind: split_like(value.clone().to(parameter.device), parameter)
                    for kind, value in states[name].items()
                },
            }


def _counter(optimizer: Any, count: float, parameter: Tensor) -> Tensor | int:
    """A count of steps as the optimiser keeps it: PyTorch's in a tensor, others as a number."""
    if not is_adam(optimizer):
        return int(count)
    fused = _inner(optimizer).defaults.get("fused")
    return torch.tensor(count, device=parameter.device if fused else "cpu")


def _inner(optimizer: Any) -> Any:
    return getattr(optimizer, "optimizer", optimizer)
