"""A window of a part with some cells known in, the rest of its cells out, walked to from noise."""

from __future__ import annotations

import numpy as np

from restem.symbolic import cells
from restem.symbolic.bernoulli import sample, walk
from restem.symbolic.model import TEXT_VALUES, RollModel
from restem.symbolic.wishes import DENSITIES, Wishes
from restem.text import EMBEDDING_SIZE, TextEncoder

NEWTON_STEPS, FARTHEST = 5, 3.0  # of the offset that holds the number of notes, in log-odds
SURE = 40.0  # log-odds of a cell that is to be set


class Painter:
    """Fills windows of one part by walking from noise to cells."""

    def __init__(
        self,
        model: RollModel,
        wishes: Wishes,
        context: np.ndarray,
        place: np.ndarray,
        given: np.ndarray,
        grid: np.ndarray,
        continues: bool,
    ) -> None:
        self.model, self.wishes, self.context, self.place = model, wishes, context, place
        self.continues = continues  # a part that the user has already
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
        known, now = done[window], values[window]
        held = known[:, None] | self.void[window]
        free = ~held & self.strikes
        noisy = rng.random(free.shape) < self.model.noise.density
        start = np.where(held, now, noisy) if self.continues else noisy & ~self.void[window]
        expected = self.fullness * self._expected(start, window, known, free)
        values[window] = self._walk(now, held, known, window, expected, rng)

    def paint_strokes(
        self,
        values: np.ndarray,
        known: np.ndarray,
        window: slice,
        steps: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Fill a window anew, striking at each of `steps` (token, 6) and nowhere else, with as many
        notes a stroke as it has now. Tokens of the window that are `known` stay."""
        now, fresh = values[window], ~known
        strokes = max(int(self.struck(now)[fresh].sum()), 1)
        notes = now[fresh][:, self.strikes].sum() / strokes
        wanted = steps & fresh[:, None]
        if not wanted.any():
            return  # the part rests in all bars
        allowed = cells.spread(steps, self.model.stem) | ~self.strikes
        held = known[:, None] | self.void[window] | ~allowed
        start = now & known[:, None]
        expected = float(notes * wanted.sum())
        values[window] = self._walk(start, held, known, window, expected, rng, wanted)

    def struck(self, values: np.ndarray) -> np.ndarray:
        """Whether the part strikes at each step of tokens (token, value): (token, 6), bool."""
        shape = len(values), cells.TOKEN_STEPS, -1
        return np.asarray(values[:, self.strikes].reshape(shape).any(axis=2))

    def _walk(
        self,
        start: np.ndarray,
        held: np.ndarray,
        known: np.ndarray,
        window: slice,
        expected: float,
        rng: np.random.Generator,
        wanted: np.ndarray | None = None,
    ) -> np.ndarray:
        """Cells (token, value) of a window from noise, where not `held` at `start`, with so many
        onsets as `expected`, and at least one at each of the `wanted` steps."""
        context, place, short = self._shown(window, known)
        tokens, free, hold = len(start), ~held & self.strikes, _Hold(expected)
        noise = self.model.noise
        steps = min(self.wishes.steps, noise.steps)
        last = int(walk(steps, noise.steps)[-2])

        def predict(x: np.ndarray, t: int) -> np.ndarray:
            padded = np.pad(x, ((0, short), (0, 0)))[None]
            odds = self._odds(padded, context, place, t)[:tokens] / self.wishes.temperature
            offset = hold.offset(odds[free])
            odds = odds + (hold.threshold(odds[free]) if t == last else offset)
            if t == last and wanted is not None:
                self._strike(odds, wanted)
            return _sigmoid(odds)

        result = start
        for _, x in sample(predict, start.shape, noise, steps, rng, held, start):
            result = x
        return result

    def _strike(self, odds: np.ndarray, wanted: np.ndarray) -> None:
        """Make the likeliest note of each wanted step sure."""
        shaped = odds[:, self.strikes].reshape(len(odds), cells.TOKEN_STEPS, -1)
        token, step = np.nonzero(wanted)
        shaped[token, step, shaped.argmax(axis=2)[token, step]] = SURE
        odds[:, self.strikes] = shaped.reshape(len(odds), -1)

    def _shown(self, window: slice, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Context and place of a window, (1, WINDOW, ...), and how many tokens it lacks."""
        place = self.place[window].copy()
        place[:, cells.PLACE_KNOWN] = known
        short = cells.WINDOW - len(place)
        context, place = (
            np.pad(x, ((0, short), (0, 0)))[None] for x in (self.context[window], place)
        )
        return context, place, short

    def _expected(
        self, start: np.ndarray, window: slice, known: np.ndarray, free: np.ndarray
    ) -> float:
        """How many onsets the network expects in the free cells, seeing noise alone in them.

        Training makes that right on average. It is asked with the style's words and without: words
        that were not in training lead astray, so that the mean of both is nearer. It is not shown
        bars made before: windows that went on from them grew emptier the longer a song became. Bars
        of the user's own part it is shown, as the rest should be as full.
        """
        context, place, short = self._shown(window, known & self.continues)
        x = np.pad(start, ((0, short), (0, 0)))[None]
        survival = float(self.survival[-1])
        numbers = []
        for text in (self.text, self.no_text):
            odds = self.model.log_odds(x, context, place, text, survival)[0]
            numbers.append(float(_sigmoid(odds[: len(start)][free]).sum()))
        return float(np.sqrt(numbers[0] * numbers[1]))

    def _odds(self, x: np.ndarray, context: np.ndarray, place: np.ndarray, t: int) -> np.ndarray:
        """Log-odds (token, value) with the guidance asked for."""
        survival = float(self.survival[t])
        if self.wishes.guidance == 1:
            return self.model.log_odds(x, context, place, self.text, survival)[0]
        deaf = place.copy()
        deaf[..., cells.PLACE_KNOWN + 1 :] = 0
        plain, without = self.model.log_odds(
            np.concatenate([x, x]),
            np.concatenate([context, np.zeros_like(context)]),
            np.concatenate([place, deaf]),
            np.concatenate([self.text, self.no_text]),
            survival,
        )
        return np.asarray(without + self.wishes.guidance * (plain - without))


class _Hold:
    """Keeps the number of notes that was expected before the network saw any.

    Walking on, a network that is not perfect loses notes: what it sees is more muddled than any
    music, and what is muddled it takes for noise. So one offset to all log-odds, found anew in each
    step, keeps the expected number as it was.
    """

    def __init__(self, expected: float) -> None:
        self.expected, self._offset = expected, 0.0

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
