"""Pieces of several stems in, batches for one shared network out; and its first weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from restem.networks.embedded import EmbeddedNetwork
from restem.symbolic import shared
from restem.symbolic.cells import RANGES
from restem.symbolic.corpora import Piece
from restem.symbolic.corpus_file import RollBatch, RollBatches

OCTAVE = 12


class SharedBatches:
    """Random windows of a corpus for a shared network, each stem in turn.

    `densities` are those of each stem's noise: as the music's, as in a network of its own.
    """

    def __init__(self, pieces: list[Piece], seed: int) -> None:
        self.densities: dict[str, float] = {}
        self.of = {
            stem: RollBatches(pieces, stem, len(shared.STEMS) * seed + number)
            for number, stem in enumerate(shared.STEMS)
        }

    @property
    def pieces(self) -> list[Piece]:
        """Those in which any of the stems plays."""
        return [piece for batches in self.of.values() for piece in batches.pieces]

    def batch(self, step: int, size: int) -> RollBatch:
        """`size` windows, as equally many of each stem as can be."""
        counts = np.bincount((step + np.arange(size)) % len(shared.STEMS), minlength=3)
        each = [
            self._widened(batches.batch(step, int(count)), stem)
            for (stem, batches), count in zip(self.of.items(), counts, strict=True)
            if count
        ]
        return RollBatch(*(np.concatenate(column) for column in zip(*each, strict=True)))

    def _widened(self, batch: RollBatch, stem: str) -> tuple[np.ndarray, ...]:
        return (
            shared.widened(batch.clean, stem),
            shared.widened(batch.real, stem),
            shared.context_of(batch.context),
            shared.told(batch.place, stem),
            batch.text,
            np.full((len(batch.clean), 1, 1), self.densities[stem], np.float32),
        )


def shared_network(own: EmbeddedNetwork, stem: str) -> EmbeddedNetwork:
    """A shared network that does what one of a single stem does; pitches which that stem does not
    have begin as those an octave higher."""
    config = replace(own.config, stem_values=shared.VALUES, context_values=shared.CONTEXT_VALUES)
    network, state = EmbeddedNetwork(config), own.state_dict()
    for name in ("stem_in.weight", "stem_out.weight", "stem_out.bias"):
        turned = state[name].numpy().T if name == "stem_out.weight" else state[name].numpy()
        wide = shared.widened(turned, stem)
        rows = wide.reshape(*turned.shape[:-1], -1, shared.HIGH - shared.LOW)
        for pitch in reversed(range(RANGES[stem][0] - shared.LOW)):
            rows[..., pitch] = rows[..., pitch + OCTAVE]
        state[name] = torch.from_numpy(wide.T.copy() if name == "stem_out.weight" else wide)
    state["context_in.0.weight"] = state["context_in.0.weight"][:, -shared.CONTEXT_VALUES :]
    network.load_state_dict(state)
    return network
