"""Every request in; only those that may ask go on, and every answer leaves with strict headers.

Against pages of strangers in the same browser: a Host that is not ours (DNS rebinding) and an
Origin that is not ours are refused, no CORS header is ever sent. Against other machines: a token,
in a header, or in a cookie that a visit to /?token=... sets.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restem.studio.events import Hub

COOKIE = "restem-studio"
UPLOAD = "/api/songs"  # the one route that takes more than a little JSON
LARGEST_JSON = 64 << 10
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware around the whole studio. `host` is the address that it is bound to.

    Who stops the server closes `hub` first, so that no stream of events holds it up.
    """

    def __init__(self, app: ASGIApp, hub: Hub, host: str, token: str | None) -> None:
        self.app, self.hub, self.token = app, hub, token
        self.names = {*LOOPBACK, host.lower(), socket.gethostname().lower()}
        self.anywhere = host not in LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no web sockets here

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        refusal = _strange(scope, headers, self._ours)
        if refusal:
            return refusal
        if not (scope["method"] == "POST" and scope["path"] == UPLOAD):
            length = headers.get("content-length", "0")
            chunked = "transfer-encoding" in headers
            if chunked or not length.isdecimal() or int(length) > LARGEST_JSON:
                return _refused(413, "This request is too long.")
        return self._without_token(scope, headers) if self.token else None

    def _ours(self, host: str) -> bool:
        name = _host_name(host)
        if name in self.names:
            return True
        if not self.anywhere:
            return False
        try:  # rebinding needs a name; a bare address is the machine's own
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if scope["path"] == "/" and given and self._right(given[0]):
            response = RedirectResponse("/", 303)
            response.set_cookie(COOKIE, given[0], httponly=True, samesite="strict")
            return response
        scheme, _, word = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._right(word.strip()):
            return None
        # Not http.cookies, which drops all cookies if another program's is malformed.
        if self._right(cookie_parser(headers.get("cookie", "")).get(COOKIE, "")):
            return None
        words = "The studio wants its token: open the address that it printed when it started."
        return _refused(401, words, {"WWW-Authenticate": "Bearer"})

    def _right(self, word: str) -> bool:
        return hmac.compare_digest(word.encode(), (self.token or "").encode())


class Door:
    """ASGI middleware for another application on this machine: no strange Host, no strange page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "lifespan"):
            return  # no web sockets here
        refusal = None
        if scope["type"] == "http":
            refusal = _strange(scope, Headers(scope=scope), lambda h: _host_name(h) in LOOPBACK)
        await (refusal or self.app)(scope, receive, send)


def _strange(scope: Scope, headers: Headers, ours: Callable[[str], bool]) -> Response | None:
    """The answer to a request for another Host or from another page, else nothing."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not ours(host):
        return _refused(400, "This address is not the studio's; open it by its own address.")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return _refused(403, "Requests from other pages are refused.")
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not (
        scope["method"] == "GET" and scope["path"] == "/"
    ):
        return _refused(403, "Requests from other pages are refused.")
    return None


def _host_name(host: str) -> str:
    """The name in a Host header, without the port and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _refused(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": words}, status, headers)
