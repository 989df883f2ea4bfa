"""A waveform at 16 or 32 kHz comes in; CNN14's 2,048 features and 527 class logits go out.

The network of Q. Kong et al., "PANNs: large-scale pretrained audio neural networks for audio
pattern recognition", 2020, table I, with its published checkpoints (CC BY 4.0), as downloaded from
https://zenodo.org/records/3987831: `Cnn14_16k_mAP=0.438.pth` and `Cnn14_mAP=0.431.pth`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from restem.errors import UserError
from restem.evaluation.embeddings.frontend import checked, power_spectrogram, slaney_mel
from restem.evaluation.embeddings.protocol import Embedded
from restem.evaluation.embeddings.weights import fill, read_tensors, sha256_of

SHORTEST = 32000  # samples; shorter clips get silence after them, as in audioldm_eval
MELS = 64
CLASSES = 527


@dataclass(frozen=True)
class _Variant:
    sample_rate: int
    n_fft: int
    hop: int
    high_hz: float
    low_hz: float = 50.0


VARIANTS = {
    "panns-cnn14-16k": _Variant(16000, 512, 160, 8000.0),
    "panns-cnn14-32k": _Variant(32000, 1024, 320, 14000.0),
}


class _Stft(nn.Module):
    """Holds the Fourier matrices that the checkpoints carry; an FFT does their work."""

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        bins = n_fft // 2 + 1
        self.conv_real = nn.Conv1d(1, bins, n_fft, bias=False)
        self.conv_imag = nn.Conv1d(1, bins, n_fft, bias=False)


class _Spectrogram(nn.Module):
    def __init__(self, n_fft: int) -> None:
        super().__init__()
        self.stft = _Stft(n_fft)


class _LogMel(nn.Module):
    def __init__(self, variant: _Variant) -> None:
        super().__init__()
        self.melW = nn.Parameter(
            slaney_mel(variant.sample_rate, variant.n_fft, MELS, variant.low_hz, variant.high_hz)
        )


class _ConvBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        picture = F.relu(self.bn1(self.conv1(picture)))
        return F.relu(self.bn2(self.conv2(picture)))


class Cnn14(nn.Module):
    """CNN14 with the parameter names of its authors' checkpoints."""

    def __init__(self, variant: _Variant) -> None:
        super().__init__()
        self.n_fft, self.hop = variant.n_fft, variant.hop
        self.spectrogram_extractor = _Spectrogram(variant.n_fft)
        self.logmel_extractor = _LogMel(variant)
        self.bn0 = nn.BatchNorm2d(MELS)
        self.conv_block1 = _ConvBlock(1, 64)
        self.conv_block2 = _ConvBlock(64, 128)
        self.conv_block3 = _ConvBlock(128, 256)
        self.conv_block4 = _ConvBlock(256, 512)
        self.conv_block5 = _ConvBlock(512, 1024)
        self.conv_block6 = _ConvBlock(1024, 2048)
        self.fc1 = nn.Linear(2048, 2048)
        self.fc_audioset = nn.Linear(2048, CLASSES)

    def forward(self, samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(sample,) in; features after fc1 and its ReLU (2048,) and logits (527,) out."""
        mel = power_spectrogram(samples, self.n_fft, self.hop) @ self.logmel_extractor.melW
        log_mel = 10 * torch.log10(mel.clamp(min=1e-10))
        # bn0 normalises each mel band, so the bands stand where channels would
        picture = self.bn0(log_mel.T[None, :, :, None]).permute(0, 3, 2, 1)
        for block in (
            self.conv_block1,
            self.conv_block2,
            self.conv_block3,
            self.conv_block4,
            self.conv_block5,
        ):
            picture = F.avg_pool2d(block(picture), 2)
        over_time = self.conv_block6(picture).mean(dim=3)[0]
        features = F.relu(self.fc1(over_time.amax(dim=1) + over_time.mean(dim=1)))
        return features, self.fc_audioset(features)


class Panns:
    """CNN14 at 16 or 32 kHz, as an `Embedding`: one feature of 2,048 dimensions a clip."""

    role: Literal["clip", "frame"] = "clip"
    dimensions = 2048
    published: bool | None = None  # the authors publish no SHA-256 to compare with

    def __init__(self, name: str, path: Path) -> None:
        """Load "panns-cnn14-16k" or "panns-cnn14-32k" from its checkpoint.

        Raises UserError for another name, an unreadable file, and weights of another model.
        """
        if name not in VARIANTS:
            raise UserError(f"There is no embedding {name}; choose from {', '.join(VARIANTS)}.")
        self.name = name
        self.sample_rate = VARIANTS[name].sample_rate
        with torch.device("meta"):
            self._network = Cnn14(VARIANTS[name])
        fill(self._network, read_tensors(path), str(path))
        self.weights_sha256 = sha256_of(path)

    def embed(self, waveform: NDArray[np.floating]) -> Embedded:
        """See `Embedding.embed`."""
        with torch.inference_mode():
            features, logits = self._network(checked(waveform, SHORTEST))
            return Embedded(features[None].numpy(), logits.numpy())
