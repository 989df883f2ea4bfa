"""Training features in, the kits that a model folder carries out."""

from __future__ import annotations

from collections import defaultdict
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import torch

from restem.dataset.batches import BatchMaker
from restem.dataset.kit_timing import unhurried
from restem.dataset.packed import PackedSongs
from restem.dataset.songs import read_songs
from restem.kits import Kits, stored
from restem.tokens import TokenConfig

PLACES = 4  # of a performance, of which the one with the clearest hits is kept


def kits_of(features: Path, config: TokenConfig, seed: int = 0) -> Kits:
    """Anchors of the training songs in a folder of `restem dataset features`.

    Of each style as many as the square root of its performances, so that rare styles are there and
    common ones vary. Raises UserError if the folder holds no training songs.
    """
    songs = read_songs(features, "train")
    packed = PackedSongs.of(songs, config, torch.device("cpu"))
    maker = BatchMaker(packed, config, seed, augment=False)
    rng = np.random.default_rng(seed)
    by_style: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for song, found in enumerate(songs):
        for take, about in enumerate(found.record["takes"]):
            by_style[about["labels"]["style"]].append((song, take))
    stems, phases, texts = [], [], []
    for style in sorted(by_style):
        offered = by_style[style]
        for i in rng.permutation(len(offered))[: ceil(sqrt(len(offered)))]:
            song, take = offered[i]
            offered_places = maker.anchor(song, take, PLACES, int(rng.integers(1 << 31)))
            offers = zip(*(tensor.numpy() for tensor in offered_places), strict=True)
            stem, phase = max(offers, key=lambda offer: _contrast(offer[0]))
            phase = unhurried(stem, phase, config)
            text = songs[song].text[take].astype(np.float32).mean(axis=0)
            stems.append(stored(stem, config.silence))
            phases.append(phase.astype(np.float16))
            texts.append((text / np.linalg.norm(text)).astype(np.float16))
    return Kits(np.stack(stems), np.stack(phases), np.stack(texts), config.silence)


def _contrast(stem: np.ndarray) -> float:
    """How far the level (token, value) rises and falls: little in the roar of a cymbal."""
    return float(np.std(stem.mean(axis=1)))
