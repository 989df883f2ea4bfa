"""A song and an order in; several takes of the stem, ranked by how well they fit, out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from restem.audio.beats import BeatGrid
from restem.generation import Progress
from restem.hearing import Heard
from restem.insertion import Inserter, Insertion, Order
from restem.ranking import Fit, ranked

LONGEST_COMPARED_S = 600.0  # of a region: whole hours would take gigabytes


def make_takes(
    inserter: Inserter,
    samples: np.ndarray,
    sample_rate: int,
    order: Order,
    count: int,
    *,
    seed: int = 0,
    beats: BeatGrid | None = None,
    bpm: float | None = None,
    progress: Progress | None = None,
) -> Iterator[Insertion]:
    """Yield `count` takes, of the seeds `seed`, `seed` + 1 and so on, the best first.

    The song, (sample,) or (sample, channel), is listened to once. A take is what
    `Inserter.insert` makes with its seed, as (sample, channel); its settings also say the fit of
    all takes. Until it is yielded a take is kept as mono at the model's rate (10 MB a minute).
    Raises UserError for unusable input.
    """
    say: Progress = progress or (lambda fraction, words: None)
    heard, order = inserter.listen(samples, sample_rate, order, beats, bpm, say)
    played = []
    for i in range(count):

        def share(fraction: float, words: str, i: int = i) -> None:
            say(0.1 + 0.8 * (i + fraction) / count, f"take {i + 1} of {count}: {words}")

        played.append(inserter.play(heard, order, seed + i, share))
    say(0.9, "comparing the takes")
    fits = _fits(
        heard, order, [take.wave for take in played], inserter.model.tokens.spectrogram.sample_rate
    )
    table = [_row(number, seed, fit) for number, fit in enumerate(fits, start=1)]
    for fit in fits:
        made = inserter.finish(heard, order, seed + fit.take, played[fit.take])
        made.settings["takes"] = table
        yield made


def _fits(heard: Heard, order: Order, waves: list[np.ndarray], rate: int) -> list[Fit]:
    """The ranking by what is heard inside the region, or of a long one at its beginning."""
    start, end = order.region or (0.0, len(heard.mono) / rate)
    end = min(end, start + LONGEST_COMPARED_S)
    part = slice(round(start * rate), round(end * rate))
    times = heard.beats.extended(start, end).times
    times = times[(times >= start) & (times < end)] - start
    return ranked([wave[part] for wave in waves], heard.mono[part], rate, times)


def _row(number: int, seed: int, fit: Fit) -> dict[str, float]:
    values = {name: round(value, 4) for name, value in asdict(fit).items() if name != "take"}
    return {"take": number, "seed": seed + fit.take} | values
