"""Stable Diffusion's noise schedule and its samplers: plain arithmetic on arrays or tensors.

x_t = sqrt(a_t) x + sqrt(1 - a_t) e with a_t the running product of 1 - beta (Ho et al. 2020,
arXiv 2006.11239, eq. 4). A denoiser is any callable (x_t, timestep) -> prediction of what
`NoiseSchedule.prediction` names. Every sampler walks a grid of falling timesteps and yields
(steps done, x); the last x is the result, so a walk may also begin in the middle (see sdedit.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

Array = Any
Denoiser = Callable[[Array, float], Array]
Draw = Callable[[], Array]  # fresh normal noise of the shape of x
Prediction = Literal["epsilon", "v_prediction"]
Spacing = Literal["leading", "linspace", "trailing"]


@dataclass(frozen=True)
class NoiseSchedule:
    """The scaled-linear schedule of Stable Diffusion 1.x: beta is linear in its square root."""

    timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    prediction: Prediction = "epsilon"
    spacing: Spacing = "leading"
    offset: int = 1  # added to the timesteps of `leading`
    last_is_clean: bool = False  # whether a DDIM walk ends at a = 1 and not at a of timestep 0

    @cached_property
    def kept(self) -> np.ndarray:
        """a_t, the share of the signal's power that is left, (timestep,) float64."""
        betas = np.linspace(self.beta_start**0.5, self.beta_end**0.5, self.timesteps) ** 2
        return np.cumprod(1 - betas)

    @cached_property
    def sigmas(self) -> np.ndarray:
        """sqrt((1 - a_t) / a_t): the noise beside an unscaled signal, (timestep,) float64."""
        return np.sqrt((1 - self.kept) / self.kept)

    def weights(self, timesteps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """sqrt(a_t) and sqrt(1 - a_t) for whole timesteps."""
        kept = self.kept[np.asarray(timesteps)]
        return np.sqrt(kept), np.sqrt(1 - kept)

    def noised(self, clean: Array, noise: Array, timestep: int) -> Array:
        """x_t for one timestep."""
        signal, spread = (float(w) for w in self.weights(np.asarray(timestep)))
        return signal * clean + spread * noise

    def target(self, clean: Array, noise: Array, signal: Array, spread: Array) -> Array:
        """What the network learns to say; the weights broadcast against `clean`."""
        if self.prediction == "epsilon":
            return noise
        return signal * noise - spread * clean  # v, Salimans and Ho 2022, arXiv 2202.00512

    def split(self, x: Array, predicted: Array, kept: float) -> tuple[Array, Array]:
        """(clean, noise) that a prediction at x_t means, with `kept` = a_t."""
        signal, spread = kept**0.5, (1 - kept) ** 0.5
        if self.prediction == "epsilon":
            return (x - spread * predicted) / signal, predicted
        return signal * x - spread * predicted, signal * predicted + spread * x

    def grid(self, steps: int) -> np.ndarray:
        """Falling timesteps (step,) float64; those of `linspace` need not be whole."""
        if not 1 <= steps <= self.timesteps:
            raise ValueError(f"steps must lie between 1 and {self.timesteps}, not {steps}")
        if self.spacing == "linspace":
            return np.linspace(0, self.timesteps - 1, steps)[::-1].copy()
        if self.spacing == "trailing":
            return np.round(np.arange(self.timesteps, 0, -self.timesteps / steps)) - 1
        rising = np.arange(steps) * (self.timesteps // steps) + self.offset
        return np.minimum(rising, self.timesteps - 1)[::-1].astype(np.float64)


class Sampler(Protocol):
    """A way from noise to data, in steps that may also begin in the middle."""

    def first(self, steps: int, strength: float) -> int:
        """Number of the step with which an edit of this strength begins."""
        ...

    def start(self, clean: Array, noise: Array, steps: int, first: int) -> Array:
        """`clean` with the noise of step number `first`."""
        ...

    def walk(
        self, denoise: Denoiser, x: Array, steps: int, first: int = 0, draw: Draw | None = None
    ) -> Iterator[tuple[int, Array]]:
        """The steps from number `first` on."""
        ...


def sample(
    sampler: Sampler, denoise: Denoiser, noise: Array, steps: int, draw: Draw | None = None
) -> Iterator[tuple[int, Array]]:
    """All steps of a sampler from pure noise of variance 1."""
    return sampler.walk(denoise, sampler.start(0 * noise, noise, steps, -1), steps, 0, draw)


def steps_left(steps: int, strength: float) -> int:
    """First step of SDEdit (Meng et al. 2022, arXiv 2108.01073) on N timesteps: N - int(N s)."""
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie between 0 and 1, not {strength}")
    return steps - int(steps * strength)


@dataclass(frozen=True)
class Ddim:
    """Song et al. 2021, arXiv 2010.02502, eq. 12; `eta` 0 adds no noise on the way."""

    schedule: NoiseSchedule
    eta: float = 0.0

    def first(self, steps: int, strength: float) -> int:
        """See Sampler."""
        return steps_left(steps, strength)

    def start(self, clean: Array, noise: Array, steps: int, first: int) -> Array:
        """See Sampler; before the first step (-1) there is only noise."""
        if first < 0:
            return noise
        return self.schedule.noised(clean, noise, int(self._whole(steps)[first]))

    def walk(
        self, denoise: Denoiser, x: Array, steps: int, first: int = 0, draw: Draw | None = None
    ) -> Iterator[tuple[int, Array]]:
        """See Sampler; `draw` is needed where `eta` is not 0."""
        last = 1.0 if self.schedule.last_is_clean else float(self.schedule.kept[0])
        for i, t in enumerate(self._whole(steps)[first:]):
            kept = float(self.schedule.kept[t])
            t_next = t - self.schedule.timesteps // steps
            kept_next = float(self.schedule.kept[t_next]) if t_next >= 0 else last
            clean, noise = self.schedule.split(x, denoise(x, float(t)), kept)
            # Eq. 16; with eta 1 this is the ancestral sampler of DDPM.
            spread = self.eta * ((1 - kept_next) / (1 - kept) * (1 - kept / kept_next)) ** 0.5
            x = kept_next**0.5 * clean + (1 - kept_next - spread**2) ** 0.5 * noise
            if self.eta > 0:
                x = x + spread * _drawn(draw)
            yield i + 1, x

    def _whole(self, steps: int) -> np.ndarray:
        return np.round(self.schedule.grid(steps)).astype(int)


@dataclass(frozen=True)
class Euler:
    """Karras et al. 2022, arXiv 2206.00364, on Stable Diffusion's schedule.

    `ancestral` adds noise in every step and goes down further for it (k-diffusion's Euler a).
    The walk is done on clean + sigma * noise; the denoiser sees it scaled to variance 1.
    """

    schedule: NoiseSchedule
    ancestral: bool = False

    def first(self, steps: int, strength: float) -> int:
        """See Sampler."""
        return steps_left(steps, strength)

    def start(self, clean: Array, noise: Array, steps: int, first: int) -> Array:
        """See Sampler; before the first step (-1) there is only noise."""
        sigmas = self._sigmas(steps)
        if first >= 0:
            return clean + float(sigmas[first]) * noise
        if self.schedule.spacing == "leading":
            return noise * float(np.sqrt(sigmas[0] ** 2 + 1))
        return noise * float(sigmas[0])

    def walk(
        self, denoise: Denoiser, x: Array, steps: int, first: int = 0, draw: Draw | None = None
    ) -> Iterator[tuple[int, Array]]:
        """See Sampler; `draw` is needed by the ancestral sampler."""
        grid, sigmas = self.schedule.grid(steps), self._sigmas(steps)
        for i in range(first, steps):
            sigma, after = float(sigmas[i]), float(sigmas[i + 1])
            kept = 1 / (sigma**2 + 1)
            seen = x * kept**0.5
            _, noise = self.schedule.split(seen, denoise(seen, float(grid[i])), kept)
            up = 0.0
            if self.ancestral:
                up = (after**2 * (sigma**2 - after**2) / sigma**2) ** 0.5
            x = x + ((after**2 - up**2) ** 0.5 - sigma) * noise
            if up > 0:
                x = x + up * _drawn(draw)
            yield i + 1 - first, x

    def _sigmas(self, steps: int) -> np.ndarray:
        known = np.arange(self.schedule.timesteps)
        return np.append(np.interp(self.schedule.grid(steps), known, self.schedule.sigmas), 0.0)


def guided_by_both(
    both: Array, context_only: Array, neither: Array, text_scale: float, context_scale: float
) -> Array:
    """Guidance by text and context (Brooks et al. 2023, arXiv 2211.09800, eq. 3)."""
    return neither + text_scale * (both - context_only) + context_scale * (context_only - neither)


def _drawn(draw: Draw | None) -> Array:
    if draw is None:
        raise ValueError("this sampler adds noise on the way, so it needs `draw`")
    return draw()
