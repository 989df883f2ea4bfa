"""A sentence and how to play it in; what asks a model for that, out."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import numpy as np

from restem.audio.loudness import ear_weights
from restem.audio.room import blocks
from restem.audio.spectrogram import peak_hz
from restem.text import TextEncoder
from restem.tokens import BLOCK_FRAMES, TokenConfig, loudness_value

MOST = 2.0  # controls lie between -MOST and MOST
# How far a step of a control goes, in the numbers that a model is told: 0.8 octaves of hits, 5 dB.
DENSITY_STEP, DYNAMICS_STEP = 0.4, 0.5
# What words say of how many notes there shall be, in steps of density.
# "A few hits per bar" are few; a few fills, or a few more notes, are more than none.
_A_FEW = (
    r"(?<!quite )a (?:few|couple of)(?= (?:(?!more|extra|other|ghost|grace|passing|fills?|licks?|"
    r"rolls?|for|to|in|on|at|and|with|bars?|beats?)[\w-]+ ){0,2}"
    r"(?:(?:notes|hits|strokes|chords|strums|stabs|taps)\b|(?:per|each|every|in (?:a|each|every)) "
    r"bar\b))"
)
# "Don't play so many notes" asks for fewer; of one kind of drum they say nothing of the rest.
_NOT_SO_MANY = (
    r"(?:(?:do|does|should|must|need)n['’]?t|not|never)(?: (?:play|make|be|get|use|it|them|the|"
    r"drums|bass|guitar|piano|keys|quite)){0,4} (?:so|as) (?:very )?"
    r"(?:many (?:[\w-]+ )?(?:notes|hits|strokes|chords)|busy|busily|dense)"
)
_ONE_KIND = r"(?:(?:cymbal )?crash(?:es)?|cymbals?|rides?|toms?|hi-?hats?|snares?|kicks?)\b"
FEW = re.compile(
    r"\b(sparse|sparser|sparsely|simple|simpler|(?<=play )simply|(?<=played )simply|"
    r"(?<=playing )simply|simply(?= played)|minimal|minimalist|"
    rf"(?:(?<!a )few|fewer)(?! {_ONE_KIND})|{_A_FEW}|"
    r"restrained|understated|half as (?:busy|dense|full|many)|"
    r"less (?:busy|busily|dense|densely|intricate|frantic|hectic|notes)|"
    rf"play(?:s|ing)? less(?= ?(?:$|[,.;!]|please|than|often|and|in|on|over))|{_NOT_SO_MANY})\b"
)
MANY = re.compile(
    r"\b(busy|busier|busily|dense|denser|densely|intricate|frantic|hectic|"
    r"(?:lots of|many)(?= (?:[\w-]+ ){0,2}(?:notes|fills|hits|strokes|rolls|beats|"
    r"chords|licks|runs|strum\w*|slides|arpeggios|kicks?)\b))\b"
)
STEPS_OF_WORDS = 1.5
# Drums of such styles strike twice as often as others, and few songs were there to learn that from.
DENSE_STYLES = re.compile(
    r"\b((?<!doom[ -])(?<!sludge[ -])(?<!stoner[ -])metal(?![ -](?:ballad|brush|stick))|thrash|"
    r"blast[ -]?beats?)\b"
)
STEPS_OF_STYLES = 1.0
# The loudness (`tokens.loudness_value`) that drums have in the middle of training songs, and how
# far from it those of such styles are at least: bands that play hard had hidden theirs.
MIDDLE_LOUDNESS, HARD_OFFSET, GENTLE_OFFSET = 0.05, 0.1, -0.2
HARD_STYLES = re.compile(
    r"\b(metal|punk|grunge|hardcore|thrash|(?:hard|stadium|arena|heavy|garage)[ -]rock|"
    r"drum ?(?:and|n|&|'n'?) ?bass|techno)\b(?![ -]ballad)"
)
GENTLE_STYLES = re.compile(r"\b(brush(?:es|ed)?|ballads?|lullab(?:y|ies)|ambient)\b")
# And of how hard it shall be played, in steps of dynamics. "Soft rock" is a style.
SOFT = re.compile(
    r"\b(soft(?![ -](?:rock|shoe|clip))|softer|softly|quiet|quieter|quietly|gentle|gentler|gently|"
    r"delicate|delicately|lightly(?! (?:distort|overdriv|swung|compress))|"
    r"light(?= (?:drum|brush|kit|touch|play))|half as loud)\b"
)
LOUD = re.compile(
    r"\b(loud|louder|loudly|hard[ -]hitting|powerful|forceful|"
    r"(?:play|hit|strum|dig|rock|drive)(?:s|ed|ting|ning|ming|ging|ing)?(?: \w+){0,3} hard|"
    r"harder|(?:struck|go|and) hard(?! [a-z])|"
    r"(?<!swing )(?<!swings )(?<!swinging )(?<!swing it )"
    r"hard(?![ -](?:rock|bop|techno|house|trance|core))"
    r"(?=[ -]driving|,|(?: and \w+|,? \w+)? (?:drum|strum|hits|groove|beat|backbeat|kick|snare)))\b"
)
HARDER_STEPS = 1.0
# What a stem, which goes softer and louder with its song alone, cannot do.
OVER_TIME = re.compile(
    r"\b(?:de)?crescendos?\b|\bdiminuendos?\b|\bgradual(?:ly)?\b|\bover time\b|"
    r"\bfad(?:e|es|ing)[ -](?:(?:them|it|the \w+) )?(?:in|out)\b|\bbuild(?:s|ing)?[ -]?ups?\b|"
    r"\b(?:get|gets|getting|grow|grows|growing|become|becomes|becoming) (?:\w+ )?(?:and \w+ )?"
    r"(?:louder|softer|quieter|busier|sparser|denser|simpler|stronger|faster|slower)\b|"
    r"\btowards? the (?:end|chorus|climax)\b|\bthen builds?\b|"
    r"\bbuild(?:s|ing)? (?:to|towards|into)\b|\bbecom(?:e|es|ing) more\b|"
    r"\b(?:start|begin)(?:s|ing)? (?:out )?(?:quiet|soft|simple|sparse|loud|busy)(?:ly)?\b"
)
# In which another is described, and no wish is said.
_DESCRIBES = re.compile(
    r"\b(?:song|mix|track|arrangement|music|recording|band|guitars?|vocals?|singer|melody|piano|"
    r"(?:last|first) (?:one|take))\b(?: \w+){0,2}? (?:is|are|was|were|has|have|sounds(?= \w))\b"
    r"(?! (?:missing|lacking))"
)
_PARTS = re.compile(
    r"[,.;:!()]| - | (?:with|and|that|which|but|then|so|because|since|when|while|as (?:the|it)) "
)
# Before such a word, or one word further, these take back what it says.
_NEAR = re.compile(
    r"(?:\b(?:less|half as|too|without|no|nothing(?! but\b)|medium|moderately|anything but|"
    r"instead of|rather than)|(?:^|[,.;] ?|\bplease )stop(?= (?!time|start)))"
    r"[ -](?:being )?(?:too )?(?:\w+ n?or )?(?:\w+[ -])?$"
)
# These do so to the end of their clause, as in "don't let it get too loud".
_FAR = re.compile(
    r"(?:\b(?:(?<!why )not|never|nothing|neither|nor|avoid|avoiding|(?:do|does|is|are)nt)|n['’]t|"
    r"\b(?:keep|stop|prevent)\w*(?: \w+){0,2} from)"
    r"[ -](?!(?:only|just|merely|but|stop|hold back|be (?:afraid|shy))\b)(?:so )?"
    r"(?:(?!(?:but|so|then|instead|rather|because|just|only|unless|"
    r"until)\b|and (?:are|is|be|play|should|make)\b)[\w'’]+[ -]){0,6}"
    r"(?:(?:play|playing|be|being|it|get|quite|are|is|drums|bass|guitar|piano|keys|them) so "
    r"(?:very |many |much )?)?$"
)
LOUDER_WITH_NOTES = 0.6  # a `loudness_value` for a `density_value`: 3 dB for twice the notes
MOST_LOUDER_DB = 18.0  # that a stem is turned up or down to be as loud as was told


@dataclass(frozen=True, eq=False)
class Wish:
    """Vectors (384,) of the sentence and of the empty one, the density and loudness to tell a
    model (`tokens.control_features`), None where it is to decide, and the loudness that what it
    makes is to have."""

    text: np.ndarray
    null: np.ndarray
    density: float | None = None
    loudness: float | None = None
    level: float | None = None


def wish(
    encoder: TextEncoder,
    instruction: str,
    density: float | None = None,
    dynamics: float | None = None,
    usual: tuple[float, float] | None = None,
) -> Wish:
    """The sentence with both controls, each from -2 (few notes; quiet playing) over 0 to 2.

    They go out from the density and loudness that are `usual` with such sentences. At None the
    words decide, and where they say nothing of it the model decides on the density; the loudness is
    told all the same, so that seeds do not differ in it. Without `usual` a control of None leaves
    the loudness to the model too.
    """
    if density is None:
        density = density_of_words(instruction) or _density_of_style(instruction) or None
    if dynamics is None:
        dynamics = dynamics_of_words(instruction) or None
    text, null = encoder.encode([instruction, ""])
    near = usual or (0.0, 0.0)
    asked = None if density is None else near[0] + DENSITY_STEP * density
    if usual is None and dynamics is None:
        return Wish(text, null, asked)
    loudness = near[1] + DYNAMICS_STEP * (dynamics or 0.0)
    fuller = 0.0 if asked is None else asked - near[0]
    louder = _as_hard(instruction, near[1]) - near[1] if usual else 0.0
    return Wish(text, null, asked, loudness, loudness + louder + LOUDER_WITH_NOTES * fuller)


def naming(stem: str, instruction: str) -> str:
    """The sentence with the name of the stem, which no sentence in training lacks: "give it a swing
    feel" alone is near to none of them."""
    named = re.search(r"\bdrum" if stem == "drums" else rf"\b{stem}\b", instruction.lower())
    return instruction if named else f"{instruction.rstrip(' .!')} {stem}"


def density_of_words(instruction: str) -> float:
    """The steps of density that a sentence asks for by such words as "busy" and "sparse"."""
    words = instruction.lower()
    return STEPS_OF_WORDS * (bool(_lasting(MANY, words)) - bool(_lasting(FEW, words)))


def _density_of_style(instruction: str) -> float:
    """The steps of density by which drums of a style have more notes, unless words have their say
    of it."""
    words = instruction.lower()
    told = meant(MANY, words) or meant(FEW, words)
    return STEPS_OF_STYLES * bool(meant(DENSE_STYLES, words) and not told)


def _as_hard(instruction: str, usual: float) -> float:
    """The loudness that is usual, or that of a style that is played hard or gently."""
    words = instruction.lower()
    if meant(GENTLE_STYLES, words):
        return min(usual, MIDDLE_LOUDNESS + GENTLE_OFFSET)
    return max(usual, MIDDLE_LOUDNESS + HARD_OFFSET) if meant(HARD_STYLES, words) else usual


def dynamics_of_words(instruction: str) -> float:
    """The steps of dynamics that a sentence asks for by such words as "loud" and "soft"."""
    words = instruction.lower()
    return HARDER_STEPS * (bool(_lasting(LOUD, words)) - bool(_lasting(SOFT, words)))


def without_loudness(instruction: str) -> str:
    """The sentence without those words."""
    if not dynamics_of_words(instruction):
        return instruction
    words = instruction.lower()
    for pattern in (SOFT, LOUD):
        for found in reversed(meant(pattern, words)):
            words = words[: found.start()] + words[found.end() :]
    return words


def meant(pattern: re.Pattern[str], words: str) -> list[re.Match[str]]:
    """Where the words stand and nothing before them takes them back, as in "not too loud"."""
    return [m for m in pattern.finditer(words) if not _taken_back(words[: m.start()])]


def _lasting(pattern: re.Pattern[str], words: str) -> list[re.Match[str]]:
    """What is `meant` of all of the part, and not said in a clause of what changes or of others."""
    ends = [0, *(m.end() for m in _PARTS.finditer(words)), len(words)]
    parts = [slice(a, b) for a, b in itertools.pairwise(ends)]
    about = (OVER_TIME, _DESCRIBES)
    changing = [part for part in parts if any(p.search(words[part]) for p in about)]
    found = meant(pattern, words)
    return [m for m in found if not any(p.start <= m.start() < p.stop for p in changing)]


def _taken_back(before: str) -> bool:
    return bool(_NEAR.search(before) or _FAR.search(before))


def level_to(stem: np.ndarray, loudness: float, config: TokenConfig) -> None:
    """Turn stem tokens (token, value), in place, to a `tokens.loudness_value` over all of them.

    Bands weigh as the ear weighs them (BS.1770), or a kit that is mostly kick would count as loud.
    A network that is not sure blurs, and what is blurred in decibels is soft.
    """
    mels, total = config.spectrogram.mels, 0.0
    weights = ear_weights(peak_hz(config.spectrogram))
    for b in blocks(len(stem), BLOCK_FRAMES):
        cells = stem[b].reshape(-1, config.spectrogram.columns)[:, :mels]
        power = 10 ** ((cells * config.scale_db + config.centre_db) / 10)
        total += float(np.sum(power.sum(axis=0) * weights))
    mean = total / (len(stem) * config.frames_per_token)
    if mean > 10 ** (config.quiet_db / 10) * mels:  # silence stays silent
        miss_db = 10 * (loudness - float(loudness_value(mean)))
        louder_db = float(np.clip(miss_db, -MOST_LOUDER_DB, MOST_LOUDER_DB))
        for b in blocks(len(stem), BLOCK_FRAMES):
            stem[b][stem[b] > config.silence] += np.float32(louder_db / config.scale_db)
