"""Who may ask, and what a browser may do with the answer.

On loopback a page of elsewhere could ask in the name of whoever looks at it, under a
name of its own that leads to 127.0.0.1: such names are turned away. Elsewhere a token
is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlencode

import attrs
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bzredis.commands.running.called import typed

COOKIE: Final = "bzredis-board"
TOKEN: Final = "token"  # noqa: S105 - its name in an address
MONTH: Final = 30 * 86_400  # s that a browser keeps it
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors {}"
)
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
WIDGETS: Final = "/widget/"  # what another page may have in a frame
TOLD_NAME: Final = (
    "bzredis: this board answers to 127.0.0.1 and localhost only; to reach it under"
    " another name, start it with --listen ADDRESS:PORT\n"
)
TOLD_HOW: Final = (
    "bzredis: this board asks for a token: open the link that `bzredis board` showed"
    " when it started, or send the header Authorization: Bearer TOKEN\n"
)
READS: Final = {"GET", "HEAD"}


@attrs.frozen
class Guard:
    """Stands before the pages; `token` is "" where only this machine can ask."""

    app: ASGIApp
    token: str = attrs.field(default="", repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                in_frames = scope["path"].startswith(WIDGETS)
                policy = POLICY.format("*" if in_frames else "'none'")
                for name, value in {
                    **HEADERS,
                    "Content-Security-Policy": policy,
                }.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(Request(scope)) or self.app
        await answer(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        """Return what to say to who may not look; None where one may."""
        if request.method not in READS:
            words = "here is only something to read\n"
            return PlainTextResponse(words, HTTPStatus.METHOD_NOT_ALLOWED)
        if not self.token:
            if is_this_machine(request.headers.get("host", "")):
                return None
            return PlainTextResponse(TOLD_NAME, HTTPStatus.MISDIRECTED_REQUEST)
        if TOKEN in request.query_params:
            return self._let_in(request)
        if any(self._is_it(each) for each in _given(request)):
            return None
        return PlainTextResponse(
            typed(TOLD_HOW),
            HTTPStatus.UNAUTHORIZED,
            {"WWW-Authenticate": 'Bearer realm="bzredis"'},
        )

    def _let_in(self, request: Request) -> Response:
        """Take the token out of the address, where others would see it."""
        query = parse_qsl(request.url.query, keep_blank_values=True)
        if not any(name == TOKEN and self._is_it(value) for name, value in query):
            return PlainTextResponse(typed(TOLD_HOW), HTTPStatus.UNAUTHORIZED)
        rest = urlencode([(name, value) for name, value in query if name != TOKEN])
        path = f"/{request.url.path.lstrip('/')}"  # `//x` would lead elsewhere
        answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        answer.set_cookie(
            COOKIE, self.token, MONTH, httponly=True, samesite="strict", path="/"
        )
        return answer

    def _is_it(self, given: str) -> bool:
        return compare_digest(_digest(given), _digest(self.token))


def _digest(text: str) -> bytes:
    """Make both of one length, so that the time taken tells nothing."""
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def _given(request: Request) -> Iterable[str]:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield value.strip()
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return
    if found is not None:
        yield found.value


def is_this_machine(host: str) -> bool:
    """Whether a Host header names loopback, with whatever port."""
    name = host.strip().lower()
    name = (
        name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    )
    if name in {"localhost", "localhost."}:
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
