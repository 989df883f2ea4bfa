"""A network, a loss and a folder in, trained weights out: one loop with EMA, resume and safe stops.

The loss is a function of the network and the step number alone, with all its randomness drawn from
the step, so the step is the whole data cursor and a resumed run repeats an uninterrupted one. With
gradient accumulation it is called with the numbers of the parts of steps, 0, 1, 2 and so on.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from restem.diffusion.checkpoints import apart, fitting, in_one, read_checkpoint
from restem.errors import UserError

Loss = Callable[[nn.Module, int], Tensor]
Schedule = Literal["tenth", "cosine", "constant"]
# What a resumed run must share; more steps and a lower rate may be asked for.
FIXED = ("accumulation", "schedule", "ema", "weight_decay", "clip")


@dataclass(frozen=True)
class TrainingConfig:
    """Optimiser and schedule: AdamW, a linear warm-up, then what `schedule` says.

    "tenth": cosine decay to a tenth. "cosine": the common one, from 0 in the first step back to 0
    after the last. "constant": no decay. `ema` None keeps no average of the weights.
    """

    steps: int
    learning_rate: float = 6e-4
    warmup: int = 500
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.02
    clip: float = 1.0
    ema: float | None = 0.999
    checkpoint_seconds: float = 180.0
    schedule: Schedule = "tenth"
    accumulation: int = 1

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        if self.schedule == "cosine":
            if step < self.warmup:
                return self.learning_rate * step / max(1, self.warmup)
            done = (step - self.warmup) / max(1, self.steps - self.warmup)
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        if self.schedule == "constant":
            return self.learning_rate * warm
        done = min(1.0, step / self.steps)
        return self.learning_rate * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


class Trainer:
    """Trains `network` and keeps `checkpoint.safetensors` in `folder` up to date.

    Only parameters that require gradients are trained and kept. `accelerator` (Hugging Face's)
    spreads the work over processes and chooses the precision; all processes must draw different
    parts of a step in `loss`. `optimizer` takes the place of AdamW. `batch_of` says what a part of
    a step was made of, for the message about a loss that is not finite.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        config: TrainingConfig,
        folder: Path,
        meta: dict[str, Any],
        *,
        accelerator: Any = None,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        batch_of: Callable[[int], str] | None = None,
    ) -> None:
        self.network, self.loss, self.config, self.meta = network, loss, config, meta
        self.path = folder / "checkpoint.safetensors"
        self.step = 0
        self.batch_of = batch_of
        self.optimizer: Any = optimizer(
            [p for p in network.parameters() if p.requires_grad],
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        self._accelerator, self._model = accelerator, network
        if accelerator is not None:  # also moves the network to the accelerator's device
            self._model, self.optimizer = accelerator.prepare(network, self.optimizer)
        self._trained = [(k, v) for k, v in network.named_parameters() if v.requires_grad]
        averaged = [] if config.ema is None else self._trained
        self.ema = {k: v.detach().clone().float() for k, v in averaged}
        self._asked = self._stop = self._resumed = False
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> Iterator[tuple[int, float]]:
        """Train to the last step, yielding (step, loss); saves on time, on a signal, at the end.

        Raises UserError at a loss that is not finite, and the last good checkpoint stays; and if
        there is a checkpoint that was not resumed, which would be lost. Raises KeyboardInterrupt
        after a signal, so that nothing is made of a network that is not done.
        """
        if self.path.exists() and not self._resumed:
            raise UserError(
                f"{self.path} is there already; go on from it with --resume, or give another "
                "folder with -o."
            )
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
        if self.step < self.config.steps:
            raise KeyboardInterrupt(f"step {self.step} is saved; go on with --resume.")

    def _train_one(self) -> float:
        if not self.network.training:
            self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.config.accumulation
        value = 0.0
        for part in range(self.step * parts, (self.step + 1) * parts):
            last = part == (self.step + 1) * parts - 1
            alone = last or self._accelerator is None
            with nullcontext() if alone else self._accelerator.no_sync(self._model):
                value += self._backward(part) / parts
        if self._accelerator is None:
            norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        else:
            norm = self._accelerator.clip_grad_norm_(self._model.parameters(), self.config.clip)
        # A scaler of half precision skips such steps by itself.
        if getattr(self._accelerator, "scaler", None) is None and not math.isfinite(float(norm)):
            raise self._not_finite("gradient", self.step * parts)
        self.optimizer.step()
        self.step += 1
        self._average()
        return value

    def _backward(self, part: int) -> float:
        """Loss of one part of a step, over all processes; its gradient is added up."""
        loss = self.loss(self._model, part)
        value, bad = float(loss.detach()), False
        self._stop = self._asked
        if self._accelerator is not None and self._accelerator.num_processes > 1:
            # All processes stop in the same step, or those left over would wait for ever.
            told = torch.tensor([value, float(self._asked)], device=loss.device)
            told = self._accelerator.gather(told[None])
            bad, self._stop = not bool(told.isfinite().all()), bool(told[:, 1].any())
        if bad or not math.isfinite(value):
            raise self._not_finite("loss", None if math.isfinite(value) else part)
        scaled = loss / self.config.accumulation if self.config.accumulation > 1 else loss
        if self._accelerator is None:
            scaled.backward()
            return value
        self._accelerator.backward(scaled)
        if self._accelerator.num_processes > 1:
            return float(told[:, 0].mean())
        return value

    def _not_finite(self, what: str, part: int | None) -> UserError:
        """The error for a loss or gradient of a part of a step; None for another process's."""
        where = (
            f" on the batch of {self.batch_of(part)}" if self.batch_of and part is not None else ""
        )
        if part is None:
            where = " in another process"
        return UserError(
            f"The {what} is not finite at step {self.step}{where}; "
            f"lower the learning rate and resume from {self.path}."
        )

    def _average(self) -> None:
        if self.config.ema is None:
            return
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            now = [value.float() for _, value in self._trained]
            torch._foreach_lerp_([self.ema[name] for name, _ in self._trained], now, 1 - decay)

    def save(self) -> None:
        """Write weights, EMA, optimiser and step under a temporary name, then rename."""
        if self._accelerator is not None and not self._accelerator.is_main_process:
            return
        tensors = {f"weights.{k}": v.detach() for k, v in self._trained}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        counts = {self.step}
        for name, parameter in self._trained:
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if key == "step":
                    counts = {int(value)}
                elif isinstance(value, Tensor):
                    tensors[f"optimizer.{key}.{name}"] = value
        meta = {
            "step": str(self.step),
            "config": json.dumps(asdict(self.config)),
            "meta": json.dumps(self.meta),
        }
        scaler = getattr(self._accelerator, "scaler", None)
        if scaler is not None:  # it skips steps whose gradients overflow in half precision
            meta |= {"optimizer_step": str(counts.pop()), "scaler": json.dumps(scaler.state_dict())}
        partial = self.path.with_suffix(".part")
        try:
            save_file(apart(tensors), partial, metadata=in_one(meta))
            os.replace(partial, self.path)
        except Exception as error:
            partial.unlink(missing_ok=True)
            raise UserError(
                f"Could not save {self.path}: {error}. The last checkpoint stays."
            ) from error

    def resume(self) -> None:
        """Take up weights, EMA, optimiser and step from the folder's checkpoint.

        Raises UserError if it was made with another `meta` or is of another network.
        """
        tensors, meta = read_checkpoint(self.path)
        stored: dict[str, Any] = json.loads(meta["meta"])
        now: dict[str, Any] = json.loads(json.dumps(self.meta))
        if changed := [key for key in now if stored.get(key, now[key]) != now[key]]:
            raise UserError(
                f"{self.path} was trained with another {' and another '.join(changed)}; "
                "give the same again, or another folder with -o."
            )
        before, asked = json.loads(meta.get("config", "{}")), asdict(self.config)
        if changed := [key for key in FIXED if before.get(key, asked[key]) != asked[key]]:
            raise UserError(
                f"{self.path} was trained with another {' and another '.join(changed)}; "
                "give the same again, or another folder with -o."
            )
        known = {f"weights.{name}" for name, _ in self._trained}
        for key in tensors:
            if key.startswith("weights.") and key not in known:
                raise UserError(f"The checkpoint does not fit: the network has no {key}.")
        self.step = int(meta["step"])
        count = float(meta.get("optimizer_step", self.step))
        states: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, kind, name = key.split(".", 2)
                states.setdefault(name, {})[kind] = value
        with torch.no_grad():
            for name, parameter in self._trained:
                parameter.copy_(fitting(tensors, f"weights.{name}", parameter))
                if name in self.ema:
                    self.ema[name].copy_(fitting(tensors, f"ema.{name}", parameter))
                if name in states:
                    self.optimizer.state[parameter] = {
                        "step": self._counter(count, parameter),
                        **{k: v.clone().to(parameter.device) for k, v in states[name].items()},
                    }
        scaler = getattr(self._accelerator, "scaler", None)
        if scaler is not None and "scaler" in meta:
            scaler.load_state_dict(json.loads(meta["scaler"]))
        self._resumed = True

    def _counter(self, count: float, parameter: Tensor) -> Tensor | int:
        """A count of steps as the optimiser keeps it: PyTorch's in a tensor, others as a number."""
        inner = getattr(self.optimizer, "optimizer", self.optimizer)
        if not isinstance(inner, torch.optim.Adam | torch.optim.AdamW):
            return int(count)
        fused = inner.defaults.get("fused")
        return torch.tensor(count, device=parameter.device if fused else "cpu")

    def _listen(self) -> dict[int, Any]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._asked = True
            if self._accelerator is None or self._accelerator.num_processes == 1:
                self._stop = True

        if threading.current_thread() is not threading.main_thread():
            return {}
        names = ("SIGTERM", "SIGINT", "SIGHUP")  # under nohup the last is ignored, and stays so
        known = [getattr(signal, name) for name in names if hasattr(signal, name)]
        return {n: signal.signal(n, stop) for n in known if signal.getsignal(n) != signal.SIG_IGN}
