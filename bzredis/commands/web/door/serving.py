"""The board as a server: Hypercorn's connections on trio, and an end that comes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NoReturn

import attrs
import structlog
import trio
from hypercorn.config import Config as HowServed
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from bzredis.commands.looks.asked import STREAMS, place_of
from bzredis.commands.web.app import application
from bzredis.commands.web.drawing import Templates
from bzredis.commands.web.live.hub import Hub
from bzredis.errors import ConfigError, first
from bzredis.reader import ReaderError, TrioReader
from bzredis.settings.addresses import RedisURL
from bzredis.settings.config import Config

FIRST_LOOK: Final = 2.0  # s that the first page waits for Redis
PATIENCE: Final = 10.0  # s that a browser may take nothing
log = structlog.get_logger(__name__)

MOST: Final = 512  # connections at once


# ---- what is served


def hub_of(config: Config, templates: Templates) -> Hub:
    """Return what follows the Redis of these settings. Raises ReaderError."""
    shown = ", ".join(each.shown for each in config.redis)
    streams = tuple(name for name in STREAMS if name in config.streams)
    readers = [partial(_reader, each, config.prefix) for each in config.redis]
    for each in readers:
        each().close()  # a URL that is none is told now
    return Hub(streams, shown, config.prefix, readers, templates.drawing())


def _reader(url: RedisURL, prefix: str) -> TrioReader:
    return TrioReader(place_of(url), prefix)


async def serve(
    config: Config,
    listener: socket.socket,
    token: str = "",
    origins: Sequence[str] = (),
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the board there until cancelled. Raises ConfigError."""
    templates = Templates()
    try:
        hub = hub_of(config, templates)
    except ReaderError as error:
        raise ConfigError(str(error)) from None
    app = application(hub, templates, token, origins)
    connections = Connections(app)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        with trio.move_on_after(FIRST_LOOK):
            await hub.ready.wait()
        task_status.started()
        await connections.serve(listener)


class Bounded(trio.abc.HalfCloseableStream):
    """A connection whose other end may not hold us up.

    Hypercorn shields what it sends from being cancelled: a browser that takes nothing
    any more would keep the board from ending.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        """Send over this one."""
        self.stream = stream
        self.socket = stream.socket
        # Hypercorn may end a connection in the middle of what it sends.
        self._turn = trio.Lock()

    async def send_all(self, data: Any) -> None:
        with trio.move_on_after(PATIENCE) as limit:
            limit.shield = True
            async with self._turn:
                await self.stream.send_all(data)
        if limit.cancelled_caught:
            self.close()
            raise trio.BrokenResourceError("it takes nothing any more")

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        async with self._turn:
            await self.stream.send_eof()

    async def aclose(self) -> None:
        await self.stream.aclose()

    def close(self) -> None:
        """Close it whatever it does; what is sent just now ends with an error."""
        self.stream.socket.close()


@attrs.define
class Connections:
    """All that are open."""

    app: Any
    _open: set[Bounded] = attrs.field(factory=set)

    async def serve(self, listener: socket.socket) -> None:
        """Take connections until cancelled; then none is left."""
        at = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        how = HowServed()
        how.accesslog = None  # in an address may stand a token
        how.loglevel = "WARNING"
        how.include_server_header = False
        how.h11_max_incomplete_size = 16_384
        context = WorkerContext(None)
        app = wrap_app(self.app, how.wsgi_max_body_size, "asgi")
        make: Callable[..., Any] = partial(TCPServer, app, how, context)
        async with at, trio.open_nursery() as nursery:
            nursery.start_soon(self._close_at_the_end)
            await trio.serve_listeners(partial(self._serve_one, make), [at])

    async def _close_at_the_end(self) -> NoReturn:
        """Have no connection hold up the end: what it sends is shielded."""
        try:
            await trio.sleep_forever()
        finally:
            for each in [*self._open]:
                each.close()

    async def _serve_one(
        self, make: Callable[..., Any], stream: trio.SocketStream
    ) -> None:
        if len(self._open) >= MOST:
            await stream.aclose()
            return
        bounded = Bounded(stream)
        self._open.add(bounded)
        try:
            await make(ConnectionState({}), bounded)
        except* Exception as group:  # noqa: BLE001 - of one connection, not of all
            # A page's bug is logged by Hypercorn. This is its own: what is no HTTP, or
            # ends in the middle, must not end the board for everyone.
            log.warning("a connection ended badly: %r", first(group))
        finally:
            self._open.discard(bounded)
