"""Sources and settings in, a dataset folder out, through stages that go on where they stopped.

`DIR/work/STAGE/KEY.json` is what a stage made of a song. It names the fingerprint of all that it
was made of, so a stage has work to do only where that is not what it would be made of now. The
shards and the card are written last, then `build.json`, which says that all is done.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from restem.audio.files import atomic_path, cannot_write
from restem.dataset.engine import over_processes, over_threads
from restem.dataset.record import Clip, Parcel, Song, fingerprint
from restem.dataset.sources import Source
from restem.dataset.stages import caption, check, instruct, leak, pair, write
from restem.dataset.stages.endpoint import Estimate, estimated
from restem.dataset.stages.separate import open_separator
from restem.errors import UserError

Notify = Callable[[str, int, int], None]  # stage, songs done, of


@dataclass(frozen=True)
class BuildSettings:
    """Everything that decides what a dataset holds."""

    pair: pair.PairSettings = field(default_factory=pair.PairSettings)
    captioner: str = "offline"
    instruct: instruct.InstructSettings = field(default_factory=instruct.InstructSettings)
    check: check.CheckSettings = field(default_factory=check.CheckSettings)


@dataclass(frozen=True)
class Report:
    """What a build came to: clips kept, dropped by reason, and what each song lacked."""

    kept: dict[str, int]
    dropped: dict[str, int]
    failed: tuple[str, ...]
    missing: tuple[str, ...]
    shards: dict[str, str]
    writers: dict[str, int]
    worked: bool = True


@contextmanager
def only_builder(folder: Path) -> Iterator[None]:
    """UserError if another process builds in this folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise cannot_write(folder, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"Another build is at work in {folder}; wait for it.") from None
        yield


class Builder:
    """One build; `run` takes every song through every stage."""

    def __init__(
        self, sources: list[Source], settings: BuildSettings, out: Path,
        workers: int = 1, concurrency: int = 8, engine: str = "processes",
        notify: Notify = lambda *_: None,
        announce: Callable[[Estimate], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.announce = announce
        self.sources, self.settings, self.out = sources, settings, out
        self.workers, self.concurrency, self.notify = workers, concurrency, notify
        self.engine = engine
        self.songs = [song for source in sources for song in source.songs()]
        keys = Counter(song.key for song in self.songs)
        twice = next((s for s in self.songs if keys[s.key] > 1), None)
        if twice:
            raise UserError(f"{twice.source} offers {twice.id} twice; give each source once.")

    def run(self) -> Report:
        """Build, or go on building; the report of the finished dataset."""
        with only_builder(self.out):
            self._pair()
            self._each("leak", "pair", leak.made_of, self._leak_work)
            self._caption()
            self._instruct()
            return self._finish()

    # ---- the stages song by song ----

    def _pair(self) -> None:
        settings = self.settings.pair
        separator = open_separator(settings.separator)
        name = separator.name if separator else "none"
        del separator  # the workers load their own
        todo = []
        for song in self.songs:
            made = pair.made_of(song, settings, name)
            if not self._there("pair", song, made):
                todo.append((song, made))
        work = partial(_pair_work, settings=settings, folder=self._folder("pair"))
        self._collect(
            "pair", self._over(work, todo, settings.separator.startswith("demucs")), len(todo)
        )

    def _caption(self) -> None:
        name = self.settings.captioner
        full = caption.caption_name(name)

        def work(todo: list) -> Iterator[tuple[Song, Parcel]]:
            return self._over(partial(_caption_work, name=name), todo, name.startswith("audio-llm"))

        self._each("caption", "leak", lambda parcel: caption.made_of(parcel, full), work)

    def _instruct(self) -> None:
        settings = self.settings.instruct
        writer = instruct.open_writer(settings.writer)
        name = writer.name if writer else "template"
        threads = self.concurrency if settings.writer == "endpoint" else 1
        work = partial(_instruct_work, settings=settings, writer=writer)

        def ask(todo: list) -> Iterator[tuple[Song, Parcel]]:
            if settings.writer == "endpoint" and todo:
                prompts = [instruct.filled(c, "Generate") for _, p, _ in todo for c in p.clips]
                self.announce(estimated(len(prompts), sum(map(len, prompts))))
            return over_threads(work, todo, threads)

        self._each("instruct", "caption", lambda p: instruct.made_of(p, settings, name), ask)

    def _over(self, function: Callable, items: list, on_gpu: bool = False) -> Iterator:
        """By the engine that was chosen; `on_gpu` is for networks that use one."""
        if self.engine != "ray":
            return over_processes(function, items, self.workers)
        from restem.dataset.engine_ray import over_ray

        return over_ray(function, items, self.workers, on_gpu)

    def _leak_work(self, todo: list) -> Iterator[tuple[Song, Parcel]]:
        work = partial(_leak_work, folder=self._folder("pair"))
        return self._over(work, todo)

    def _each(
        self, stage: str, before: str, made_of: Callable[[Parcel], str],
        work: Callable[[list], Iterator[tuple[Song, Parcel]]],
    ) -> None:  # fmt: skip
        """Do a stage for the songs whose parcel is not there or is made of something else."""
        todo = []
        for song in self.songs:
            parcel = self._read(before, song)
            assert parcel is not None
            made = made_of(parcel)
            if not self._there(stage, song, made):
                todo.append((song, parcel, made))
        self._collect(stage, work(todo), len(todo))

    def _collect(self, stage: str, results: Iterable[tuple[Song, Parcel]], of: int) -> None:
        folder = self._folder(stage)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        for done, (song, parcel) in enumerate(results, start=1):
            with atomic_path(folder / f"{song.key}.json") as part:
                part.write_text(parcel.to_json(), encoding="utf-8")
            self.notify(stage, done, of)

    def _folder(self, stage: str) -> Path:
        return self.out / "work" / stage

    def _read(self, stage: str, song: Song) -> Parcel | None:
        path = self._folder(stage) / f"{song.key}.json"
        try:
            return Parcel.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _there(self, stage: str, song: Song, made: str) -> bool:
        parcel = self._read(stage, song)
        return parcel is not None and parcel.made_of == made

    # ---- the whole dataset ----

    def _finish(self) -> Report:
        from restem.dataset.card import write_card

        parcels = [self._parcel(song) for song in self.songs]
        made = fingerprint(
            write.VERSION, write.CLIPS_PER_SHARD, check.made_of(parcels, self.settings.check)
        )
        done = self._done(made)
        if done is not None:
            return done
        (self.out / "build.json").unlink(missing_ok=True)
        checker = check.Checker(self.settings.check)
        good = [c for p in parcels for c in checker.checked(p.clips) if c.dropped is None]
        kept = checker.limited(good)
        data = self.out / "data"
        data.mkdir(exist_ok=True)
        plan = list(write.shards(kept))
        for path in set(data.iterdir()) - {data / name for name, _ in plan}:
            path.unlink()  # of an earlier build with other settings
        keys = {(song.source, song.id): song.key for song in self.songs}
        hashes = {}
        for number, (name, clips) in enumerate(plan, start=1):
            hashes[name] = write.write_shard(data / name, self._files(clips, keys), made)
            self.notify("write", number, len(plan))
        report = Report(
            dict(sorted(Counter(clip.split for clip in kept).items())),
            dict(sorted(checker.dropped.items())),
            tuple(f"{p.source}: {p.song}: {p.failed}" for p in parcels if p.failed),
            tuple(f"{s.kind}: {line}" for s in self.sources for line in s.missing),
            hashes,
            dict(sorted(Counter(clip.instruction_by for clip in kept).items())),
        )
        write_card(self.out, self.sources, self.settings, report, kept)
        with atomic_path(self.out / "build.json") as part:
            record = {"made_of": made, "settings": asdict(self.settings), **asdict(report)}
            part.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return report

    def _parcel(self, song: Song) -> Parcel:
        parcel = self._read("instruct", song)
        assert parcel is not None
        return parcel

    def _files(self, clips: list[Clip], keys: dict) -> Iterator[tuple[Clip, Path, Path]]:
        for clip in clips:
            stem = f"{clip.stem}-{clip.index:04d}"
            folder = self._folder("pair") / keys[clip.source, clip.song]
            yield clip, folder / f"{stem}.mix.flac", folder / f"{stem}.context.flac"

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
            record["shards"], record["writers"], worked=False,
        )  # fmt: skip


def _pair_work(
    item: tuple[Song, str], settings: pair.PairSettings, folder: Path
) -> tuple[Song, Parcel]:
    return item[0], pair.pair_song(*item, settings=settings, folder=folder)


def _leak_work(item: tuple[Song, Parcel, str], folder: Path) -> tuple[Song, Parcel]:
    return item[0], leak.leak_song(item[1], item[2], folder / item[0].key)


def _caption_work(item: tuple[Song, Parcel, str], name: str) -> tuple[Song, Parcel]:
    return item[0], caption.caption_song(*item, name=name)


def _instruct_work(
    item: tuple[Song, Parcel, str], settings: instruct.InstructSettings,
    writer: instruct.Writer | None,
) -> tuple[Song, Parcel]:  # fmt: skip
    return item[0], instruct.instruct_song(item[1], item[2], settings, writer)
