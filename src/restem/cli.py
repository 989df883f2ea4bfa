"""The command line: words in, files and an exit code out (0 done, 2 a user's error, 130 Ctrl-C)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from restem import __version__, insert_command
from restem.errors import UserError

# Verbs of other rooms: name -> (the module whose add_parser(subparsers) adds it, its line of help).
# The module is imported only if its verb is asked for. Its parser sets the default `run`, a
# function from the parsed arguments to the exit code.
OTHER_VERBS: dict[str, tuple[str, str]] = {
    "dataset": ("restem.dataset.commands", "make training songs and their features"),
    "midi": (
        "restem.symbolic.commands",
        "put drums, bass or guitar into a MIDI or Guitar Pro song",
    ),
    "evaluate": ("restem.evaluation.evaluate", "score generated clips against true ones"),
    "table1": ("restem.benchmark.commands", "compare models with SDEdit and reference rows"),
    "figures": ("restem.benchmark.figures_command", "draw the paper's figures from songs"),
    "studio": ("restem.studio.commands", "open a local web page to listen, look and choose"),
    "train": ("restem.networks.commands", "train a model on features"),
    "restyle": ("restem.restyle.commands", "take a stem out of a full song and put a new one in"),
    "riffusion": ("restem.riffusion_command", "the same as `restem insert --model RIFFUSION`"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user's error becomes one line on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _leave_tidily()
    for stream in (sys.stdout, sys.stderr):  # file names need not be valid text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parser(words).parse_args(words)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        problem = str(error)
    except MemoryError:
        problem = "There is not enough memory; close other programs or give a shorter song."
    except BrokenPipeError:  # whoever read our output has gone, as in `restem insert ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        problem = f"The system says: {error.strerror or error}{name}."
    except KeyboardInterrupt as stop:
        left = str(stop) or "nothing was written."
        print(f"\nrestem: stopped; {left}", file=sys.stderr)
        return 130
    print(f"restem: error: {problem}", file=sys.stderr)
    return 2


def _leave_tidily() -> None:
    """Let a signal to end, as of a closed terminal, unwind what runs: half-written files go."""

    def leave(number: int, frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):  # Windows has no second one; nohup ignores it
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, leave)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="restem",
        description="Put a missing stem into a song, guided by a sentence.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"restem {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    insert_command.add_parser(verbs)
    for verb, (module, line) in OTHER_VERBS.items():
        if verb in words:
            import_module(module).add_parser(verbs)
        else:
            verbs.add_parser(verb, help=line)
    return parser
