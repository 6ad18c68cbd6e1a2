"""Scripts, and their way over a connection of redis-py's: on the event loop, no thread.

redis-py connects, logs in and packs, and hiredis reads the answer. What lies between
is done here: a thread in its place would be handed each batch, and hand back
each answer, while the reader has the interpreter and Redis waits.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha1
from typing import Any, Final, TypeVar

import attrs
import hiredis
import trio
from redis import Redis
from redis._parsers.base import BaseParser  # its table of errors stands nowhere else
from redis._parsers.encoders import Encoder
from redis.connection import PythonRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from trio.lowlevel import wait_readable, wait_writable

T = TypeVar("T")

CHUNK: Final = 64 * 1024  # bytes a read
# hiredis' own way to pack copies a batch twice, which takes as long as ten messages do.
_encoder: Any = Encoder  # neither has types
_packing: Any = PythonRespSerializer(6_000, _encoder("utf-8", "strict", False).encode)


@attrs.frozen
class Script:
    """A script's text, and the hash that Redis knows it by."""

    text: str = attrs.field(repr=False)
    sha: str = attrs.field(init=False)

    @sha.default
    def _hash(self) -> str:
        return sha1(self.text.encode()).hexdigest()  # noqa: S324 - Redis' name for it

    def run(
        self, redis: Redis, *, keys: Sequence[str], args: Sequence[str | bytes | int]
    ) -> Any:
        """Run it, with its text where Redis does not know it, which then remembers it.

        Without SCRIPT LOAD, which some hosters and proxies do not have.
        """
        try:
            return redis.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            pass
        return redis.eval(self.text, len(keys), *keys, *args)


@attrs.frozen
class Ask:
    """A script, and what it is given in one call."""

    script: Script
    keys: Sequence[str]
    args: Sequence[str | bytes | int] = attrs.field(repr=False)

    @property
    def by_hash(self) -> tuple[str | bytes | int, ...]:
        return "EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args

    @property
    def by_text(self) -> tuple[str | bytes | int, ...]:
        return "EVAL", self.script.text, len(self.keys), *self.keys, *self.args


@attrs.define(eq=False)
class Line:
    """Commands over one open connection of redis-py's, which answers them in turn.

    `send` and `answer` raise redis-py's errors. After one that is no answer, and where
    one is cancelled, the line is good for nothing any more. `limit` (s) is for each
    wait, as redis-py's `socket_timeout` is.
    """

    connection: Any
    waiting: int = 0  # commands that were sent and have no answer yet
    is_last: bool = False  # after that answer nothing more is asked over it
    _reader: hiredis.Reader = attrs.field(init=False, repr=False)

    @_reader.default
    def _read_as_redis_py_does(self) -> hiredis.Reader:
        return hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error
        )

    @property
    def is_silent(self) -> bool:
        """Whether it is open; what it said unasked would be taken for an answer."""
        try:
            # It would connect where it is not, and block.
            return self.connection._sock is not None and not self.connection.can_read()  # noqa: SLF001 - as below
        except (RedisError, OSError):  # it was closed
            return False

    @property
    def _wire(self) -> socket.socket:
        wire: socket.socket = self.connection._sock  # noqa: SLF001 - it has no other name
        return wire

    async def ask(self, words: Sequence[str | bytes | int], limit: float) -> Any:
        """Send a command, and return the answer."""
        await self.send(words, limit)
        return await self.answer(limit)

    async def send(self, words: Sequence[str | bytes | int], limit: float) -> None:
        """Send a command; what was sent before it is answered first."""
        wire = self._wire
        wire.setblocking(False)
        self.waiting += 1
        for part in _packing.pack(*words):
            rest = memoryview(part)
            while rest:
                sent = await _done(wire, partial(wire.send, rest), wait_writable, limit)
                rest = rest[sent:]

    async def answer(self, limit: float) -> Any:
        """Return the answer to the oldest command that has none yet."""
        wire, reader = self._wire, self._reader
        # Others have a turn, also where the answer is there at once.
        await trio.lowlevel.checkpoint()
        while (answer := reader.gets()) is False:  # no answer of Redis' is False
            data = await _done(wire, partial(wire.recv, CHUNK), wait_readable, limit)
            if not data:
                raise RedisConnectionError("Connection closed by server.")
            reader.feed(data)
        self.waiting -= 1
        if not self.waiting and reader.has_data():
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
        except OSError as error:
            raise RedisConnectionError(
                f"Error while talking to Redis: {error}"
            ) from None
        try:
            with trio.fail_after(limit):
                await wait(wire)
        except trio.TooSlowError:
            raise RedisTimeoutError from None
