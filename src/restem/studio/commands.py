"""The verb `restem studio`: words in, a local web page out, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from restem.errors import UserError

DEFAULT_PORT = 8377
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_parser(verbs: Any) -> None:
    """Add `studio` to the command line."""
    line = "open the studio: a local web page to listen, look and choose"
    parser = verbs.add_parser("studio", help=line, description=line, allow_abbrev=False)
    add = parser.add_argument
    add("--port", metavar="N", type=int, default=DEFAULT_PORT,
        help=f"0 takes any free one (default: {DEFAULT_PORT})")  # fmt: skip
    add("--host", metavar="ADDRESS", default="127.0.0.1",
        help="address to bind to; any but this machine's own asks for a token "
             "(default: 127.0.0.1)")  # fmt: skip
    add("--token", metavar="WORD", help="the token to ask for (default: a random one, if needed)")
    add("--api-only", action="store_true", help="the HTTP API without the page")
    add(
        "--harp",
        action="store_true",
        help="a Gradio endpoint for the DAW plug-in HARP instead (pip install 'restem[harp]')",
    )
    add("--data", metavar="DIR", type=Path, default=None,
        help="folder for songs and results (default: in your data folder)")  # fmt: skip
    parser.set_defaults(run=_studio)


def _studio(args: argparse.Namespace) -> int:
    if args.harp:
        return _harp(args)
    try:
        import uvicorn

        from restem.studio.api import make_app
    except ModuleNotFoundError as error:
        raise UserError(
            f"The studio needs {error.name}; install it with: pip install 'restem[studio]'"
        ) from None
    from restem.studio.records import Limits

    token = _token(args)
    bound = _bind(args.host, args.port)
    with bound:
        folder = (args.data or _data_folder()).absolute()
        app = make_app(folder, Limits(), host=args.host, token=token, api_only=args.api_only)
        _announce(args, bound.getsockname()[1], token)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False,
            timeout_graceful_shutdown=2, limit_concurrency=500,
        )  # fmt: skip

        class Server(uvicorn.Server):
            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                app.hub.close()  # event streams would hold it up
                await super().shutdown(sockets)

        _end_alike("SIGHUP")
        try:
            Server(config).run(sockets=[bound])
        except KeyboardInterrupt:  # uvicorn has closed everything in order by now
            print("\nrestem: the studio is closed.", file=sys.stderr)
    return 0


def _end_alike(name: str) -> None:
    """Let this signal end the studio as SIGTERM does, the only one beside SIGINT uvicorn knows."""
    number = getattr(signal, name, None)
    if number is not None and signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda number, frame: signal.raise_signal(signal.SIGTERM))


def _harp(args: argparse.Namespace) -> int:
    """Serve HARP until Ctrl-C."""
    if args.host not in LOOPBACK or args.token or args.api_only:
        raise UserError("--harp serves this machine only, without --token and --api-only.")
    try:
        import gradio  # noqa: F401

        from restem.studio.harp import serve
    except ModuleNotFoundError as error:
        raise UserError(
            f"HARP needs {error.name}; install it with: pip install 'restem[harp]'"
        ) from None
    _bind(args.host, args.port).close()  # a sentence now, not Gradio's later
    address = serve((args.data or _data_folder()).absolute() / "harp", args.host, args.port)
    print(f"In HARP, load the model at {address} ; Ctrl-C closes it.", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("\nrestem: the endpoint is closed.", file=sys.stderr)
    return 0


def _token(args: argparse.Namespace) -> str | None:
    if args.token is not None:
        if not (args.token.isascii() and args.token.isalnum() and len(args.token) >= 16):
            raise UserError("A token is made of 16 or more letters and digits; give a longer one.")
        return str(args.token)
    return None if args.host in LOOPBACK else secrets.token_hex(16)


def _bind(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise UserError(f"A port lies between 0 and 65535, not at {port}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise UserError(
            f"The studio cannot use {host}, port {port} ({error.strerror or error}); choose "
            "another with --port or --host."
        ) from None
    return bound


def _data_folder() -> Path:
    """Where programs keep their data: XDG's folder, or Windows' or macOS' own."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "restem" / "studio"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "restem" / "studio"
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "restem" / "studio"


def _announce(args: argparse.Namespace, port: int, token: str | None) -> None:
    host = f"[{args.host}]" if ":" in args.host else args.host
    query = f"?token={token}" if token else ""
    what = "API is at" if args.api_only else "studio is open at"
    print(f"The {what} http://{host}:{port}/{query}")
    if args.host not in LOOPBACK:
        print("Anyone who has this address can use it; the connection is not encrypted.")
    print(
        "Ctrl-C closes it; jobs that have not finished go on when it is opened again.", flush=True
    )
