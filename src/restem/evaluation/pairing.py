"""Folders of clips come in; pairs by name, and a sentence for each file without one, go out."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from restem.audio.files import KINDS
from restem.errors import UserError

_ENDINGS = "wav flac ogg oga opus mp3 aif aiff aifc au caf w64 rf64 m4a aac"
SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split(" "))
MOST_HINTED = 200  # lone names; each is compared with each, so more would take minutes
MOST_NAMED = 5  # files of a folder that are passed over


@dataclass(frozen=True)
class Pair:
    """The files of one clip; `name` is their common name without the ending."""

    name: str
    generated: Path
    target: Path
    context: Path | None


def paired_clips(
    generated: Path, target: Path, context: Path | None = None
) -> tuple[list[Pair], list[str]]:
    """Pairs in order of their names, and warnings about files without a counterpart.

    Names are compared without their endings; other files than audio are passed over, and named
    unless hidden. Raises UserError for folders that are missing, empty or without a common name.
    """
    warnings: list[str] = []
    ours, theirs = _clips(generated, warnings), _clips(target, warnings)
    behind = _clips(context, warnings) if context is not None else {}
    names = sorted(set(ours) & set(theirs))
    if not names:
        raise UserError(
            f"{generated} and {target} have no file name in common; give each generated clip the "
            f"name of its target (here {next(iter(ours))} and {next(iter(theirs))}, for example)."
        )
    lone_ours, lone_theirs = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
    # a misnamed clip leaves its counterpart alone too, so the nearest name is among those
    hint = len(lone_ours) + len(lone_theirs) <= MOST_HINTED
    near_ours, near_theirs = (lone_ours, lone_theirs) if hint else ([], [])
    warnings += [_lone(name, generated, near_theirs, "target") for name in lone_ours]
    warnings += [_lone(name, target, near_ours, "generated clip") for name in lone_theirs]
    if context is not None:
        if not set(names) & set(behind):
            raise UserError(f"No file in {context} has the name of a clip; contexts need them too.")
        for name in sorted(set(names) - set(behind)):
            warnings.append(f"{name}: no context of that name; left out of the scores with context")
    return [Pair(name, ours[name], theirs[name], behind.get(name)) for name in names], warnings


def _lone(name: str, folder: Path, others: Sequence[str], kind: str) -> str:
    near = get_close_matches(name, others, n=1, cutoff=0.8)
    hint = f" (misnamed? the nearest is {near[0]})" if near else ""
    return f"{name}: in {folder.name}, but there is no {kind} of that name{hint}; left out"


def _clips(folder: Path, warnings: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give a folder of audio clips.")
    clips: dict[str, Path] = {}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_file() or path.suffix.lower() not in SUFFIXES:
            others.append(path.name)
            continue
        if path.stem in clips:
            raise UserError(
                f"{folder} holds {clips[path.stem].name} and {path.name}, which have one name; "
                "keep one of them."
            )
        clips[path.stem] = path
    if not clips:
        raise UserError(f"There are no audio clips in {folder}.")
    if others:
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        warnings.append(
            f"{folder.name}: passed over {', '.join(others[:MOST_NAMED])}{more}; "
            f"clips must lie in the folder itself, as {KINDS} files"
        )
    return clips
