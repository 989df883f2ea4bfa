"""Rolls with a part missing in, the part out: windows of a song filled one after another.

Each window sees up to four bars that are there already, made or given, as known cells. So a song of
any length is continued without a seam, and a region is filled between what surrounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from restem.errors import UserError
from restem.symbolic import cells
from restem.symbolic.bernoulli import sample, walk
from restem.symbolic.model import TEXT_VALUES, RollModel
from restem.symbolic.parts import STEMS
from restem.text import EMBEDDING_SIZE, TextEncoder

OVERLAP = 32  # tokens of the last window that the next one sees: four bars of 4/4
NEWTON_STEPS, FARTHEST = 5, 3.0  # of the offset that holds the number of notes, in log-odds
DENSITIES = {"sparse": 0, "medium": 1, "busy": 2}
Follow = Callable[[float], None]


@dataclass(frozen=True)
class Wishes:
    """What a user may ask of a part.

    `style`: words such as "bossa nova", or "" for none. `density`: "sparse", "medium" or "busy", as
    a fifth, the middle and four fifths of the songs trained on stand to one another; or onsets a
    quarter note in a song like the middle one. None and "medium" leave it to the song.
    `temperature`: below 1 keeps nearer to the likeliest cells. `guidance`: above 1 exaggerates what
    context and style suggest, which each step then asks of the network twice. `fullness`: so many
    times the notes that there would be else.
    """

    style: str = ""
    density: str | float | None = None
    temperature: float = 1.0
    guidance: float = 2.0
    steps: int = 32
    seed: int = 0
    fullness: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.density, str) and self.density not in DENSITIES:
            raise UserError(f"The density is {', '.join(DENSITIES)}, not {self.density!r}.")
        if not 0.05 <= self.temperature <= 20:
            raise UserError("The temperature must lie between 0.05 and 20; 1 is usual.")
        if not 0 <= self.guidance <= 20:
            raise UserError("The guidance must lie between 0 and 20; 2 is usual.")


def complete(
    models: Mapping[str, RollModel],
    parts: Mapping[str, np.ndarray],
    bars: np.ndarray,
    wanted: Sequence[str],
    wishes: Wishes,
    region: tuple[int, int] | None = None,
    progress: Follow | None = None,
) -> dict[str, np.ndarray]:
    """The wanted parts as planes (2, step, 128), made one after the other, each hearing the last.

    `parts` maps kinds ("drums", "bass", "guitar", "other") to planes; `bars` (bar, 4) in steps.
    With a `region` (first bar, bar after the last, counted from 0) only its bars are filled: a part
    that is there already is known outside of it and stays out of the result.
    """
    heard = dict(parts)
    made: dict[str, np.ndarray] = {}
    order = [stem for stem in STEMS if stem in wanted]
    for index, stem in enumerate(order):

        def follow(share: float, index: int = index) -> None:
            if progress is not None:
                progress((index + share) / len(order))

        made[stem] = fill(models[stem], heard, bars, wishes, region, follow)
        before = heard.get(stem)
        heard[stem] = made[stem] if before is None else made[stem] | before
    return made


def fill(
    model: RollModel,
    parts: Mapping[str, np.ndarray],
    bars: np.ndarray,
    wishes: Wishes,
    region: tuple[int, int] | None = None,
    progress: Follow | None = None,
) -> np.ndarray:
    """One part as planes (2, step, 128), silent outside of the region; see `complete`."""
    stem, grid, bar = model.stem, cells.token_grid(bars), cells.bar_of_token(bars)
    steps = int(bars[-1, 0] + bars[-1, 1])
    context = {kind: planes for kind, planes in parts.items() if kind != stem}
    asked = np.ones(len(grid), bool)
    values = np.zeros((len(grid), cells.values_of(stem)), bool)
    done = np.zeros(len(grid), bool)
    if region is not None:
        asked = (bar >= region[0]) & (bar < region[1])
        if stem in parts:
            done = ~asked
            values[done] = cells.cells_from_planes(parts[stem], stem, grid)[done]
    painter = _Painter(
        model,
        wishes,
        cells.context_cells(context, stem, grid),
        cells.places(bars),
        cells.given_flags(context, stem),
        grid,
    )
    rng = np.random.default_rng([wishes.seed, (*STEMS, "keys").index(stem)])
    total = max(int((asked & ~done).sum()), 1)
    while np.any(asked & ~done):
        window = _next_window(asked, done, bar)
        painter.paint(values, done, window, rng)
        done[window] = True
        if progress is not None:
            progress(1 - int((asked & ~done).sum()) / total)
    values[~asked] = False
    return cells.planes_from_cells(values, stem, grid, steps)


def _next_window(asked: np.ndarray, done: np.ndarray, bar: np.ndarray) -> slice:
    """Tokens of the next window: from a bar line at most OVERLAP before the first missing token."""
    first = int(np.argmax(asked & ~done))
    start = first
    if first and done[first - 1]:
        start = max(first - OVERLAP, 0)
        lines = start + np.flatnonzero(np.diff(bar, prepend=-1)[start : first + 1])
        start = int(lines[0]) if len(lines) else start  # a bar may be longer than a window
    return slice(start, min(start + cells.WINDOW, len(asked)))


class _Painter:
    """Fills windows of one part by walking from noise to cells."""

    def __init__(
        self,
        model: RollModel,
        wishes: Wishes,
        context: np.ndarray,
        place: np.ndarray,
        given: np.ndarray,
        grid: np.ndarray,
    ) -> None:
        self.model, self.wishes, self.context, self.place = model, wishes, context, place
        self.place[:, cells.PLACE_KNOWN + 1 :] = given
        self.void = ~cells.spread(grid >= 0, model.stem)
        # Of the cells, those of onsets: all of the drums', the first half of the others'.
        self.strikes = np.arange(cells.values_of(model.stem)) < cells.onsets_of(model.stem)
        self.survival = model.noise.survival()
        encoder = TextEncoder.load()
        self.text = np.zeros((1, TEXT_VALUES), dtype=np.float32)
        self.text[0, :EMBEDDING_SIZE] = encoder.encode([wishes.style.strip()])[0]
        self.fullness = wishes.fullness * _fullness(model, wishes.density)
        self.no_text = np.zeros_like(self.text)
        self.no_text[0, :EMBEDDING_SIZE] = encoder.encode([""])[0]

    def paint(
        self, values: np.ndarray, done: np.ndarray, window: slice, rng: np.random.Generator
    ) -> None:
        """Fill `values` (token, value) in a window, holding the tokens that are done."""
        context, place = self.context[window], self.place[window].copy()
        place[:, cells.PLACE_KNOWN] = done[window]
        held = done[window][:, None] | self.void[window]
        tokens = len(place)
        short = cells.WINDOW - tokens
        context, place = (np.pad(x, ((0, short), (0, 0)))[None] for x in (context, place))

        free = ~held & self.strikes
        hold, noise = _Hold(self.fullness), self.model.noise
        steps = min(self.wishes.steps, noise.steps)
        last = int(walk(steps, noise.steps)[-2])

        def predict(x: np.ndarray, t: int) -> np.ndarray:
            padded = np.pad(x, ((0, short), (0, 0)))[None]
            plain, odds = (o[:tokens] for o in self._odds(padded, context, place, t))
            odds = odds / self.wishes.temperature
            if not hold.expected:
                now = float(self.survival[t])
                wordless = self.model.log_odds(padded, context, place, self.no_text, now)[0]
                hold.expect(plain[free], wordless[:tokens][free])
            offset = hold.offset(odds[free])
            return _sigmoid(odds + (hold.threshold(odds[free]) if t == last else offset))

        result = values[window]
        for _, x in sample(predict, result.shape, noise, steps, rng, held, result):
            result = x
        values[window] = result

    def _odds(
        self, x: np.ndarray, context: np.ndarray, place: np.ndarray, t: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds (token, value) as the network says them, and with the guidance asked for."""
        survival = float(self.survival[t])
        if self.wishes.guidance == 1:
            plain = self.model.log_odds(x, context, place, self.text, survival)[0]
            return plain, plain
        deaf = place.copy()
        deaf[..., cells.PLACE_KNOWN + 1 :] = 0
        plain, without = self.model.log_odds(
            np.concatenate([x, x]),
            np.concatenate([context, np.zeros_like(context)]),
            np.concatenate([place, deaf]),
            np.concatenate([self.text, self.no_text]),
            survival,
        )
        return plain, without + self.wishes.guidance * (plain - without)


class _Hold:
    """Keeps the number of notes that the network expected before it saw any.

    Its first answer, to noise alone, is how often each cell is set in music like this, which
    training makes right on average. Walking on, a network that is not perfect loses notes: what it
    sees is more muddled than any music, and what is muddled it takes for noise. So one offset to
    all log-odds, found anew in each step, keeps the expected number as it was, or `fullness` times
    that.
    """

    def __init__(self, fullness: float) -> None:
        self._fullness, self.expected = fullness, 0.0
        self._offset = 0.0

    def expect(self, plain: np.ndarray, wordless: np.ndarray) -> None:
        """Take the number from the first answers, log-odds of onsets with the style's words and
        without: words that were not in training lead astray, so that their mean is nearer."""
        numbers = [float(_sigmoid(odds).sum()) for odds in (plain, wordless)]
        self.expected = self._fullness * float(np.sqrt(numbers[0] * numbers[1]))

    def offset(self, odds: np.ndarray) -> float:
        """What to add to the log-odds of onsets `odds`."""
        for _ in range(NEWTON_STEPS):
            p = _sigmoid(odds + self._offset)
            step = (self.expected - p.sum()) / max(float((p * (1 - p)).sum()), 1e-3)
            self._offset += float(np.clip(step, -1, 1))
            self._offset = float(np.clip(self._offset, -FARTHEST, FARTHEST))
        return self._offset

    def threshold(self, odds: np.ndarray) -> float:
        """What to add in the last step, in which cells likelier than not are set.

        Not the offset: many cells of a chance below one half add up to notes that none of them
        becomes. This one sets as many onsets as were expected.
        """
        ordered = np.sort(odds)[::-1]
        count = min(max(round(self.expected), 1), len(ordered) - 1)
        return float(-(ordered[count - 1] + ordered[count]) / 2)


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -40, 40))))


def _fullness(model: RollModel, asked: str | float | None) -> float:
    """How many times the notes that a song leads one to expect a wish stands for.

    The network's two inputs for a density were too quiet beside the style to be heard.
    """
    if asked is None:
        return 1.0
    usual = model.description["densities"]
    if isinstance(asked, str):
        return float(usual[DENSITIES[asked]] / usual[1])
    return float(asked) / 2 / float(usual[1])  # a token is half a quarter note
