"""A waveform at 16 kHz comes in; VGGish's 128 features for each 0.96 s go out.

The network of S. Hershey et al., "CNN architectures for large-scale audio classification", 2017,
in torch's layout of the published weights (Apache 2.0), `vggish-10086976.pth` from
https://github.com/harritaylor/torchvggish/releases/tag/v0.1. As the Fréchet audio distance uses it:
without the final ReLU, without PCA and without rounding to 8 bit.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from restem.evaluation.embeddings.frontend import checked
from restem.evaluation.embeddings.protocol import Embedded
from restem.evaluation.embeddings.weights import fill, read_tensors, sha256_of

RATE, WINDOW, HOP, N_FFT, MELS, FRAMES = 16000, 400, 160, 512, 64, 96
PUBLISHED_SHA256 = "10086976"  # its beginning, which the published file carries in its name


class VggishNetwork(nn.Module):
    """VGGish up to its last linear layer, with the parameter names of the torch checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 1
        for wanted in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0):  # 0: pool
            if wanted:
                layers += [nn.Conv2d(width, wanted, 3, padding=1), nn.ReLU()]
                width = wanted
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(6 * 4 * 512, 4096),
            nn.ReLU(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, 128),
        )

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """(frame, 96, 64) in, features (frame, 128) out."""
        pooled = self.features(log_mel[:, None])
        # the linear weights come from TensorFlow, where the channels are last
        return self.embeddings(pooled.permute(0, 2, 3, 1).flatten(1))


class Vggish:
    """VGGish as an `Embedding`: 128 dimensions for each whole 0.96 s of the clip, no logits."""

    name = "vggish"
    role: Literal["clip", "frame"] = "frame"
    sample_rate = RATE
    dimensions = 128

    def __init__(self, path: Path) -> None:
        """Load a checkpoint; UserError for an unreadable file and weights of another model."""
        with torch.device("meta"):
            self._network = VggishNetwork()
        fill(self._network, read_tensors(path), str(path))
        self.weights_sha256 = sha256_of(path)
        self.published: bool | None = self.weights_sha256.startswith(PUBLISHED_SHA256)
        self._mel = mel_filters()

    def embed(self, waveform: NDArray[np.floating]) -> Embedded:
        """See `Embedding.embed`. Less than 0.975 s is filled up with silence."""
        with torch.inference_mode():
            samples = checked(waveform, WINDOW + (FRAMES - 1) * HOP)
            log_mel = torch.log(magnitude_frames(samples) @ self._mel + 0.01)
            count = len(log_mel) // FRAMES
            stretches = log_mel[: count * FRAMES].reshape(count, FRAMES, MELS)
            return Embedded(self._network(stretches).numpy(), None)


def magnitude_frames(samples: torch.Tensor) -> torch.Tensor:
    """|STFT| (frame, 257): windows of 25 ms every 10 ms, whole ones only, zero-padded to 512."""
    windows = samples.unfold(0, WINDOW, HOP) * torch.hann_window(WINDOW)
    return torch.fft.rfft(windows, N_FFT).abs()


def mel_filters() -> torch.Tensor:
    """VGGish's own mel filters (257, 64), 125 to 7,500 Hz, HTK scale.

    Their slopes are straight on the mel axis and not on the frequency axis, unlike librosa's, and
    the lowest bin is left out (mel_features.py of the VGGish release).
    """

    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(hertz / 700.0)

    bins = mel(np.linspace(0.0, RATE / 2, N_FFT // 2 + 1))[:, None]
    edges = np.linspace(mel(np.array(125.0)), mel(np.array(7500.0)), MELS + 2)
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[0] = 0.0
    return torch.tensor(filters.astype(np.float32))
