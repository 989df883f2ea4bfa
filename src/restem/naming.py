"""The stem that a sentence names or asks for."""

from __future__ import annotations

import re

from restem.manner import meant

NAMES = {
    "drums": re.compile(
        r"drum|\bbeats?\b|percussion|\bkit\b|brush|cymbal|\b(hi-?)?hats?\b|snare|kick"
    ),
    "bass": re.compile(
        r"\b(?:contra)?bass(?!oon|et|[ -](?:clarinet|flute|harmonica|recorder|sax|singer|trombone|"
        r"trumpet|tuba|viol|vocal|voice))"
    ),
    "guitar": re.compile(
        r"guitar|\bstrum|\b(?:tele|strat)(?:caster)?s?\b|\bles paul|"
        r"\b(?:(?:six|seven|twelve|6|7|12)[- ]string|(?:nylon|steel)[- ]strings?)\b"
    ),
    "keys": re.compile(
        r"pian(?:o|ist)|\bkeys\b|keyboard|organ(?:s|ist)?\b|rhodes|\bclav(?:inet|s?\b)|"
        r"synth(?!etic)|hammond|\bwurl[iy]|harpsichord|farfisa|\bb-?3\b|vibraphone"
    ),
}
# "Base" for "bass"; but drums have a base drum, and a song is the base of a part.
_BASE = re.compile(
    r"\bbase(?=[ -](?:drum|guitar|player|riff)s?\b)|(?<!as a )\bbase(?=[ -]?lines?\b)|"
    r"(?:(?<=\bslap )|(?<=\bwalking )|(?<=\bupright ))base\b"
)
# What one stem alone would play, for sentences that name none; the words of guitars go first.
IMPLIED = {
    "guitar": re.compile(
        r"\bpower[ -]?chords?\b|\bpalm[- ]?mut|\bchug(?:s|ging)?\b(?! (?:along|groove|feel))|"
        r"\bskank|\briff(?:s|ing)?\b|\blicks?\b|\bfinger-?[ -]?(?:pick|styl)|\bflat-?pick|"
        r"(?<!-)\bpicking\b(?! up)|\bshred(?:s|ding)?\b|\bwah\b|"
        r"\bup[- ]?strokes?\b|\bchicken[- ]pick\w*|\b(?:pedal|lap) steel\b|"
        r"\b(?:acoustic|crunchy|distorted|overdriven) rhythm\b|"
        r"\b(?:acoustic|barre|clean|crunchy|distorted|jangly|muted|open|overdriven|picked|twangy) "
        r"(?:arpeggios?|chords?)\b"
    ),
    "bass": re.compile(
        r"(?<!tr)(?<!tr[- ])\b808s?\b(?! (?:[\w-]+ )?(?:groove|loop|machine|pattern|rhythm)s?\b)|"
        r"\bsub\b(?!-)|\bfretless\b|\breese\b|\bwalking line|\b(?:low|bottom)[- ]end\b|"
        r"\bslap(?:ping)?[ -](?:and|&|n|'n'?)[ -]pop(?:ping)?\b|"
        r"\broot notes?\b|\bacid line|\bupright\b"
    ),
    "keys": re.compile(
        r"\bchords?\b(?! changes?)|\barp(?:s|eggi\w*)?\b|\bpads?\b(?! (?:it|out|the)\b)|"
        r"(?<!in )\bstride\b|\bstabs?\b|\bcomp(?:ing)?\b|\bvoicings?\b|\bvamps?\b|"
        r"\b(?:counter-?)?melod(?:y|ies)\b|\bmontunos?\b|\bdrones?\b|\b(?:mini)?moogs?\b|"
        r"\bsupersaws?\b|\b(?:reggae|dub|ska) bubble\b"
    ),
}
# What stands before such a word of the song's, as in "accent the main riff".
_DEFINITE = re.compile(
    r"['’]s $|(?<!play )\b(?:the|this|that|these|those|each|every|his|her|their|your)"
    r"(?: (?!song|track|mix|tune|music|some|an?\b)[\w-]+)? $"
)
# One bass each; and what ends in a beat is of drums, but for "on the beat".
A_BASS = re.compile(r"\bbass (?:synth(?:esi[sz]er)?|keyboard|guitar)\b|\bdouble[- ]bass\b")
A_BEAT = re.compile(
    r"(?:^|(?<!\bon )\b(?:an?|some) )(?:(?!(?:on|in|at|to|off|back|down|each|every|per|an?|the|"
    r"one|two|three|four|eight)\b)[\w-]+ ){0,4}beats?\W*$"
)
# Of another stem's sentence: a chord "on every beat" is no wish for drums, "add a disco beat" is.
NAMES_OTHERS = NAMES | {
    "drums": re.compile(
        r"drum|percussion|\bkit\b|brush|cymbal|\b(hi-?)?hats?\b|snare|kick|"
        r"^\W*(?:please )?(?:add |give me |make |play |put in )?(?:an? |some )"
        r"(?:(?!(?:on|in|at|to|each|every|per|an?|the|two|three|four|eight)\b)[\w-]+ ){0,3}"
        r"beats?\b(?! of)"
    )
}
NEVER_MADE = re.compile(
    r"\b(trumpets?|trombones?|tubas?|bassoons?|oboes?|horns?|brass|sax\w*|violins?|cellos?|"
    r"strings|flutes?|clarinets?|harps?|"
    r"accordions?|vocals?|voices?|singers?|singing|choirs?|banjos?|ukuleles?|mandolins?|marimbas?|"
    r"xylophones?|harmonicas?|celestas?|glockenspiels?|music[ -]box(?:es)?|mellotrons?|"
    r"harmoniums?)\b"
)
BASS_DRUM = re.compile(
    r"\bbass drums?\b|drum (and|&|n|'n'?) bass|"
    r"\bdouble[- ]bass pedals?\b(?! (?:tones?|points?|notes?)\b)"
)
BASS_GUITAR = "bass guitar"
ALBERTI = "alberti bass"  # broken chords
DRUM_AND_BASS = re.compile(
    r"\bdrum (?:and|&|n|'n'?) bass(?= (?:(?!and|for|over|plus|to|under|with)[\w-]+ ){0,3}?"
    r"(?:bass|(?<!bass )guitar|grand|piano|keys|keyboard|organ|synth)| style\b)"
)  # a style of what it stands before
# What a name follows that is not asked for, and what follows it.
_ALONG = re.compile(
    r"\b(?:follow|lock|doubl|support|complement|match|glu|answer)\w*(?: \w+){0,3} $|"
    r"\b(?:with|under|over|(?<!looking )(?<!asking )(?<!ask )for|behind|between|beneath|around|"
    r"against|beside|than|on top of|(?<!['’]d )(?<!would )(?<!i )like|my|"
    r"(?<!can )(?<!could )(?<!may )(?:i|we)(?: already)? have|"
    r"has|had|recorded|already|keep|leave|let|mute)(?: (?:the|an?|my|your|some|no))?"
    r"(?: (?!needs|lacks|wants|misses|is)[\w-]+(?:,(?= [\w-]+ and))?){0,2} (?:and (?:the )?)?$"
)
_PLAYS = re.compile(
    r"^\w*(?:['’]s)? (?!(?:(?:is|are|was|were|has been|have been) (?:all |also |now |still )?"
    r"(?:absent|gone|lacking|missing|needed|removed|required|wanted)\b))"
    r"(?:is|are|was|has|have|plays?|holds?|enters?|already|"
    r"players? (?:can|is|plays?|will))\b"
)
_ADDED_TO = re.compile(
    r"\bto (?:the|these|this|our|your) (?:(?!song|track|mix|tune|music)[\w-]+ )?(?:and (?:the )?)?$"
)
_PHRASE_END = re.compile(
    r"[,.;:!?&()]|\b(?:and|plus|or|with|on|in|to|that|which|who|playing|plays?|like)\b"
)
# What is to be played upon the song, or in place of what it has.
_UPON = re.compile(
    r"\b(?:(?:accompan|answer|anchor|augment|back|carr|complement|complet|colou?r|doubl|driv|"
    r"enhanc|embellish|enrich|fill|finish|flesh|follow|ground|hold|lay|match|push|reinforc|replac|"
    r"rid|spice|substitut|support|swap|switch|thicken|underpin|warm)\w*(?: (?:up|out|down))? "
    r"{0}(?:by|using|with) (?!my|our|your|this)|"
    r"(?:exchang|replac|substitut|swap|switch|trad)\w*(?: out)? {0}for |"
    r"(?:chang|switch)\w* {0}to |(?:chang|convert|turn)\w* {0}into |"
    r"(?:get rid of|remov\w+|(?:take|took) out|delet\w+|mut\w+) (?:the|my|our) [\w-]+"
    r"(?:[,.;]| and)? (?=(?:then |please )?(?:add|give|make|play|put|write)\b))".replace(
        "{0}", r"(?:the|my|our|this|that|these|those|it|all)\b(?: [\w'’-]+){0,4}? "
    )
)
_MIDDLING = re.compile(r"\b(?:medium|moderately)[- ]")  # takes back "loud", but no name after it
# A part of "a soul ballad with organ"; "my ballad with organ" is the song.
_WITH = re.compile(
    r"^(?:(?!\b(?:my|our|the|this|these|here|i|we|it|for|to|over|under|song|track|tune|mix|demo|"
    r"recording|groove|shuffle)\b|\b(?:along|blend|fit|go|lock|play|sit|sync|tight|time|together|"
    r"work)\w* with).)*? with (?!(?:the|my|our|your|this|these|no)\b)"
)
_LACKS = re.compile(r"\b(?:there(?:['’]s| is| are)|has|have|got) no ")
OF_A_GUITAR = re.compile(
    r"\b(?:nylon|steel|muted?|the|six|open|low|high) strings\b|\bsinging(?:,| lead| tone| solo)"
)
JOINED = re.compile(
    r"\b(?:and|plus|&) (?!(?:keep|follow|leave|let|lock|mute|support|double|turn|play along)\b).*"
)
LAST_NOUN = re.compile(
    r"\b(drums|bass|guitars?|piano|keys|keyboards?|organ)(?: (?:line|part|track))?$"
)
# "Bass and drums" wishes for both; a bass that only goes with what is said of the drums is none.
BOTH = re.compile(
    r"^(?:please )?(?:(?:add|give me|make|play|write|i (?:want|need)|i'd like) )?"
    r"(?:(?:a|an|some|the) )?"
    r"(?P<other>(?:[\w'-]+ ){0,2}?[\w-]+(?: (?:line|part|track))?),? (?:and|plus|&) "
    r"(?!(?:add|play|make|stay|keep|leave)\b)"
)
HAND_DRUMS = re.compile(
    r"\b(shakers?|congas?|bongos?|tambourines?|cowbells?|claves?|maracas?|tablas?|cajons?|djembes?|"
    r"timpani|hand ?claps?|claps?|toms?|ride cymbals?|cross[- ]?sticks?|"
    r"rim-? ?(?:shots?|clicks?)|(?:finger ?|(?<!that )(?<!which )(?<!it ))snaps|finger ?clicks?|"
    r"wood[- ]?blocks?|triangles?(?![ -](?:arp|bass|lead|osc|pad|synth|wave))|sleigh ?bells?|"
    r"jingle ?bells|guiros?|castanets|timbales|gongs?)\b"
)


def spelled(instruction: str) -> str:
    """The sentence in lower case, with a bass for a "base line"."""
    return _BASE.sub("bass", instruction.lower())


def named_last(words: str) -> str | None:
    """The stem at the end of words in lower case, as in "a jazz piano"; that of styles such as
    synth-pop is none."""
    words = BASS_DRUM.sub("drum", words).replace(ALBERTI, "alberti").strip(" .!")
    noun = LAST_NOUN.search(words.replace(BASS_GUITAR, "bass"))
    return next((s for s, names in NAMES.items() if noun and names.search(noun[0])), None)


def asked_stem(instruction: str) -> str:
    """The stem that a sentence asks for: drums where it names them beside another, else the one it
    names first, of such as "synth-pop bass" the last. One that names none may imply one, as "power
    chords" do; the rest is of drums."""
    words = DRUM_AND_BASS.sub("jungle", spelled(instruction))
    words = BASS_DRUM.sub("drum", words).replace(ALBERTI, "alberti")
    words = wish_upon(A_BASS.sub("bass", words))
    if meant(A_BEAT, words):
        return "drums"
    besides = _WITH.search(words) if not NEVER_MADE.search(words) else None
    part = words[besides.end() :] if besides else ""
    asked = _named_first(words) or _named_first(_LACKS.sub("needs ", words))
    if not asked and _named_first(part) != "drums":
        asked = implied_stem(words) or _named_first(part) or implied_stem(part)
    return asked or "drums"


def wish_upon(words: str) -> str:
    """The words in lower case without what is to be replaced or played upon: "a piano", of "replace
    the drums with a piano"."""
    words = words.replace("in place of", "instead of")
    words = _MIDDLING.sub("", words)
    rest = _UPON.sub("", words)
    known = [*NAMES.values(), *IMPLIED.values()]
    return rest if any(names.search(rest) for names in known) else words


def _named_first(words: str) -> str | None:
    named = sorted(
        (found.start(), stem)
        for stem, names in NAMES_OTHERS.items()
        for found in meant(names, words)
        if not (is_of_the_song(found, words) or _ADDED_TO.search(words[: found.start()]))
    )
    stems = [stem for _, stem in named]
    if not stems or "drums" in stems:
        return "drums" if stems else None
    end = _PHRASE_END.search(words, named[0][0])
    return [stem for start, stem in named if not end or start < end.start()][-1]


def implied_stem(words: str) -> str | None:
    """The stem that words in lower case imply, none of which they name: a guitar for "a riff"."""
    if meant(HAND_DRUMS, words):
        return None
    for stem, signs in IMPLIED.items():
        for found in meant(signs, words):
            before = words[: found.start()]
            of_the_song = is_of_the_song(found, words) or _DEFINITE.search(before)
            if not (of_the_song or _ADDED_TO.search(before)):
                return stem
    return None


def names_another(words: str, stem: str) -> str | None:
    """The first other stem that words in lower case ask for, besides or in place of this one."""
    spans = _beside(words, NAMES[stem]) if NAMES[stem].search(words) else [(0, len(words))]
    for other, names in NAMES_OTHERS.items():
        found = meant(names, words) if other != stem else []
        asked = [m for m in found if any(a <= m.start() < b for a, b in spans)]
        if any(not is_of_the_song(m, words) for m in asked):
            return other
    if stem == "drums" and not NAMES[stem].search(words):
        implied = implied_stem(words)  # drums play no chords, but 808s they do
        return implied if implied != "bass" else None
    return None


def is_of_the_song(found: re.Match[str], words: str) -> bool:
    """Whether what a sentence names is what the song has, to be played along with."""
    before, after = words[: found.start()], words[found.end() :]
    return bool(_ALONG.search(before) or _PLAYS.search(after))


def _beside(words: str, own: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where words are joined to a sentence's own stem by "and"; "a synth bass" names no keys."""
    spans = [m.span() for m in JOINED.finditer(words)]
    both = BOTH.search(words)
    if both and LAST_NOUN.search(both["other"]) and not own.search(both["other"]):
        spans.append(both.span("other"))
    return spans
