"""The commands, and the only place that wires things together."""

from __future__ import annotations

import signal
from pathlib import Path

import attrs
import click
import trio

from bzredis import __version__
from bzredis.commands.demo import PACE, RATE, run_demo
from bzredis.commands.form import Finite, Group, load, with_options
from bzredis.commands.logs import add_secret, configure_logs
from bzredis.commands.run import run_bridge
from bzredis.errors import ConfigError, FeedLost
from bzredis.settings import credentials
from bzredis.settings.addresses import RedisURL, redis_url
from bzredis.settings.config import TOKEN_VARIABLE, Token
from bzredis.settings.options import DEMO, KEYS, RUN, SIMULATE
from bzredis.simulator import Settings, Simulator
from bzredis.store.keys import KEYS as TABLE
from bzredis.store.keys import entry_fields
from bzredis.streams import STREAMS

SIMULATOR_PORT = 8765  # so that it stands in the same place each time
SIMULATOR = Settings(port=SIMULATOR_PORT)
# Messages a second: the market makes up some 5,000, and of what it cannot make up in
# time it owes more and more, until it has no time left to hear that it should stop.
FASTEST = 1_000


@click.group(cls=Group, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def bzredis(context: click.Context) -> None:
    """Keep Redis current with Benzinga's analyst ratings, insights and consensus.

    Each option can also be a variable or a line of the TOML file; what stands in
    brackets after it is its variable and its default.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _refuse_token(context: click.Context, _: click.Parameter, value: object) -> None:
    if value is not None:
        raise click.UsageError(
            "--token: a token is never an argument, since others can see those; set"
            f" {TOKEN_VARIABLE}, or name its file with --token-file",
            context,
        )


def _named_redis(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> RedisURL | None:
    """Take the demo's Redis from nowhere but the command line.

    What variables and the file name is for real data.
    """
    try:
        return None if value is None else redis_url(value)
    except ValueError as error:
        raise ConfigError(f"--redis: {error}") from None


@bzredis.command(RUN)
@with_options(RUN)
@click.option("--token", hidden=True, expose_value=False, callback=_refuse_token)
def run(file: Path | None, **flags: object) -> int:
    """Run the bridge until it is stopped."""
    config = load(file, flags)
    if config.token is None:
        raise ConfigError(
            f"there is no token: set {TOKEN_VARIABLE}, or name a file that holds it"
            " with --token-file (`bzredis demo` needs none)"
        )
    token = TokenReader(credentials.lasting(config.token))
    token.first()
    configure_logs(config.log_level, config.redis.secrets)
    return run_bridge(config, token)


@bzredis.command(DEMO)
@with_options(DEMO)
@click.option(
    "--seconds",
    type=Finite(min=0, min_open=True),
    metavar="COUNT",
    help="End after so long, with a summary. [until Ctrl-C]",
)
@click.option(
    "--redis",
    metavar="URL",
    callback=_named_redis,
    help="Put the made-up data there. [an embedded server]",
)
def demo(
    file: Path | None, seconds: float | None, redis: RedisURL | None, **flags: object
) -> int:
    """Run the bridge with a server and an upstream of its own; it needs nothing."""
    config = load(file, flags)
    configure_logs(config.log_level, ())
    window = SIMULATOR.rest_window
    settings = attrs.evolve(
        SIMULATOR, port=0, rate=RATE, rest_limit=round(2 * PACE * window)
    )
    return run_demo(config, redis, seconds, settings)


@bzredis.command(SIMULATE)
@with_options(SIMULATE)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=SIMULATOR.port,
    metavar="NUMBER",
    help=f"Port on 127.0.0.1, 0 for a free one. [{SIMULATOR.port}]",
)
@click.option(
    "--rate",
    type=Finite(0, FASTEST),
    default=SIMULATOR.rate,
    metavar="NUMBER",
    help=f"Messages a second over all streams. [{SIMULATOR.rate:g}]",
)
@click.option(
    "--seed",
    type=int,
    default=SIMULATOR.seed,
    metavar="NUMBER",
    help=f"Equal seeds make equal markets. [{SIMULATOR.seed}]",
)
@click.option(
    "--consensus-ticker",
    is_flag=True,
    help="Consensus frames name their security, as some texts of upstream's imply.",
)
def simulate(
    file: Path | None,
    *,
    port: int,
    rate: float,
    seed: int,
    consensus_ticker: bool,
    **flags: object,
) -> int:
    """Run a stand-in for upstream alone, on this machine."""
    config = load(file, flags)
    configure_logs(config.log_level, ())
    settings = attrs.evolve(
        SIMULATOR, port=port, rate=rate, seed=seed, consensus_ticker=consensus_ticker
    )
    if failure := trio.run(_simulate, Simulator(settings)):
        raise ConfigError(failure)
    return 0


@bzredis.command(KEYS)
@with_options(KEYS)
def keys(file: Path | None, **flags: object) -> int:
    """Show what stands in Redis: the keys, and the fields of each log entry."""
    config = load(file, flags)
    rows = [
        (f"{config.prefix}:{stream.name}:{key.name}", key.type, key.content)
        for stream in STREAMS
        for key in TABLE
        if stream.keyed in key.keyed
    ]
    names, types = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, kind, content in rows:
        click.echo(f"{name:{names}}  {kind:{types}}  {content}")
    for stream in STREAMS:
        click.echo(f"\nAn entry of {config.prefix}:{stream.name}:events has the fields")
        click.echo(f"  {' '.join(entry_fields(stream))}")
    return 0


@attrs.frozen
class TokenReader:
    """Reads the token at each connect, and keeps it out of the logs."""

    token: Token

    def first(self) -> str:
        """Return the token; ConfigError where a person has to see to it."""
        found = credentials.read(self.token)
        add_secret(found)
        return found

    def __call__(self) -> str:
        """Return the token; FeedLost while its file is being replaced."""
        try:
            return self.first()
        except ConfigError as error:
            raise FeedLost(str(error)) from None


async def _simulate(simulator: Simulator) -> str:
    """Serve until SIGINT or SIGTERM; return why it could not be, or nothing."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            try:
                port = await nursery.start(simulator.serve)
            except OSError as error:
                return f"--port {simulator.port}: cannot be had: {error.strerror}"
            token = simulator.settings.token
            click.echo(f"upstream is at ws://127.0.0.1:{port}, its token is {token}")
            click.echo(
                f"try: {TOKEN_VARIABLE}={token} bzredis run"
                f" --upstream ws://127.0.0.1:{port}"
            )
            await anext(signals)
            nursery.cancel_scope.cancel()
    return ""
