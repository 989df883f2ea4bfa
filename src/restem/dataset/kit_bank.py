"""Training features in, the kits that a model folder carries out."""

from __future__ import annotations

from collections import defaultdict
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import torch

from restem.audio.drum_notes import (
    DRUMS,
    PITCHES,
    heard_by,
    loudest,
    note_features,
    pick_notes,
    shipped,
)
from restem.audio.spectrogram import peak_hz
from restem.dataset.batches import BatchMaker
from restem.dataset.kit_timing import unhurried
from restem.dataset.packed import PackedSongs
from restem.dataset.songs import read_songs
from restem.kits import Kits, stored
from restem.tokens import TokenConfig, denormalise, mel_from_tokens

PLACES = 4  # of a performance, of which the one with the clearest hits is kept
SONG_DB = -14.0  # of the song that a kit is heard beside
LEAST_ON_TOP = 2  # strokes of hats and cymbals
BRIGHT_HZ, MOST_BRIGHT = 7000.0, 0.4  # above this frequency at most so much of the energy
DEEP_HZ, LEAST_DEEP = 150.0, 0.3  # and below this one at least so much: a stem weighs as its kit


def kits_of(features: Path, config: TokenConfig, seed: int = 0) -> Kits:
    """Anchors of the training songs in a folder of `restem dataset features`.

    Of each style as many as the square root of its performances, so that rare styles are there and
    common ones vary, less those that are not whole. Raises UserError if the folder holds no
    training songs.
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
            whole = [offer for offer in offers if is_whole(offer[0], config)]
            if not whole:
                continue
            stem, phase = max(whole, key=lambda offer: _contrast(offer[0]))
            phase = unhurried(stem, phase, config)
            text = songs[song].text[take].astype(np.float32).mean(axis=0)
            stems.append(stored(stem, config.silence))
            phases.append(phase.astype(np.float16))
            texts.append((text / np.linalg.norm(text)).astype(np.float16))
    return Kits(np.stack(stems), np.stack(phases), np.stack(texts), config.silence)


def is_whole(stem: np.ndarray, config: TokenConfig) -> bool:
    """Whether an anchor (token, value) has a kick or a snare, and hats or cymbals, and not these
    alone: brought to the loudness of a band's drums, a second of a ride is a hiss. Kicks and low
    toms give it weight."""
    rows = denormalise(mel_from_tokens(stem, config), SONG_DB, config)
    networks, thresholds = shipped()
    heard = pick_notes(*heard_by(networks, note_features(rows, loudest(rows))), thresholds)
    drums = [DRUMS[PITCHES.index(pitch)] for pitch in heard.pitches]
    on_top = drums.count("hats") + drums.count("cymbals")
    power = (10 ** (rows[:, : config.spectrogram.mels] / 10)).sum(axis=0)
    hz = peak_hz(config.spectrogram)
    bright, deep = (float(power[at].sum()) for at in (hz > BRIGHT_HZ, hz < DEEP_HZ))
    whole = on_top >= LEAST_ON_TOP and ("kick" in drums or "snare" in drums)
    even = bright < MOST_BRIGHT * float(power.sum()) and deep >= LEAST_DEEP * float(power.sum())
    return whole and even


def _contrast(stem: np.ndarray) -> float:
    """How far the level (token, value) rises and falls: little in the roar of a cymbal."""
    return float(np.std(stem.mean(axis=1)))
