"""Names of style files and data sets in, the words that a musician uses for the style out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

# Tempi are quarter notes a minute, dotted quarters in 6/8 and 12/8.
_TABLE = Path(__file__).with_name("styles.json")
_FILE_ENDINGS = (".mma", ".mid", ".h2pattern")
_NUMBERED = re.compile(r"(-break)?[-_ ]?\d+$")


@dataclass(frozen=True)
class Style:
    """One row of the table: what a style is called and which tempi are usual for it.

    `called` are words that may stand before a noun, the plainest first; below `slow_below` and
    above `fast_above` (beats a minute) players would call the tempo slow or fast for this style.
    """

    words: str
    family: str
    called: tuple[str, ...]
    slow_below: float
    fast_above: float


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, Style], dict[str, str]]:
    raw = json.loads(_TABLE.read_text(encoding="utf-8"))
    styles = {
        words: Style(
            words, row["family"], tuple(row["called"]), row["slow_below"], row["fast_above"]
        )
        for words, row in raw["styles"].items()
    }
    return styles, raw["names"]


def styles() -> tuple[Style, ...]:
    """Every known style."""
    return tuple(_tables()[0].values())


def style_words(raw: str) -> str | None:
    """The words for a style file, data set folder or style field; None if it names no style.

    Takes MMA file names ("stdlib/bossanova.mma", "16beatballad1"), the style column of the Groove
    MIDI Dataset ("latin/brazilian-bossa") and pattern folders ("bossa-nova"). The words never state
    a tempo: "slowblues" is "blues", since the song may be played at any tempo.

    >>> style_words("mtl.mma"), style_words("metronome")
    ('heavy metal', None)
    """
    name = raw.strip().lower().replace("\\", "/")
    ending = PurePosixPath(name).suffix
    if ending in _FILE_ENDINGS:
        name = PurePosixPath(name).name.removesuffix(ending)
    names = _tables()[1]
    # "rock/unheard-of" is still rock.
    for candidate in (name, _NUMBERED.sub("", name), name.split("/")[0]):
        if candidate in names:
            return names[candidate]
    return None


def find_style(words: str) -> Style:
    """The table's row for style words, also for words that only contain a known style.

    "latin metal" is read from its end ("heavy metal"); words without any known style give a row of
    the family "other" with usual tempi of 85 to 140.
    """
    wanted = " ".join(words.lower().split())
    table = _tables()[0]
    if wanted in table:
        return table[wanted]
    pieces = wanted.split(" ")
    for start in range(len(pieces)):
        row = _by_any_name().get(" ".join(pieces[start:]))
        if row is not None:
            return Style(wanted, row.family, (wanted,), row.slow_below, row.fast_above)
    return Style(wanted, "other", (wanted,), 85.0, 140.0)


@lru_cache(maxsize=1)
def _by_any_name() -> dict[str, Style]:
    rows = {name: row for row in reversed(styles()) for name in row.called}
    return {**rows, **_tables()[0]}


def style_family(words: str) -> str:
    """The broad genre of style words, for tables: "jazz", "latin", "rock", "metal" ... "other"."""
    return find_style(words).family


def tempo_range(words: str) -> tuple[float, float]:
    """The (lowest, highest) tempo at which a style is still played, a little past slow and fast."""
    row = find_style(words)
    return 0.85 * row.slow_below, 1.15 * row.fast_above
