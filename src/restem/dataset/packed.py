"""Songs in, their features in a few flat tensors on one device out, from which batches are cut."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from restem.audio.beats import BeatGrid
from restem.dataset.features import FLOOR_DB, STEP_DB
from restem.dataset.songs import Song
from restem.tokens import TokenConfig, stem_features

EVERY = 16  # of the frames from which a song's level is taken
POWER_RATE = STEP_DB * float(np.log2(10)) / 10  # octaves of power a step
POWER_FLOOR = FLOOR_DB * float(np.log2(10)) / 10


@dataclass(frozen=True, eq=False)
class PackedSongs:
    """Features of all songs, one after another.

    `context` and `drums` uint8 (row, column): the frames of every stem and take. `turns` float32
    (row, 2): beats and bars counted at each frame of a song. The rest is a row a song: `stem_row`
    and `take_row` (song, stem or take) the first row of each, -1 where there is none, `turn_row`,
    `frames`, `takes` and `stems` (song,), `level_db` (song, take), `text` float16 (song, take,
    sentence, 384), `metre` (song, 2), `asked` (song, stem) 1 for what of
    `TokenConfig.stems` the takes are, `totals` (song, stem, step) the power of all mel bands in
    every 16th frame. `names`: what each song is called.
    """

    names: tuple[str, ...]
    context: Tensor
    drums: Tensor
    turns: Tensor
    stem_row: Tensor
    take_row: Tensor
    turn_row: Tensor
    frames: Tensor
    stems: Tensor
    takes: Tensor
    level_db: Tensor
    text: Tensor
    metre: Tensor
    asked: Tensor
    totals: Tensor

    @classmethod
    def of(cls, songs: list[Song], config: TokenConfig, device: torch.device) -> PackedSongs:
        """All the songs, loaded onto a device."""
        count, stems = len(songs), max(s.stems for s in songs)
        takes = max(len(s.record["takes"]) for s in songs)
        longest = max(s.context.shape[1] for s in songs)
        sentences, size = songs[0].text.shape[1:]
        table = {
            "stem_row": np.full((count, stems), -1),
            "take_row": np.full((count, takes), -1),
            "turn_row": np.zeros(count, np.int64),
            "frames": np.array([s.context.shape[1] for s in songs]),
            "stems": np.array([s.stems for s in songs]),
            "takes": np.array([len(s.record["takes"]) for s in songs]),
            "level_db": np.zeros((count, takes), np.float32),
            "text": np.zeros((count, takes, sentences, size), np.float16),
            "metre": np.zeros((count, 2), np.float32),
            "asked": np.stack([stem_features(s.stem, 1, config)[0] for s in songs]),
            "totals": np.zeros((count, stems, -(-longest // EVERY)), np.float32),
        }
        context, drums, turns = [], [], []
        rows = dict.fromkeys(("context", "drums", "turns"), 0)
        for i, song in enumerate(songs):
            frames = song.context.shape[1]
            table["turn_row"][i] = rows["turns"]
            table["stem_row"][i, : song.stems] = rows["context"] + frames * np.arange(song.stems)
            own = len(song.drums)
            table["take_row"][i, :own] = rows["drums"] + frames * np.arange(own)
            table["level_db"][i, :own] = [t["level_db"] for t in song.record["takes"]]
            table["text"][i, :own] = song.text
            table["metre"][i] = [float(song.record["beats_per_bar"] == n) for n in (2, 3)]
            mels = song.context[:, ::EVERY, : config.spectrogram.mels].astype(np.float32)
            power = np.exp2(mels * POWER_RATE + POWER_FLOOR) * (mels > 0)
            table["totals"][i, : song.stems, : power.shape[1]] = power.sum(axis=2)
            context.append(song.context.reshape(-1, song.context.shape[2]))
            drums.append(song.drums.reshape(-1, song.drums.shape[2]))
            turns.append(_turns(song.record, frames, config))
            for name, added in (("context", context), ("drums", drums), ("turns", turns)):
                rows[name] += len(added[-1])
        flat = {"context": context, "drums": drums, "turns": turns}
        tensors = {k: torch.from_numpy(np.concatenate(v)) for k, v in flat.items()}
        tensors |= {k: torch.from_numpy(v) for k, v in table.items()}
        names = tuple(s.name for s in songs)
        return cls(names, **{k: v.to(device) for k, v in tensors.items()})

    def __len__(self) -> int:
        return len(self.frames)

    def joined(self, more: PackedSongs) -> PackedSongs:
        """These songs and more of them."""
        moved = replace(
            more,
            stem_row=torch.where(more.stem_row < 0, -1, more.stem_row + len(self.context)),
            take_row=torch.where(more.take_row < 0, -1, more.take_row + len(self.drums)),
            turn_row=more.turn_row + len(self.turns),
        )
        kinds = [f.name for f in fields(self) if f.name != "names"]
        both = {kind: _stacked(getattr(self, kind), getattr(moved, kind)) for kind in kinds}
        return PackedSongs(self.names + more.names, **both)


def _stacked(first: Tensor, second: Tensor) -> Tensor:
    """One after the other, each padded to the larger of all but the first size."""
    size = [max(a, b) for a, b in zip(first.shape[1:], second.shape[1:], strict=True)]
    padded = []
    for tensor in (first, second):
        fill = -1 if tensor.dtype == torch.int64 and tensor.ndim == 2 else 0
        wide = tensor
        if list(tensor.shape[1:]) != size:
            wide = tensor.new_full((len(tensor), *size), fill)
            wide[tuple(slice(n) for n in tensor.shape)] = tensor
        padded.append(wide)
    return torch.cat(padded)


def _turns(record: dict, frames: int, config: TokenConfig) -> np.ndarray:
    """Beats and bars counted at each frame, (frame, 2) float32."""
    grid = BeatGrid(
        np.array(record["beats"]), np.array(record["positions"]), record["beats_per_bar"], 1.0
    )
    spectrogram = config.spectrogram
    phases = grid.phases(np.arange(frames) * spectrogram.hop / spectrogram.sample_rate)
    counted = [np.unwrap(phase, period=1.0) for phase in phases]
    return np.stack(counted, axis=1).astype(np.float32)
