"""Sources and settings in, a dataset folder out, through stages that go on where they stopped.

`DIR/work/STAGE/KEY.json` is what a stage made of a song. It names the fingerprint of all that it
was made of, so a stage has work to do only where that is not what it would be made of now. The
shards and the card are written last, then `build.json`, which says that all is done.
"""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from restem.audio.files import atomic_path, cannot_write
from restem.dataset.engine import over_processes, over_threads
from restem.dataset.finish import Finish, Notify, Report, check_out
from restem.dataset.record import Parcel, Song
from restem.dataset.sources import Source
from restem.dataset.stages import caption, check, instruct, leak, pair
from restem.dataset.stages.endpoint import Estimate, estimated
from restem.dataset.stages.separate import open_separator
from restem.errors import UserError


@dataclass(frozen=True)
class BuildSettings:
    """Everything that decides what a dataset holds."""

    pair: pair.PairSettings = field(default_factory=pair.PairSettings)
    captioner: str = "offline"
    instruct: instruct.InstructSettings = field(default_factory=instruct.InstructSettings)
    check: check.CheckSettings = field(default_factory=check.CheckSettings)


class Waiting(Sequence):
    """(song, record of the stage before, fingerprint) of the songs that a stage has to work on.

    Each record is read as it is asked for, so that memory does not grow with the songs.
    """

    def __init__(self, read: Callable[[Song], Parcel], todo: list[tuple[Song, str]]) -> None:
        self._read, self._todo = read, todo

    def __len__(self) -> int:
        return len(self._todo)

    def __getitem__(self, place: Any) -> Any:
        song, made = self._todo[place]
        return song, self._read(song), made


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


def _songs_of(sources: Sequence[Source]) -> list[Song]:
    """Every song; those of a second folder of one kind have the folder's name before their own.

    UserError if one is offered twice.
    """
    songs: list[Song] = []
    kinds, folders = set[str](), set[tuple[str, Path]]()
    for source in sources:
        folder = source.kind, source.path.resolve()
        if folder in folders:
            raise UserError(f"{source.path} is given twice; give each source once.")
        for song in source.songs():
            name = f"{source.path.name}/{song.id}" if source.kind in kinds else song.id
            songs.append(replace(song, id=name))
        kinds.add(source.kind)
        folders.add(folder)
    keys = Counter(song.key for song in songs)
    if twice := next((song for song in songs if keys[song.key] > 1), None):
        raise UserError(
            f"{twice.source} offers {twice.id} twice; give folders of one kind different names."
        )
    return songs


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
        self.songs = _songs_of(sources)
        # What is missing is said at once, before hours of work; but these two take time to load.
        if not settings.instruct.writer.startswith("gguf"):
            instruct.open_writer(settings.instruct.writer)
        if not settings.captioner.startswith("audio-llm"):
            caption.caption_name(settings.captioner)
        open_separator(settings.pair.separator)

    def run(self) -> Report:
        """Build, or go on building; the report of the finished dataset.

        Raises UserError if the folder holds a `data` or a README.md that no build made.
        """
        check_out(self.out)
        with only_builder(self.out):
            self._sweep()
            self._pair()
            self._each("leak", "pair", leak.made_of, self._leak_work)
            self._caption()
            self._instruct()
            read = partial(self._made, "instruct")
            songs, settings = self.songs, self.settings
            return Finish(self.out, self.sources, songs, settings, read, self.notify).run()

    def _sweep(self) -> None:
        """Remove what a killed build was writing; nobody else writes here now."""
        for folder in (self.out, self.out / "data", *(self.out / "work").glob("**/")):
            for part in folder.glob(".*.part"):
                part.unlink(missing_ok=True)

    # ---- the stages song by song ----

    def _pair(self) -> None:
        settings = self.settings.pair
        separator = open_separator(settings.separator)
        name = separator.name if separator else "none"
        del separator  # the workers load their own
        todo = []
        for song in self.songs:
            made = pair.made_of(song, settings, name)
            if not self._there("pair", song, made, partial(self._cut, song)):
                todo.append((song, made))
        work = partial(_pair_work, settings=settings, folder=self._folder("pair"))
        self._collect(
            "pair", self._over(work, todo, settings.separator.startswith("demucs")), len(todo)
        )

    def _cut(self, song: Song, parcel: Parcel) -> bool:
        """Whether all clips of a song are there."""
        folder = self._folder("pair") / song.key
        return all(path.is_file() for clip in parcel.clips for path in clip.files(folder))

    def _caption(self) -> None:
        name, samples = self.settings.captioner, self.settings.pair.samples
        full = caption.caption_name(name)
        one = partial(_caption_work, name=name, samples=samples)

        def work(todo: Waiting) -> Iterator[tuple[Song, Parcel]]:
            return self._over(one, todo, name.startswith("audio-llm"))

        made_of = partial(caption.made_of, captioner=full, samples=samples)
        self._each("caption", "leak", made_of, work)

    def _instruct(self) -> None:
        settings = self.settings.instruct
        writer = instruct.open_writer(settings.writer)
        name = writer.name if writer else "template"
        threads = self.concurrency if settings.writer == "endpoint" else 1
        work = partial(_instruct_work, settings=settings, writer=writer)

        def ask(todo: Waiting) -> Iterator[tuple[Song, Parcel]]:
            if settings.writer == "endpoint" and todo:
                clips = (clip for _, parcel, _ in todo for clip in parcel.clips if clip.caption)
                self.announce(estimated(instruct.filled(clip, "Generate") for clip in clips))
            return over_threads(work, todo, threads)

        made_of = partial(instruct.made_of, settings=settings, writer=name)
        self._each("instruct", "caption", made_of, ask, instruct.answered)

    def _over(self, function: Callable, items: Sequence, on_gpu: bool = False) -> Iterator:
        """By the engine that was chosen; `on_gpu` is for networks that use one."""
        if self.engine != "ray":
            return over_processes(function, items, self.workers)
        from restem.dataset.engine_ray import over_ray

        return over_ray(function, items, self.workers, on_gpu)

    def _leak_work(self, todo: Waiting) -> Iterator[tuple[Song, Parcel]]:
        work = partial(_leak_work, folder=self._folder("pair"))
        return self._over(work, todo)

    def _each(
        self, stage: str, before: str, made_of: Callable[[Parcel], str],
        work: Callable[[Waiting], Iterator[tuple[Song, Parcel]]],
        whole: Callable[[Parcel], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        """Do a stage for the songs whose parcel is not there, not whole or of something else."""
        read = partial(self._made, before)
        todo = []
        for song in self.songs:
            made = made_of(read(song))
            if not self._there(stage, song, made, whole):
                todo.append((song, made))
        self._collect(stage, work(Waiting(read, todo)), len(todo))

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

    def _made(self, stage: str, song: Song) -> Parcel:
        """The parcel of a stage that is done."""
        parcel = self._read(stage, song)
        assert parcel is not None
        return parcel

    def _there(
        self, stage: str, song: Song, made: str, whole: Callable[[Parcel], bool] = lambda _: True
    ) -> bool:
        parcel = self._read(stage, song)
        return parcel is not None and parcel.made_of == made and whole(parcel)


def _pair_work(
    item: tuple[Song, str], settings: pair.PairSettings, folder: Path
) -> tuple[Song, Parcel]:
    return item[0], pair.pair_song(*item, settings=settings, folder=folder)


def _leak_work(item: tuple[Song, Parcel, str], folder: Path) -> tuple[Song, Parcel]:
    return item[0], leak.leak_song(item[1], item[2], folder / item[0].key)


def _caption_work(item: tuple[Song, Parcel, str], name: str, samples: int) -> tuple[Song, Parcel]:
    return item[0], caption.caption_song(*item, name=name, samples=samples)


def _instruct_work(
    item: tuple[Song, Parcel, str], settings: instruct.InstructSettings,
    writer: instruct.Writer | None,
) -> tuple[Song, Parcel]:  # fmt: skip
    return item[0], instruct.instruct_song(item[1], item[2], settings, writer)
