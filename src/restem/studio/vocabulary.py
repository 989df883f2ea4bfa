"""The words of the training sentences in; those that the page suggests out."""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel

from restem.dataset import phrases
from restem.dataset.styles import styles

EXAMPLES = (
    "Add laid-back funk drums",
    "Add soft brushed jazz drums",
    "Add loud heavy metal drums",
    "Add four-on-the-floor house drums",
    "Add sparse hip hop drums",
    "Add a busy samba beat",
)


class Vocabulary(BaseModel):
    """Sentences to begin with; `words` by what they say, first those that say it most plainly."""

    examples: list[str]
    words: dict[str, list[str]]
    styles: list[str]


@cache
def vocabulary() -> Vocabulary:
    """All that the model was taught to understand, but for nouns and typing errors."""
    tables = {
        "dynamics": phrases.OF_LOUDNESS,
        "density": phrases.OF_DENSITY,
        "feel": phrases.OF_FEEL,
        "kit": phrases.OF_KIT,
    }
    words = {
        kind: list(dict.fromkeys(fact.before[0] for fact in table.values()))
        for kind, table in tables.items()
    }
    called = sorted({style.called[0] for style in styles()})
    return Vocabulary(examples=list(EXAMPLES), words=words, styles=called)
