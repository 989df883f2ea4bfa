"""Sentences in, sentence vectors out: the text half of the model's input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
import tokenizers

from restem.errors import UserError

EMBEDDING_SIZE = 384
PACKAGED = Path(__file__).parent / "models" / "text"
# Longer texts are cut here; single words longer than 100 letters count as one unknown word. The
# bound on characters keeps the tokeniser from chewing on megabytes of which nothing would be kept.
MAX_CHARACTERS = 10_000


class TextEncoder:
    """all-MiniLM-L6-v2 with int8 weights: one unit vector for one English sentence.

    Each sentence runs through the network alone, so its vector depends neither on its neighbours
    in a batch nor on padding. A sentence takes about 8 ms on one core; the last 4,096 different
    ones are remembered. Case and accents make no difference, text beyond 256 tokens is ignored,
    and "" is a valid sentence: it stands for "no instruction".
    """

    size = EMBEDDING_SIZE

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        # One sentence is too little work to share out, and threads cost other workers more.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._network = onnxruntime.InferenceSession(
            str(folder / "encoder.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._embed = lru_cache(maxsize=4096)(self._embed_one)

    @classmethod
    def load(cls, folder: str | Path | None = None) -> TextEncoder:
        """The packaged encoder, or one from a `folder` with `encoder.onnx` and `tokenizer.json`.

        Raises UserError if a file is missing.
        """
        place = PACKAGED if folder is None else Path(folder)
        for name in ("encoder.onnx", "tokenizer.json"):
            if not (place / name).is_file():
                raise UserError(
                    f"The text encoder's file {place / name} is missing; reinstall restem, "
                    "or run scripts/export_text_encoder.py."
                )
        return cls(place)

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """Vectors (sentence, 384), float32, each of length 1.

        Raises TypeError for a single string (it would be read letter by letter) and for items
        that are not strings.
        """
        if isinstance(sentences, str):
            raise TypeError('encode takes a list of sentences: write ["..."], not "..."')
        checked = list(sentences)
        for sentence in checked:
            if not isinstance(sentence, str):
                raise TypeError(f"a sentence must be a str, not {type(sentence).__name__}")
        vectors = np.empty((len(checked), EMBEDDING_SIZE), dtype=np.float32)
        for row, sentence in enumerate(checked):
            vectors[row] = self._embed(sentence)
        return vectors

    def tokens(self, sentence: str) -> list[str]:
        """The word pieces that the network sees, with the two marks around them."""
        return self._tokenizer.encode(_encodable(sentence)).tokens

    def _embed_one(self, sentence: str) -> np.ndarray:
        pieces = self._tokenizer.encode(_encodable(sentence)).ids
        feed = {"tokens": np.array(pieces, dtype=np.int64)}
        (vector,) = self._network.run(None, feed)
        vector.setflags(write=False)
        return vector


def _encodable(sentence: str) -> str:
    # A lone surrogate (from a file name or a broken paste) is not text that Rust can take.
    return sentence[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
