"""An inserter in; the same inserter, that tells how far it is and shows its picture, out."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, cast

import numpy as np

from restem.insertion import Inserter, Progress
from restem.networks.onnx_model import OnnxModel
from restem.studio.views import preview
from restem.tokens import denormalise, mel_from_tokens

SHARE = 0.9  # of a take's time that is spent in the inserter; the rest goes into its files
LEAST_SECONDS = 0.15  # between pictures
_LEVEL_DB = -20.0  # any will do: the picture is scaled by its own loudest point


class _Watched:
    """Stands in for a model and reports the clean stem that it sees at each step."""

    def __init__(self, model: OnnxModel, report: Callable[[np.ndarray], None]) -> None:
        self._model, self._report = model, report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def predict(self, *values: Any, **named: Any) -> np.ndarray:
        predicted = self._model.predict(*values, **named)
        self._report(predicted[0])
        return predicted


def watched(
    inserter: Inserter, song_seconds: float, send: Callable[[dict[str, Any]], None]
) -> tuple[Inserter, Progress]:
    """The inserter to use, and the progress function to give it; both `send` messages.

    A preview's place in the song is taken from the progress, window after window; `window` is the
    part of the song that it shows, in seconds.
    """
    config = inserter.model.tokens
    now = {"fraction": 0.0, "shown": 0.0}

    def report(tokens: np.ndarray) -> None:
        if tokens.ndim != 2 or tokens.shape[1] != config.stem_values:
            return  # a network of another kind: no picture is better than no stem
        if monotonic() - now["shown"] < LEAST_SECONDS:
            return
        now["shown"] = monotonic()
        rows = denormalise(mel_from_tokens(tokens, config), _LEVEL_DB, config)
        rows = rows[:, : config.spectrogram.mels]
        window = len(rows) / config.spectrogram.frame_rate
        done = min(1.0, max(0.0, (now["fraction"] - 0.1) / 0.7))
        count = max(1, int(np.ceil(song_seconds / window)))
        number = min(count - 1, int(done * count))
        start = number * max(0.0, song_seconds - window) / max(1, count - 1)
        send({"preview": {"png": preview(rows), "window": [start, start + window]}})

    def progress(fraction: float, words: str) -> None:
        now["fraction"] = fraction
        send({"progress": [SHARE * fraction, words]})

    model = cast(OnnxModel, _Watched(inserter.model, report))
    return Inserter(model, inserter.text), progress
