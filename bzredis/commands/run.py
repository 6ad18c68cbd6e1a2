"""Wire a bridge together from its configuration, and run it until it is stopped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from math import inf
from pathlib import Path
from random import Random
from uuid import uuid4

import attrs
import click
import structlog
import trio
from trio.lowlevel import ParkingLot

from bzredis import __version__
from bzredis.backlog.backlog import Backlog
from bzredis.backlog.disk import Disk
from bzredis.backlog.queue import Queue
from bzredis.backlog.spool import Spool
from bzredis.backlog.statefolder import locked
from bzredis.backlog.writer import Writer
from bzredis.bridge.backfill import Backfill
from bzredis.bridge.bridge import AllRefused, Bridge, Line
from bzredis.bridge.coverage import Holes
from bzredis.bridge.intake import Intake, Observe
from bzredis.bridge.lookups import Lookups
from bzredis.bridge.manners import Manners
from bzredis.bridge.retry import Retry
from bzredis.bridge.status import Identity, StreamStatus
from bzredis.bridge.subscriber import Subscriber
from bzredis.commands.form import ALL, STOPPED, WRONG, endings, with_options
from bzredis.commands.health.around import Serving, looked_after, server
from bzredis.commands.logs import add_secret, configure_logs
from bzredis.commands.running.followed import whole
from bzredis.commands.running.proxies import proxy_for
from bzredis.commands.running.start import TOLD_NO_REST, say_start, spool
from bzredis.errors import SpoolUnusable, StoreForeign
from bzredis.messages.symbols import sole_security
from bzredis.ports import Log
from bzredis.settings.config import TOKEN_VARIABLE, Config
from bzredis.settings.credentials import exposed, required, token_reader
from bzredis.settings.file import Found
from bzredis.store.acl import WHOSE
from bzredis.store.client import Store
from bzredis.store.script import Limits
from bzredis.streams import RATINGS, Stream
from bzredis.streams.installed import stream as named
from bzredis.upstream.pacing import PACE
from bzredis.upstream.proxy import Proxy
from bzredis.upstream.rest import Rest
from bzredis.upstream.websocket import Upstream, WebSocketLink

log = structlog.get_logger(__name__)

REFUSED = 3  # exit code (contract.md, 4)
BROKEN = 1  # exit code of what nobody foresees: whoever supervises starts us again

# s; a writer's thread takes the interpreter some four times for each batch. With 5 ms,
# Python's default, a flood that keeps the reader busy would leave it 50 batches/s.
SWITCH = 0.0005

TOLD_FOREIGN = (
    "{}, and this bridge reads from {}: name another --prefix or --redis, or remove "
    "those keys"
)
TOLD_DAMAGED = (
    "the bridge ends, since its spool was damaged while it ran ({}): start it again; it"
    " sets that file aside, and fetches or announces what is missing"
)


def _refuse_token(context: click.Context, _: click.Parameter, value: object) -> None:
    if value is not None:
        raise click.UsageError(
            "--token: a token is never an argument, since others can see those; set"
            f" {TOKEN_VARIABLE}, or name its file with --token-file",
            context,
        )


@click.command()
@with_options(ALL, origins=True)
@click.option("--token", hidden=True, expose_value=False, callback=_refuse_token)
def run(found: Found) -> int:
    """Run the bridge until it is stopped."""
    config = found.config
    where = required(config.token)
    token = token_reader(where, add_secret)
    secrets = {secret for each in config.redis for secret in each.secrets}
    configure_logs(config.log_level, secrets, form=config.log_format)
    if words := exposed(where):
        log.warning(words)
    return run_bridge(whole(found), token)


def run_bridge(found: Found, token: Callable[[], str]) -> int:
    """Run the bridge until a signal ends it; return the exit code."""
    sys.setswitchinterval(SWITCH)
    with locked(found.config.state_dir, "another bridge") as folder:
        serving = server(found.config.metrics)
        return trio.run(_until_signal, found, token, folder, serving)


async def _until_signal(
    found: Found, token: Callable[[], str], folder: Path, serving: Serving | None
) -> int:
    config = found.config
    bridge = assemble(config, token, folder)
    say_start(found, proxies(config), folder, bridge)
    with trio.open_signal_receiver(*endings()) as signals:
        async with looked_after(bridge, serving):
            return await run_to_the_end(bridge, signals)


async def run_to_the_end(
    bridge: Bridge, signals: AsyncIterator[int], seconds: float = inf
) -> int:
    """Run a bridge until a signal comes or time is up; return the exit code."""

    async def stop() -> None:
        with trio.move_on_after(seconds):
            await anext(signals)
        bridge.stop.set()

    code = STOPPED
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        try:
            await bridge.run()
        except AllRefused as error:
            log.error(str(error))  # noqa: TRY400 - a traceback would tell nothing
            code = REFUSED
        except StoreForeign as error:
            host = bridge.lines[0].intake.status.identity.upstream
            log.error(TOLD_FOREIGN.format(error, host))  # noqa: TRY400 - likewise
            code = WRONG
        except SpoolUnusable as error:
            log.error(TOLD_DAMAGED.format(error))  # noqa: TRY400 - likewise
            code = BROKEN
        nursery.cancel_scope.cancel()
    return code


def assemble(
    config: Config,
    token: Callable[[], str],
    folder: Path,
    on_applied: Observe | None = None,
    pace: float = PACE,
) -> Bridge:
    """Put a bridge together; it does nothing yet. Raises ConfigError.

    `pace` is how many requests a second REST is asked.
    """
    listed = (*config.tickers, *config.isins)
    limits = Limits(
        config.events_maxlen,
        config.timeline_length,
        config.history_length,
        watched=bool(listed),
    )
    of_streams, of_rest = proxies(config)
    upstream = Upstream(str(config.upstream), token, proxy=of_streams)
    rng = Random()  # noqa: S311 - jitter, no secret
    at = config.rest_origin
    rest = Rest(str(at), token, pace, rng=rng, proxy=of_rest) if at else None
    # In one order: the same list in another is no new subscription.
    subscription = ",".join(sorted(listed)) or "*"
    who = Identity(uuid4().hex, __version__, _now(), upstream.host, subscription)
    url, *others = (each.url for each in config.redis)
    store = Store(url, config.prefix, limits, others)
    kept = spool(config, folder, upstream.host)
    return _Parts(config, upstream, store, kept, rest, rng, who, on_applied).bridge()


def proxies(config: Config) -> tuple[Proxy | None, Proxy | None]:
    """Return through whom the streams and REST are reached. Raises ConfigError."""
    origins = config.upstream, config.rest_origin
    return proxy_for(origins[0], os.environ), proxy_for(origins[1], os.environ)


@attrs.frozen
class _Parts:
    """What a bridge is made of; from the bottom up, each part whole when it is made."""

    config: Config
    upstream: Upstream
    store: Store
    spool: Spool
    rest: Rest | None
    rng: Random
    identity: Identity
    on_applied: Observe | None
    urgent: ParkingLot = attrs.field(factory=ParkingLot)

    def bridge(self) -> Bridge:
        streams = [*map(named, self.config.streams)]
        lines, askers = list[Line](), list[Callable[[], Awaitable[None]]]()
        on_symbols: Callable[[Sequence[str]], None] = lambda _: None  # noqa: E731
        # What is looked up by symbol first: the others tell it whose ratings changed.
        for stream in sorted(streams, key=lambda stream: stream.lookup is None):
            intake = self._intake(stream, on_symbols)
            lines.append(self._line(intake))
            for asker in self._asking(intake):
                askers.append(asker.run)
                if isinstance(asker, Lookups):
                    on_symbols = asker.rated
        lines.sort(key=lambda line: self.config.streams.index(line.name))
        ask = partial(_ask, self.rest, askers) if self.rest else None
        return Bridge(self.store, self.spool, lines, self.urgent, ask)

    def _intake(
        self, stream: Stream, on_symbols: Callable[[Sequence[str]], None]
    ) -> Intake:
        config, identity = self.config, self.identity
        rows, asked = (bool(t and self.rest) for t in (stream.rows, stream.lookup))
        window = round(1_000 * config.backfill) if rows else 0
        log = Log(uuid4().hex, identity.subscription, window, identity.upstream)
        status = StreamStatus(identity)
        if self.rest is None:
            status.note_error("rest", TOLD_NO_REST)
        return Intake(
            stream,
            Backlog(Queue(log), Disk(stream.name, self.spool)),
            Holes(log, rest=rows or asked),
            status,
            _now,
            self.urgent,
            self.on_applied,
            on_symbols if stream is RATINGS else lambda _: None,
            sole_security(config.tickers, config.isins),
        )

    def _line(self, intake: Intake) -> Line:
        told, name = self.config, intake.stream.name
        manners = Manners(name not in told.no_replay, name not in told.no_ping)
        subscriber = Subscriber(intake, self._connect, manners, self.rng)
        tell = intake.applied, intake.trouble
        writer = Writer(intake.stream, intake.backlog, self.store, *tell, self.rng)
        return Line(subscriber, writer)

    def _connect(self, stream: Stream) -> AbstractAsyncContextManager[WebSocketLink]:
        query = self.config.query(stream.parameters)
        return self.upstream.connect(stream.path, query)

    def _asking(self, intake: Intake) -> Iterator[Lookups | Backfill]:
        """Yield what asks REST on behalf of a stream."""
        rest, config, stream = self.rest, self.config, intake.stream
        retry = Retry("rest", intake.rest_trouble, self.rng)
        if rest and stream.lookup:
            others = [p for p in stream.parameters if p not in {"tickers", "isins"}]
            rated = partial(self.store.symbols, RATINGS)
            watched = config.consensus_refresh, config.tickers, bool(config.isins)
            query = config.query(others)
            yield Lookups(intake, stream.lookup, rest, retry, rated, *watched, query)
        if rest and stream.rows:
            lists = config.tickers, frozenset(config.isins)
            seen = partial(self._seen, stream)
            yield Backfill(intake, stream.rows, rest, retry, seen, *lists)

    async def _seen(self, stream: Stream) -> Sequence[str]:
        """Return the symbols of which something was seen, in this stream or others."""
        of = {each.name: each for each in (*WHOSE, stream)}.values()
        return [symbol for each in of for symbol in await self.store.symbols(each)]


async def _ask(rest: Rest, askers: Sequence[Callable[[], Awaitable[None]]]) -> None:
    async with rest, trio.open_nursery() as nursery:
        for ask in askers:
            nursery.start_soon(ask)


def _now() -> int:
    return time.time_ns() // 1_000_000
