"""A sentence and how to play it in; the vectors that ask a model for that, out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from restem.dataset import phrases
from restem.dataset.sentences import ACTIONS
from restem.text import TextEncoder

MOST = 2.0  # controls lie between -MOST and MOST
# Words that models know for both ends of a control, and how far its ends are led away from the
# opposite words.
CONTROLS = {
    "density": (phrases.OF_DENSITY["sparse"].before, phrases.OF_DENSITY["busy"].before, 3.0),
    "dynamics": (phrases.OF_LOUDNESS["soft"].before, phrases.OF_LOUDNESS["loud"].before, 0.5),
}
_ACTION = re.compile(rf"\s*({'|'.join(ACTIONS)})\b( in| with| it with)?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Wish:
    """Sentence vectors (384,): what to guide towards, the empty sentence, and the opposite of the
    controls, from which to lead away by `push`."""

    text: np.ndarray
    null: np.ndarray
    opposite: np.ndarray
    push: float


def wish(encoder: TextEncoder, instruction: str, density: float, dynamics: float) -> Wish:
    """The sentence with both controls, each from -2 (sparse; quiet playing) over 0 to 2.

    Zero leaves the sentence as it is, with nothing to be led away from but the empty one.
    """
    plain, empty = encoder.encode([instruction, ""])
    text, opposite, push = plain.copy(), plain.copy(), 0.0
    for name, amount in (("density", density), ("dynamics", dynamics)):
        less, much, most = CONTROLS[name]
        wanted, unwanted = (much, less) if amount > 0 else (less, much)
        share = abs(amount) / MOST
        if share:
            text += share * (_said(encoder, instruction, wanted) - plain)
            opposite += share * (_said(encoder, instruction, unwanted) - plain)
            push += share * most
    if push:
        text /= np.linalg.norm(text)
        opposite /= np.linalg.norm(opposite)
    return Wish(text, empty, opposite, push)


def _said(encoder: TextEncoder, instruction: str, words: tuple[str, ...]) -> np.ndarray:
    """The mean vector of the sentence with each of the words in it."""
    action = _ACTION.match(instruction)
    place = action.end() if action else 0
    sentences = [f"{instruction[:place]} {word} {instruction[place:]}" for word in words]
    mean = encoder.encode(sentences).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))
