"""`bzredis simulate`: the stand-in for upstream, alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import click
import structlog
import trio

from bzredis.commands.form import Command, Finite, endings, with_options
from bzredis.commands.logs import configure_logs
from bzredis.commands.running.called import shown
from bzredis.errors import ConfigError
from bzredis.settings.config import TOKEN_VARIABLE, Config
from bzredis.simulator import Further, Settings, Simulator
from bzredis.simulator.further import Make
from bzredis.simulator.market.records import Content
from bzredis.streams import STREAMS, Stream
from bzredis.streams.installed import stream

log = structlog.get_logger(__name__)

PREFIX = "demo"  # what is made up stays apart from what is real
DEFAULT = Settings(port=8765)  # so that it stands in the same place each time
# Messages a second: the market makes up some 5,000, and of what it cannot make up in
# time it owes more and more, until it has no time left to hear that it should stop.
FASTEST = 1_000


def further(streams: Iterable[str]) -> tuple[Further, ...]:
    """Tell the stand-in of the streams that it does not know by itself."""
    known = {each.name for each in STREAMS}
    return tuple(_told(stream(name)) for name in streams if name not in known)


def _told(of: Stream) -> Further:
    rows, removals = of.rows, of.removals
    return Further(
        of.name,
        of.path,
        _make(of),
        of.kind,
        rows.path if rows else "",
        rows.name if rows else "",
        removals.type if removals else "",
    )


def _make(of: Stream) -> Make | None:
    """Return what makes content up; where somebody's code cannot, it is told once."""
    found = [json.loads(sample)["data"]["content"] for sample in of.samples]
    if not found and of.make is None:
        return None
    failed = False

    def make(rng: Random, at: float) -> Content | None:
        nonlocal failed
        try:
            made = of.make(rng, at) if of.make else rng.choice(found)
            return dict(json.loads(json.dumps(made)))
        except Exception as error:  # noqa: BLE001 - it is somebody's code
            if not failed:
                log.error("nothing can be made up of %s: %r", of.name, error)  # noqa: TRY400
            failed = True
            return None

    return make


def _number(name: str, kind: Any, words: str) -> Callable[[Command], Command]:
    default = getattr(DEFAULT, name)
    words = f"{words} [{default:g}]"
    return click.option(
        f"--{name}", type=kind, default=default, metavar="NUMBER", help=words
    )


@click.command()
@with_options({"log-level", "stream"})
@_number("port", click.IntRange(0, 65_535), "Port on 127.0.0.1, 0 for a free one.")
@_number("rate", Finite(0, FASTEST), "Messages a second over all streams.")
@_number("seed", click.INT, "Equal seeds make equal markets.")
@click.option(
    "--consensus-ticker",
    is_flag=True,
    help="Consensus frames name their security, as some texts of upstream's imply.",
)
def simulate(config: Config, **given: Any) -> int:
    """Run a stand-in for upstream alone, on this machine.

    It has the three streams, and those that --stream names besides.
    """
    configure_logs(config.log_level, ())
    settings = Settings(**given, further=further(config.streams))
    named = [part for each in settings.further for part in ("--stream", each.name)]
    if failure := trio.run(_simulate, Simulator(settings), named):
        raise ConfigError(failure)
    return 0


async def _simulate(simulator: Simulator, named: Sequence[str]) -> str:
    """Serve until a signal ends it; return why it could not be, or nothing."""
    with trio.open_signal_receiver(*endings()) as signals:
        async with trio.open_nursery() as nursery:
            try:
                port = await nursery.start(simulator.serve)
            except OSError as error:
                return f"--port {simulator.port}: cannot be had: {error.strerror}"
            token = simulator.settings.token
            at = f"ws://127.0.0.1:{port}"
            click.echo(f"upstream is at {at}, its token is {token}")
            click.echo(
                f"try: {TOKEN_VARIABLE}={token} {shown()} run"
                f" {shlex.join(['--upstream', at, '--prefix', PREFIX, *named])}"
            )
            await anext(signals)
            nursery.cancel_scope.cancel()
    return ""
