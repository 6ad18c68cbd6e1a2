"""Wire a bridge together from its configuration, and run it until it is stopped."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from random import Random
from uuid import uuid4

import click
import structlog
import trio

from bzredis import __version__
from bzredis.backlog.backlog import Backlog
from bzredis.backlog.spoolfolder import SpoolFolder
from bzredis.backlog.statefolder import locked
from bzredis.bridge.backfill import Backfill
from bzredis.bridge.bridge import AllRefused, Bridge
from bzredis.bridge.lookups import Lookups
from bzredis.bridge.recovery import Recovery
from bzredis.bridge.retry import Asking
from bzredis.bridge.status import Identity, StreamStatus
from bzredis.bridge.subscriber import Mirror
from bzredis.commands.form import ALL, STOPPED, with_options
from bzredis.commands.logs import add_secret, configure_logs
from bzredis.errors import ConfigError, SpoolFull, SpoolUnusable
from bzredis.messages.symbols import sole_security
from bzredis.settings.config import TOKEN_VARIABLE, Config
from bzredis.settings.credentials import token_reader
from bzredis.store.client import Limits, Store
from bzredis.streams import BY_NAME, INSIGHTS, RATINGS, Stream
from bzredis.upstream.pacing import PACE
from bzredis.upstream.rest import Rest
from bzredis.upstream.websocket import Upstream, WebSocketLink

log = structlog.get_logger(__name__)

REFUSED = 3  # exit code (contract.md, 4)

# s; a writer's thread takes the interpreter some four times for each batch. With 5 ms,
# Python's default, a flood that keeps the reader busy would leave it 50 batches/s.
SWITCH = 0.0005

TOLD_NO_REST = (
    "REST is switched off (--no-rest): what a replay no longer holds is announced as a "
    "gap and not fetched, and consensus that names no security stays unattributed"
)

# Who wants to see each change that Redis has, with what came of it.
Observe = Callable[[Stream, bytes, str], None]


def _refuse_token(context: click.Context, _: click.Parameter, value: object) -> None:
    if value is not None:
        raise click.UsageError(
            "--token: a token is never an argument, since others can see those; set"
            f" {TOKEN_VARIABLE}, or name its file with --token-file",
            context,
        )


@click.command()
@with_options(ALL)
@click.option("--token", hidden=True, expose_value=False, callback=_refuse_token)
def run(config: Config) -> int:
    """Run the bridge until it is stopped."""
    if config.token is None:
        raise ConfigError(
            f"there is no token: set {TOKEN_VARIABLE}, or name a file that holds it"
            " with --token-file (`bzredis demo` needs none)"
        )
    token = token_reader(config.token, add_secret)
    configure_logs(config.log_level, config.redis.secrets)
    return run_bridge(config, token)


def run_bridge(config: Config, token: Callable[[], str]) -> int:
    """Run the bridge until SIGINT or SIGTERM; return the exit code."""
    sys.setswitchinterval(SWITCH)
    with locked(config.state_dir, "another bridge") as folder:
        return trio.run(_until_signal, config, token, folder)


async def _until_signal(config: Config, token: Callable[[], str], folder: Path) -> int:
    bridge = assemble(config, token, folder)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
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
    pace: float = PACE,
) -> Bridge:
    """Put a bridge together; it does nothing yet. Raises ConfigError.

    `pace` is how many requests a second REST is asked.
    """
    upstream = Upstream(str(config.upstream), token)
    store = Store(
        config.redis.url,
        config.prefix,
        Limits(
            config.events_maxlen,
            config.timeline_length,
            watched=bool(config.tickers or config.isins),
        ),
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
        # In one order: the same list in another is no new subscription.
        subscription=",".join(sorted((*config.tickers, *config.isins))) or "*",
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
            sole=sole_security(config.tickers, config.isins),
            replays=name not in config.no_replay,
            pings=name not in config.no_ping,
        )
        for name in config.streams
    ]
    for mirror in bridge.mirrors:
        mirror.ledger.observe = partial(observe, mirror.stream)
    if config.rest_origin is None:
        log.warning(TOLD_NO_REST)
        for mirror in bridge.mirrors:
            mirror.status.error = TOLD_NO_REST
    else:
        rest = Rest(str(config.rest_origin), token, pace, rng=rng)
        bridge.ask = partial(_ask, rest, _askers(config, rest, store, bridge.mirrors))
    return bridge


async def _ask(rest: Rest, askers: Sequence[Callable[[], Awaitable[None]]]) -> None:
    async with rest, trio.open_nursery() as nursery:
        for ask in askers:
            nursery.start_soon(ask)


def _askers(
    config: Config, rest: Rest, store: Store, mirrors: Sequence[Mirror]
) -> list[Callable[[], Awaitable[None]]]:
    """Return what asks REST for each of the streams."""
    askers: list[Callable[[], Awaitable[None]]] = []
    by_name = {mirror.stream.name: mirror for mirror in mirrors}
    for name, rows, removed in (
        ("ratings", rest.ratings, rest.removed),
        ("insights", rest.insights, None),
    ):
        if name in by_name:
            mirror = by_name[name]
            ledger = mirror.ledger
            ledger.recovery = Recovery(config.backfill)
            backfill = Backfill(
                ledger,
                ledger.recovery,
                Asking(name, ledger.note_rest, mirror.rng),
                rows,
                removed,
                config.tickers,
                frozenset(config.isins),
                partial(_seen, store),
            )
            askers.append(backfill.run)
    consensus = by_name.get("consensus")
    if consensus is not None:
        lookups = _lookups(config, rest, store, consensus)
        if "ratings" in by_name:
            by_name["ratings"].ledger.concern = lookups.rated
        askers.append(lookups.run)
    return askers


async def _seen(store: Store) -> Sequence[str]:
    return [*await store.symbols(RATINGS), *await store.symbols(INSIGHTS)]


def _lookups(config: Config, rest: Rest, store: Store, mirror: Mirror) -> Lookups:
    ledger = mirror.ledger
    ledger.recovery = Recovery()
    return Lookups(
        ledger,
        ledger.recovery,
        Asking(ledger.stream.name, ledger.note_rest, mirror.rng),
        rest.consensus,
        partial(store.symbols, RATINGS),
        mirror.rng,
        refresh=config.consensus_refresh,
        watched=config.tickers,
        isins=bool(config.isins),
        simplify=config.simplify,
        aggregate_type=config.aggregate_type,
    )


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
