"""`bzredis forget`: take away what is said of symbols, or all there is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import attrs
import click

from bzredis.commands.form import complain, with_options
from bzredis.commands.looks.asked import put
from bzredis.commands.looks.words import counted
from bzredis.commands.mending.asked import PLACE, Progress, keys, named, with_store
from bzredis.errors import ConfigError, StoreDown
from bzredis.settings.config import Config
from bzredis.store.client import Store
from bzredis.store.mending import Keys
from bzredis.streams.installed import offers

NOT_DONE: Final = 1  # exit code
COMES_BACK: Final = (
    "A bridge runs here: what upstream says anew of them, or REST gives, comes back."
)
LOG_STAYS: Final = (
    "The log keeps what it has of them until it is trimmed; rebuild leaves that out."
)
HELD: Final = (
    "a bridge runs under the prefix {}, and would go on with half of what it knows:"
    " stop it first, and wait 15 s where it was killed"
)


@attrs.frozen
class Found:
    """What there is of a symbol in a stream."""

    stream: str
    symbol: str
    latest: int
    records: int
    history: int

    def words(self) -> str:
        told = [
            *(["latest"] if self.latest else []),
            *([counted(self.records, "record")] if self.records else []),
            *([f"{self.history:,} of history"] if self.history else []),
        ]
        return f"{self.stream} {self.symbol}: {', '.join(told)}"

    def __bool__(self) -> bool:
        return bool(self.latest or self.records or self.history)


@click.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]…")
@with_options(PLACE)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="All keys of these streams.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(
    config: Config, *, symbols: tuple[str, ...], everything: bool, yes: bool
) -> int:
    """Take away what is said of symbols, or all there is.

    It says first what that is, and asks; a script says --yes. The log stays as it is,
    and `rebuild` leaves out what it has of them until now. While a bridge runs, what
    upstream says anew of a symbol brings it back.

    --all takes away all that stands there of the streams, the log and the bridge's own
    keys too; not while a bridge runs there. Its next start is then a first one, which
    writes what still waits in its state folder and fetches the rest.

    The exit code is 1 where nothing was taken away.
    """
    if bool(symbols) == everything:
        raise click.UsageError("Name symbols, or say --all.")
    use = _everything if everything else partial(_symbols, named(symbols))
    return with_store(config, partial(use, config, yes=yes))


async def _symbols(
    symbols: Sequence[str],
    config: Config,
    store: Store,
    *,
    yes: bool,
) -> int:
    streams = [keys(store, name) for name in config.streams]
    found = [await _found(at, symbol) for at in streams for symbol in symbols]
    there = [each for each in found if each]
    for symbol in symbols:
        if not any(each.symbol == symbol for each in there):
            complain(f"there is nothing about {symbol!r}")
    if not there:
        return NOT_DONE
    put("".join(f"{each.words()}\n" for each in there))
    put(f"{LOG_STAYS}\n")
    if any([await at.is_held() for at in streams]):
        put(f"{COMES_BACK}\n")
    if not _agreed(yes=yes):
        return NOT_DONE
    say = Progress()
    of = {at.stream.name: at for at in streams}
    for number, each in enumerate(there, 1):
        await of[each.stream].forget(each.symbol)
        say(f"{number:,} of {len(there):,}")
    say.end()
    put("It is taken away.\n")
    return 0


async def _found(at: Keys, symbol: str) -> Found:
    kinds = ("latest", "timeline", "history")
    counts = await at.count([f"{kind}:{symbol}" for kind in kinds])
    return Found(at.stream.name, symbol, *counts)


async def _everything(config: Config, store: Store, *, yes: bool) -> int:
    streams = [keys(store, name) for name in config.streams]
    await _see_to_it_that_none_runs(streams, config)
    counts = {at.stream.name: await _number(at) for at in streams}
    if not any(counts.values()):
        complain(f"nothing stands under {config.prefix}")
        return NOT_DONE
    for name, count in counts.items():
        put(f"{config.prefix}:{name}: all {counted(count, 'key')}, the log too\n")
    for name in await _others(config, store):
        put(f"{config.prefix}:{name} stays, since --stream does not name it\n")
    if not _agreed(yes=yes):
        return NOT_DONE
    await _see_to_it_that_none_runs(streams, config)  # one may have thought for long
    for at in streams:
        await store.remove(at.stream, None)
    put("It is taken away.\n")
    return 0


async def _others(config: Config, store: Store) -> list[str]:
    """Return the streams besides those that are named of which something is there."""
    found = []
    for each in offers():
        if each.stream is not None and each.name not in config.streams:
            with suppress(StoreDown):  # who may not look at them took nothing away
                if not await store.is_empty(each.stream):
                    found.append(each.name)
    return found


async def _see_to_it_that_none_runs(streams: Sequence[Keys], config: Config) -> None:
    if any([await at.is_held() for at in streams]):
        raise ConfigError(HELD.format(config.prefix))


async def _number(at: Keys) -> int:
    return sum([len(names) async for names in at.names("")])


def _agreed(*, yes: bool) -> bool:
    """Ask, unless it was said; raises ConfigError where nobody can answer."""
    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(
            "nothing was taken away, since nobody can be asked here: say --yes"
        )
    if click.confirm("Take it away?", err=True):
        return True
    put("Nothing was taken away.\n")
    return False
