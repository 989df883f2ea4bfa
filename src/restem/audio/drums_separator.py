"""A mix in, its drums out, by the ONNX network of the drums separator (no torch)."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import scipy.fft

from restem.errors import UserError

PACKAGED = "models/drums_separator.onnx"
SAMPLE_RATE = 44100
CHUNK, OVERLAP = 10 * SAMPLE_RATE, SAMPLE_RATE
N_FFT, HOP = 2048, 1024  # of the transform that the network was trained on


class DrumsSeparator:
    """Implements `restem.dataset.stages.separate.Separator` for the one stem "drums"."""

    stems = ("drums",)

    def __init__(self, path: Path | None = None) -> None:
        """`path`: a network of `restem dataset train-separator`; UserError if it does not load."""
        import onnxruntime

        if path is None:
            path = Path(str(resources.files("restem").joinpath(PACKAGED)))
        if not path.is_file():
            raise UserError(
                f"There is no separator at {path}; train one with `restem dataset train-separator`."
            )
        data = path.read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a type for each way to fail
            raise UserError(f"{path} is no ONNX network; export it again.") from error
        self.name = f"drums-{hashlib.sha256(data).hexdigest()[:12]}"

    def separate(self, mix: np.ndarray) -> dict[str, np.ndarray]:
        """{"drums": (sample, 2)} of a mix (sample, 2) at 44.1 kHz, in pieces of ten seconds."""
        drums = np.zeros(mix.shape, np.float64)
        weight = np.zeros(len(mix))
        for start in range(0, max(1, len(mix) - OVERLAP), CHUNK - OVERLAP):
            piece = mix[start : start + CHUNK]
            fade = _fade(len(piece), start > 0, start + CHUNK < len(mix))
            drums[start : start + CHUNK] += self._piece(piece) * fade[:, None]
            weight[start : start + CHUNK] += fade
        return {"drums": (drums / np.maximum(weight, 1e-8)[:, None]).astype(np.float32)}

    def _piece(self, piece: np.ndarray) -> np.ndarray:
        if len(piece) <= 1024 or not np.any(piece):  # too short to reflect, or silence
            return np.zeros_like(piece)
        parts = spectra(piece.T)
        magnitudes = np.sqrt(np.mean(np.abs(parts) ** 2, axis=0, keepdims=True))
        (mask,) = self._session.run(None, {"magnitudes": magnitudes.astype(np.float32)})
        return waves_from_spectra(parts * mask, len(piece)).T


def _fade(samples: int, rising: bool, falling: bool) -> np.ndarray:
    fade = np.ones(samples)
    ramp = np.linspace(0, 1, min(OVERLAP, samples) + 2)[1:-1]
    if rising:
        fade[: len(ramp)] *= ramp
    if falling:
        fade[-len(ramp) :] *= ramp[::-1]
    return fade


def _window() -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


def spectra(waves: np.ndarray) -> np.ndarray:
    """(channel, sample) to (channel, frame, bin) complex64, as torch.stft with center=True."""
    padded = np.pad(waves.astype(np.float32), ((0, 0), (N_FFT // 2, N_FFT // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT, axis=1)[:, ::HOP]
    return np.asarray(scipy.fft.rfft(frames * _window(), axis=2), np.complex64)


def waves_from_spectra(parts: np.ndarray, samples: int) -> np.ndarray:
    """(channel, frame, bin) back to (channel, sample), by weighted overlap-add."""
    window = _window()
    pieces = scipy.fft.irfft(parts, N_FFT, axis=2) * window
    total = np.zeros((len(parts), (parts.shape[1] - 1) * HOP + N_FFT))
    weight = np.zeros(total.shape[1])
    for frame in range(parts.shape[1]):
        place = slice(frame * HOP, frame * HOP + N_FFT)
        total[:, place] += pieces[:, frame]
        weight[place] += window**2
    whole = total / np.maximum(weight, 1e-8)
    out = whole[:, N_FFT // 2 : N_FFT // 2 + samples]
    return np.pad(out, ((0, 0), (0, samples - out.shape[1]))).astype(np.float32)
