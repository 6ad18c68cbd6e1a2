"""Servers on loopback and in memory, well-behaved and rude; and how to ask them."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import (
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
    wrap_server_stream,
)

from bzredis.upstream.websocket import Upstream, WebSocketLink

PATIENCE = 60.0  # s that only a failure waits
SECRET = "s3cr3t"  # in whatever way the token is written
TOKEN = f"{SECRET}+/=key"
QUOTED = f"{SECRET}%2B%2F%3Dkey"
PATH = "/api/v2.1/calendar/ratings/stream"
TEXT, BINARY, CLOSE, PING, MORE = 1, 2, 8, 9, 0

Handler = Callable[[WebSocketRequest], Awaitable[None]]
Rude = Callable[[trio.abc.Stream], Awaitable[None]]
Said = list[BaseException]


def at(port: int, **more: Any) -> Upstream:
    return Upstream(f"ws://127.0.0.1:{port}", partial(str, TOKEN), **more)


async def attempt(upstream: Upstream) -> None:
    async with upstream.connect(PATH, {}):
        pytest.fail("it let us in")


async def serve(
    nursery: trio.Nursery, handler: Handler, tls: ssl.SSLContext | None = None
) -> int:
    """Start a well-behaved server."""
    server = await nursery.start(
        partial(serve_websocket, handler, "127.0.0.1", 0, tls, disconnect_timeout=1)
    )
    return int(server.port)


async def serve_rudely(nursery: trio.Nursery, handler: Rude) -> int:
    """Start a server that does what it likes with TCP."""
    [listener] = await nursery.start(
        partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
    )
    return int(listener.socket.getsockname()[1])


def in_memory(nursery: trio.Nursery, handler: Rude) -> Upstream:
    """Serve over memory, where time can be virtual."""

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(handler, theirs)
        return ours

    return at(1, dial=dial)


@asynccontextmanager
async def served(stream: trio.abc.Stream) -> AsyncIterator[WebSocketConnection]:
    """Accept a WebSocket in good order, over any stream."""
    async with trio.open_nursery() as nursery:
        request = await wrap_server_stream(nursery, stream)
        yield await request.accept()
        nursery.cancel_scope.cancel()


async def head(stream: trio.abc.Stream) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        more = await stream.receive_some()
        assert more, "who asked went in the midst of the request"
        received += more
    return received


async def accept(
    stream: trio.abc.Stream, first: bytes = b"", header: bytes = b""
) -> None:
    """Shake hands by hand, so that anything may follow."""
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", await head(stream))
    assert key is not None
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324  # the protocol's
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
        + base64.b64encode(digest)
        + header
        + b"\r\n\r\n"
        + first
    )


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    first = opcode | (0x80 if fin else 0)
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


async def three(link: WebSocketLink) -> list[str | bytes]:
    return [await link.receive() for _ in range(3)]
