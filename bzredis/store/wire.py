"""One command over a connection of redis-py's, on the event loop and without a thread.

redis-py connects, logs in and packs, and hiredis reads the answer. What lies between
is done here: a thread in its place would be handed each batch, and hand back
each answer, while the reader has the interpreter and Redis waits.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import hiredis
import trio
from redis._parsers.base import BaseParser  # its table of errors stands nowhere else
from redis._parsers.encoders import Encoder
from redis.connection import PythonRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from trio.lowlevel import wait_readable, wait_writable

T = TypeVar("T")

CHUNK: Final = 64 * 1024  # bytes a read
# hiredis' own way to pack copies a batch twice, which takes as long as ten messages do.
_encoder: Any = Encoder  # neither has types
_packing: Any = PythonRespSerializer(6_000, _encoder("utf-8", "strict", False).encode)


def is_silent(connection: Any) -> bool:
    """Tell whether it is open; what it said unasked would be taken for an answer."""
    try:
        # It would connect where it is not, and block.
        return connection._sock is not None and not connection.can_read()  # noqa: SLF001 - as below
    except (RedisError, OSError):  # it was closed
        return False


async def ask(connection: Any, words: Sequence[str | bytes | int], limit: float) -> Any:
    """Send a command over an open connection, and return the answer.

    Raises redis-py's errors; after one that is no answer, and where it is cancelled,
    the connection is good for nothing any more. `limit` (s) is for each wait, as
    redis-py's `socket_timeout` is.
    """
    wire: socket.socket = connection._sock  # noqa: SLF001 - it has no other name
    wire.setblocking(False)
    try:
        for part in _packing.pack(*words):
            rest = memoryview(part)
            while rest:
                sent = await _done(wire, partial(wire.send, rest), wait_writable, limit)
                rest = rest[sent:]
        # Others have a turn, also where the answer is there at once.
        await trio.lowlevel.checkpoint()
        reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error
        )
        while (answer := reader.gets()) is False:  # no answer of Redis' is False
            data = await _done(wire, partial(wire.recv, CHUNK), wait_readable, limit)
            if not data:
                raise RedisConnectionError("Connection closed by server.")
            reader.feed(data)
    except OSError as error:
        raise RedisConnectionError(f"Error while talking to Redis: {error}") from None
    if reader.has_data():
        raise InvalidResponse("more than one answer to a command")
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _done(
    wire: socket.socket,
    step: Callable[[], T],
    may_go_on: Callable[[socket.socket], Awaitable[None]],
    limit: float,
) -> T:
    """Take a step, once the socket lets it be taken; TLS may want the other way."""
    while True:
        try:
            return step()
        except BlockingIOError:
            wait = may_go_on
        except ssl.SSLWantReadError:
            wait = wait_readable
        except ssl.SSLWantWriteError:
            wait = wait_writable
        try:
            with trio.fail_after(limit):
                await wait(wire)
        except trio.TooSlowError:
            raise RedisTimeoutError from None
