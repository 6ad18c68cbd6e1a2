"""A real bridge between a real Redis and a simulated upstream, all to be hurt."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs
import trio
from faults.archive import Archive
from faults.checker import Tally, check
from faults.press import STREAMS, Press
from faults.process import TOKEN, Bridge
from faults.worker import Taken
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from bzredis.commands.embedded import Server, server_binary
from bzredis.simulator import Settings, Simulator
from bzredis.simulator.market.records import Published

# s for whatever is waited for: a busy machine takes longer, and a bug takes for ever.
PATIENCE: Final = 120.0
LOOK: Final = 0.05  # s between looks at what other processes did
SETTLE: Final = 0.2  # s between tallies, which take longer
REPLAY: Final = 100  # messages of a stream that a replay brings
CHUNK: Final = 1 << 18  # bytes a write, in a flood
SAFE: Final = {"appendfsync": "always", "auto-aof-rewrite-percentage": "0"}
QUICK: Final[dict[str, Any]] = {
    "token": TOKEN,
    "rate": 0.0,  # what is sent, the press words
    "history": 0,
    "consensus_ticker": True,
    "refusal_delay": 0.3,
    "linger": 0.3,
    "queue_size": 1_000_000,
    "log_size": 1_000_000,
}


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a condition, and fail where it takes longer."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(LOOK)


@attrs.define
class Rig:
    """All of them, and what is between them. Nothing runs yet but the simulator."""

    folder: Path
    nursery: trio.Nursery
    simulator: Simulator
    server: Server
    press: Press
    rng: Random
    archive: Archive | None = None  # None: without REST
    taken: Taken = attrs.field(factory=dict)  # what readers took out of the logs
    bridge: Bridge = attrs.field(init=False)
    standby: Bridge | None = None  # upstream lets one in at a time
    over: dict[str, object] = attrs.field(factory=dict)  # by which connection it went

    def __attrs_post_init__(self) -> None:
        self.bridge = self.another("first")

    def another(self, name: str, *options: str, redis: str = "") -> Bridge:
        """Return a bridge with a folder of its own."""
        return Bridge(
            self.folder / name,
            self.simulator.port,
            redis or self.server.url,
            options,
            rest=self.archive is not None,
        )

    async def start(self, *streams: str) -> None:
        """Start the bridge, and wait until it is connected."""
        await self.bridge.start()
        await self.connected(*streams)

    async def connected(self, *streams: str, seconds: float = PATIENCE) -> None:
        await until(lambda: all(map(self.is_connected, streams or STREAMS)), seconds)

    def is_connected(self, stream: str) -> bool:
        return bool(self.simulator.connections(stream))

    # ---- what upstream says

    def publish(self, count: int = 1, *streams: str) -> None:
        """Send so many messages of each stream."""
        for _ in range(count):
            for stream in streams or STREAMS:
                text = self.press.next(stream)
                if self.archive is not None:
                    self.archive.take(stream, text)
                [*held] = self.simulator.connections(stream)
                self.over[text] = held[0] if held else None
                self.simulator.publish(stream, text)

    @asynccontextmanager
    async def talking(self, rate: float = 20) -> AsyncIterator[None]:
        """Have upstream send `rate` messages a second meanwhile, over all streams.

        Of each no more than a replay brings: however long a busy machine takes, one
        that comes in the end reaches back to what was known before.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.talk, rate)
            yield
            nursery.cancel_scope.cancel()

    async def talk(self, rate: float) -> None:
        """Send `rate` messages a second over all streams, until cancelled."""
        due = trio.current_time()
        left = dict.fromkeys(STREAMS, REPLAY - 1)
        while True:
            stream = self.rng.choice(STREAMS)
            if left[stream]:
                left[stream] -= 1
                self.publish(1, stream)
            due += 1 / rate
            await trio.sleep_until(due)

    async def known(self) -> None:
        """Have Redis hold something of each stream: a replay proves itself by that."""
        self.publish()
        await until(lambda: all(self.redis_length(f"{s}:events") for s in STREAMS))

    async def flood(self, count: int, stream: str = "ratings") -> None:
        """Send so many messages as fast as the socket takes them."""
        [connection] = self.simulator.connections(stream)
        chunk = bytearray()
        for number in range(count):
            text = self.press.next(stream)
            self.simulator.sent.append((stream, text))
            self.simulator._replays[stream].add(Published(stream, text, time.time()))
            chunk += text_frame(text.encode())
            if len(chunk) > CHUNK or number == count - 1:
                await connection.wire.send_all(bytes(chunk))
                chunk.clear()

    # ---- what Redis says

    def redis(self) -> Redis:
        """Return a client for a question or two; never while the server is frozen."""
        client: Redis = Redis.from_url(self.server.url, socket_timeout=10)
        return client

    def status(self, stream: str = "ratings") -> dict[str, str]:
        with self.redis() as redis:
            found: dict[bytes, bytes] = redis.hgetall(f"bz:{stream}:status")
        return {name.decode(): value.decode() for name, value in found.items()}

    def is_fresh(self, *streams: str) -> bool:
        """Tell whether every stream's `alive` is there."""
        with self.redis() as redis:
            names = [f"bz:{stream}:alive" for stream in streams or STREAMS]
            return bool(redis.exists(*names) == len(names))

    def is_decided(self, stream: str) -> bool:
        """Tell whether a stream is fresh, and has no hole that is yet to be judged."""
        with self.redis() as redis:
            holes = redis.hget(f"bz:{stream}:internal:coverage", "holes")
        return self.is_connected(stream) and self.is_fresh(stream) and not holes

    def tally(self) -> Tally:
        with self.redis() as redis:
            return check(
                redis,
                self.simulator.sent,
                rest=self.archive is not None,
                taken=self.taken,
                over=self.over if self.standby else None,
            )

    def redis_length(self, name: str) -> int:
        """Return how many entries a Redis stream has."""
        with self.redis() as redis:
            return int(redis.xlen(f"bz:{name}"))

    async def drained(self, count: int, seconds: float, name: str = "ratings") -> Tally:
        """Wait until a log has so many entries; return the tally."""
        with trio.fail_after(seconds):
            while True:
                try:
                    if self.redis_length(f"{name}:events") >= count:
                        return self.tally()
                except RedisConnectionError:
                    pass  # loading
                await trio.sleep(SETTLE)

    async def settled(
        self,
        good: Callable[[Tally], bool] = lambda t: t.is_whole,
        seconds: float = PATIENCE,
    ) -> Tally:
        """Wait until the tally is good, and then for a second look at it; return it.

        Fails with the tally as it stands where that takes too long.
        """
        tally = Tally()
        with trio.move_on_after(seconds):
            while True:
                try:
                    tally = self.tally()
                except RedisConnectionError:  # it is loading, or not back yet
                    tally = Tally(faults=["Redis is away"])
                else:
                    if good(tally):
                        await trio.sleep(SETTLE)
                        tally = self.tally()
                        assert good(tally), tally
                        return tally
                await trio.sleep(SETTLE)
        raise AssertionError(tally)

    async def decided(self, *streams: str) -> None:
        await until(lambda: all(map(self.is_decided, streams or STREAMS)))

    async def without_gaps(
        self, *streams: str, good: Callable[[Tally], bool] = lambda t: t.is_whole
    ) -> Tally:
        """Wait until all is there, and decided; return the tally, which has no gap."""
        await self.settled(good)
        await self.decided(*streams)
        tally = await self.settled(good)
        assert not tally.gaps, tally
        return tally


def text_frame(payload: bytes) -> bytes:
    """Return a server's text frame."""
    size = len(payload)
    if size < 126:
        return bytes([0x81, size]) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


@asynccontextmanager
async def rigged(
    folder: Path,
    seed: int,
    *,
    aof: bool = True,
    rest: bool = False,
    settings: Iterable[tuple[str, str]] = (),
    **upstream: object,
) -> AsyncIterator[Rig]:
    """Set everything up, and take it down again whatever became of it."""
    rng = Random(seed)
    simulator = Simulator(Settings(**QUICK | upstream))
    archive = Archive(simulator.settings, simulator.market.book) if rest else None
    simulator._http = archive or simulator._http
    chosen = SAFE | {"appendonly": "yes" if aof else "no"} | dict(settings)
    server = Server(server_binary(), folder / "redis", settings=chosen)
    async with trio.open_nursery() as nursery:
        await nursery.start(simulator.serve)
        await server.start()
        press = Press(rng, apart=rest)
        rig = Rig(folder, nursery, simulator, server, press, rng, archive)
        try:
            yield rig
        finally:
            with trio.CancelScope(shield=True):
                await rig.bridge.kill()
                if rig.standby is not None:
                    await rig.standby.kill()
                await server.stop()
            nursery.cancel_scope.cancel()
