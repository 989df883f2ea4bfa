"""Style files, drum performances and SoundFonts in, songs with exact stems, beats and words out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import lru_cache, partial
from typing import Any

import numpy as np

from restem.dataset import compose, drums
from restem.dataset.compose import Groove, Part
from restem.dataset.engine import over_processes
from restem.dataset.render import KITS, SAMPLE_RATE, Renderer, room, saturate, tone
from restem.dataset.render_plan import PLAN, RenderPlan, check_plan
from restem.dataset.sample_kits import read_kits
from restem.dataset.sentences import style_family
from restem.dataset.voicing import KIT_CHOICES, REVOICE, TEMPI
from restem.errors import UserError


def render_songs(
    plan: RenderPlan, workers: int, left_out: Callable[[str], None] = lambda reason: None
) -> Iterator[tuple[int, int]]:
    """Render all songs not yet there, yielding (done, of); rerunning resumes.

    A song is `NNNNN.json` (its record, written last), `NNNNN.context.npy` int16 (stem, sample)
    and `NNNNN.drums.npy` int16 (take, sample), mono at 44.1 kHz. Raises UserError for a plan that
    cannot be followed, before anything is written, and if a worker dies.

    `left_out` is told of what MMA rejects or does not finish in time. Another composition takes
    its place, so that it does not end a long run; only where MMA was too slow, which hangs on the
    machine, may that song be another one on another day.
    """
    check_plan(plan)
    missing = [i for i in range(plan.songs) if not (plan.out / f"{i:05d}.json").exists()]
    if missing:
        yield plan.songs - len(missing), plan.songs  # reading performances takes a minute
        _material(plan)  # says what it lacks
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / PLAN).write_text(plan.same)
    work = over_processes(partial(_render_one, plan), missing, workers)
    for done, reasons in enumerate(work, start=plan.songs - len(missing) + 1):
        for reason in reasons:
            left_out(reason)
        yield done, plan.songs


class _Material:
    """What one worker process keeps loaded."""

    def __init__(self, plan: RenderPlan) -> None:
        self.plan = plan
        self.renderer = Renderer(list(plan.soundfonts))
        self.grooves = compose.list_grooves(plan.mma_library)
        self.of_songs = [
            groove
            for groove in self.grooves
            if groove.path.parent.name != "zoom"
            and plan.split in (None, compose.split_of(groove.path.name))
        ]
        if not self.of_songs:
            raise UserError(
                f"{plan.mma_library} holds no MMA styles for songs of the split "
                f"{plan.split or 'any'}; name MMA's lib folder with --mma."
            )
        self.progressions = compose.read_progressions(plan.leadsheets)
        played = drums.read_groove_midi(plan.groove_midi) if plan.groove_midi else []
        patterns = drums.read_hydrogen(plan.hydrogen) if plan.hydrogen else []
        self.played = [s for s in played if not s.fill]
        self.fills = [s for s in played if s.fill]
        self.patterns = [s for s in patterns if not s.fill]
        self.kits = read_kits(plan.drumkits) if plan.drumkits else []


@lru_cache(maxsize=1)
def _material(plan: RenderPlan) -> _Material:
    return _Material(plan)


def _render_one(plan: RenderPlan, index: int) -> list[str]:
    """Make a song; why compositions for it were left out."""
    rng, reasons = np.random.default_rng((plan.seed, index)), list[str]()
    while not _Song(_material(plan), index, rng, reasons).make():
        pass
    return reasons


class _Song:
    """One song under construction; every random choice comes from one generator."""

    def __init__(
        self, material: _Material, index: int, rng: np.random.Generator, reasons: list[str]
    ) -> None:
        self.m, self.index, self.rng, self.reasons = material, index, rng, reasons
        # Draw the style file first: files with many grooves must not crowd out the others.
        songs = material.of_songs
        files = sorted({g.path for g in songs})
        path = files[int(rng.integers(len(files)))]
        self.groove = self._pick([g for g in songs if g.path == path])
        self.split = compose.split_of(self.groove.path.name)
        self.family = style_family(self.groove.style)
        low, high = TEMPI.get(self.family, (75, 150))
        self.bpm = float(np.round(rng.uniform(low, high), 2))
        self.quarter_bpm = self.bpm * (3 if self.groove.quarters_per_bar == 6 else 1)
        bar_seconds = self.groove.quarters_per_bar * 60 / self.quarter_bpm
        self.bars = int(np.clip(2 * round(material.plan.seconds / bar_seconds / 2), 4, 20))
        self.samples = int(self.bars * bar_seconds * SAMPLE_RATE)

    def _pick(self, choices: list) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def make(self) -> bool:
        """Compose, render and write; False if MMA cannot play the groove or it lacks parts."""
        chart, _ = compose.plan_chords(self.m.progressions, self.groove, self.bars, self.rng)
        parts = self._composed(self.groove, chart)
        own = [p for p in parts if p.kind == "drums"]
        context = [self._revoice(p) for p in parts if p.kind != "drums"]
        if not own or not context:
            return False
        if self.rng.random() < 0.4:
            context.append(compose.melody(chart, self.groove, self.rng))
        cents = self.rng.uniform(-40, 40) if self.rng.random() < 0.5 else 0.0
        stems = [self._treat(self._play(p, cents), 0.6) for p in context]
        own_notes = np.concatenate([p.notes for p in own])
        takes = [self._take(own_notes[np.argsort(own_notes[:, 0])], self.groove.style, "mma")]
        if self.split == "train":
            takes += [self._other_take() for _ in range(self.m.plan.takes - 1)]
        self._write(context, np.stack(stems), takes)
        return True

    def _composed(self, groove: Groove, chart: list[str]) -> list[Part]:
        """The parts that MMA plays; none, and a reason noted, if it cannot."""
        try:
            return compose.compile_parts(groove, chart, int(self.rng.integers(1 << 30)))
        except ValueError as error:
            self.reasons.append(f"{error}; another takes its place in song {self.index:05d}.")
            return []

    def _revoice(self, part: Part) -> Part:
        misvoiced = part.kind == "bass" and not 32 <= part.program <= 39
        if part.kind not in REVOICE or (not misvoiced and self.rng.random() < 0.5):
            return part
        return Part(part.kind, self._pick(list(REVOICE[part.kind])), part.notes)

    def _play(self, part: Part, cents: float) -> np.ndarray:
        font = int(self.rng.integers(self.m.renderer.fonts))
        return self.m.renderer.render(part, self.quarter_bpm, self.samples, font, cents)

    def _treat(self, waveform: np.ndarray, share: float) -> np.ndarray:
        rng = self.rng
        if rng.random() < share:
            waveform = tone(waveform, rng)
        if rng.random() < share * 0.5:
            waveform = saturate(waveform, rng.uniform(1, 4))
        if rng.random() < share:
            waveform = room(waveform, rng.uniform(0.15, 1.2), rng.uniform(0.05, 0.5), rng)
        return waveform

    def _other_take(self) -> dict:
        """Other drums at these beats: played by a human half the time, so that words decide."""
        rng, groove = self.rng, self.groove
        quarters = float(self.bars * groove.quarters_per_bar)
        played = [
            s
            for s in self.m.played
            if s.split == "train"
            and s.bpm is not None
            and s.quarters_per_bar == groove.quarters_per_bar
            and s.quarters >= 8
            and 0.7 < self.bpm / s.bpm < 1.4
        ]
        alike = [s for s in played if style_family(s.style) == self.family]
        patterns = [
            s
            for s in self.m.patterns
            if s.split == "train" and s.quarters_per_bar == groove.quarters_per_bar
        ]
        draw = rng.random()
        if played and draw < 0.5:
            source = self._pick(alike if alike and rng.random() < 0.5 else played)
            return self._take(drums.fit(source, quarters, rng), source.style, source.source)
        if patterns and draw < 0.65:
            source = self._pick(patterns)
            return self._take(drums.fit(source, quarters, rng), source.style, source.source)
        return self._borrowed_take()

    def _borrowed_take(self) -> dict:
        """The drums of another style file in the same metre."""
        for _ in range(20):
            pool = [
                g
                for g in self.m.grooves
                if g.beats_per_bar == self.groove.beats_per_bar
                and g.quarters_per_bar == self.groove.quarters_per_bar
                and compose.split_of(g.path.name) == "train"
            ]
            path = self._pick(sorted({g.path for g in pool}))
            other = self._pick([g for g in pool if g.path == path])
            low, high = TEMPI.get(style_family(other.style), (75, 150))
            if not low * 0.75 < self.bpm < high * 1.3:
                continue
            parts = self._composed(other, ["C"] * self.bars)
            notes = [p.notes for p in parts if p.kind == "drums"]
            if notes:
                joined = np.concatenate(notes)
                return self._take(joined[np.argsort(joined[:, 0])], other.style, f"mma/{path.stem}")
        return self._take(np.empty((0, 4)), self.groove.style, "silence")

    def _take(self, notes: np.ndarray, style: str, source: str) -> dict:
        rng = self.rng
        family = style_family(style)
        if len(notes) and not source.endswith(".mid"):
            notes = drums.humanise(notes, self.quarter_bpm, rng)
        if len(notes) and self.split == "train" and rng.random() < 0.4:
            fills = [f for f in self.m.fills if f.split == "train"]
            alike = [f for f in fills if style_family(f.style) == family]
            notes = drums.with_fills(notes, alike or fills, self.groove, self.bars, rng)
        loudness = str(rng.choice(["soft", "medium", "medium", "loud"]))
        kit = str(
            self._pick(list(KIT_CHOICES.get(family, ("standard", "room", "standard", "power"))))
        )
        if kit == "brush" and loudness == "loud":
            kit = "standard"
        part = drums.play_at(Part("drums", KITS[kit], notes), loudness)
        if self.m.kits and self.split == "train" and kit != "brush" and rng.random() < 0.5:
            electronic = family in ("electronic", "dance", "hip hop")
            fitting = [k for k in self.m.kits if k.electronic == electronic]
            sampled = self._pick(fitting or self.m.kits)
            kit = "electronic" if sampled.electronic else "standard"
            sound = sampled.render(part, self.quarter_bpm, self.samples, rng)
        else:
            sound = self._play(part, 0.0)
        waveform = self._treat(sound, 0.35)
        labels = drums.describe(part.notes, self.groove, style, self.bpm, loudness, kit)
        return {"waveform": waveform, "labels": asdict(labels), "source": source, "family": family}

    def _write(self, context: list[Part], stems: np.ndarray, takes: list[dict]) -> None:
        waves = np.stack([take.pop("waveform") for take in takes])
        band = float(np.sqrt(np.mean(stems.sum(axis=0) ** 2))) + 1e-6
        for take, wave in zip(takes, waves, strict=True):
            level = float(np.sqrt(np.mean(wave**2))) + 1e-6
            take["level_db"] = round(20 * np.log10(level / band), 2)
        beat = 60 / self.bpm
        count = self.bars * self.groove.beats_per_bar
        record = {
            "id": f"{self.index:05d}",
            "split": self.split,
            "style_file": self.groove.path.name,
            "groove": self.groove.name,
            "style": self.groove.style,
            "family": self.family,
            "bpm": self.bpm,
            "metre": self.groove.metre,
            "beats_per_bar": self.groove.beats_per_bar,
            "beats": [round(i * beat, 6) for i in range(count)],
            "positions": [1 + i % self.groove.beats_per_bar for i in range(count)],
            "samples": self.samples,
            "takes": takes,
            "stems": [stem_record(part, 60 / self.quarter_bpm) for part in context],
        }
        stem = self.m.plan.out / f"{self.index:05d}"
        np.save(f"{stem}.context.npy", _int16(stems))
        np.save(f"{stem}.drums.npy", _int16(waves))
        partial = stem.with_suffix(".part")
        partial.write_text(json.dumps(record))
        partial.replace(stem.with_suffix(".json"))


def _int16(waves: np.ndarray) -> np.ndarray:
    return np.round(np.clip(waves, -1, 1 - 2**-15) * 32768).astype(np.int16)


def stem_record(part: Part, quarter_seconds: float) -> dict:
    """What a song's record says of a stem; notes as start and end in seconds, pitch, velocity."""
    start, length, pitch, velocity = part.notes.T
    times = (quarter_seconds * start, quarter_seconds * (start + length))
    notes = np.stack([*times, pitch, velocity], axis=1)
    return {"kind": part.kind, "program": part.program, "notes": np.round(notes, 4).tolist()}
