"""A waveform at 16 kHz comes in; features and 50 tags' logits of the musicnn taggers go out.

The networks of J. Pons and X. Serra, "musicnn: pre-trained convolutional neural networks for music
audio tagging", 2019, with the weights of the PyPI package `musicnn` (ISC), read without TensorFlow.
"""

from importlib.util import find_spec
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
from restem.evaluation.embeddings.tensorflow_checkpoint import read_tensorflow_checkpoint
from restem.evaluation.embeddings.weights import fill, sha256_of

RATE, N_FFT, HOP, MELS, PATCH = 16000, 512, 256, 96, 187  # a patch is 3 s
TAGS = 50
BATCH_EPSILON = 1e-3  # TensorFlow's default, torch's is 1e-5

# SHA-256 of the data files in musicnn 0.1.0
PUBLISHED = {
    "MTT_musicnn": "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab",
    "MSD_musicnn": "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6",
    "MTT_vgg": "458f5c8bcecc086a3bba3dce83809df6da6e0a3560a59ddd84711bf3d5fd8303",
}


# filters and their (frames, mels): two timbral, as high as 0.4 and 0.7 of the mels, three temporal
FRONT = ((204, (7, 38)), (204, (7, 67)), (51, (128, 1)), (51, (64, 1)), (51, (32, 1)))


class _Musicnn(nn.Module):
    """Timbral and temporal filters, three dense layers over time, pooling (paper, figure 1)."""

    dimensions = 200

    def __init__(self) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm2d(1, eps=BATCH_EPSILON)
        self.front = nn.ModuleList(nn.Conv2d(1, filters, size) for filters, size in FRONT)
        self.front_norm = nn.ModuleList(
            nn.BatchNorm2d(filters, eps=BATCH_EPSILON) for filters, _ in FRONT
        )
        widths = [sum(filters for filters, _ in FRONT), 64, 64]
        self.middle = nn.ModuleList(nn.Conv1d(width, 64, 7, padding=3) for width in widths)
        self.middle_norm = nn.ModuleList(nn.BatchNorm1d(64, eps=BATCH_EPSILON) for _ in widths)
        pooled = 2 * (widths[0] + 3 * 64)
        self.pool_norm = nn.BatchNorm1d(pooled, eps=BATCH_EPSILON)
        self.hidden = nn.Linear(pooled, self.dimensions)
        self.hidden_norm = nn.BatchNorm1d(self.dimensions, eps=BATCH_EPSILON)
        self.tags = nn.Linear(self.dimensions, TAGS)

    def forward(self, log_mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(patch, frame, mel) in; the last hidden layer (patch, 200), logits (patch, 50) out."""
        picture = self.input_norm(log_mel[:, None])
        columns = []
        for convolve, norm, (_, (height, _)) in zip(
            self.front, self.front_norm, FRONT, strict=True
        ):
            padded = F.pad(picture, (0, 0, (height - 1) // 2, height // 2))  # as TensorFlow's SAME
            columns.append(norm(F.relu(convolve(padded))).amax(dim=3))
        layers = [torch.cat(columns, dim=1)]
        for convolve, norm in zip(self.middle, self.middle_norm, strict=True):
            fresh = norm(F.relu(convolve(layers[-1])))
            layers.append(fresh if len(layers) == 1 else fresh + layers[-1])
        over_time = torch.cat(layers, dim=1)
        pooled = torch.stack([over_time.amax(dim=2), over_time.mean(dim=2)], dim=2).flatten(1)
        features = self.hidden_norm(F.relu(self.hidden(self.pool_norm(pooled))))
        return features, self.tags(features)

    @staticmethod
    def scopes() -> dict[str, str]:
        """Names here and the TensorFlow scopes of the same layers, in order of building."""
        order = ["input_norm"]
        order += [f"front_norm.{layer}" for layer in range(5)]
        order += [f"middle_norm.{layer}" for layer in range(3)] + ["pool_norm", "hidden_norm"]
        names = {here: _numbered("batch_normalization", n) for n, here in enumerate(order)}
        convolutions = [f"front.{layer}" for layer in range(5)]
        convolutions += [f"middle.{layer}" for layer in range(3)]
        names |= {here: _numbered("conv2d", n) for n, here in enumerate(convolutions)}
        return names | {"hidden": "dense", "tags": "dense_1"}


class _Vgg(nn.Module):
    """Five 3x3 convolutions with 128 filters; the last pooling, 2 x 128, is the feature."""

    dimensions = 256

    def __init__(self) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm2d(1, eps=BATCH_EPSILON)
        self.layers = nn.ModuleList(
            nn.Conv2d(width, 128, 3, padding=1) for width in (1, 128, 128, 128, 128)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(128, eps=BATCH_EPSILON) for _ in range(5))
        self.tags = nn.Linear(self.dimensions, TAGS)

    def forward(self, log_mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(patch, frame, mel) in; the last pooling (patch, 256) and logits (patch, 50) out."""
        picture = self.input_norm(log_mel[:, None])
        pools = [((4, 1), 2), ((2, 2), 2), ((2, 2), 2), ((2, 2), 2), ((4, 4), 4)]
        for convolve, norm, (size, stride) in zip(self.layers, self.norms, pools, strict=True):
            picture = F.max_pool2d(norm(F.relu(convolve(picture))), size, stride)
        features = picture.permute(0, 2, 3, 1).flatten(1)  # TensorFlow keeps the channels last
        return features, self.tags(features)

    @staticmethod
    def scopes() -> dict[str, str]:
        """Names here and the TensorFlow scopes of the same layers."""
        names = {"input_norm": "batch_normalization", "tags": "dense"}
        names |= {f"norms.{layer}": f"batch_normalization_{layer + 1}" for layer in range(5)}
        return names | {f"layers.{layer}": f"{layer + 1}CNN" for layer in range(5)}


def _numbered(scope: str, number: int) -> str:
    return scope if number == 0 else f"{scope}_{number}"


class Musicnn:
    """One of the taggers, as an `Embedding`.

    A clip is cut into patches of 3 s that cover it evenly (5.11 s: two, from 0 and from 2.1 s); a
    shorter one is repeated. MTT_musicnn and MSD_musicnn give the clip's mean feature of 200
    dimensions, MTT_vgg one of 256 for each patch. Logits are the mean over the patches.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        """Load from the `musicnn` package's folder, by default the installed one's.

        Raises UserError if the weights are not there or of another shape.
        """
        if name not in PUBLISHED:
            raise UserError(f"There is no tagger {name}; choose from {', '.join(PUBLISHED)}.")
        self.name = name
        self.role: Literal["clip", "frame"] = "frame" if name.endswith("vgg") else "clip"
        self.sample_rate = RATE
        self._network: _Musicnn | _Vgg = _Vgg() if name.endswith("vgg") else _Musicnn()
        self.dimensions = self._network.dimensions
        files = (_package_folder() if folder is None else folder) / name
        data = files / ".data-00000-of-00001"
        arrays = read_tensorflow_checkpoint(files / ".index", data)
        fill(self._network, _renamed(arrays, self._network.scopes(), str(files)), str(files))
        self.weights_sha256 = sha256_of(data)
        self.published: bool | None = self.weights_sha256 == PUBLISHED[name]
        self._mel = slaney_mel(RATE, N_FFT, MELS, 0.0, RATE / 2)

    def embed(self, waveform: NDArray[np.floating]) -> Embedded:
        """See `Embedding.embed`."""
        with torch.inference_mode():
            patches = self._patches(checked(waveform, N_FFT))
            features, logits = self._network(patches)
            if self.role == "clip":
                features = features.mean(dim=0, keepdim=True)
            return Embedded(features.numpy(), logits.mean(dim=0).numpy())

    def _patches(self, samples: torch.Tensor) -> torch.Tensor:
        # float32: the package itself rounds the mel power to float16, which overflows on loud clips
        log_mel = torch.log10(10000 * (power_spectrogram(samples, N_FFT, HOP) @ self._mel) + 1)
        if len(log_mel) < PATCH:
            log_mel = log_mel.repeat(-(-PATCH // len(log_mel)), 1)[:PATCH]
        count = -(-len(log_mel) // PATCH)
        starts = np.linspace(0, len(log_mel) - PATCH, count).round().astype(int)
        return torch.stack([log_mel[start : start + PATCH] for start in starts])


def _package_folder() -> Path:
    spec = find_spec("musicnn")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "The taggers' weights are not installed; run "
            "`pip install --no-deps musicnn==0.1.0` or give the folder of the unpacked package."
        )
    return Path(spec.submodule_search_locations[0])


def _renamed(
    arrays: dict[str, NDArray], scopes: dict[str, str], source: str
) -> dict[str, torch.Tensor]:
    """TensorFlow's arrays under this module's names and in torch's order of axes."""
    tensors: dict[str, torch.Tensor] = {}
    for here, scope in scopes.items():
        norm = scope.startswith("batch_normalization")
        norm_parts = {"weight": "gamma", "bias": "beta"}
        norm_parts |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
        for part, there in (norm_parts if norm else {"weight": "kernel", "bias": "bias"}).items():
            name = f"{scope}/{there}"
            if name not in arrays:
                raise UserError(f"The weights in {source} lack {name}; install them again.")
            array = arrays[name]
            if array.ndim == 4 and here.startswith("middle."):
                # one kernel as wide as the layer before it: a convolution over time alone
                array = array[:, :, 0, :].transpose(2, 1, 0)
            elif array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)
            elif array.ndim == 2:
                array = array.T
            tensors[f"{here}.{part}"] = torch.tensor(np.ascontiguousarray(array))
    return tensors
