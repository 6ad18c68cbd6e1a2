"""`bzredis react`: run a program on what happens, from Redis alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from typing import Any, Final

import attrs
import click
import structlog
import trio

from bzredis.commands.form import STOPPED, endings, with_options
from bzredis.commands.logs import configure_logs
from bzredis.commands.react import ways
from bzredis.commands.react.rules import rule
from bzredis.commands.react.running import Running, Wanted
from bzredis.commands.react.taking.group import NOW, START, Group
from bzredis.commands.react.taking.patient import Patient
from bzredis.commands.react.ways import Make, options
from bzredis.commands.react.written import (
    JOBS,
    KEYS,
    NAME,
    ON,
    SECONDS,
    TIMEOUT,
    WAYS,
    Asked,
    checked,
    reactions,
    streams,
)
from bzredis.errors import ConfigError
from bzredis.settings.config import REACTIONS, Config
from bzredis.settings.file import Found, read_toml
from bzredis.settings.names import meant

log = structlog.get_logger(__name__)

PLACE: Final = frozenset({"redis", "prefix", "stream", "log-level", "log-format"})
WAITING: Final = 40  # threads that all else may need at a time; trio's own number
FLAGS: Final = {"all_of_them": "all", "streams": "stream"}  # that are named otherwise
NOTHING: Final = ("true",)  # the command of who only looks
MEANT_FOR_ONE: Final = "is for one reaction: name it"


def _with(key: str) -> Callable[..., Any]:
    """Return a callback that reads an option's text as the TOML file's would be."""

    def read(_: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is None or value == ():
            return None
        try:
            return KEYS[key][0](list(value) if isinstance(value, tuple) else value)
        except ValueError as error:
            raise ConfigError(f"{parameter.opts[0]}: {error}") from None

    return read


@click.command(epilog="")
@click.argument("name", required=False, default="", metavar="[NAME]")
@click.argument(
    "command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARGUMENT]…]"
)
@click.option(
    "--when",
    metavar="EXPRESSION",
    callback=_with("when"),
    help="React only to entries of which this is true.",
)
@click.option(
    "--on",
    multiple=True,
    metavar="|".join(ON),
    callback=_with("on"),
    help="What to react to, also several: entries of the log, gaps in it, a stream that"
    " went stale or fresh. [entry]",
)
@click.option(
    "--all", "all_of_them", is_flag=True, help="Entries that are no news as well."
)
@click.option("--raw", is_flag=True, help="Give upstream's own text along, as raw.")
@click.option(
    "--from-start",
    is_flag=True,
    help="Begin a new NAME with all that stands in the log. [what comes from now on]",
)
@click.option(
    "--timeout",
    metavar=TIMEOUT.metavar,
    callback=_with("timeout"),
    help=f"How long one may take until it is ended. [{SECONDS:.0f}s]",
)
@click.option(
    "--jobs",
    metavar=JOBS.metavar,
    callback=_with("jobs"),
    help="How many at a time; more than one keeps no order. [1]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what of the last 1,000 entries would have been reacted to; do nothing.",
)
@click.option("--failed", is_flag=True, help="Show what failed in the end, and why.")
@click.option("--again", is_flag=True, help="Do once more what failed in the end.")
@click.option("--json", "as_json", is_flag=True, help="With --failed: for programs.")
@options(_with)
@with_options(PLACE, origins=True)
def react(found: Found, name: str, command: tuple[str, ...], **asked: Any) -> int:
    """Run a program, tell people or keep MQTT topics on what is news.

    A program gets a line of JSON on standard input, and variables: BZ_SYMBOL,
    BZ_DIRECTION, BZ_FIRM, BZ_RATING, BZ_PT, BZ_PT_CHANGE_PCT and all other fields of
    the entry and its content. Exit code 0 is done; else it is tried again, five times
    in all, and then kept (--failed). Redis remembers under NAME what is done: what
    came while nothing ran is made up for, and after a crash something may come twice.
    Several processes of one NAME share the work.

    \b
      bzredis react up --when 'direction == "up" and action != "deleted"' \\
        --stream ratings -- ./up.sh
      bzredis react cuts --when '_pt_change_pct < -10' --notify ntfy://mine
      bzredis react stale --on stale -- mail -s 'The ratings are stale' me
      bzredis react home --mqtt mqtt://home.local --watch AAPL,MSFT

    EXPRESSION is of the language of rule-engine, about the fields that
    `bzredis keys` names: direction == "down" and symbol in ["AAPL", "MSFT"]. A time
    compares as published > $now - t"PT1H". What is absent makes a comparison false.

    Without NAME all of the [[reaction]]s in the settings file run: each with name;
    command (a list), notify or mqtt; and what else has an option here, as from_start.
    """  # noqa: D301 - click's mark for lines that stay as they are
    config = found.config
    dry_run, failed, again, as_json = (
        asked.pop(each) for each in ("dry_run", "failed", "again", "as_json")
    )
    does = ways.given(asked)
    given = {key: value for key, value in asked.items() if value not in (None, False)}
    if does:
        given["does"] = does
    named = next(each for each in found.settings if each.option.name == "stream")
    if named.kind == "flag":
        given["streams"] = config.streams
    if as_json and not failed:
        raise ConfigError("--json: it goes with --failed")
    wanted = _asked(found, name, command, given, looks=dry_run or failed)
    ready = [_Ready.of(each, config) for each in wanted]
    if dry_run or failed or again:
        if len(ready) != 1:
            flag = "--dry-run" if dry_run else "--failed" if failed else "--again"
            raise ConfigError(f"{flag}: {MEANT_FOR_ONE}")
        [one] = ready
        from bzredis.commands.react import looking  # noqa: PLC0415 - for who looks

        if dry_run:
            return looking.rehearse(config, one.wanted)
        if failed:
            return looking.show_failed(config, one.asked.name, as_json=as_json)
        return looking.again(config, one.asked.name, one.make())
    secrets = {secret for each in config.redis for secret in each.secrets}
    configure_logs(config.log_level, secrets, form=config.log_format)
    return trio.run(_run, config, ready, [each.make() for each in ready])


# ---- what is asked for


def _asked(
    found: Found,
    name: str,
    command: tuple[str, ...],
    given: dict[str, Any],
    *,
    looks: bool,
) -> list[Asked]:
    """Return what is to run: of the command line, or of the file."""
    toml = read_toml(found.file) if found.is_there else {}
    written = reactions(toml, str(found.file))
    if name and not NAME.fullmatch(name):
        told = "may have letters, digits, '.', '_' and '-', at most 64"
        form = "react NAME -- COMMAND"
        raise ConfigError(f"{name!r} is no name for a reaction ({form}): it {told}")
    if not name:
        if given:
            first = next(iter(given))
            flag = FLAGS.get(first, first.replace("_", "-"))
            raise ConfigError(f"--{flag}: {MEANT_FOR_ONE}")
        if not written:
            words = f"no reaction is named, and no [[{REACTIONS}]] stands in"
            raise ConfigError(f"{words} {found.file}; `bzredis manual` shows one")
        return written
    by_name = {each.name: each for each in written}
    does = given.get("does", {})
    if name in by_name and not (command or does.keys() & WAYS.keys()):
        one = by_name[name]
        one = attrs.evolve(one, **{**given, "does": {**one.does, **does}})
        return [checked(one) if given else one]
    said = command or does.keys() & WAYS.keys() or looks
    if not said and (around := ways.of_the_environment()):
        given["does"] = {**does, **around}
    elif not said:
        hint = meant(name, by_name) or (
            "; end with -- COMMAND, --notify URL or --mqtt URL, or write one"
        )
        raise ConfigError(f"there is no reaction {name} in {found.file}{hint}")
    if name in by_name:
        words = f"{name} stands in {found.file} as well: name one of the two otherwise"
        raise ConfigError(words)
    command = command or (NOTHING if looks and not does else ())
    return [checked(Asked(name=name, command=command, **given))]


@attrs.frozen
class _Ready:
    """A reaction, and what it is told of: nothing of it is wrong."""

    asked: Asked
    wanted: Wanted

    @classmethod
    def of(cls, asked: Asked, config: Config) -> _Ready:
        """Make it of what was asked; raises ConfigError."""
        about = streams(asked, config.streams)
        when: dict[str, Any] = {}
        if asked.when:
            when = {"when": rule(asked.when, about, asked.at("when"))}
        kinds = {*asked.on} | ({"fresh"} if "stale" in asked.on else set())
        wanted = Wanted(
            about, frozenset(kinds), asked.all_of_them, raw=asked.raw, **when
        )
        return cls(asked, wanted)

    def make(self) -> Make:
        """Return what makes what is done. Raises ConfigError."""
        return ways.made(self.asked, self.wanted.streams)


# ---- running


async def _run(config: Config, ready: Sequence[_Ready], make: Sequence[Make]) -> int:
    """Run reactions until a signal comes; each is entered before any begins."""
    # Each holds a thread while it waits for what comes, and one for what went stale.
    limiter = trio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = WAITING + 2 * len(ready)
    stop = trio.Event()
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(closing(Patient.of(config)))
        signals = stack.enter_context(trio.open_signal_receiver(*endings()))
        work = [
            Running(
                one.asked.name,
                one.wanted,
                await stack.enter_async_context(reaction(redis)),
                redis,
                one.asked.jobs,
                _group(redis, one),
                stop,
            )
            for one, reaction in zip(ready, make, strict=True)
        ]
        _say_start(config, ready)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_signal, signals, stop)
            async with trio.open_nursery() as each:
                for running in work:
                    each.start_soon(running.run)
            nursery.cancel_scope.cancel()
    return STOPPED


def _group(redis: Patient, one: _Ready) -> Group:
    since = START if one.asked.from_start else NOW
    return Group(redis, one.asked.name, one.wanted.streams, since)


def _say_start(config: Config, ready: Sequence[_Ready]) -> None:
    log.info(
        "bzredis react starts",
        streams=sorted({s.name for each in ready for s in each.wanted.streams}),
        redis=[each.shown for each in config.redis],
        prefix=config.prefix,
        reactions=[each.asked.name for each in ready],
    )


async def _until_signal(signals: Any, stop: trio.Event) -> None:
    await anext(signals)
    stop.set()
