"""Captioned clips in, the same clips with an instruction that keeps the rules out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

import numpy as np

from restem.dataset.record import Clip, Parcel, fingerprint
from restem.dataset.sentences import ACTIONS, Labels, instruction, style_family
from restem.dataset.stages.rules import broken_rule
from restem.errors import UserError

VERSION = "instruct 2"
PROMPT = "instruct-1.txt"
TRIES, TEMPLATE_DRAWS = 3, 40
SHORT_WORDS = 5
NAMES = "template, endpoint, gguf[=MODEL.gguf]"


class Writer(Protocol):
    """A language model."""

    @property
    def name(self) -> str:
        """Who wrote, for the record."""

    def write(self, prompt: str, attempt: int) -> str:
        """The answer to a prompt; UserError if there is none to be had. 0 is the first attempt."""


@dataclass(frozen=True)
class InstructSettings:
    """Who writes ("template", "endpoint" or "gguf"), and the seed of all choices."""

    writer: str = "template"
    seed: int = 0


def open_writer(text: str) -> Writer | None:
    """The writer of a name as the command line takes it; None for "template".

    Raises UserError for an unknown name, missing settings, packages and weights.
    """
    kind, _, path = text.partition("=")
    if kind == "template":
        return None
    if kind == "endpoint" and not path:
        from restem.dataset.stages.endpoint import Endpoint

        return Endpoint.from_environment()
    if kind == "gguf":
        from restem.dataset.stages.gguf import GGUF

        return GGUF(path or None)
    raise UserError(f"There is no writer {text!r}; choose from {NAMES}.")


def prompt_text() -> str:
    """The prompt with its placeholders {action}, {stem} and {caption}."""
    return resources.files("restem.dataset").joinpath("prompts", PROMPT).read_text("utf-8")


def filled(clip: Clip, action: str) -> str:
    """The prompt for one clip."""
    text = prompt_text().rstrip("\n")
    for name, value in (("action", action), ("stem", clip.stem), ("caption", clip.caption)):
        text = text.replace("{" + name + "}", value)
    return text


def made_of(before: Parcel, settings: InstructSettings, writer: str) -> str:
    """Fingerprint of the clips, the prompt and who writes."""
    prompt = fingerprint(prompt_text())
    return fingerprint(VERSION, before.fingerprint, settings.seed, writer, prompt)


def instruct_song(
    before: Parcel, made: str, settings: InstructSettings, writer: Writer | None
) -> Parcel:
    """The parcel with an instruction and a short caption for every clip."""
    clips = tuple(instructed(clip, settings.seed, writer) for clip in before.clips)
    return Parcel(before.song, before.source, made, clips, before.failed)


def instructed(clip: Clip, seed: int, writer: Writer | None) -> Clip:
    """One clip with its instruction: the model's first answer that keeps the rules, or a template.

    The action word is drawn uniformly, always the same for the same clip and seed.
    """
    rng = np.random.default_rng(int(fingerprint(clip.id, seed)[:16], 16))
    action = str(rng.choice(ACTIONS))
    short = short_caption(clip)
    attempts, reasons = 0, []
    facts = clip.facts
    known = known_text(clip)
    if writer is not None and clip.caption:
        prompt = filled(clip, action)
        for attempt in range(TRIES):
            attempts += 1
            try:
                answer = cleaned(writer.write(prompt, attempt))
            except UserError as error:
                reasons.append(str(error))
                facts = {**facts, "unanswered": str(error)}
                break  # the writer has tried again by itself
            broken = broken_rule(answer, action, clip.stem, known)
            if broken is None:
                return clip.but(
                    action=action, instruction=answer, instruction_by=writer.name,
                    short_caption=short, attempts=attempts,
                )  # fmt: skip
            reasons.append(f"{answer[:80]}: {broken}")
    facts = {**facts, "refused": reasons} if reasons else facts
    return clip.but(
        action=action, instruction=template(clip, action, rng), instruction_by="template",
        short_caption=short, attempts=attempts, facts=facts,
    )  # fmt: skip


def answered(parcel: Parcel) -> bool:
    """Whether the writer said something to every clip, be it that all its answers were refused."""
    return not any("unanswered" in clip.facts for clip in parcel.clips)


def template(clip: Clip, action: str, rng: np.random.Generator) -> str:
    """A sentence from the stem's labels, or from the genre, or only with the stem's name."""
    labels = labels_of(clip)
    if labels is not None:
        for _ in range(TEMPLATE_DRAWS):
            sentence = instruction(clip.stem, labels, rng, typos=False).rstrip(".")
            # Known by construction; what is asked is that it says anything about the style.
            if broken_rule(sentence, action, clip.stem, known=sentence) is None:
                return sentence[0].upper() + sentence[1:]
        plain = f"{action} {labels.style} {clip.stem}"
        if broken_rule(plain, action, clip.stem) is None:
            return plain
    return f"{action} {clip.stem} that fit this song"


def labels_of(clip: Clip) -> Labels | None:
    """What is known about the stem: the source's labels, else the genre that was heard."""
    own = clip.facts.get("labels", {}).get(clip.stem)
    if own:
        return Labels(**own)
    heard: dict[str, Any] = clip.facts.get("heard", {})
    genre = clip.facts.get("genre") or heard.get("genre") or genre_in(clip)
    return Labels(str(genre).lower()) if genre else None


def genre_in(clip: Clip) -> str | None:
    """The first known style among the source's tags."""
    tags = [str(tag).lower() for tag in clip.facts.get("tags", [])]
    return next((tag for tag in tags if style_family(tag) != "other"), None)


def known_text(clip: Clip) -> str:
    """All that an instruction may draw on."""
    tags = " ".join(str(tag) for tag in clip.facts.get("tags", []))
    return f"{clip.caption} {clip.facts.get('genre') or ''} {tags}"


def short_caption(clip: Clip) -> str:
    """At most five words about the full mix, for the SDEdit baseline."""
    labels = labels_of(clip)
    heard: dict[str, Any] = clip.facts.get("heard", {})
    style = labels.style.split() if labels else []
    words = [*style[: SHORT_WORDS - 3], "music", "with", clip.stem]
    mood = heard.get("mood")
    if mood and len(words) < SHORT_WORDS:
        words.insert(0, str(mood))
    return " ".join(words)


def cleaned(answer: str) -> str:
    """The first line of an answer without quotes, list marks or the prompt's own labels."""
    lines = [line.strip() for line in answer.strip().splitlines() if line.strip()]
    line = lines[0] if lines else ""
    line = line.removeprefix("Sentence:").removeprefix("- ").strip().strip("\"'*` ")
    return " ".join(line.split()).rstrip(".!")
