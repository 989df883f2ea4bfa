"""Mono waveforms come in; the spectrograms that the embeddings were trained on go out."""

import numpy as np
import torch
from numpy.typing import NDArray


def checked(waveform: NDArray[np.floating], shortest: int) -> torch.Tensor:
    """The (sample,) waveform as a float32 tensor, with silence after it up to `shortest` samples.

    Raises ValueError for other shapes, no samples, NaN and infinite samples.
    """
    samples = np.asarray(waveform)
    if samples.ndim != 1 or samples.size == 0 or not np.all(np.isfinite(samples)):
        raise ValueError("an embedding wants a mono (sample,) waveform, not empty and finite")
    # a copy: float32, and at no address that depends on who called
    tensor = torch.tensor(samples.astype(np.float32))
    return torch.nn.functional.pad(tensor, (0, max(0, shortest - len(samples))))


def power_spectrogram(waveform: torch.Tensor, n_fft: int, hop: int) -> torch.Tensor:
    """|STFT|^2, (frame, n_fft // 2 + 1): periodic Hann window, centred frames, mirrored edges.

    That of torchlibrosa and of librosa before 0.10; frames are 1 + samples // hop.
    """
    window = torch.hann_window(n_fft)
    transform = torch.stft(
        waveform, n_fft, hop, window=window, center=True, pad_mode="reflect", return_complex=True
    )
    return (transform.real**2 + transform.imag**2).T


def slaney_mel(
    sample_rate: int, n_fft: int, mels: int, low_hz: float, high_hz: float
) -> torch.Tensor:
    """librosa's default mel filters (Slaney's scale, unit area), (n_fft // 2 + 1, mels)."""
    import librosa

    filters = librosa.filters.mel(
        sr=sample_rate, n_fft=n_fft, n_mels=mels, fmin=low_hz, fmax=high_hz
    )
    return torch.tensor(filters.T.astype(np.float32))
