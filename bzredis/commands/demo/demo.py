"""`bzredis demo`: a bridge with its own server and upstream, to look at."""

from __future__ import annotations

import json
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack, closing, suppress
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import click
import structlog
import trio

from bzredis.backlog.statefolder import locked
from bzredis.bridge.bridge import Bridge
from bzredis.commands import embedded
from bzredis.commands.demo.told import SYMBOL, Place, Tally, filled
from bzredis.commands.form import ALL, STOPPED, Finite, endings, with_options
from bzredis.commands.logs import configure_logs
from bzredis.commands.looks.asked import streams
from bzredis.commands.looks.words import lasted
from bzredis.commands.outlet import MISSING, Outlet
from bzredis.commands.run import assemble, run_to_the_end
from bzredis.commands.running.called import typed
from bzredis.commands.running.followed import whole
from bzredis.commands.simulate import further
from bzredis.commands.web.started import Opened, opened_near
from bzredis.errors import ConfigError, StoreDown, first
from bzredis.reader import ReaderError
from bzredis.settings.addresses import Origin, redis_urls
from bzredis.settings.config import Config
from bzredis.settings.file import Found
from bzredis.settings.settle import configure
from bzredis.simulator import Settings, Simulator
from bzredis.store.client import Store
from bzredis.streams.installed import stream

Say = Callable[[str], None]

PORT = 6399  # of its own server, or the next one that is free: to be typed again
RATE = 1.5  # messages a second: as many as one can follow
PACE = 50.0  # requests a second: its upstream is its own, and the first look is now
LAST_LOOK = 0.5  # s for what came while it ended
# s after it was asked to end, later than a bridge; what else ends with it takes 0.2
# (contract.md, 4: 5 s whatever hangs).
GONE = 4.2
# What variables and the file name of these is for real data.
ITS_OWN = {"upstream", "rest", "redis", "token-file", "metrics"}

log = structlog.get_logger(__name__)


@click.command()
@with_options(ALL - ITS_OWN, origins=True)
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
@click.option(
    "--board", "wants_board", is_flag=True, help="Show it in the browser, too."
)
def demo(
    found: Found, seconds: float | None, named: str | None, *, wants_board: bool
) -> int:
    """Try the bridge with made-up data and a server of its own.

    On a terminal it shows the board of `watch` until q or Ctrl-C; through a pipe it
    writes a line for each change.
    """
    config = attrs.evolve(found.config, log_level=_level(found))
    configure_logs(config.log_level, (), form=config.log_format)
    config = attrs.evolve(config, streams=whole(found).config.streams)
    if named is not None:
        config = _in_theirs(config, named)
    limit = inf if seconds is None else seconds
    with ExitStack() as stack:
        opened = stack.enter_context(opened_near(config)) if wants_board else None
        return trio.run(_demo, config, named is not None, limit, opened)


def _level(found: Found) -> str:
    """Return from which level on it logs: what goes well is seen without that."""
    [said] = [each for each in found.settings if each.option.name == "log-level"]
    return "warning" if said.kind == "default" else str(said.value)


def _in_theirs(config: Config, named: str) -> Config:
    """Return the configuration for somebody's Redis; raises ConfigError."""
    config = attrs.evolve(config, redis=configure({"redis": named}, {}, {}).redis)
    told = click.get_current_context().get_parameter_source("prefix")
    is_told = told is click.core.ParameterSource.COMMANDLINE
    if not is_told:
        # What else is told of one is for real data, which this stays apart from.
        is_tag = config.prefix.startswith("{")
        config = attrs.evolve(config, prefix="{demo}" if is_tag else "demo")
    trio.run(partial(_look_first, config, is_told=is_told))
    return config


async def _look_first(config: Config, *, is_told: bool) -> None:
    """See that Redis is there, and nothing where somebody wants what is made up.

    Raises ConfigError.
    """
    shown = ", ".join(each.shown for each in config.redis)
    with closing(_store(config)) as store:
        try:
            empty = [await store.is_empty(stream(name)) for name in config.streams]
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
    config: Config,
    is_yours: bool,  # noqa: FBT001 - trio takes no names
    seconds: float,
    opened: Opened | None,
) -> int:
    """Run until stopped, or for so many seconds; return the exit code."""
    async with AsyncExitStack() as stack:
        # Before, and after, all that leaves something behind where a signal ends it.
        signals = stack.enter_context(trio.open_signal_receiver(*endings()))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bzredis-demo-")))
        port = 0
        if not is_yours:
            own = embedded.running(folder / "redis", PORT)
            server = await stack.enter_async_context(own)
            port = server.port
            config = attrs.evolve(config, redis=redis_urls(server.url))
        stack.enter_context(locked(folder / "state", "the demo"))
        nursery = await stack.enter_async_context(trio.open_nursery())
        upstream = _upstream(config.streams)
        at = Origin("ws", "127.0.0.1", await nursery.start(upstream.serve))
        config = attrs.evolve(config, upstream=at, rest=None)
        token = partial(str, upstream.settings.token)
        outlet, tally = Outlet(sys.stdout, MISSING), Tally()
        bridge = assemble(config, token, folder / "state", tally.came, PACE)
        if opened:
            nursery.start_soon(opened.serve, config)
        place = Place(config, port, board=opened.url if opened else "")
        demo = Demo(place, bridge, outlet, tally)
        code = await demo.run(signals, seconds)
        if is_yours and code == STOPPED:  # else it never wrote there
            await _take_away(demo.say, bridge, config)
        demo.part()
        nursery.cancel_scope.cancel()
    return code


def _upstream(streams: Iterable[str]) -> Simulator:
    # Twice what its own bridge asks of it, at the most.
    limit = round(2 * PACE * Settings().rest_window)
    settings = Settings(rate=RATE, rest_limit=limit, further=further(streams))
    upstream = Simulator(settings)
    _speak_of(upstream, SYMBOL)
    return upstream


def _speak_of(upstream: Simulator, symbol: str) -> None:
    """Have something in the replay for the examples to show."""
    now = upstream.clock()
    published = upstream.market.opine(now, symbol)
    [rating] = (one for one in published if one.stream == "ratings")
    record = json.loads(rating.text)["data"]["id"]
    upstream.broadcast(*published, *upstream.market.comment(now, record))


@attrs.frozen
class Demo:
    """A bridge that is looked at while it runs."""

    place: Place
    bridge: Bridge
    outlet: Outlet
    tally: Tally

    def say(self, text: str) -> None:
        self.outlet.write(text + "\n")

    async def run(self, signals: AsyncIterator[int], seconds: float) -> int:
        """Run until a signal comes or time is up; return the exit code."""
        # For who looks, and slow to load.
        from bzredis.commands.demo import board, lines  # noqa: PLC0415
        from bzredis.commands.demo.followed import Followed  # noqa: PLC0415
        from bzredis.commands.looks import screen  # noqa: PLC0415

        config, began = self.place.config, trio.current_time()
        names = streams(config)
        followed = Followed(config, names, tally=self.tally)
        await screen.look(followed)  # before anything comes
        with ExitStack() as stack:
            if screen.is_there():
                kept = stack.enter_context(board.log_kept(config))
                seen = self.outlet, followed, self.place, kept, self.bridge.stop.set
                show = partial(board.show, *seen)
            else:
                show = partial(lines.write, self.outlet, followed, self.place)
            async with trio.open_nursery() as looking:
                looking.start_soon(self._watch, show)
                code = await run_to_the_end(self.bridge, signals, seconds)
                looking.cancel_scope.cancel()
        end = min(trio.current_time() + LAST_LOOK, self.bridge.stopping_at + GONE / 2)
        with trio.move_on_at(end), suppress(ReaderError):
            await screen.look(followed)
        took = lasted(trio.current_time() - began)
        self.say("\n".join(["", *self.tally.summary(names, took)]))
        return code

    async def _watch(self, show: Callable[[], Awaitable[None]]) -> None:
        """Show what comes; where that cannot be any more, end it all."""
        try:
            await show()
        except* ReaderError as group:
            log.error("what came cannot be shown: %s", first(group))  # noqa: TRY400
        except* (OSError, termios.error):
            pass  # the terminal is gone, and with it who watched
        self.bridge.stop.set()

    def part(self) -> None:
        """Say how to go on."""
        self.say("\n".join(["", *self.place.farewell()]))


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
            say(f"\n{filled(f'{keys} are taken away.')}")
            return
    again = "The next `bzredis demo --redis …` takes them away at its end."
    say(f"\n{filled(f'{keys} could not be taken away: {words}. {typed(again)}')}")
