"""`bzredis demo`: a bridge with its own server and upstream, and a line per event."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import click
import trio

from bzredis.backlog.statefolder import locked
from bzredis.bridge.bridge import Bridge
from bzredis.changes.kinds import Change, Incoming, unpack
from bzredis.commands import embedded
from bzredis.commands.form import ALL, STOPPED, Finite, endings, with_options
from bzredis.commands.logs import configure_logs
from bzredis.commands.outlet import Outlet
from bzredis.commands.run import assemble, run_to_the_end
from bzredis.errors import ConfigError, StoreDown
from bzredis.settings.addresses import Origin, RedisURL, redis_urls
from bzredis.settings.config import Config, configure
from bzredis.simulator import Settings, Simulator
from bzredis.store.client import Store
from bzredis.streams import BY_NAME, Stream

Say = Callable[[str], None]

RATE = 5.0  # messages a second: enough to see something, slow enough to read it
PACE = 50.0  # requests a second: its upstream is its own, and the first look is now
GONE = 4.8  # s after it was asked to end (contract.md, 4: 5 s whatever hangs)
SYMBOL = "AAPL"  # which the examples ask for, and the simulated market knows
# What variables and the file name of these is for real data.
ITS_OWN = {"upstream", "rest", "redis", "token-file", "metrics"}


@click.command()
@with_options(ALL - ITS_OWN)
@click.option(
    "--seconds",
    type=Finite(min=0, min_open=True),
    metavar="COUNT",
    help="End after so long, with a summary. [until Ctrl-C]",
)
@click.option(
    "--redis",
    "named",
    metavar="URL",
    help="Put the made-up data there, under the prefix demo, and take it away at the "
    "end. [an embedded server]",
)
def demo(config: Config, seconds: float | None, named: str | None) -> int:
    """Run the bridge with a server and an upstream of its own; it needs nothing."""
    configure_logs(config.log_level, (), form=config.log_format)
    redis = None if named is None else configure({"redis": named}, {}, {}).redis
    if redis is not None:
        config = attrs.evolve(config, redis=redis)
        told = click.get_current_context().get_parameter_source("prefix")
        is_told = told is click.core.ParameterSource.COMMANDLINE
        if not is_told:
            # What else is told of one is for real data, which this stays apart from.
            is_tag = config.prefix.startswith("{")
            config = attrs.evolve(config, prefix="{demo}" if is_tag else "demo")
        trio.run(partial(_look_first, config, is_told=is_told))
    return trio.run(_demo, config, redis, inf if seconds is None else seconds)


async def _look_first(config: Config, *, is_told: bool) -> None:
    """See that Redis is there, and nothing where somebody wants what is made up.

    Raises ConfigError.
    """
    shown = ", ".join(each.shown for each in config.redis)
    with closing(_store(config)) as store:
        try:
            empty = [await store.is_empty(BY_NAME[name]) for name in config.streams]
        except StoreDown as error:
            raise ConfigError(f"--redis {shown}: {error}") from None
    if is_told and not all(empty):
        raise ConfigError(
            f"--prefix {config.prefix}: something stands there already ({shown}); what"
            " is made up goes where nothing is, and away again: name another prefix"
        )


def _store(config: Config) -> Store:
    url, *others = (each.url for each in config.redis)
    return Store(url, config.prefix, others=others)


async def _demo(
    config: Config, redis: tuple[RedisURL, ...] | None, seconds: float
) -> int:
    """Run until stopped, or for so many seconds; return the exit code."""
    async with AsyncExitStack() as stack:
        # Before, and after, all that leaves something behind where a signal ends it.
        signals = stack.enter_context(trio.open_signal_receiver(*endings()))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bzredis-demo-")))
        is_yours = redis is not None
        place, cli = "yours", f"redis-cli -u {redis[0].shown if redis else ''}"
        if redis is None:
            place = "an embedded server that ends with the demo"
            server = await stack.enter_async_context(embedded.running(folder / "redis"))
            redis, cli = redis_urls(server.url), f"redis-cli -p {server.port}"
        stack.enter_context(locked(folder / "state", "the demo"))
        nursery = await stack.enter_async_context(trio.open_nursery())
        # Twice what its own bridge asks of it, at the most.
        limit = round(2 * PACE * Settings().rest_window)
        upstream = Simulator(Settings(rate=RATE, rest_limit=limit))
        _speak_of(upstream, SYMBOL)
        port = await nursery.start(upstream.serve)
        config = attrs.evolve(
            config, upstream=Origin("ws", "127.0.0.1", port), rest=None, redis=redis
        )
        seen: Counter[tuple[str, str]] = Counter()
        told = "({} lines are missing here: nobody took them)\n".format
        outlet = Outlet(sys.stdout, told)
        say = partial(_say, outlet)

        def show(stream: Stream, packed: bytes, result: str) -> None:
            _show(say, seen, stream, packed, result)
            if outlet.is_broken:  # as `| head` has enough
                bridge.stop.set()

        token = partial(str, upstream.settings.token)
        bridge = assemble(config, token, folder / "state", show, PACE)
        _greet(say, config, place, cli)
        code = await run_to_the_end(bridge, signals, seconds)
        _summarise(say, config, seen)
        if is_yours and code == STOPPED:  # else it never wrote there
            await _take_away(say, bridge, config)
        nursery.cancel_scope.cancel()
    return code


async def _take_away(say: Say, bridge: Bridge, config: Config) -> None:
    """Leave nothing that is made up in somebody's Redis."""
    words = "Redis did not answer"
    keys = f"The made-up keys under {config.prefix}:"
    with trio.move_on_at(bridge.stopping_at + GONE), closing(_store(config)) as store:
        try:
            for intake in (line.intake for line in bridge.lines):
                await store.remove(intake.stream, intake.status.identity.upstream)
        except StoreDown as error:
            words = str(error)
        else:
            say(f"\n{keys} are taken away.")
            return
    say(
        f"\n{keys} could not be taken away: {words}. The next `bzredis demo --redis …`"
        " takes them away at its end."
    )


def _say(outlet: Outlet, text: str) -> None:
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    outlet.write((text if is_terminal else click.unstyle(text)) + "\n")


def _speak_of(upstream: Simulator, symbol: str) -> None:
    """Have something in the replay for the examples to show."""
    now = upstream.clock()
    published = upstream.market.opine(now, symbol)
    [rating] = (one for one in published if one.stream == "ratings")
    record = json.loads(rating.text)["data"]["id"]
    upstream.broadcast(*published, *upstream.market.comment(now, record))


def _greet(say: Say, config: Config, place: str, cli: str) -> None:
    where = ", ".join(each.shown for each in config.redis)
    say(
        "This is SIMULATED data: made up, moving like the real one, worth nothing.\n"
        f"It goes to {where}, {place}. Look at it from another terminal:\n"
        f"  {cli} HGETALL {config.prefix}:ratings:latest:{SYMBOL}\n"
        f"  {cli} ZREVRANGE {config.prefix}:consensus:symbols 0 9\n"
        f"  {cli} XREVRANGE {config.prefix}:insights:events + - COUNT 1\n"
        "`bzredis keys` lists all keys; Ctrl-C ends the demo.\n"
    )


def _show(
    say: Say, seen: Counter[tuple[str, str]], stream: Stream, packed: bytes, result: str
) -> None:
    """Print a line per event, once it stands in Redis."""
    change = unpack(packed)
    if isinstance(change, Incoming):
        seen[stream.name, result.partition(" ")[0]] += 1
    if not isinstance(change, Change) or result.startswith("duplicate"):
        return
    headline = zip(
        (head.name for head in stream.headline), change.headline, strict=True
    )
    said = "  ".join(f"{name} {value}" for name, value in headline if value)
    name = click.style(f"{change.symbol or '-':8}", bold=True)
    say(f"{change.received[11:19]} {stream.name:9} {change.action:7} {name} {said}")


def _summarise(say: Say, config: Config, seen: Counter[tuple[str, str]]) -> None:
    say("\nWhat came to Redis:")
    for stream in config.streams:
        counts = {result: n for (name, result), n in seen.items() if name == stream}
        said = ", ".join(f"{n} {result}" for result, n in sorted(counts.items()))
        say(f"  {stream:9} {sum(counts.values()):6} messages: {said or 'none'}")
