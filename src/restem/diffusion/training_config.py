"""What a training run is told: how long, how fast, how the learning rate and the average go."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Schedule = Literal["tenth", "cosine", "constant"]


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

    def decay(self, update: int) -> float:
        """How much of the average stays at an update, 1 being the first: none at first, then more
        and more up to `ema`, as in the `EMAModel` of diffusers."""
        return 0.0 if update <= 1 or self.ema is None else min(self.ema, update / (9 + update))

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
