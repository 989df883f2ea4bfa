"""The clips of all songs in; the same, with the reason for each that must be kept out, out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from sys import intern
from typing import NamedTuple

from restem.dataset.record import Clip, Parcel, fingerprint
from restem.dataset.stages.rules import broken_rule

VERSION = "check 1"
SILENT_DB = -60.0  # re full scale
FAINT_DB = -40.0  # re the mix: a stem under it cannot be heard
CLIPPED_MOST = 100  # samples in flat tops


@dataclass(frozen=True)
class CheckSettings:
    """What a clip may have at most."""

    max_leak: float | None = None  # see `restem.dataset.leak_probe`
    max_separated: float | None = None  # share of the clips whose stems a separator made, below 1


def made_of(befores: Iterable[Parcel], settings: CheckSettings) -> str:
    """Fingerprint of all clips and the settings."""
    return fingerprint(VERSION, asdict(settings), *[parcel.fingerprint for parcel in befores])


class Place(NamedTuple):
    """Where a clip that may stay stands, and what decides whether and where it is written."""

    song: int  # of the build's songs
    clip: int  # of the song's record
    split: str
    separated: bool
    order: bytes

    @classmethod
    def of(cls, song: int, index: int, clip: Clip) -> Place:
        """The place of clip number `index` of song number `song`."""
        order = bytes.fromhex(clip.mix_sha256[:16])
        return cls(song, index, intern(clip.split), clip.made_by != "stems", order)


class Checker:
    """Sees every clip once, in a fixed order, so that of two equal clips the first one stays."""

    def __init__(self, settings: CheckSettings) -> None:
        self.settings = settings
        self._seen: set[bytes] = set()
        self.dropped: Counter[str] = Counter()
        self.kept = 0

    def limited(self, places: list[Place]) -> list[Place]:
        """Fewer of the separated clips, drawn by their hash, so that they keep to their share."""
        share = self.settings.max_separated
        separated = [place for place in places if place.separated]
        if share is None or not separated:
            return places
        room = int((len(places) - len(separated)) * share / (1 - share) + 1e-9)
        stay = set(sorted(separated, key=lambda place: place.order)[:room])
        left = [place for place in places if not place.separated or place in stay]
        if len(left) < len(places):
            self.dropped["share of separated clips"] += len(places) - len(left)
            self.kept -= len(places) - len(left)
        return left

    def checked(self, clips: Iterable[Clip]) -> Iterator[Clip]:
        """Each clip with `dropped` set where a reason was found."""
        for clip in clips:
            reason = self._reason(clip)
            if reason is None:
                self.kept += 1
            else:
                self.dropped[reason] += 1
            yield clip.but(dropped=reason)

    def _reason(self, clip: Clip) -> str | None:
        # Half of the bytes are enough to tell a hundred million clips apart.
        content = bytes.fromhex(clip.mix_sha256[-16:] + clip.context_sha256[-16:])
        if clip.mix_db < SILENT_DB:
            return "silent mix"
        if clip.stem_db < SILENT_DB or clip.stem_db < clip.mix_db + FAINT_DB:
            return "silent stem"
        if clip.mix_sha256 == clip.context_sha256:
            return "silent stem"
        if clip.clipped > CLIPPED_MOST:
            return "clipped"
        if content in self._seen:
            return "duplicate"
        if not clip.instruction or broken_rule(clip.instruction, clip.action, clip.stem):
            return "instruction breaks a rule"
        most = self.settings.max_leak
        if most is not None and clip.leak is not None and clip.leak > most:
            return "leak"
        self._seen.add(content)  # of two equal clips the first one that is kept
        return None
