"""A prompt in, the answer of any OpenAI-compatible chat endpoint out; a cost estimate before."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlparse

from restem.errors import UserError

BASE_URL, MODEL, KEY = "RESTEM_LLM_BASE_URL", "RESTEM_LLM_MODEL", "RESTEM_LLM_KEY"
CHARACTERS_PER_TOKEN = 4.0  # of English, a little high for most tokenizers
ANSWER_TOKENS = 24
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
DEAD_AFTER = 8  # prompts in a row without an answer


@dataclass
class Endpoint:
    """Implements `Writer`. Safe to call from several threads.

    `retries` further requests follow one that failed, after 1, 2, 4 ... times `pause` seconds and
    some chance, or after the time that the server names. After eight prompts in a row without an
    answer the endpoint counts as dead and is not asked any more.
    """

    base_url: str
    model: str
    key: str | None = None
    timeout: float = 60.0
    retries: int = 4
    pause: float = 1.0
    _failures: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if urlparse(self.base_url).scheme not in ("http", "https"):
            raise UserError(f"{self.base_url} is no http address; correct {BASE_URL}.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Endpoint:
        """The endpoint of RESTEM_LLM_BASE_URL, _MODEL and _KEY; the key may be absent."""
        absent = [name for name in (BASE_URL, MODEL) if not environment.get(name)]
        if absent:
            raise UserError(
                f"Set {' and '.join(absent)} to use an endpoint, for example {BASE_URL}="
                "http://localhost:8000/v1."
            )
        return cls(environment[BASE_URL], environment[MODEL], environment.get(KEY) or None)

    @property
    def name(self) -> str:
        """Who wrote, for the record; no address and no key."""
        return f"endpoint:{self.model}"

    def write(self, prompt: str, attempt: int) -> str:
        """The answer; UserError if the endpoint is dead, slow or answers nonsense."""
        if self._failures >= DEAD_AFTER:
            raise UserError("The endpoint has stopped answering and is not asked any more.")
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": ANSWER_TOKENS * 2,
            "temperature": 0.2 + 0.4 * attempt,
        }
        try:
            answer = self._answer(body)
        except UserError:
            with self._lock:
                self._failures += 1
            raise
        with self._lock:
            self._failures = 0
        return answer

    def _answer(self, body: dict) -> str:
        reason = ""
        for turn in range(self.retries + 1):
            wait = self.pause * 2**turn * random.uniform(0.75, 1.25)
            try:
                return _content(self._post(body))
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code}"
                with error:
                    told = _seconds(error.headers.get("Retry-After"))
                if error.code not in AGAIN:
                    break
                wait = wait if told is None else min(told, 60.0)
            except (OSError, http.client.HTTPException) as error:
                reason = str(getattr(error, "reason", None) or error or type(error).__name__)
            except ValueError:
                reason = "an answer that is no chat completion"
            if turn < self.retries:
                time.sleep(wait)
        host = urlparse(self.base_url).netloc
        raise UserError(f"The endpoint {host} gave no answer ({reason}); check it and {KEY}.")

    def _post(self, body: dict) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "restem"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        url = self.base_url.rstrip("/") + "/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=self.timeout) as response:
            return bytes(response.read())


@dataclass(frozen=True)
class Estimate:
    """What asking will come to, if every first answer is taken."""

    requests: int
    tokens_in: int
    tokens_out: int

    def cost(self, per_million_in: float, per_million_out: float) -> float:
        """In the currency of the prices, which are those of a million tokens."""
        return (self.tokens_in * per_million_in + self.tokens_out * per_million_out) / 1e6


def estimated(prompts: Iterable[str]) -> Estimate:
    """What asking with these prompts will come to."""
    count = characters = 0
    for prompt in prompts:
        count += 1
        characters += len(prompt)
    return Estimate(count, round(characters / CHARACTERS_PER_TOKEN), count * ANSWER_TOKENS)


def _content(data: bytes) -> str:
    """The text of a chat completion; ValueError for anything else."""
    try:
        content = json.loads(data)["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError, json.JSONDecodeError) as error:
        raise ValueError("no chat completion") from error
    if not isinstance(content, str):
        raise ValueError("no text")
    return content


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None  # a date; waiting our own time will do
