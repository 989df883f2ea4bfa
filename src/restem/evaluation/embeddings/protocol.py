"""What every embedding offers: a waveform comes in, its features and class logits go out."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Embedded:
    """What an embedding says of one clip.

    `features`: (frame, dimension) float32, one row for the clip or one for each stretch of it.
    `logits`: (class,) float32 before any softmax or sigmoid, or None if there are no classes.
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32] | None


class Embedding(Protocol):
    """A network with its weights. One clip at a time, so that memory does not grow with a set."""

    @property
    def name(self) -> str:
        """The name that goes beside every score made with it."""

    @property
    def role(self) -> Literal["clip", "frame"]:
        """ "clip": one feature a clip and logits (FD, KLD, IS); "frame": one a stretch (FAD)."""

    @property
    def sample_rate(self) -> int:
        """Rate in Hz at which `embed` wants its waveform."""

    @property
    def dimensions(self) -> int:
        """Length of one feature."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the file that the weights came from, in hexadecimal."""

    @property
    def published(self) -> bool | None:
        """Whether that file is the published one; None if its hash is published nowhere."""

    def embed(self, waveform: NDArray[np.floating]) -> Embedded:
        """Features and logits of a mono (sample,) waveform of any length but 0.

        Raises ValueError for other shapes and for NaN or infinite samples.
        """
