"""SDEdit: something to edit in, noised part of the way and denoised again, the edit out.

Meng et al. 2022, arXiv 2108.01073. It knows no weights: with a text-to-music model and a short
caption it is the baseline that subtractive training is measured against. One function serves both
kinds of models: a latent diffusion's sampler (`schedule.Ddim`, `schedule.Euler`) or `StraightPath`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from restem.diffusion import path
from restem.diffusion.schedule import Array, Denoiser, Draw, Sampler


def sdedit(
    denoise: Denoiser,
    start: Array,
    noise: Array,
    steps: int,
    strength: float,
    sampler: Sampler,
    draw: Draw | None = None,
) -> Iterator[tuple[int, Array]]:
    """Yield (steps done, x); the last x is the edit of `start`.

    `noise` is normal with `start`'s shape. The edit begins at time number N - int(N * strength) of
    N = `steps` and takes int(N * strength) steps; where that is none, (0, start) is yielded.
    `denoise` is what `sampler` takes. Raises ValueError for a strength outside 0 to 1.
    """
    first = sampler.first(steps, strength)
    if first >= steps:
        yield 0, start
        return
    yield from sampler.walk(denoise, sampler.start(start, noise, steps, first), steps, first, draw)


@dataclass(frozen=True)
class StraightPath:
    """The straight path of `path.py` as a sampler; its denoiser is (x, t in 0..1) -> clean x."""

    logits: path.Logits | None = None

    def first(self, steps: int, strength: float) -> int:
        """Number of the time from which the last int(steps * strength) steps are left."""
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must lie between 0 and 1, not {strength}")
        return steps - int(steps * strength)

    def start(self, clean: Array, noise: Array, steps: int, first: int) -> Array:
        """`clean` as noisy as at time number `first`."""
        return path.noised(clean, noise, float(path.times(steps, self.logits)[first]))

    def walk(
        self, denoise: Denoiser, x: Array, steps: int, first: int = 0, draw: Draw | None = None
    ) -> Iterator[tuple[int, Array]]:
        """Euler steps from time number `first` on, yielding predictions of the clean x."""
        return path.sample(denoise, x, steps, self.logits, first)
