"""Wire a bridge together from its configuration, and run it until it is stopped."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from random import Random
from uuid import uuid4

import structlog
import trio

from bzredis import __version__
from bzredis.backlog import Backlog, Item
from bzredis.bridge import AllRefused, Bridge
from bzredis.config import Config
from bzredis.errors import ConfigError, SpoolFull, SpoolUnusable
from bzredis.feed import Upstream, WebSocketLink
from bzredis.mirror import Mirror
from bzredis.spool import SpoolFolder
from bzredis.statefolder import locked
from bzredis.status import Identity, StreamStatus
from bzredis.store.client import Limits, Store
from bzredis.streams import BY_NAME, Stream
from bzredis.symbols import sole_security

log = structlog.get_logger(__name__)

STOPPED, REFUSED = 0, 3  # exit codes (contract.md, 4)

# s; a writer's thread takes the interpreter some four times for each batch. With 5 ms,
# Python's default, a flood that keeps the reader busy would leave it 50 batches/s.
SWITCH = 0.0005

# Who wants to see each change that Redis has, with what came of it.
Observe = Callable[[Stream, Item, str], None]


def run_bridge(config: Config, token: Callable[[], str]) -> int:
    """Run the bridge until SIGINT or SIGTERM; return the exit code."""
    sys.setswitchinterval(SWITCH)
    with locked(config.state_dir, "another bridge") as folder:
        return trio.run(_until_signal, config, token, folder)


async def _until_signal(config: Config, token: Callable[[], str], folder: Path) -> int:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            bridge = assemble(config, token, folder)
            nursery.start_soon(stop_on_signal, bridge, signals)
            code = await run_to_the_end(bridge)
            nursery.cancel_scope.cancel()
    return code


async def stop_on_signal(bridge: Bridge, signals: AsyncIterator[int]) -> None:
    """Stop the bridge in good order at the first signal."""
    await anext(signals)
    bridge.stop.set()


async def run_to_the_end(bridge: Bridge) -> int:
    """Run a bridge; return the exit code."""
    try:
        await bridge.run()
    except AllRefused as error:
        log.error(str(error))  # noqa: TRY400 - a traceback would tell nothing
        return REFUSED
    return STOPPED


def assemble(
    config: Config,
    token: Callable[[], str],
    folder: Path,
    observe: Observe = lambda *_: None,
) -> Bridge:
    """Put a bridge together; it does nothing yet. Raises ConfigError."""
    upstream = Upstream(str(config.upstream), token)
    store = Store(
        config.redis.url,
        config.prefix,
        Limits(config.events_maxlen, config.timeline_length),
    )
    spools = SpoolFolder(folder / "spool", target(config), config.spool_limit)
    try:
        spool, news = spools.open()
    except (OSError, SpoolFull, SpoolUnusable) as error:
        msg = f"cannot spool in the state folder {folder}: {error}"
        raise ConfigError(msg) from None
    if news:
        log.error("a damaged spool was set aside; a new one is begun", reason=news)
    identity = Identity(
        bridge=uuid4().hex,
        version=__version__,
        started_at=_now(),
        upstream=upstream.host,
        subscription=",".join((*config.tickers, *config.isins)) or "*",
    )
    rng = Random()  # noqa: S311 - jitter, no secret
    bridge = Bridge(store, spool, spools.claim, rng)
    bridge.mirrors = [
        Mirror(
            stream=BY_NAME[name],
            connect=partial(_connect, upstream, config),
            backlog=Backlog(name, spool),
            status=StreamStatus(identity),
            clock=_now,
            rng=rng,
            changed=bridge.changed,
            observe=partial(observe, BY_NAME[name]),
            sole=sole_security(config.tickers, config.isins),
            replays=name not in config.no_replay,
            pings=name not in config.no_ping,
        )
        for name in config.streams
    ]
    return bridge


def _connect(
    upstream: Upstream, config: Config, stream: Stream
) -> AbstractAsyncContextManager[WebSocketLink]:
    return upstream.connect(stream.path, config.query(stream.parameters))


def _now() -> int:
    return time.time_ns() // 1_000_000


def target(config: Config) -> str:
    """Name the prefix and the database, whoever logs in and whatever name this has."""
    address = config.redis.shown.rpartition("@")[2].removeprefix("redis://")
    for name in ("localhost", "[::1]"):
        if address.startswith(name):
            address = "127.0.0.1" + address.removeprefix(name)
    host, _, database = address.partition("/")
    if "://" not in address and ":" not in host:
        host += ":6379"
    return f"{config.prefix} {host}/{database or 0}"
