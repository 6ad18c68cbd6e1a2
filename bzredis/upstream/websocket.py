"""The one module that knows trio-websocket: its errors stop here, ours go on."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import h11
import trio
from attrs import field, frozen
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.utilities import ProtocolError, RemoteProtocolError

from bzredis import __version__
from bzredis.errors import FeedLost, FeedRefused, first
from bzredis.upstream.framing import Splitter
from bzredis.upstream.pacing import REFUSALS
from bzredis.upstream.proxy import Proxy
from bzredis.upstream.secret import cleaned, redacted
from bzredis.upstream.transport import DATE, Wire, limited, origin_of, secure

HANDSHAKE = 20.0  # upstream holds a 429 for 5 s before it sends it
GOODBYE = 2.0  # a stop has 5 s in all
QUEUE = 1000  # messages: a burst is taken off the socket at once, and PINGs answered
BUFFER = 64 * 1024  # bytes a read: 4 KiB, the library's, cost half as much time again
LARGEST = 4 * 2**20  # characters or bytes a message: an insight has some 3 KB
EXCERPT = 200  # characters of what a server says that we repeat
PORTS = {"ws": 80, "wss": 443}

OVERSIZE = f"Exceeded maximum message size: {LARGEST} bytes"  # trio-websocket's words
ABNORMAL = 1006  # the library's code where nobody sent one
INVALID = 1007  # for text that is not UTF-8; wsproto sends nothing, it only says so
# What trio-websocket's reader dies of where a server answers something else: h11 and
# wsproto balk at our refusal of the answer, and decode headers as ASCII.
GARBLED = (ProtocolError, h11.ProtocolError, UnicodeDecodeError, ConnectionClosed)

# At DEBUG this logger tells of requests, and a request's path has the token in it. Its
# own level counts, whatever the level of the root logger.
logging.getLogger("trio-websocket").setLevel(logging.WARNING)


@frozen
class _Request:
    """What one connection asks for. It holds the secret, and can black it out."""

    _token: str = field(repr=False)
    _path: str
    _query: Mapping[str, str]

    def target(self) -> str:
        """Write path and query; parameters without a value are left out."""
        given = {"token": self._token, **self._query}
        named = {name: value for name, value in given.items() if value}
        return f"{self._path}?{urlencode(named, quote_via=quote)}"

    def redact(self, text: str) -> str:
        return redacted(text, self._token)

    def clean(self, message: str | bytes) -> str | bytes:
        if isinstance(message, str):
            return cleaned(message, self._token)
        return cleaned(message, self._token)

    def excerpt(self, said: str) -> str:
        """Return `: ` and one short line of what a server said, if it can be shown."""
        line = " ".join(self.redact(said).split())
        return f": {line[:EXCERPT]}" if line and line.isprintable() else ""


@frozen(eq=False)
class WebSocketLink:
    """One open connection. Either method raises `FeedLost`, and nothing else."""

    _ws: WebSocketConnection = field(repr=False)
    _wire: Wire = field(repr=False)
    _messages: trio.MemoryReceiveChannel[str | bytes] = field(repr=False)
    _lost: Callable[[], FeedLost] = field(repr=False)
    _clean: Callable[[str | bytes], str | bytes] = field(repr=False)

    @property
    def heard_at(self) -> float:
        return self._wire.heard_at

    @property
    def date(self) -> str:
        """What time upstream said it was when it let us in, as HTTP does; or ""."""
        return self._wire.said(DATE)

    async def send(self, text: str) -> None:
        with suppress(ConnectionClosed):
            await self._ws.send_message(text)
            return
        raise self._lost()

    async def receive(self) -> str | bytes:
        """Wait for the next message; all that came before the end come before it."""
        with suppress(trio.EndOfChannel, trio.ClosedResourceError):
            return self._clean(await self._messages.receive())
        raise self._lost()

    def arrived(self) -> Iterator[str | bytes]:
        """Yield what has been read already, without waiting for more."""
        with suppress(trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            for _ in range(QUEUE):
                yield self._clean(self._messages.receive_nowait())


@frozen
class Upstream:
    """Opens connections. What it says of them never shows the token."""

    origin: str  # "wss://api.benzinga.com", "ws://127.0.0.1:8000"
    token: Callable[[], str] = field(repr=False)  # asked at each connect
    tls: ssl.SSLContext | None = field(default=None, repr=False)  # None: the default
    dial: Callable[[str, int], Awaitable[trio.abc.Stream]] = field(
        default=trio.open_tcp_stream, repr=False
    )
    proxy: Proxy | None = None

    @property
    def _at(self) -> SplitResult:
        return urlsplit(self.origin)

    @property
    def host(self) -> str:
        return self._at.hostname or ""

    @property
    def port(self) -> int:
        return self._at.port or PORTS[self._at.scheme]

    @asynccontextmanager
    async def connect(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncIterator[WebSocketLink]:
        """Open a connection; the way out says goodbye and closes the socket.

        On entry raises `FeedRefused` for HTTP 401 and 403, and `FeedLost` for all
        else that can go wrong on the way.
        """
        session = self._session(_Request(self.token(), path, query))
        link = await session.__aenter__()
        try:
            yield link
        finally:  # without the body's exception, which the nursery inside would wrap
            await session.__aexit__(None, None, None)

    @asynccontextmanager
    async def _session(self, request: _Request) -> AsyncIterator[WebSocketLink]:
        life = trio.CancelScope()
        # The transport is ours to close: trio-websocket 0.12 leaves it open when the
        # server rejects the handshake, and when the server closes first.
        inbox, outbox = trio.open_memory_channel[str | bytes](QUEUE)
        async with await self._dialled() as tcp:
            if self.proxy is not None:
                through = self.proxy.open(tcp, self.host, self.port)
                failed = f"the proxy {self.proxy.shown}, asked for {self.host}"
                await limited(through, failed, "no answer")
            if self._at.scheme == "wss":
                # Closed alike.
                tcp = await secure(tcp, self.host, self.tls)  # noqa: PLW2901
            wire = Wire(tcp, inbox, Splitter(LARGEST))
            async with trio.open_nursery() as nursery:
                ws: WebSocketConnection | None = await nursery.start(
                    self._hold, wire, request, life
                )
                if ws is not None:
                    nursery.start_soon(_pass_on, ws, inbox)
                    try:
                        lost = partial(self._lost, ws, wire, request)
                        yield WebSocketLink(ws, wire, outbox, lost, request.clean)
                    finally:
                        outbox.close()
                        # In good order where anyone is there: that frees our one slot
                        # at once.
                        with trio.move_on_after(GOODBYE, shield=True) as wire.waiting:
                            await ws.aclose()
                        life.cancel()
                        nursery.cancel_scope.cancel()
        if ws is None:
            raise self._turned_away(wire, request)

    async def _dialled(self) -> trio.abc.Stream:
        if self.proxy is None:
            dialled = self.dial(self.host, self.port)
            return await limited(dialled, f"{self.host} cannot be reached", "no answer")
        dialled = self.dial(self.proxy.host, self.proxy.port)
        failed = f"the proxy {self.proxy.shown} cannot be reached"
        return await limited(dialled, failed, "no answer")

    async def _hold(
        self,
        wire: Wire,
        request: _Request,
        life: trio.CancelScope,
        *,
        task_status: trio.TaskStatus[WebSocketConnection | None],
    ) -> None:
        """Shake hands, and hold trio-websocket's reader apart, so that it fails alone.

        Once open it outlives cancellation from outside, until `life` is cancelled: the
        goodbye needs someone who reads the answer.
        """
        with life:
            try:
                async with trio.open_nursery() as nursery:
                    ws = await self._shake_hands(nursery, wire, request)
                    # A shield put up when already cancelled would never come down.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    life.shield = True
                    task_status.started(ws)
            except* ConnectionRejected as group:
                rejected = first(group)
                wire.answer = rejected.status_code, rejected.body or b""
            except* GARBLED as group:
                wire.end(f"broke the protocol: {_complaint(first(group))}")
        if not life.shield:
            task_status.started(None)

    async def _shake_hands(
        self, nursery: trio.Nursery, wire: Wire, request: _Request
    ) -> WebSocketConnection | None:
        """Return the open connection, or cancel the nursery."""
        with trio.move_on_after(HANDSHAKE) as wire.waiting:
            return await wrap_client_stream(
                nursery,
                wire,  # type: ignore[arg-type]  # any stream will do
                self._at.netloc.removesuffix(f":{PORTS[self._at.scheme]}"),
                request.target(),
                extra_headers=[(b"User-Agent", f"bzredis/{__version__}".encode())],
                # Little comes this way (frames.py), and it throws away what it has
                # queued when a message is too large: ours is the queue.
                message_queue_size=0,
                receive_buffer_size=BUFFER,
                max_message_size=LARGEST,
            )
        wire.end(f"did not answer within {HANDSHAKE:.0f} s")
        nursery.cancel_scope.cancel()
        return None

    def _turned_away(self, wire: Wire, request: _Request) -> FeedLost | FeedRefused:
        rejection = wire.rejection()
        if rejection is None:
            words = f"{self.host}, asked for a WebSocket, {wire.ending}"
            return FeedLost(request.redact(words))
        status, body = rejection
        said = request.excerpt(body.decode(errors="replace"))
        if to := wire.redirect():
            to = origin_of(request.redact(to))  # what follows may repeat the token
            said = f", a redirect to {to}, which is not followed"
        words = f"{self.host} answered HTTP {status}{said}"
        if status in REFUSALS:
            return FeedRefused(words, status=status)
        return FeedLost(words, status=status)

    def _lost(self, ws: WebSocketConnection, wire: Wire, request: _Request) -> FeedLost:
        reason = ws.closed
        if reason is None or reason.code == ABNORMAL:
            return FeedLost(request.redact(f"{self.host} {wire.ending}"))
        said, unusable = reason.reason or "", True
        if said == OVERSIZE:
            words = f"sent a message of more than {LARGEST // 2**20} MiB"
        elif reason.code == INVALID and "codec can't decode" in said:
            words = "sent text that is not UTF-8"
        else:  # by either side's close frame
            words = f"ended the conversation with code {reason.code} {reason.name}"
            unusable = False
        words = f"{self.host} {words}{request.excerpt(said)}"
        return FeedLost(words, unusable=unusable)


async def _pass_on(
    ws: WebSocketConnection, inbox: trio.MemorySendChannel[str | bytes]
) -> None:
    with inbox, suppress(ConnectionClosed):
        while True:
            await inbox.send(await ws.get_message())


def _complaint(error: BaseException) -> BaseException:
    """Find what the peer did wrong behind the library's stumbling over it."""
    while not isinstance(error, RemoteProtocolError) and error.__context__:
        error = error.__context__
    return error
