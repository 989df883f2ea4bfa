"""The words of the instruction sentences: what can be said about a stem, and around it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """One true thing to say: words before the noun, words after it, and how often to say it."""

    before: tuple[str, ...]
    after: tuple[str, ...] = ()
    weight: float = 1.0


# Words in front of the noun, in the order in which English puts them; the style comes last.
ORDER = ("loudness", "tempo", "density", "articulation", "register", "feel", "metre", "kit")

OF_LOUDNESS = {
    "soft": Fact(("soft", "quiet", "gentle", "softly played"), ("played softly", "nice and quiet")),
    "medium": Fact(("medium-loud",), ("at a medium volume",), 0.2),
    "loud": Fact(("loud", "hard-hitting", "powerful"), ("played loud", "hitting hard")),
}
OF_DENSITY = {
    "sparse": Fact(("sparse", "simple", "minimal"), ("with few notes", "kept simple")),
    "medium": Fact(("moderately busy",), (), 0.15),
    "busy": Fact(("busy", "dense", "intricate"), ("with lots of notes", "kept busy")),
}
OF_ARTICULATION = {
    "short": Fact(("staccato", "choppy"), ("with short notes", "played staccato")),
    "long": Fact(("sustained", "legato"), ("with long notes", "with held notes")),
}
OF_REGISTER = {
    "low": Fact(("low", "low-pitched"), ("in a low register",), 0.6),
    "high": Fact(("high", "high-pitched"), ("in a high register",), 0.6),
}
OF_TEMPO = {
    "slow": Fact(("slow", "slow", "slow-tempo", "unhurried"), ("at a slow tempo",), 1.6),
    "mid": Fact(("mid-tempo", "medium-tempo"), ("at a medium tempo",), 0.4),
    "fast": Fact(("fast", "fast", "up-tempo", "quick"), ("at a fast tempo",), 1.6),
}
OF_FEEL = {
    "swing": Fact(("swinging", "swung"), ("with a swing feel", "with swing")),
    "shuffle": Fact(("shuffling", "shuffled"), ("with a shuffle feel",)),
    "straight": Fact(("straight",), ("with a straight feel",), 0.3),
    "four on the floor": Fact(
        ("four-on-the-floor", "four on the floor"), ("in four on the floor",)
    ),
    "half-time": Fact(("half-time",), ("in half-time", "with a half-time feel")),
}
KICK_TAIL = "with a kick on every beat"
OF_KIT = {
    "standard": Fact(("acoustic", "live"), ("on an acoustic kit",), 0.4),
    "room": Fact(("roomy", "acoustic", "live-room"), ("on a room kit", "in a live room"), 0.8),
    "power": Fact(("punchy", "big", "power-kit"), ("on a big power kit",), 0.8),
    "electronic": Fact(
        ("electronic", "synthetic"), ("on an electronic kit", "from a drum machine")
    ),
    "tr-808": Fact(
        ("808", "TR-808", "808-style", "electronic"), ("on a TR-808", "from an 808 drum machine")
    ),
    "jazz": Fact(("jazz-kit", "acoustic"), ("on a jazz kit",), 0.6),
    "brush": Fact(("brushed", "brushed", "brush"), ("with brushes", "played with brushes"), 1.4),
    "orchestra": Fact(("orchestral", "symphonic"), ("with orchestral percussion",)),
}
ELECTRONIC_PART = Fact(("electronic", "synth"), ("on a synth",))
OF_METRE = {
    "3/4": Fact(("3/4", "waltz-time"), ("in 3/4", "in three", "in waltz time")),
    "6/8": Fact(("6/8",), ("in 6/8", "in six-eight")),
    "4/4": Fact((), ("in 4/4", "in four"), 0.15),
}

# (noun, whether it is countable): countable nouns take "a", the others nothing or "some".
NOUNS: dict[str, tuple[tuple[str, bool], ...]] = {
    "drums": (("drums", False),) * 6
    + (("drum beat", True), ("drum groove", True), ("beat", True), ("groove", True))
    + (("drumming", False), ("drum part", True), ("percussion", False)),
    "bass": (("bass", False),) * 3 + (("bass line", True), ("bassline", True), ("bass part", True)),
    "guitar": (("guitar", False),) * 3 + (("guitar part", True), ("guitar accompaniment", False)),
    "keys": (("keys", False),) * 3 + (("keyboards", False), ("keyboard part", True)),
}

# What General MIDI's programs are called.
INSTRUMENTS: dict[str, dict[int, tuple[str, ...]]] = {
    "bass": {
        32: ("upright bass", "double bass", "acoustic bass"),
        33: ("fingered bass", "electric bass"),
        34: ("picked bass", "electric bass"),
        35: ("fretless bass",),
        36: ("slap bass",),
        37: ("slap bass",),
        38: ("synth bass",),
        39: ("synth bass",),
    },
    "guitar": {
        24: ("nylon guitar", "classical guitar", "acoustic guitar"),
        25: ("steel-string guitar", "acoustic guitar"),
        26: ("jazz guitar", "electric guitar"),
        27: ("clean guitar", "clean electric guitar"),
        28: ("muted guitar", "palm-muted guitar"),
        29: ("overdriven guitar", "electric guitar"),
        30: ("distorted guitar", "distortion guitar"),
    },
    "keys": {
        0: ("piano", "grand piano"),
        1: ("piano", "bright piano"),
        2: ("electric grand piano", "piano"),
        3: ("honky-tonk piano",),
        4: ("electric piano", "Rhodes"),
        5: ("electric piano", "FM electric piano"),
        6: ("harpsichord",),
        7: ("clavinet", "clav"),
        11: ("vibraphone", "vibes"),
        16: ("organ", "Hammond organ"),
        17: ("organ", "percussive organ"),
        18: ("rock organ", "organ"),
        19: ("church organ", "pipe organ"),
        21: ("accordion",),
    },
}
PART = {"bass": "line", "guitar": "part", "keys": "part"}  # of an instrument, to count it

SHORT: dict[str, tuple[str, ...]] = {
    "Insert": ("Insert {np}", "Insert {np} here"),
    "Add": ("Add {np}", "Add {np}", "Add in {np}", "Add {np} here"),
    "Generate": ("Generate {np}",),
    "Enhance": ("Enhance with {np}", "Enhance it with {np}", "Enhance this with {np}"),
    "Put": ("Put in {np}", "Put {np} in", "Put {np} here"),
    "Augment": ("Augment with {np}", "Augment it with {np}"),
}
LONG: dict[str, tuple[str, ...]] = {
    "Insert": (
        "Insert {np} into this song",
        "Please insert {np}",
        "Insert {np} that fits the song",
    ),
    "Add": ("Add {np} to this song", "Could you add {np}?", "Please add {np} to the track"),
    "Generate": ("Generate {np} for this track", "Please generate {np} to go with this"),
    "Enhance": ("Enhance the song with {np}", "Please enhance this track with {np}"),
    "Put": ("Put {np} under this song", "Please put {np} behind the band"),
    "Augment": ("Augment the song with {np}", "Please augment this recording with {np}"),
}
FREE = (
    "I would like {np} here", "This song needs {np}", "Give me {np}", "Let's have {np} on this",
    "Play along with {np}", "I want to hear {np} in this track", "How about {np}?",
    "{np} would fit this song", "What is missing is {np}",
)  # fmt: skip
BARE = (*("{np}",) * 5, "{np} please", "{np}, please")
