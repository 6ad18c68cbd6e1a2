"""One side, one fresh Redis, one connection: what every measure begins with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs
import redis
import trio

from benching.feed.feeder import Feeder, Gone
from benching.feed.frames import Stream
from benching.sides import Place, Side, started
from bzredis.commands import embedded

# The server that is measured on; None: the one that the demo would start.
SERVER: ContextVar[Path | None] = ContextVar("SERVER", default=None)
CONNECT: Final = 30.0  # s for a side to connect
LOOK: Final = 0.02  # s between looks whether it has


@attrs.frozen
class Turn:
    """A side that is connected and has nothing to do yet."""

    feeder: Feeder
    side: Side
    client: Any
    place: Place
    process: trio.Process
    stream: Stream = "ratings"

    @property
    def log(self) -> str:
        return self.place.key("events")


@asynccontextmanager
async def server() -> AsyncIterator[tuple[embedded.Server, Any, Path]]:
    """Run a fresh Redis, with a client of it and a folder."""
    with TemporaryDirectory(prefix="bzredis-bench-") as name:
        folder = Path(name)
        async with embedded.running(folder / "redis", binary=SERVER.get()) as running:
            client = redis.Redis.from_url(running.url)
            try:
                yield running, client, folder
            finally:
                client.close()


async def connected(feeder: Feeder, count: int, *processes: trio.Process) -> None:
    """Wait until so many connections stand."""
    with trio.move_on_after(CONNECT):
        while await feeder("connected") < count:
            if any(process.poll() is not None for process in processes):
                raise Gone("ended by itself")
            await trio.sleep(LOOK)
        return
    raise Gone("did not connect")


@asynccontextmanager
async def turn(
    feeder: Feeder, side: Side, stream: Stream = "ratings"
) -> AsyncIterator[Turn]:
    """Start a side on a fresh Redis, and wait until it is connected and has settled."""
    async with server() as (running, client, folder):
        port = await feeder("listen")
        place = Place(port, running.url, folder, streams=[stream])
        async with started(side, place) as process:
            await connected(feeder, 1, process)
            await trio.sleep(side.settles)
            yield Turn(feeder, side, client, place, process, stream)
        await feeder("close")
