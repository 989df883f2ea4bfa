"""Ten seconds of music in, a caption by LP-MusicCaps out.

S. Doh, K. Choi, J. Lee, J. Nam, "LP-MusicCaps: LLM-based pseudo music captioning", ISMIR 2023. The
published weights are for non-commercial use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from restem.dataset.stages.caption import Caption
from restem.errors import UserError
from restem.evaluation.embeddings.weights import read_tensors, sha256_of

RATE, SAMPLES = 16000, 160_000
N_FFT, HOP, MELS = 1024, 160, 128
BEAMS, MOST_TOKENS = 5, 128


class LPMusicCaps:
    """Implements `Captioner`: a convolutional encoder of the mel spectrogram, then BART."""

    sample_rate = RATE

    def __init__(self, checkpoint: Path, bart: str) -> None:
        """`checkpoint`: the published .pth; `bart`: BART-base's folder or hub name, of which only
        the configuration and the tokenizer are read.

        Raises UserError where either is missing or the weights are those of another model.
        """
        from transformers import AutoTokenizer, BartConfig, BartForConditionalGeneration

        tensors = {
            name.removeprefix("module."): value for name, value in read_tensors(checkpoint).items()
        }
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(bart)
            config = BartConfig.from_pretrained(bart)
        except (OSError, ValueError) as error:
            raise UserError(
                f"BART cannot be loaded from {bart}; give its folder after a colon: "
                "lp-music-caps=CHECKPOINT:FOLDER."
            ) from error
        self._bart: Any = BartForConditionalGeneration(config).eval()
        self._encoder = AudioEncoder(_convolutions(tensors, checkpoint)).eval()
        _fill(self._bart, tensors, "bart.", checkpoint)
        _fill(self._encoder, tensors, "audio_encoder.", checkpoint)
        self.name = f"lp-music-caps-{sha256_of(checkpoint)[:12]}"

    def caption(self, waveform: np.ndarray, facts: dict[str, Any]) -> Caption:
        """See `Captioner`; shorter waveforms are padded with silence, as in training."""
        samples = torch.zeros(1, SAMPLES)
        wave = torch.from_numpy(np.asarray(waveform[:SAMPLES], np.float32))
        samples[0, : len(wave)] = wave
        with torch.inference_mode():
            heard = self._encoder(mel_db(samples))
            states = self._bart.model.encoder(inputs_embeds=heard, return_dict=True)
            start = torch.full((1, 1), self._bart.config.decoder_start_token_id)
            tokens = self._bart.generate(
                encoder_outputs=states, decoder_input_ids=start, num_beams=BEAMS,
                max_length=MOST_TOKENS, min_length=2, do_sample=False,
            )  # fmt: skip
        text = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)[0]
        return Caption(" ".join(text.split()))


class AudioEncoder(nn.Module):
    """(clip, mel, frame) in dB -> (clip, step, width); a step is 32 frames of 10 ms."""

    positional_embedding: torch.Tensor

    def __init__(self, shapes: list[tuple[int, int]]) -> None:
        """`shapes`: (channels in, out) of each convolution; all but the first have stride 2."""
        super().__init__()
        (mels, width), *rest = shapes
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv_stack = nn.ModuleList(nn.Conv1d(i, o, 3, stride=2, padding=1) for i, o in rest)
        steps = (SAMPLES // HOP) // 2 ** len(rest) + 1
        self.register_buffer("positional_embedding", sinusoids(steps, width))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        x = functional.gelu(self.conv1(mel))
        for convolution in self.conv_stack:
            x = functional.gelu(convolution(x))
        return x.transpose(1, 2) + self.positional_embedding


def mel_db(samples: torch.Tensor) -> torch.Tensor:
    """(clip, sample) at 16 kHz to (clip, mel, frame) in dB.

    Only the real part of the spectrum counts: the model was trained so, and hears nothing else.
    """
    import librosa

    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(samples, N_FFT, HOP, window=window, return_complex=True)
    filters = librosa.filters.mel(
        sr=RATE, n_fft=N_FFT, n_mels=MELS, fmin=0, fmax=8000, htk=True, norm=None
    )
    mel = torch.from_numpy(filters) @ spectrum.real.square()
    return 10 * torch.log10(mel.clamp(min=1e-10))


def sinusoids(length: int, channels: int) -> torch.Tensor:
    """(length, channels) position embedding of A. Vaswani et al. 2017, first all sines."""
    step = np.log(10000) / (channels // 2 - 1)
    speeds = torch.exp(-step * torch.arange(channels // 2))
    angles = torch.arange(length)[:, None] * speeds[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _convolutions(tensors: dict[str, torch.Tensor], path: Path) -> list[tuple[int, int]]:
    names = ["conv1"]
    while f"audio_encoder.conv_stack.{len(names) - 1}.weight" in tensors:
        names.append(f"conv_stack.{len(names) - 1}")
    weights = [tensors.get(f"audio_encoder.{name}.weight") for name in names]
    found = [(w.shape[1], w.shape[0]) for w in weights if w is not None]
    if not found or found[0][0] != MELS:
        raise UserError(f"{path} is no checkpoint of LP-MusicCaps; download transfer.pth again.")
    return found


def _fill(module: nn.Module, tensors: dict[str, torch.Tensor], prefix: str, path: Path) -> None:
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    try:
        missing = module.load_state_dict(own, strict=False).missing_keys
    except RuntimeError as error:
        raise UserError(
            f"The weights in {path} do not fit BART-base; give the BART that they belong to."
        ) from error
    # Copies of one table, and what follows from the sizes alone.
    made = ("embed_tokens.weight", "lm_head.weight", "final_logits_bias", "positional_embedding")
    lacking = [name for name in missing if not name.endswith(made)]
    if lacking:
        raise UserError(f"The weights in {path} lack {prefix}{lacking[0]}; download them again.")
