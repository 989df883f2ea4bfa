"""Every generated sentence must be true to its labels; every style name must have words."""

import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from restem.dataset import sentences
from restem.dataset.sentences import (
    ACTIONS,
    DENSITY,
    FEELS,
    KITS,
    LOUDNESS,
    Labels,
    instruction,
    style_family,
    style_words,
)
from restem.dataset.styles import find_style, styles, tempo_range

# What a reader takes a word to claim: (field, values for which that is true). Written without the
# generator's own tables.
CLAIMS = {
    r"soft\w*|quiet|gentle": ("loudness", {"soft"}),
    r"loud|hard-hitting|hitting hard|powerful": ("loudness", {"loud"}),
    r"medium-loud|medium volume": ("loudness", {"medium"}),
    r"sparse|simple|minimal|few notes": ("density", {"sparse"}),
    r"(?<!moderately )busy|dense|intricate|lots of notes": ("density", {"busy"}),
    r"moderately busy": ("density", {"medium"}),
    r"brush\w*": ("kit", {"brush"}),
    r"acoustic": ("kit", {"standard", "room", "jazz", "brush"}),
    r"electronic|synth\w*|drum machine": ("kit", {"electronic", "tr-808"}),
    r"808": ("kit", {"tr-808"}),
    r"orchestral|symphonic": ("kit", {"orchestra"}),
    r"jazz[- ]kit": ("kit", {"jazz"}),
    r"punchy|power[- ]kit": ("kit", {"power"}),
    r"roomy|live-room|room kit|live room": ("kit", {"room"}),
    r"swinging|swung|swing feel|with swing": ("feel", {"swing"}),
    r"shuffling|shuffled|shuffle feel": ("feel", {"shuffle"}),
    r"straight": ("feel", {"straight"}),
    r"floor|kick on every beat": ("feel", {"four on the floor"}),
    r"half-time": ("feel", {"half-time"}),
    r"3/4|in three|waltz[- ]time": ("metre", {"3/4"}),
    r"6/8|six-eight": ("metre", {"6/8"}),
    r"4/4|in four(?!-| on)": ("metre", {"4/4"}),
}
FORBIDDEN = re.compile(r"energetic|less\b|remove|without|\bno\b|delete|mute|None|nan|  ", re.I)
# Plain style words, so that no style can be mistaken for one of the claims above.
PLAIN = ("reggae", "heavy metal", "bossa nova", "house", "r&b", "afrobeat", "punk", "polka")


@pytest.fixture
def no_typos(monkeypatch):
    monkeypatch.setattr(sentences, "TYPO_SHARE", 0.0)


def draw_labels(rng: np.random.Generator, style: str) -> Labels:
    def some(*values):
        return values[rng.integers(len(values))] if rng.random() < 0.7 else None

    return Labels(
        style,
        bpm=float(rng.uniform(50, 220)) if rng.random() < 0.7 else None,
        metre=some("4/4", "3/4", "6/8"),
        loudness=some(*LOUDNESS),
        density=some(*DENSITY),
        kit=some(*KITS),
        feel=some(*FEELS),
    )


def test_every_claim_is_true(no_typos):
    rng = np.random.default_rng(0)
    seen = Counter()
    for style in PLAIN * 400:
        labels = draw_labels(rng, style)
        text = instruction("drums", labels, rng)
        assert not FORBIDDEN.search(text), text
        for words, (field, true_for) in CLAIMS.items():
            if re.search(rf"(?<![\w-])(?:{words})(?![\w-])", text, re.I):
                assert getattr(labels, field) in true_for, (text, labels)
                seen[words] += 1
        row = find_style(style)
        for word, holds in (
            (r"slow|slow-tempo|unhurried", labels.bpm and labels.bpm < row.slow_below),
            (r"fast|up-tempo|quick", labels.bpm and labels.bpm > row.fast_above),
            (
                r"mid-tempo|medium-tempo|medium tempo",
                labels.bpm and row.slow_below <= labels.bpm <= row.fast_above,
            ),
        ):
            if re.search(rf"(?<![\w-])(?:{word})(?![\w-])", text, re.I):
                assert holds, (text, labels)
                seen[word] += 1
        for number in re.findall(r"(\d+) bpm", text, re.I):
            assert labels.bpm is not None and abs(int(number) - labels.bpm) <= 0.5
            seen["bpm"] += 1
        for other in set(PLAIN) - {style}:
            assert not re.search(rf"(?<![\w-]){re.escape(other)}(?![\w-])", text, re.I), text
    # The check above must have seen every kind of claim, or it checks nothing.
    assert set(seen) >= {*CLAIMS, "bpm"} and min(seen.values()) >= 3, seen


@pytest.mark.parametrize("field", ["loudness", "density", "kit", "feel", "metre", "bpm"])
def test_what_is_unknown_is_never_said(no_typos, field):
    rng = np.random.default_rng(1)
    texts = [instruction("drums", Labels("reggae"), rng) for _ in range(300)]
    claims = [words for words, (name, _) in CLAIMS.items() if name == field] or [r"bpm|slow|fast"]
    assert not [t for t in texts if re.search(rf"\b(?:{'|'.join(claims)})\b", t, re.I)]


def test_form_follows_the_rules(no_typos):
    rng = np.random.default_rng(2)
    texts = [instruction("drums", draw_labels(rng, "bossa nova"), rng) for _ in range(3000)]
    short = [t for t in texts if len(t.split()) <= 7]
    assert 0.7 < len(short) / len(texts) < 0.95
    firsts = Counter(t.split()[0].lower() for t in texts)
    shares = [firsts[action.lower()] / len(texts) for action in ACTIONS]
    assert min(shares) > 0.07 and max(shares) < 0.14
    assert 0.1 < np.mean([t == t.lower() for t in texts]) < 0.6
    assert 0.7 < np.mean(["bossa" in t.lower() for t in texts]) < 0.95
    assert all(t == t.strip() and (t[-1].isalnum() or t[-1] in ".?") for t in texts)
    assert len(set(texts)) > 2000


def test_articles_agree_with_what_follows(no_typos):
    rng = np.random.default_rng(3)
    wrong = re.compile(r"\b(a [aeio]\w|an [bcdfghjklmnpqstvwxyz]|a 8|an [1-79]|a r&b|an one)", re.I)
    for style, kit in itertools.product(("r&b", "8-beat", "afrobeat", "house"), KITS):
        for _ in range(60):
            text = instruction("drums", Labels(style, kit=kit), rng)
            assert not wrong.search(text), text


def test_named_instructions_are_reachable(no_typos):
    rng = np.random.default_rng(4)
    for wanted, labels in {
        "soft brushed jazz drums": Labels("jazz", loudness="soft", kit="brush"),
        "fast heavy metal drums": Labels("heavy metal", bpm=180),
        "four-on-the-floor house drums": Labels("house", feel="four on the floor"),
        "slow reggae drums": Labels("reggae", bpm=62),
        "jazz drums": Labels("jazz"),
        "drums": Labels("jazz"),
        "add jazzy drums": Labels("jazz"),
    }.items():
        assert any(instruction("drums", labels, rng).lower() == wanted for _ in range(5000)), wanted


@pytest.mark.parametrize("stem", ["bass", "guitar", "keys", "violin"])
def test_other_stems_are_named_and_get_no_drum_words(no_typos, stem):
    rng = np.random.default_rng(5)
    for _ in range(400):
        labels = draw_labels(rng, "funk")
        text = instruction(stem, labels, rng).lower()
        assert re.search({"keys": r"key(s|board)"}.get(stem, stem), text), text
        assert not re.search(r"drum|brush|kick|\bkit\b|808", text), text


def test_same_seed_same_sentence_and_rng_is_all_that_varies():
    labels = Labels("salsa", bpm=100, loudness="loud", density="busy", kit="room", feel="straight")

    def draw(seed):
        rng = np.random.default_rng(seed)
        return [instruction("drums", labels, rng) for _ in range(50)]

    assert draw(7) == draw(7) != draw(8)


def test_typing_errors_are_rare_and_small(monkeypatch):
    labels = Labels("reggae", bpm=80.0)

    def words(seed: int, count: int) -> list[list[str]]:
        rng = np.random.default_rng(seed)
        texts = (instruction("drums", labels, rng).lower() for _ in range(count))
        return [re.findall(r"[^ .,?]+", text) for text in texts]

    with monkeypatch.context() as patch:
        patch.setattr(sentences, "TYPO_SHARE", 0.0)
        clean = set(itertools.chain(*words(9, 4000)))
    off = [[word for word in text if word not in clean] for text in words(10, 3000)]
    assert 0.005 < np.mean([bool(text) for text in off]) < 0.03
    for text in filter(None, off):
        (word,) = text
        assert any(abs(len(word) - len(right)) <= 1 and word[0] == right[0] for right in clean)


@pytest.mark.parametrize(
    "wrong",
    [
        {"style": " "},
        {"style": "jazz", "bpm": 0.0},
        {"style": "jazz", "bpm": float("nan")},
        {"style": "jazz", "loudness": "deafening"},
        {"style": "jazz", "kit": "brushes"},
        {"style": "jazz", "metre": "waltz"},
    ],
)
def test_impossible_labels_are_refused(wrong):
    with pytest.raises(ValueError):
        Labels(**wrong)


def test_a_stem_needs_a_name():
    with pytest.raises(ValueError, match="name"):
        instruction(" ", Labels("jazz"), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("16beatballad1", "16-beat ballad"),
        ("/usr/share/mma/lib/stdlib/bossanova.mma", "bossa nova"),
        ("casio/r+b.mma", "r&b"),
        ("Kfunk1", "funk"),
        ("stdlib/68swing.mma", "6/8 swing"),
        ("boneym", "disco"),
        ("zoom/mtl.mma", "heavy metal"),
        ("dnb", "drum and bass"),
        ("evansish", "modern jazz"),
        ("yamaha/quando-g.s280.mma", "samba"),
        ("latin/brazilian-bossa", "bossa nova"),
        ("funk/purdieshuffle", "purdie shuffle"),
        ("rock/never-heard-of", "rock"),
        ("bossa-nova/bossa-nova-3.h2pattern", "bossa nova"),
        ("pop-break-3.h2pattern", "pop"),
        ("r-n-b", "r&b"),
        ("metronome3", None),
        ("none", None),
        ("zoom/intro.mma", None),
        ("qwertz", None),
        ("", None),
    ],
)
def test_style_words(raw, words):
    assert style_words(raw) == words


def test_every_installed_style_file_has_words():
    library = Path("/usr/share/mma/lib")
    files = sorted(library.glob("*/*.mma"))
    if not files:
        pytest.skip("MMA is not installed")
    nameless = {path.stem for path in files if style_words(path.stem) is None}
    assert nameless == {
        "arpeggio44", "arpeggio68", "arpeggiowaltz", "metronome", "metronome3", "metronome6",
        "metronome68", "none", "count", "ending", "intro",
    }  # fmt: skip


def test_style_table_is_sound():
    families = {row.family for row in styles()}
    assert families == {
        "jazz", "latin", "rock", "metal", "funk", "soul", "electronic", "reggae", "pop", "country",
        "blues", "march", "waltz", "ballad", "hip hop", "world", "dance",
    }  # fmt: skip
    for row in styles():
        assert row.slow_below < row.fast_above < 2.2 * row.slow_below, row
        assert row.called and all(name == name.strip().lower() for name in row.called), row
        # Tempo and loudness belong to the song, so the name of a style may claim neither.
        names = " ".join((row.words, *row.called)).replace("soft-shoe", "")
        assert not re.search(r"\b(slow|fast|quick|soft|loud)\b", names), row
        low, high = tempo_range(row.words)
        assert low < row.slow_below and row.fast_above < high


def test_families_of_free_words():
    assert style_family("Bossa  Nova") == "latin"
    assert style_family("latin metal") == "metal"
    assert style_family("thrash") == "metal"
    assert style_family("gamelan") == "other"
