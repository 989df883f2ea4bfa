"""Labels of a stem in, a sentence that asks for that stem out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

import numpy as np

from restem.dataset import phrases
from restem.dataset.styles import Style, find_style, style_family, style_words

__all__ = ["ACTIONS", "Labels", "instruction", "style_family", "style_words"]

ACTIONS = ("Insert", "Add", "Generate", "Enhance", "Put", "Augment")
LOUDNESS = ("soft", "medium", "loud")
DENSITY = ("sparse", "medium", "busy")
KITS = ("standard", "room", "power", "electronic", "tr-808", "jazz", "brush", "orchestra")
FEELS = ("swing", "straight", "four on the floor", "half-time", "shuffle")
ARTICULATIONS = ("short", "long")
REGISTERS = ("low", "high")
SHORT_WORDS = 7
TYPO_SHARE = 0.02
_T = TypeVar("_T")


@dataclass(frozen=True)
class Labels:
    """What is known about a stem; None means unknown, and is never mentioned.

    `style` is lower-case words ("bossa nova"), `bpm` beats a minute, `metre` "4/4" and the like;
    `loudness`, `density`, `kit` and `feel` are among LOUDNESS, DENSITY, KITS and FEELS; of pitched
    stems, `articulation` and `register` are among ARTICULATIONS and REGISTERS, and `program` is
    General MIDI's, from 0. Raises ValueError otherwise.
    """

    style: str
    bpm: float | None = None
    metre: str | None = None
    loudness: str | None = None
    density: str | None = None
    kit: str | None = None
    feel: str | None = None
    articulation: str | None = None
    register: str | None = None
    program: int | None = None

    def __post_init__(self) -> None:
        if not self.style.strip():
            raise ValueError("a style needs at least one word")
        if self.bpm is not None and not (isfinite(self.bpm) and self.bpm > 0):
            raise ValueError(f"bpm must be a positive number, not {self.bpm}")
        if self.metre is not None and not re.fullmatch(r"\d+/\d+", self.metre):
            raise ValueError(f'metre must look like "3/4", not "{self.metre}"')
        for name, known in (
            ("loudness", LOUDNESS), ("density", DENSITY), ("kit", KITS), ("feel", FEELS),
            ("articulation", ARTICULATIONS), ("register", REGISTERS),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value not in known:
                raise ValueError(f'{name} must be one of {", ".join(known)}, not "{value}"')


def instruction(stem: str, labels: Labels, rng: np.random.Generator, typos: bool = True) -> str:
    """One English sentence that asks for `stem`, true to every label that it mentions.

    Most sentences follow the form "Add soft brushed jazz drums": one of ACTIONS first and at most
    seven words. Others are bare ("slow reggae drums") or longer. Most name the style and up to
    three further labels; a few name only other labels, or only the stem. About one in fifty has a
    typing error, unless `typos` is false. Tempo words are relative to the
    style: 130 is slow for thrash metal.

    `stem` is "drums", "bass", "guitar", "keys" or any other name; ValueError if it is blank.
    """
    if not stem.strip():
        raise ValueError("the stem needs a name")
    form = rng.random()
    if form < 0.55:
        templates, most = phrases.SHORT[_choice(ACTIONS, rng)], SHORT_WORDS
    elif form < 0.80:
        templates, most = phrases.BARE, SHORT_WORDS
    else:
        action = _choice((*ACTIONS, "", "", ""), rng)
        templates, most = phrases.LONG.get(action, phrases.FREE), 40
    template = _choice(templates, rng)
    bare = templates is phrases.BARE
    sentence = _fitting(template, stem, labels, most, bare, rng)
    if rng.random() < (0.85 if bare else 0.25):
        sentence = sentence.lower()
    else:
        sentence = sentence[0].upper() + sentence[1:]
        if rng.random() < 0.15 and not sentence.endswith("?"):
            sentence += "."
    return _misspelt(sentence, rng) if rng.random() < TYPO_SHARE and typos else sentence


def _fitting(
    template: str, stem: str, labels: Labels, most: int, bare: bool, rng: np.random.Generator
) -> str:
    """The template with a noun phrase of as many chosen facts as `most` words leave room for."""
    facts = _facts(stem, labels)
    chosen, with_style = _chosen(facts, most > SHORT_WORDS, rng)
    while True:
        phrase = _noun_phrase(stem, labels, {k: facts[k] for k in chosen}, with_style, bare, rng)
        sentence = template.format(np=phrase)
        if len(sentence.split()) <= most or not chosen:
            return sentence
        chosen = chosen[:-1]
        with_style = with_style or not chosen


def _chosen(
    facts: dict[str, phrases.Fact], long: bool, rng: np.random.Generator
) -> tuple[list[str], bool]:
    """Which facts to mention, in random order, and whether to name the style."""
    kind = rng.random()
    if kind < 0.03:
        return [], False
    with_style = kind < 0.88 or not facts
    extras = int(rng.choice(4, p=(0.15, 0.35, 0.3, 0.2) if long else (0.35, 0.4, 0.2, 0.05)))
    count = min(len(facts), extras if with_style else max(1, extras))
    if not count:
        return [], with_style
    weights = np.array([fact.weight for fact in facts.values()])
    picked = rng.choice(list(facts), size=count, replace=False, p=weights / weights.sum())
    return [str(name) for name in picked], with_style


def _facts(stem: str, labels: Labels) -> dict[str, phrases.Fact]:
    """All that the labels allow to say besides the style."""
    facts: dict[str, phrases.Fact] = {}
    if labels.loudness is not None:
        facts["loudness"] = phrases.OF_LOUDNESS[labels.loudness]
    if labels.density is not None:
        facts["density"] = phrases.OF_DENSITY[labels.density]
    if labels.feel is not None:
        facts["feel"] = phrases.OF_FEEL[labels.feel]
        if labels.feel == "four on the floor" and stem == "drums":
            facts["feel"] = phrases.Fact(
                facts["feel"].before, (*facts["feel"].after, phrases.KICK_TAIL)
            )
    if labels.articulation is not None:
        facts["articulation"] = phrases.OF_ARTICULATION[labels.articulation]
    if labels.register is not None:
        facts["register"] = phrases.OF_REGISTER[labels.register]
    if labels.metre is not None:
        facts["metre"] = phrases.OF_METRE.get(
            labels.metre, phrases.Fact((), (f"in {labels.metre}",))
        )
    if labels.kit is not None and stem == "drums":
        facts["kit"] = phrases.OF_KIT[labels.kit]
    elif labels.kit in ("electronic", "tr-808"):
        facts["kit"] = phrases.ELECTRONIC_PART
    if labels.bpm is not None:
        facts["tempo"] = phrases.OF_TEMPO[tempo_word(labels.style, labels.bpm)]
        whole = f"{labels.bpm:.0f}"
        facts["bpm"] = phrases.Fact((f"{whole} bpm",), (f"at {whole} bpm", f"at {whole} BPM"), 0.35)
    return facts


def tempo_word(style: str, bpm: float) -> str:
    """ "slow", "mid" or "fast" for this style at `bpm` beats a minute."""
    row = find_style(style)
    if bpm < row.slow_below:
        return "slow"
    return "fast" if bpm > row.fast_above else "mid"


def _noun_phrase(
    stem: str, labels: Labels, facts: dict[str, phrases.Fact], with_style: bool, bare: bool,
    rng: np.random.Generator,
) -> str:  # fmt: skip
    noun, countable = _choice(_nouns(stem, labels.program), rng)
    style = _style_name(find_style(labels.style), rng) if with_style else ""
    # Said after the noun now and then ("drums in a reggae style").
    behind = f"in {_article(style)} {style} style" if style and rng.random() < 0.06 else ""
    front: dict[str, str] = {} if behind or not style else {"style": style}
    tails = [behind] if behind else []
    for name, fact in facts.items():
        said = " ".join((*front.values(), *tails, noun))
        place = (
            fact.before if fact.before and (not fact.after or rng.random() < 0.8) else fact.after
        )
        words = _choice(place, rng)
        if _repeats(words, said):
            continue
        if place is fact.before:
            front[name] = words
        else:
            tails.append(words)
    ordered = [front[name] for name in (*phrases.ORDER, "bpm", "style") if name in front]
    phrase = " ".join((*ordered, noun))
    if countable and not bare and rng.random() < 0.85:
        phrase = f"{_article(phrase)} {phrase}"
    elif not countable and not bare and rng.random() < 0.2:
        phrase = f"some {phrase}"
    return " ".join((phrase, *tails))


def _nouns(stem: str, program: int | None) -> tuple[tuple[str, bool], ...]:
    """What the stem may be called, and whether that is countable; half of it by its instrument."""
    plain = phrases.NOUNS.get(stem, ((stem, False), (f"{stem} part", True)))
    names = phrases.INSTRUMENTS.get(stem, {}).get(-1 if program is None else program, ())
    if not names:
        return plain
    own = [
        noun for name in names for noun in ((name, False), (f"{name} {phrases.PART[stem]}", True))
    ]
    return plain + tuple(own[i % len(own)] for i in range(len(plain)))


def _style_name(row: Style, rng: np.random.Generator) -> str:
    """The plainest name half of the time, else any of its names."""
    return row.called[0] if rng.random() < 0.5 else _choice(row.called, rng)


def _repeats(words: str, said: str) -> bool:
    """Whether a content word (by its first four letters: swing, swung) has been said already."""

    def stems(text: str) -> set[str]:
        cut = {re.sub("^sw[iu]ng.*", "swing", word)[:4] for word in re.findall(r"[a-z0-9/]+", text)}
        return cut - {"a", "an", "in", "on", "at", "the", "with", "kit", "from", "drum", "play"}

    return bool(stems(words.lower()) & stems(said.lower()))


def _article(words: str) -> str:
    """ "a" or "an", by sound: an 808, an R&B, a one-drop."""
    return "an" if re.match(r"[aei]|o(?!ne)|u(?!n[ai]|s)|8|r&b", words.lower()) else "a"


def _misspelt(sentence: str, rng: np.random.Generator) -> str:
    """Swap or drop or double one letter inside one word of at least five letters."""
    words = [m.span() for m in re.finditer(r"[A-Za-z]{5,}", sentence)]
    if not words:
        return sentence
    start, end = words[int(rng.integers(len(words)))]
    at = int(rng.integers(start + 1, end - 2))
    first, second = sentence[at], sentence[at + 1]
    pair = _choice((second + first, first, first + first + second), rng)
    return sentence[:at] + pair + sentence[at + 2 :]


def _choice(options: tuple[_T, ...], rng: np.random.Generator) -> _T:
    return options[int(rng.integers(len(options)))]
