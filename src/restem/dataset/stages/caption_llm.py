"""Ten seconds of music in, a caption by an audio language model of `transformers` out.

Any model that the library lists as taking audio and text (Qwen2-Audio, Audio Flamingo 3) and whose
processor has a chat template.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restem.dataset.stages.caption import Caption
from restem.errors import UserError
from restem.evaluation.embeddings.weights import sha256_of

PROMPT = "caption-1.txt"
MOST_TOKENS = 96
WEIGHTS = (".safetensors", ".bin", ".json")  # and their configuration


def _made_of(model: str, network: Any, prompt: str) -> str:
    """A hash of a folder's weights, or of a hub's name and commit, and of the prompt."""
    digest = hashlib.sha256(prompt.encode())
    if Path(model).is_dir():
        for path in sorted(p for p in Path(model).iterdir() if p.suffix in WEIGHTS):
            digest.update(f"{path.name} {sha256_of(path)}".encode())
    else:
        digest.update(f"{model} {getattr(network.config, '_commit_hash', None)}".encode())
    return digest.hexdigest()


class AudioLLM:
    """Implements `Captioner`."""

    def __init__(self, model: str, device: str | None = None) -> None:
        """`model`: a folder or hub name. UserError if it does not load or takes no audio."""
        from transformers import AutoModelForSeq2SeqLM, AutoProcessor

        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        kind = torch.bfloat16 if self._device.startswith("cuda") else torch.float32
        try:
            self._processor: Any = AutoProcessor.from_pretrained(model)
            network: Any = AutoModelForSeq2SeqLM.from_pretrained(model, dtype=kind)
        except (OSError, ValueError, KeyError) as error:
            line = (str(error).splitlines() or [""])[0][:120]
            raise UserError(
                f"{model} cannot be loaded as an audio language model: {line}."
            ) from error
        extractor = getattr(self._processor, "feature_extractor", None)
        if extractor is None:
            raise UserError(f"{model} takes no audio; give a model such as Qwen2-Audio.")
        self._network = network.to(self._device).eval()
        self.sample_rate = int(extractor.sampling_rate)
        self._prompt = (
            resources.files("restem.dataset").joinpath("prompts", PROMPT).read_text("utf-8").strip()
        )
        label = model.rstrip("/").split("/")[-1]
        self.name = f"audio-llm:{label}-{_made_of(model, network, self._prompt)[:12]}"

    def caption(self, waveform: np.ndarray, facts: dict[str, Any]) -> Caption:
        """See `Captioner`; greedy, so the same music gives the same words."""
        content = [
            {"type": "audio", "audio": np.asarray(waveform, np.float32)},
            {"type": "text", "text": self._prompt},
        ]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        ).to(self._device)  # fmt: skip
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(self._network.dtype)
        with torch.inference_mode():
            tokens = self._network.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        text = self._processor.batch_decode(new, skip_special_tokens=True)[0]
        return Caption(" ".join(text.split()))
