"""Why REST gave no answer, in words that go on after a host's name."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

import httpx
from attrs import frozen

from bzredis.upstream.pacing import retry_after
from bzredis.upstream.proxy import Proxy

CONNECT: Final = 10.0  # s for name, TCP and TLS: a healthy network needs 1 s
SILENCE: Final = 30.0  # s without a byte; upstream counts a while before the first
SLOW_DOWN: Final = 429
PASSING: Final = {408, SLOW_DOWN, *range(500, 600)}  # these may be gone in a moment


@frozen
class Failure:
    """Why an attempt came to nothing."""

    words: str
    status: int = 0
    passing: bool = False  # whether the same request may do better in a moment
    asked: float | None = None  # s that upstream asked us to wait


def refusal(response: httpx.Response) -> Failure:
    """Tell of an answer by its status alone: upstream's 401 quotes the token."""
    status, said = response.status_code, response.headers.get
    redirect = ", a redirect, which is not followed" if response.is_redirect else ""
    asked = retry_after(said("Retry-After", ""), said("Date", ""))
    words = f"answered HTTP {status}{redirect}"
    return Failure(words, status, passing=status in PASSING, asked=asked)


def cause(error: httpx.RequestError, proxy: Proxy | None, host: str) -> str:
    """Put a failure into words, of which those on the way are named."""
    if proxy is None:
        return _cause(error)
    if isinstance(error, httpx.ProxyError):
        code = str(error)[:3]
        status = int(code) if code.isdecimal() else 0
        return proxy.refusal(status, host)
    if isinstance(error, httpx.ConnectTimeout):
        return f"the proxy {proxy.shown}: {_cause(error)}"
    is_of_tls = any(isinstance(each, ssl.SSLError) for each in _of_system(error))
    if isinstance(error, httpx.ConnectError) and not is_of_tls:
        return f"the proxy {proxy.shown} cannot be reached: {_cause(error)}"
    return _cause(error)


def _cause(error: httpx.RequestError) -> str:
    """Put a failure into words; those of the network's other end stay out of them."""
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {CONNECT:.0f} s"
        case httpx.TimeoutException():
            return f"nothing came for {SILENCE:.0f} s"
        case httpx.RemoteProtocolError():
            return "it hung up before the answer was whole, or broke HTTP"
    found = (each.strerror or "" for each in _of_system(error))
    return next(found, "the connection broke")


def _of_system(error: BaseException) -> Iterator[OSError]:
    """Yield what the system said, behind what the libraries made of it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, BaseExceptionGroup):  # one for each address that was tried
            seen = seen.exceptions[0]
        if isinstance(seen, OSError) and seen.strerror:
            yield seen
        seen = seen.__cause__ or seen.__context__
