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
LEAST = 1e-6  # onsets that are expected where none is


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
        own: np.ndarray,
    ) -> None:
        self.model, self.wishes, self.context, self.place = model, wishes, context, place
        self.own = own  # tokens of a part that the user has already
        self.as_full = 1.0  # how full that part is, beside what its bars would lead one to expect
        self.lean = np.zeros((len(grid), 1), np.float32)  # what to add to the log-odds of cells
        self.place[:, cells.PLACE_KNOWN + 1 :] = given
        self.real = grid >= 0
        self.void = ~cells.spread(self.real, model.stem)
        # Of the cells, those of onsets: all of the drums', the first half of the others'.
        self.strikes = np.arange(cells.values_of(model.stem)) < cells.onsets_of(model.stem)
        self.survival = model.noise.survival()
        encoder = TextEncoder.load()
        self.text = np.zeros((1, TEXT_VALUES), dtype=np.float32)
        self.text[0, :EMBEDDING_SIZE] = encoder.encode([wishes.style.strip()])[0]
        self.fullness = wishes.fullness * _fullness(model, wishes.density)
        # A network that expects too much beside unseen songs may say by how many times.
        self.fullness *= model.description.get("fullness", 1.0)
        self.no_text = np.zeros_like(self.text)
        self.no_text[0, :EMBEDDING_SIZE] = encoder.encode([""])[0]

    def paint(
        self, values: np.ndarray, done: np.ndarray, window: slice, rng: np.random.Generator
    ) -> None:
        """Fill `values` (token, value) in a window, holding the tokens that are done."""
        known, now = done[window], values[window]
        held = known[:, None] | self.void[window]
        free = ~held & self.strikes
        noise = rng.random(free.shape) < self.model.noise.density
        expected = self.fullness * self._expected(values[window], window, free, noise)
        values[window] = self._walk(now, held, known, window, expected, rng)

    def paint_strokes(
        self,
        values: np.ndarray,
        known: np.ndarray,
        window: slice,
        steps: np.ndarray,
        rng: np.random.Generator,
        notes: float | None = None,
    ) -> None:
        """Fill a window anew, striking at each of `steps` (token, 6) and nowhere else, with as many
        `notes` a stroke, or else as it has now. Tokens of the window that are `known` stay."""
        now, fresh = values[window], ~known
        strokes = max(int(self.struck(now)[fresh].sum()), 1)
        notes = notes or now[fresh][:, self.strikes].sum() / strokes
        wanted = steps & fresh[:, None] & self.real[window]
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

    def holds_over(self, token: np.ndarray) -> bool:
        """Whether a note sounds on at the first step of a token (value,), begun before it."""
        onset, sound = token.reshape(2, cells.TOKEN_STEPS, -1)[:, 0]
        return bool((sound & ~onset).any())

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
            odds = self._odds(padded, context, place, t)[:tokens] + self.lean[window]
            odds /= self.wishes.temperature
            offset = hold.offset(odds[free])
            if t != last:
                return _sigmoid(odds + offset)
            struck = self._likeliest(odds, wanted)
            odds = odds + hold.threshold(odds[free & ~struck], int(struck.sum()))
            return _sigmoid(np.where(struck, SURE, odds))

        result = start
        for _, x in sample(predict, start.shape, noise, steps, rng, held, start):
            result = x
        return result

    def _likeliest(self, odds: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
        """The likeliest note of each wanted step, as a mask of cells (token, value)."""
        struck = np.zeros(odds.shape, bool)
        if wanted is not None:
            shaped = odds[:, self.strikes].reshape(len(odds), cells.TOKEN_STEPS, -1)
            token, step = np.nonzero(wanted)
            pitch = shaped.argmax(axis=2)[token, step]
            struck[token, step * shaped.shape[2] + pitch] = True
        return struck

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
        self, now: np.ndarray, window: slice, free: np.ndarray, noise: np.ndarray
    ) -> float:
        """How many onsets the network expects in the free cells, seeing noise alone in them.

        It is not shown bars made before: windows that went on from them grew emptier the longer a
        song became. A part of the user's own it is shown, and what follows is to be as full.
        """
        own = self.own[window]
        nothing = noise & ~self.void[window]
        plain = self._expects(nothing, window, np.zeros_like(own), free)
        if own.any():
            shown = self._expects(np.where(own[:, None], now, nothing), window, own, free)
            self.as_full = shown / plain
        return plain * self.as_full

    def _expects(self, x: np.ndarray, window: slice, known: np.ndarray, free: np.ndarray) -> float:
        """What training makes right on average: the sum of all chances, asked with the style's
        words and without. Words that were not in training lead astray, so that the geometric mean
        of both is nearer."""
        context, place, short = self._shown(window, known)
        x = np.pad(x, ((0, short), (0, 0)))[None]
        survival = float(self.survival[-1])
        numbers = []
        for text in (self.text, self.no_text):
            odds = self.model.log_odds(x, context, place, text, survival)[0]
            numbers.append(float(_sigmoid(odds[: len(free)][free]).sum()))
        return max(float(np.sqrt(numbers[0] * numbers[1])), LEAST)

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

    def threshold(self, odds: np.ndarray, struck: int) -> float:
        """What to add in the last step, in which cells likelier than not are set, besides those
        that are `struck`.

        Not the offset: many cells of a chance below one half add up to notes that none of them
        becomes. This one sets as many onsets as were expected, and one at least.
        """
        ordered = np.sort(odds)[::-1]
        count = min(max(round(self.expected) - struck, 0 if struck else 1), len(ordered) - 1)
        if count <= 0:
            return -float(ordered[0]) - 1 if len(ordered) else 0.0
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
