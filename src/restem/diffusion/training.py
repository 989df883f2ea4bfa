"""A network, a loss and a folder in, trained weights out: one loop with EMA, resume and safe stops.

The loss is a function of the network and the step number alone, with all its randomness drawn from
the step, so the step is the whole data cursor and a resumed run repeats an uninterrupted one. With
gradient accumulation it is called with the numbers of the parts of steps, 0, 1, 2 and so on.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restem.diffusion.checkpoints import (
    check_room,
    check_same,
    fitting,
    read_checkpoint,
    write_checkpoint,
)
from restem.diffusion.curve import Curve
from restem.diffusion.optimizers import count_of, is_adam, named_state, restore_state
from restem.diffusion.sharding import is_split, split_again, split_like, whole
from restem.diffusion.signals import on_signal
from restem.diffusion.training_config import TrainingConfig
from restem.errors import UserError

Loss = Callable[[nn.Module, int], Tensor]
# What a resumed run must share; more steps and a lower rate may be asked for.
FIXED = ("accumulation", "schedule", "ema", "weight_decay", "clip")


class Trainer:
    """Trains `network`, keeps `checkpoint.safetensors` in `folder` up to date and `curve.csv`.

    Only parameters that require gradients are trained and kept. `accelerator` (Hugging Face's)
    spreads the work over processes, also by FSDP, and chooses the precision; all processes must
    draw different parts of a step in `loss`. `optimizer` takes the place of AdamW. `batch_of` says
    what a part of a step was made of, for the message about a loss that is not finite.
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
        self.step, self.curve = 0, Curve(folder / "curve.csv")
        self.batch_of = batch_of
        self.optimizer: Any = optimizer(
            [p for p in network.parameters() if p.requires_grad],
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        self._accelerator, self._model = accelerator, network
        if accelerator is not None:  # also moves the network to the accelerator's device
            self._check_sharding()
            self._model, self.optimizer = accelerator.prepare(network, self.optimizer)
        self._trained = [(k, v) for k, v in network.named_parameters() if v.requires_grad]
        self.sharded = any(is_split(value) for _, value in self._trained)
        averaged = [] if config.ema is None else self._trained
        self.ema = {k: v.detach().clone().float() for k, v in averaged}
        self._asked = self._stop = self._due = self._resumed = False
        self._saved = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def _check_sharding(self) -> None:
        if self._accelerator.distributed_type != "FSDP":
            return
        if not getattr(self._accelerator, "is_fsdp2", False):
            raise UserError("Set fsdp_version: 2 in accelerate's file, and have accelerate >= 1.6.")
        if not is_adam(self.optimizer):
            raise UserError("FSDP cannot split the 8-bit Adam; leave --eight-bit out.")

    def run(self) -> Iterator[tuple[int, float]]:
        """Train to the last step, yielding (step, loss); saves on time, on a signal, at the end.

        Raises UserError at a loss that is not finite, and the last good checkpoint stays; if there
        is a checkpoint that was not resumed, which would be lost; and if the disk has no room for
        one. Raises KeyboardInterrupt after a signal, so that nothing is made of a network that is
        not done.
        """
        if self.path.exists() and not self._resumed:
            raise UserError(
                f"{self.path} is there already; go on from it with --resume, or give another "
                "folder with -o."
            )
        if self._main:
            check_room(self.path, self._size())
            self.curve.begin(self.step)
        self._saved = time.monotonic()
        with on_signal(self._ask):
            try:
                while self.step < self.config.steps and not self._stop:
                    loss = self._train_one()
                    self._note(loss)
                    yield self.step, loss
                    if self._due:
                        self.save()
            except GeneratorExit:
                if not self.sharded:  # the other processes may be elsewhere, and all must take part
                    self.save()
                raise
            self.save()
        if self.step < self.config.steps:
            raise KeyboardInterrupt(f"step {self.step} is saved; go on with --resume.")

    def _ask(self) -> None:
        self._asked = True
        if self._accelerator is None or self._accelerator.num_processes == 1:
            self._stop = True

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
        if getattr(self._accelerator, "scaler", None) is None and not math.isfinite(
            float(whole(norm))
        ):
            raise self._not_finite("gradient", self.step * parts)
        self.optimizer.step()
        self.step += 1
        self._average()
        return value

    def _note(self, loss: float) -> None:
        if self._main:
            last = self.step == self.config.steps
            self.curve.add(self.step, loss, self.config.rate(self.step - 1), last=last)

    def _backward(self, part: int) -> float:
        """Loss of one part of a step, over all processes; its gradient is added up."""
        loss = self.loss(self._model, part)
        value = float(loss.detach())
        mean = self._agreed(value, loss.device)
        if not math.isfinite(mean):
            raise self._not_finite("loss", None if math.isfinite(value) else part)
        scaled = loss / self.config.accumulation if self.config.accumulation > 1 else loss
        if self._accelerator is None:
            scaled.backward()
        else:
            self._accelerator.backward(scaled)
        return mean

    def _agreed(self, value: float, device: torch.device) -> float:
        """Mean loss of all processes, which also stop and save in the same step, or those left over
        would wait for ever."""
        self._stop = self._asked
        self._due = time.monotonic() - self._saved > self.config.checkpoint_seconds
        if self._accelerator is None or self._accelerator.num_processes == 1:
            return value
        told = torch.tensor([value, float(self._stop), float(self._due)], device=device)
        told = self._accelerator.gather(told[None])
        self._stop, self._due = bool(told[:, 1].any()), bool(told[:, 2].any())
        return float(told[:, 0].mean())

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
        decay = self.config.decay(self.step)
        with torch.no_grad():
            now = [value.float() for _, value in self._trained]
            torch._foreach_lerp_([self.ema[name] for name, _ in self._trained], now, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """For a while the network is in use, with the averaged weights if there are any."""
        kept = {name: v.detach().clone() for name, v in self._trained if name in self.ema}
        self.network.eval()
        try:
            self._put(self.ema)
            yield
        finally:
            self._put(kept)

    def _put(self, weights: dict[str, Tensor]) -> None:
        split_again(self.network)
        with torch.no_grad():
            for name, parameter in self._trained:
                if name in weights:
                    parameter.copy_(weights[name])

    @property
    def _main(self) -> bool:
        return self._accelerator is None or bool(self._accelerator.is_main_process)

    def _size(self) -> int:
        """Bytes of a checkpoint at least; what other optimisers than Adam keep is not counted."""
        moments = 2 if is_adam(self.optimizer) else 0
        weights = sum(v.numel() * v.element_size() for _, v in self._trained)
        return (1 + moments) * weights + 4 * sum(v.numel() for v in self.ema.values())

    def save(self) -> None:
        """Write weights, EMA, optimiser and step under a temporary name, then rename."""
        tensors: dict[str, Tensor] = {}
        if self._main or self.sharded:
            for name, value in self._tensors():
                found = whole(value)
                if self._main:
                    tensors[name] = found.cpu() if self.sharded else found
        if self._main:
            write_checkpoint(self.path, tensors, self._about())
        self._saved = time.monotonic()

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._trained:
            yield f"weights.{name}", parameter.detach()
        for name, value in self.ema.items():
            yield f"ema.{name}", value
        yield from named_state(self.optimizer, self._trained)

    def _about(self) -> dict[str, str]:
        meta = {
            "step": str(self.step),
            "curve": json.dumps(self.curve.pending),
            "config": json.dumps(asdict(self.config)),
            "meta": json.dumps(self.meta),
        }
        scaler = getattr(self._accelerator, "scaler", None)
        if scaler is not None:  # it skips steps whose gradients overflow in half precision
            meta["optimizer_step"] = str(count_of(self.optimizer, self._trained, self.step))
            meta["scaler"] = json.dumps(scaler.state_dict())
        return meta

    def resume(self) -> None:
        """Take up weights, EMA, optimiser and step from the folder's checkpoint.

        Raises UserError if it was made with another `meta` or is of another network.
        """
        tensors, meta = read_checkpoint(self.path)
        check_same(self.path, json.loads(meta["meta"]), json.loads(json.dumps(self.meta)))
        fixed = {key: getattr(self.config, key) for key in FIXED}
        check_same(self.path, json.loads(meta.get("config", "{}")), fixed)
        known = {f"weights.{name}" for name, _ in self._trained}
        for key in tensors:
            if key.startswith("weights.") and key not in known:
                raise UserError(f"The checkpoint does not fit: the network has no {key}.")
        self.step = int(meta["step"])
        total, count = json.loads(meta.get("curve", "[0, 0]"))
        self.curve.pending = (total, count)
        count = float(meta.get("optimizer_step", self.step))
        restore_state(self.optimizer, self._trained, tensors, count)
        with torch.no_grad():
            for name, parameter in self._trained:
                found = fitting(tensors, f"weights.{name}", parameter)
                parameter.copy_(split_like(found, parameter))
                if name in self.ema:
                    found = fitting(tensors, f"ema.{name}", parameter)
                    self.ema[name].copy_(split_like(found, parameter))
        scaler = getattr(self._accelerator, "scaler", None)
        if scaler is not None and "scaler" in meta:
            scaler.load_state_dict(json.loads(meta["scaler"]))
        self._resumed = True
