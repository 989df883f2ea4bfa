"""Packed songs in, endless training batches out: (stem, context, phase, text) windows.

The mixes are made here, on the device that trains: a random non-empty subset of a song's stems,
each at a random level and in a colour of its own, is summed in mel power, so that one song gives
many contexts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from restem.audio.spectrogram import peak_hz
from restem.dataset.draws import ALONE, Draw, Share
from restem.dataset.features import FLOOR_DB, STEP_DB
from restem.dataset.packed import POWER_FLOOR, POWER_RATE, PackedSongs
from restem.tokens import (
    CONTROLS,
    MARKS,
    PHASES,
    RISE,
    TokenConfig,
    density_value,
    loudness_value,
)

Target = Literal["stem", "mix", "whole"]


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch: stem and context (window, token, value), phase (window, token, feature),
    text (window, 384), controls (window, CONTROLS), given (window, token): True where the network
    is shown the clean stem. `partial`: the context in tokens like the stem's, of "whole" only.
    `song`: which song each window is of (window,)."""

    stem: Tensor
    context: Tensor
    phase: Tensor
    text: Tensor
    controls: Tensor
    given: Tensor
    partial: Tensor | None = None
    song: Tensor | None = None


class BatchMaker:
    """Draws batches; the same seed and step give the same batch, so training can resume.

    The target is the "stem", or the mix of context and stem in its place: the "whole" of it with
    the context heard, as the paper has it, or "mix" for a base model that hears none, as silence.
    """

    def __init__(
        self,
        songs: PackedSongs,
        config: TokenConfig,
        seed: int,
        augment: bool = True,
        target: Target = "stem",
    ) -> None:
        self.songs, self.config, self.seed, self.augment = songs, config, seed, augment
        self.target = target
        self.device = songs.frames.device
        mels = config.spectrogram.mels
        places = torch.linspace(0, 5, mels)
        near = (1 - (places[:, None] - torch.arange(6)).abs()).clamp(min=0)
        self._curve = near.to(self.device)  # (mel, 6): between six points of a smooth curve
        self._wide = _wide_bands(config).to(self.device)

    def batch(self, step: int, size: int, share: Share = ALONE) -> Batch:
        """`size` windows, those of a process's share."""
        draw = Draw(self.seed * 1_000_003 + step, size, self.device, share)
        songs, config = self.songs, self.config
        song = draw.below(len(songs))
        # Half of the windows pair a context with its own drums: those alone can teach listening.
        others = songs.takes[song] - 1
        take = torch.where(draw.chance(0.5) | (others == 0), 0, 1 + draw.below(others))
        given, anchored = self._given(draw)
        rows = self._rows(song, take, anchored, draw)
        kept = self._subset(song, draw)
        gains = draw.uniform(-6, 6, kept.shape[1]) if self.augment else torch.zeros(kept.shape)
        gains = torch.where(kept, 10 ** (gains.to(self.device) / 10), 0.0)
        power, changed = self._mix(song, gains, rows, draw)
        whole = self._level(song, gains) + changed
        band = self._level(song, (songs.stem_row[song] >= 0).float())
        stem_db = self._stem(song, take, rows, draw) + (whole - band)[:, None, None]
        context_db = 10 * torch.log10(power + 1e-12)
        mels = config.spectrogram.mels
        partial = self._tokens(context_db, whole) if self.target == "whole" else None
        if self.target != "stem":
            stem_db = 10 * torch.log10(10 ** (context_db / 10) + 10 ** (stem_db / 10))
        if self.target == "mix":
            context_db = torch.full_like(context_db, -200.0)
        elif self.augment:  # a noise floor, as of tape or a room
            floor = torch.where(draw.chance(0.3), whole + draw.uniform(-75, -45)[:, 0], -200.0)
            context_db = torch.maximum(context_db, floor[:, None, None])
        context_db = context_db[:, :, :mels]
        phase = self._phase(song, rows, draw)
        marks = torch.zeros(size, config.window, config.phases - PHASES, device=self.device)
        marks[:, :, MARKS:] = songs.asked[song][:, None]
        marks[:, :, 0] = given
        marks[:, : config.anchor, 1] = anchored[:, None]
        if self.augment:  # a kit may come without its song, and without its beats
            early = marks[:, :, 1] > 0
            hidden = early & draw.chance(0.6)[:, None]
            hidden = hidden.repeat_interleave(config.frames_per_token, 1)
            context_db = torch.where(hidden[:, :, None], -200.0, context_db)
            phase = torch.where((early & draw.chance(0.15)[:, None])[:, :, None], 0.0, phase)
        stem = self._tokens(stem_db, whole)
        sentence = draw.below(songs.text.shape[2])
        return Batch(
            stem,
            self._tokens(context_db, whole),
            torch.cat([phase, marks], dim=2),
            songs.text[song, take, sentence].float(),
            self._controls(stem, given, draw),
            given,
            partial,
            song,
        )

    def anchor(self, song: int, take: int, places: int, seed: int) -> tuple[Tensor, Tensor]:
        """Stem tokens (place, token, value) of anchors of a take beside the whole band, and the
        phase of each, at random places."""
        config, songs = self.config, self.songs
        draw = Draw(seed, places, self.device)
        which = torch.full((places,), song, device=self.device)
        takes = torch.full_like(which, take)
        length = config.anchor * config.frames_per_token
        start = draw.below((songs.frames[which] - length + 1).clamp(min=1))
        rows = start[:, None] + torch.arange(length, device=self.device)
        band = self._level(which, (songs.stem_row[which] >= 0).float())
        stem = self._tokens(self._stem(which, takes, rows, draw), band)
        return stem, self._phase(which, rows, draw)

    def _given(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """Which tokens (window, token) are given, as in a song's first or later windows or in a
        repair, and whether the first ones are an anchor (window,)."""
        config = self.config
        token = torch.arange(config.window, device=self.device)
        if self.target != "stem" or not self.augment:
            none = torch.zeros(draw.size, dtype=torch.bool, device=self.device)
            return none[:, None] & (token < 0), none
        some = ~draw.chance(0.25)
        anchored = some & draw.chance(0.85)
        begins = anchored & draw.chance(0.5)  # a song with a kit, nothing of it made yet
        first = config.anchor * anchored + torch.where(begins, 0, draw.below(65))
        end = torch.where(draw.chance(0.15), 1 + draw.below(32), 0)
        given = (token < first[:, None]) | (token >= config.window - end[:, None])
        return given & some[:, None], anchored

    def _rows(self, song: Tensor, take: Tensor, anchored: Tensor, draw: Draw) -> Tensor:
        """Frames (window, frame) of a random window; its anchor is the louder of two places."""
        config, songs = self.config, self.songs
        frames, anchor = config.window_frames, config.anchor * config.frames_per_token
        count = torch.arange(frames, device=self.device)
        start = draw.below((songs.frames[song] - frames + 1).clamp(min=1))
        rows = start[:, None] + count
        last = (songs.frames[song] - anchor + 1).clamp(min=1)
        places = torch.stack([draw.below(last), draw.below(last)], dim=1)
        seen = (places[:, :, None] + count[:anchor:4]).minimum(songs.frames[song, None, None] - 1)
        sound = songs.drums[songs.take_row[song, take][:, None, None] + seen].float()
        best = sound.mean(dim=(2, 3)).argmax(dim=1, keepdim=True)
        at = places.gather(1, best) + count[:anchor]
        rows[:, :anchor] = torch.where(anchored[:, None], at, rows[:, :anchor])
        return rows

    def _steps(self, flat: Tensor, first: Tensor, song: Tensor, rows: Tensor) -> Tensor:
        """Steps (window, frame, column) at frames of songs; silence after their end."""
        frames = self.songs.frames[song][:, None]
        inside = (rows < frames) & (first[:, None] >= 0)
        index = torch.where(inside, first[:, None] + rows, 0)
        return torch.where(inside[:, :, None], flat[index], 0).float()

    def _stem(self, song: Tensor, take: Tensor, rows: Tensor, draw: Draw) -> Tensor:
        """A take (window, frame, column) in dB, as loud as it is to stand beside the whole band."""
        steps = self._steps(self.songs.drums, self.songs.take_row[song, take], song, rows)
        recorded = self.songs.level_db[song, take]
        jitter = draw.normal(1)[:, 0] if self.augment else torch.zeros_like(recorded)
        wanted = recorded + self.config.lift_db + jitter
        level = wanted.clamp(*self.config.stem_level_range) - recorded
        db = steps * STEP_DB + FLOOR_DB + level[:, None, None]
        if self.augment and self.target != "mix":  # other kits, near to those that there are
            colour = self._colour(draw.normal(6) * 2.5)
            db = db + torch.where(draw.chance(0.6)[:, None], colour, 0.0)[:, None]
        return torch.where(steps > 0, db, -200.0)

    def _subset(self, song: Tensor, draw: Draw) -> Tensor:
        """Which stems (window, stem) play: all of them, or any that are not none."""
        there = self.songs.stem_row[song] >= 0
        order = torch.where(there, draw.uniform(0, 1, there.shape[1]), 2.0).argsort(1).argsort(1)
        most = self.songs.stems[song]
        return order < torch.where(draw.chance(0.35), most, 1 + draw.below(most))[:, None]

    def _mix(self, song: Tensor, gains: Tensor, rows: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Power (window, frame, column) of the stems, and by how many dB colours changed it."""
        mels = self.config.spectrogram.mels
        power = torch.zeros(1, device=self.device)
        plain = torch.zeros(1, device=self.device)
        common = self._colour(draw.normal(6) * 3.0, self._cut(draw)) if self.augment else None
        for stem in range(gains.shape[1]):
            steps = self._steps(self.songs.context, self.songs.stem_row[song, stem], song, rows)
            part = torch.exp2(steps * POWER_RATE + POWER_FLOOR) * (steps > 0)
            part = part * gains[:, stem, None, None]
            plain = plain + part[:, :, :mels].sum(dim=(1, 2))
            if common is not None:
                own = common + self._colour(draw.normal(6) * 2.0)
                part = part * 10 ** (own[:, None] / 10)
            power = power + part
        loud = power[:, :, :mels].sum(dim=(1, 2))
        changed = 10 * torch.log10((loud + 1e-9) / (plain + 1e-9))
        return power, changed

    def _level(self, song: Tensor, gains: Tensor) -> Tensor:
        """Level (window,) in dB of a mix over the whole song: `tokens.context_level_db` of it."""
        power = (self.songs.totals[song] * gains[:, :, None]).sum(dim=1)
        loud = power > 1e-4 * power.amax(dim=1, keepdim=True)
        mean = (power * loud).sum(dim=1) / loud.sum(dim=1).clamp(min=1)
        return 10 * torch.log10(mean + 1e-12)

    def _colour(self, points: Tensor, cut: Tensor | None = None) -> Tensor:
        """Gain in dB (window, column): a smooth curve through six points (window, 6), and what is
        cut; the wide bands of the fine envelope have the mean of theirs."""
        curve = points @ self._curve.T - (0 if cut is None else cut)
        return torch.cat([curve, curve @ self._wide], dim=1)

    def _cut(self, draw: Draw) -> Tensor:
        """dB (window, mel) that a dull top loses, in a quarter of the windows."""
        mels = self.config.spectrogram.mels
        first = mels // 2 + draw.below(mels - mels // 2)
        mel = torch.arange(mels, device=self.device)
        share = ((mel - first[:, None]) / (mels - 1 - first[:, None]).clamp(min=1)).clamp(min=0)
        depth = torch.where(draw.chance(0.25), draw.uniform(10, 60)[:, 0], 0.0)
        return depth[:, None] * share

    def _phase(self, song: Tensor, rows: Tensor, draw: Draw) -> Tensor:
        """`tokens.phase_features` of each token, (window, token, PHASES); none in some windows."""
        config, songs = self.config, self.songs
        rate = config.spectrogram.frame_rate
        frames = rows[:, :: config.frames_per_token] + (config.frames_per_token - 1) / 2
        if self.augment:  # a tracker is a few milliseconds off: so is the phase in training
            frames = frames + draw.normal(1) * 0.004 * rate
        at = frames.clamp(min=0).minimum(songs.frames[song][:, None] - 1.001)
        row = at.floor().long()
        first = songs.turn_row[song][:, None] + row
        before, after = songs.turns[first], songs.turns[first + 1]
        turn = before + (after - before) * (frames - row)[:, :, None]  # goes on past the end
        beat, bar = turn[:, :, 0], turn[:, :, 1]
        turns = torch.stack([beat, 2 * beat, 3 * beat, 4 * beat, bar, 2 * bar], dim=2) * math.tau
        waves = torch.stack([turns.sin(), turns.cos()], dim=3).flatten(2)
        metre = songs.metre[song][:, None].expand(-1, waves.shape[1], -1)
        phase = torch.cat([waves, metre, torch.ones_like(metre[:, :, :1])], dim=2)
        assert phase.shape[2] == PHASES
        if self.augment:
            phase = torch.where(draw.chance(config.phase_dropout)[:, None, None], 0.0, phase)
        return phase

    def _tokens(self, db: Tensor, level: Tensor) -> Tensor:
        """dB (window, frame, column) to network numbers (window, token, value)."""
        config = self.config
        relative = (db - level[:, None, None]).clamp(min=config.quiet_db)
        values = (relative - config.centre_db) / config.scale_db
        return values.reshape(len(db), -1, config.frames_per_token * db.shape[2])

    def _controls(self, stem: Tensor, given: Tensor, draw: Draw) -> Tensor:
        """What is told of how the new part of each window is played (window, CONTROLS): see
        `tokens.control_features`. Each is left out in half of the windows."""
        config = self.config
        controls = torch.zeros(len(stem), CONTROLS, device=self.device)
        if self.target != "stem":
            return controls
        new = ~given
        seconds = new.sum(1) * config.frames_per_token / config.spectrogram.frame_rate
        level = stem.mean(dim=2)
        hits = ((level.diff(dim=1) > RISE) & new[:, 1:]).sum(dim=1) / seconds.clamp(min=0.04)
        cells = stem.reshape(*stem.shape[:2], config.frames_per_token, -1)
        db = cells[..., : config.spectrogram.mels] * config.scale_db + config.centre_db
        power = (10 ** (db / 10)).sum(dim=3).mean(dim=2)
        mean = (power * new).sum(dim=1) / new.sum(dim=1).clamp(min=1)
        values = (density_value(hits, torch.log2), loudness_value(mean, torch.log2))
        for i, value in enumerate(values):
            told = draw.chance(0.5) & (seconds > 1)
            controls[:, 2 * i] = told
            controls[:, 2 * i + 1] = torch.where(told, value, 0.0)
        return controls


def _wide_bands(config: TokenConfig) -> Tensor:
    """(mel, fine column): shares of each mel band in the mean over a wide band."""
    spectrogram = config.spectrogram
    band = np.searchsorted(spectrogram.fine_edges_hz, peak_hz(spectrogram), side="right")
    inside = (band[:, None] == spectrogram.fine_numbers).astype(np.float32)
    shares = inside / np.maximum(inside.sum(axis=0), 1)
    return torch.from_numpy(np.repeat(shares, spectrogram.fine_per_frame, axis=1))
