"""Ten seconds of music in; tags, tempo, key and loudness, in sentences, out: all of it offline."""

from __future__ import annotations

from typing import Any

import numpy as np

from restem.audio.tracking import track_beats
from restem.audio.waveform import rms_db
from restem.dataset.stages.caption import Caption
from restem.evaluation.embeddings import load_embedding
from restem.evaluation.fit import chroma
from restem.evaluation.threads import one_thread_arithmetic

# The tags of the taggers in the order of their outputs, as the package lists them.
MSD_TAGS = [
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s",
    "alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock",
    "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s", "chill", "instrumental",
    "punk", "oldies", "blues", "hard rock", "ambient", "acoustic", "experimental",
    "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy",
    "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop",
    "sad", "House", "happy",
]  # fmt: skip
MTT_TAGS = [
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast",
    "piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male",
    "singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman",
    "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir", "voice",
    "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello", "no voice",
    "weird", "country", "metal", "female voice", "choral",
]  # fmt: skip
GENRES = {
    "rock": "rock", "pop": "pop", "electronic": "electronic", "dance": "dance", "jazz": "jazz",
    "alternative rock": "alternative rock", "metal": "metal", "classic rock": "classic rock",
    "soul": "soul", "indie rock": "indie rock", "electronica": "electronic", "folk": "folk",
    "punk": "punk", "blues": "blues", "hard rock": "hard rock", "ambient": "ambient",
    "Hip-Hop": "hip hop", "country": "country", "funk": "funk", "electro": "electro",
    "heavy metal": "heavy metal", "Progressive rock": "progressive rock", "rnb": "R&B",
    "indie pop": "indie pop", "House": "house",
}  # fmt: skip
MOODS = {
    "Mellow": "mellow", "chillout": "relaxed", "chill": "relaxed", "sad": "sad", "happy": "happy",
    "beautiful": "beautiful", "party": "party",
}  # fmt: skip
PLAYED = {
    "guitar": "guitar", "strings": "strings", "piano": "piano", "violin": "violin",
    "synth": "synthesizer", "harpsichord": "harpsichord", "flute": "flute", "sitar": "sitar",
    "harp": "harp", "cello": "cello", "choir": "choir", "vocals": "vocals", "vocal": "vocals",
    "singing": "vocals", "drums": "drums",
}  # fmt: skip
GENRE_AT_LEAST, MOOD_AT_LEAST, PLAYED_AT_LEAST, MOST_PLAYED = 0.10, 0.15, 0.20, 3
SURE_OF_BEAT = 0.5
NOTES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
# C. L. Krumhansl, "Cognitive foundations of musical pitch", 1990, p. 30: how well each note fits.
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
SURE_OF_KEY = 0.6


class OfflineCaptioner:
    """Implements `Captioner` with the taggers of musicnn, the package's beat tracker and chroma."""

    sample_rate = 44100

    def __init__(self) -> None:
        """UserError without the extra `evaluation` or the taggers' weights."""
        self._msd, self._mtt = load_embedding("MSD_musicnn"), load_embedding("MTT_musicnn")
        hashes = f"{self._msd.weights_sha256[:6]}{self._mtt.weights_sha256[:6]}"
        self.name = f"musicnn-tempo-key-{hashes}"

    def caption(self, waveform: np.ndarray, facts: dict[str, Any]) -> Caption:
        """See `Captioner`; a genre that the source knows is taken over, all else is heard."""
        with one_thread_arithmetic():
            msd, mtt = (
                self._tags(self._msd, MSD_TAGS, waveform),
                self._tags(self._mtt, MTT_TAGS, waveform),
            )
        genre = facts.get("genre") or _best(msd, GENRES, GENRE_AT_LEAST)
        heard: dict[str, Any] = {"genre": genre, "mood": _best(msd, MOODS, MOOD_AT_LEAST)}
        heard["played"] = _played(mtt)
        heard["bpm"] = facts.get("bpm") or tempo(waveform)
        heard["key"] = key(waveform)
        heard["loudness"] = loudness_word(waveform)
        known = {name: value for name, value in heard.items() if value}
        return Caption(sentences(known), known)

    def _tags(self, tagger: Any, names: list[str], waveform: np.ndarray) -> dict[str, float]:
        from restem.audio.waveform import resampled

        logits = tagger.embed(resampled(waveform, self.sample_rate, tagger.sample_rate)).logits
        return dict(
            zip(names, (1 / (1 + np.exp(-np.asarray(logits, np.float64)))).tolist(), strict=True)
        )


def sentences(heard: dict[str, Any]) -> str:
    """The facts in words, without any that is not known."""
    bpm = heard.get("bpm")
    pace = "" if not bpm else "slow" if bpm < 85 else "fast" if bpm > 140 else "mid-tempo"
    words = [w for w in (pace, heard.get("mood"), heard.get("genre")) if w]
    text = f"{_article(' '.join(words) or 'song')} {' '.join([*words, 'song'])}"
    if heard.get("played"):
        text += f" with {_listed(heard['played'])}"
    if bpm:
        text += f" at {bpm:.0f} BPM"
    if heard.get("key"):
        text += f" in {heard['key']}"
    return f"{text}. It is played {heard['loudness']}." if heard.get("loudness") else f"{text}."


def tempo(waveform: np.ndarray) -> float | None:
    """Beats a minute, or None where the beat is not clear."""
    grid = track_beats(waveform)
    return round(float(grid.bpm), 1) if grid.confidence >= SURE_OF_BEAT else None


def key(waveform: np.ndarray) -> str | None:
    """The key whose profile correlates best with the mean chroma, or None if none does well."""
    mean = chroma(waveform, 44100).mean(axis=0)
    if not np.any(mean):
        return None
    fits = {
        f"{NOTES[tonic]} {mode}": float(np.corrcoef(np.roll(profile, tonic), mean)[0, 1])
        for mode, profile in (("major", MAJOR), ("minor", MINOR))
        for tonic in range(12)
    }
    best = max(fits, key=lambda name: fits[name])
    return best if fits[best] >= SURE_OF_KEY else None


def loudness_word(waveform: np.ndarray) -> str:
    """ "softly" below -26 dB re full scale, "loudly" above -13 dB, "" between."""
    level = rms_db(waveform)
    return "softly" if level < -26 else "loudly" if level > -13 else ""


def _best(tags: dict[str, float], words: dict[str, str], at_least: float) -> str | None:
    tag = max(words, key=lambda name: tags[name])
    return words[tag] if tags[tag] >= at_least else None


def _played(tags: dict[str, float]) -> list[str]:
    by_strength = sorted((t for t in PLAYED if tags[t] >= PLAYED_AT_LEAST), key=lambda t: -tags[t])
    return list(dict.fromkeys(PLAYED[tag] for tag in by_strength))[:MOST_PLAYED]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _article(words: str) -> str:
    return "An" if words[0].lower() in "aeiou" else "A"
