"""A network, a loss and a folder in, trained weights out: one loop with EMA, resume and safe stops.

The loss is a function of the network and the step number alone, with all its randomness drawn from
the step, so the step is the whole data cursor and a resumed run repeats an uninterrupted one.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from restem.errors import UserError

Loss = Callable[[nn.Module, int], Tensor]


@dataclass(frozen=True)
class TrainingConfig:
    """Optimiser and schedule: AdamW, linear warm-up, cosine decay to a tenth."""

    steps: int
    learning_rate: float = 6e-4
    warmup: int = 500
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.02
    clip: float = 1.0
    ema: float = 0.999
    checkpoint_seconds: float = 180.0

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        done = min(1.0, step / self.steps)
        return self.learning_rate * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


class Trainer:
    """Trains `network` and keeps `checkpoint.safetensors` in `folder` up to date."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        config: TrainingConfig,
        folder: Path,
        meta: dict[str, Any],
    ) -> None:
        self.network, self.loss, self.config, self.meta = network, loss, config, meta
        self.path = folder / "checkpoint.safetensors"
        self.step = 0
        self.ema = {k: v.detach().clone().float() for k, v in network.named_parameters()}
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        self._stop = False
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> Iterator[tuple[int, float]]:
        """Train to the last step, yielding (step, loss); saves on time, on a signal, at the end.

        Raises UserError at a loss that is not finite; the last good checkpoint stays.
        """
        previous = self._listen()
        saved = time.monotonic()
        try:
            while self.step < self.config.steps and not self._stop:
                loss = self._train_one()
                yield self.step, loss
                if time.monotonic() - saved > self.config.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
            self.save()
        except GeneratorExit:
            self.save()
            raise
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _train_one(self) -> float:
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(self.step)
        loss = self.loss(self.network, self.step)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(
                f"The loss is not finite at step {self.step}; lower the learning rate "
                f"and resume from {self.path}."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimizer.step()
        self.step += 1
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value_now in self.network.named_parameters():
                self.ema[name].lerp_(value_now.float(), 1 - decay)
        return value

    def save(self) -> None:
        """Write weights, EMA, optimiser and step under a temporary name, then rename."""
        tensors = {f"weights.{k}": v.detach() for k, v in self.network.named_parameters()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for name, parameter in self.network.named_parameters():
            state = self.optimizer.state.get(parameter, {})
            for key in ("exp_avg", "exp_avg_sq"):
                if key in state:
                    tensors[f"optimizer.{key}.{name}"] = state[key]
        meta = {
            "step": str(self.step),
            "config": json.dumps(asdict(self.config)),
            "meta": json.dumps(self.meta),
        }
        partial = self.path.with_suffix(".part")
        try:
            save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata=meta)
            os.replace(partial, self.path)
        except Exception as error:
            partial.unlink(missing_ok=True)
            raise UserError(
                f"Could not save {self.path}: {error}. The last checkpoint stays."
            ) from error

    def resume(self) -> None:
        """Take up weights, EMA, optimiser and step from the folder's checkpoint."""
        tensors, meta = read_checkpoint(self.path)
        self.step = int(meta["step"])
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(_fitting(tensors, f"weights.{name}", parameter))
                self.ema[name].copy_(tensors[f"ema.{name}"])
                if f"optimizer.exp_avg.{name}" in tensors:
                    self.optimizer.state[parameter] = {
                        "step": torch.tensor(float(self.step)),
                        "exp_avg": tensors[f"optimizer.exp_avg.{name}"].clone(),
                        "exp_avg_sq": tensors[f"optimizer.exp_avg_sq.{name}"].clone(),
                    }

    def _listen(self) -> dict[int, Any]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stop = True

        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a checkpoint; UserError if it is missing or cut short."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in list(file.keys())}, file.metadata() or {}
    except FileNotFoundError:
        raise UserError(
            f"There is no checkpoint at {path}; train without --resume first."
        ) from None
    except Exception as error:
        raise UserError(f"{path} is not a whole safetensors checkpoint: {error}.") from None


def ema_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights of a checkpoint by parameter name, and what was stored about them."""
    tensors, meta = read_checkpoint(path)
    return {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}, json.loads(meta["meta"])


def _fitting(tensors: dict[str, Tensor], name: str, parameter: Tensor) -> Tensor:
    found = tensors.get(name)
    if found is None or found.shape != parameter.shape:
        have = "nothing" if found is None else tuple(found.shape)
        raise UserError(
            f"The checkpoint does not fit: {name} is {have}, not {tuple(parameter.shape)}."
        )
    return found
