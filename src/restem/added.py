"""What a mix has more than its context in, the stem alone out.

A model of target "added" draws by how much the mix is louder than the song in each band: the mix
of the paper, but for the song, which need not pass through the network. Under the song it draws
nothing, and so nothing is heard there.
"""

from __future__ import annotations

import numpy as np

from restem.audio.room import blocks
from restem.tokens import BLOCK_FRAMES, TokenConfig

FAINT_DB = 0.5  # so little louder is chance


def alone(added: np.ndarray, context: np.ndarray, config: TokenConfig) -> np.ndarray:
    """Stem tokens (token, value) of what was added to context tokens (token, value of mel bands).

    Powers add up; the fine envelope is the stem's own already.
    """
    stem, mels = added.copy(), config.spectrogram.mels
    for b in blocks(len(stem), BLOCK_FRAMES):
        cells = stem[b].reshape(-1, config.spectrogram.columns)[:, :mels]
        under_db = context[b].reshape(-1, mels) * config.scale_db + config.centre_db
        louder_db = np.maximum((cells - config.silence) * config.scale_db, FAINT_DB)
        stem_db = under_db + 10 * np.log10(10 ** (louder_db / 10) - 1)
        sounds = (louder_db > FAINT_DB) & (stem_db > config.quiet_db)
        cells[:] = np.where(sounds, (stem_db - config.centre_db) / config.scale_db, config.silence)
    return stem
