"""A sentence and how to play it in; the vectors that ask a model for that, out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from restem.dataset import phrases
from restem.dataset.sentences import ACTIONS
from restem.text import TextEncoder

MOST = 2.0  # controls lie between -MOST and MOST
# Words that models know for both ends of a control, and how much guidance its ends add. The
# opposite words take the place of the empty sentence from which guidance leads away.
CONTROLS = {
    "density": (phrases.OF_DENSITY["sparse"].before, phrases.OF_DENSITY["busy"].before, 2.5),
    "dynamics": (phrases.OF_LOUDNESS["soft"].before, phrases.OF_LOUDNESS["loud"].before, 0.0),
}
_ACTION = re.compile(rf"\s*({'|'.join(ACTIONS)})\b( in| with| it with)?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Wish:
    """What to guide towards and away from, (1, 384) each, and how much guidance to add."""

    text: np.ndarray
    null: np.ndarray
    more_guidance: float


def wish(encoder: TextEncoder, instruction: str, density: float, dynamics: float) -> Wish:
    """The sentence with both controls, each from -2 (sparse; quiet playing) over 0 to 2.

    Zero leaves the sentence as it is, and the empty one to lead away from.
    """
    plain, empty = encoder.encode([instruction, ""])
    text, null, more = plain.copy(), empty.copy(), 0.0
    for name, amount in (("density", density), ("dynamics", dynamics)):
        less, much, guidance = CONTROLS[name]
        wanted, opposite = (much, less) if amount > 0 else (less, much)
        share = abs(amount) / MOST
        if share:
            text += share * (_said(encoder, instruction, wanted) - plain)
            null += share * (_said(encoder, instruction, opposite) - empty)
            more += share * guidance
    if more or density or dynamics:
        text /= np.linalg.norm(text)
        null /= np.linalg.norm(null)
    return Wish(text[None], null[None], more)


def _said(encoder: TextEncoder, instruction: str, words: tuple[str, ...]) -> np.ndarray:
    """The mean vector of the sentence with each of the words in it."""
    action = _ACTION.match(instruction)
    place = action.end() if action else 0
    sentences = [f"{instruction[:place]} {word} {instruction[place:]}" for word in words]
    mean = encoder.encode(sentences).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))
