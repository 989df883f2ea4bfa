"""The last records of all songs in; shards, card and `build.json` out.

The records are read song by song, twice: to choose the clips, and to write them. In between a clip
takes some hundred bytes, so memory does not grow with captions and facts.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restem.audio.files import atomic_path
from restem.dataset.card import Tally, write_card
from restem.dataset.record import Clip, Parcel, Song, fingerprint
from restem.dataset.sources import Source
from restem.dataset.stages import check, write
from restem.errors import UserError

if TYPE_CHECKING:
    from restem.dataset.build import BuildSettings

Notify = Callable[[str, int, int], None]  # stage, songs done, of
SHARD = re.compile(r"(train|validation|test)-\d{5}-of-\d{5}\.parquet")


def check_out(out: Path) -> None:
    """UserError if `out` holds what a build would replace, but is not the folder of a build."""
    if (out / "build.json").exists() or (out / "work").exists():
        return
    for path in (out / "data", out / "README.md"):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise UserError(f"{path} is there, but no build made it; choose another folder.")


@dataclass(frozen=True)
class Report:
    """What a build came to: clips kept, dropped by reason, and what each song lacked.

    `unanswered` counts the clips whose template stands in for a model that did not answer.
    """

    kept: dict[str, int]
    dropped: dict[str, int]
    failed: tuple[str, ...]
    missing: tuple[str, ...]
    shards: dict[str, str]
    writers: dict[str, int]
    unanswered: dict[str, int]
    worked: bool = True


@dataclass(frozen=True)
class Finish:
    """The end of a build in the folder `out`; `read` gives the record of a song's last stage."""

    out: Path
    sources: list[Source]
    songs: list[Song]
    settings: BuildSettings
    read: Callable[[Song], Parcel]
    notify: Notify

    def run(self) -> Report:
        """Write what is not there yet; the report of the finished dataset."""
        made = fingerprint(
            write.VERSION,
            write.CLIPS_PER_SHARD,
            check.made_of(map(self.read, self.songs), self.settings.check),
        )
        done = self._done(made)
        if done is not None:
            return done
        (self.out / "build.json").unlink(missing_ok=True)
        checker = check.Checker(self.settings.check)
        kept = checker.limited(list(self._chosen(checker)))
        tally = Tally(len(kept))
        hashes = self._shards(kept, made, tally)
        failed = (parcel for parcel in map(self.read, self.songs) if parcel.failed)
        report = Report(
            dict(sorted(Counter(place.split for place in kept).items())),
            dict(sorted(checker.dropped.items())),
            tuple(f"{p.source}: {p.song}: {p.failed}" for p in failed),
            tuple(f"{s.kind}: {line}" for s in self.sources for line in s.missing),
            hashes,
            dict(sorted(tally.writers.items())),
            dict(sorted(tally.unanswered.items())),
        )
        write_card(self.out, self.sources, self.settings, report, tally)
        with atomic_path(self.out / "build.json") as part:
            record = {"made_of": made, "settings": asdict(self.settings), **asdict(report)}
            part.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return report

    def _done(self, made: str) -> Report | None:
        """The report of a finished build of just these clips, if its shards are all there."""
        try:
            record = json.loads((self.out / "build.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if record.get("made_of") != made:
            return None
        if any(not os.path.exists(self.out / "data" / name) for name in record["shards"]):
            return None
        return Report(
            record["kept"], record["dropped"], tuple(record["failed"]), tuple(record["missing"]),
            record["shards"], record["writers"], record["unanswered"], worked=False,
        )  # fmt: skip

    def _chosen(self, checker: check.Checker) -> Iterator[check.Place]:
        for number, song in enumerate(self.songs):
            for index, clip in enumerate(checker.checked(self.read(song).clips)):
                if clip.dropped is None:
                    yield check.Place.of(number, index, clip)

    def _shards(self, kept: list[check.Place], made: str, tally: Tally) -> dict[str, str]:
        """SHA-256 of each shard, all of which are written here."""
        data = self.out / "data"
        data.mkdir(exist_ok=True)
        plan = list(write.shards(kept))
        for path in set(data.iterdir()) - {data / name for name, _ in plan}:
            if SHARD.fullmatch(path.name) and path.is_file():
                path.unlink()  # of an earlier build with other settings
        hashes = {}
        for number, (name, places) in enumerate(plan, start=1):
            hashes[name] = write.write_shard(data / name, self._clips(places, tally), made)
            self.notify("write", number, len(plan))
        return hashes

    def _clips(self, places: list[check.Place], tally: Tally) -> Iterator[tuple[Clip, Path, Path]]:
        number, parcel = -1, None
        for place in places:  # those of a song follow one another
            song = self.songs[place.song]
            if place.song != number or parcel is None:
                number, parcel = place.song, self.read(song)
            clip = parcel.clips[place.clip]
            tally.add(clip)
            yield clip, *clip.files(self.out / "work" / "pair" / song.key)
