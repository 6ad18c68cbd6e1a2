"""What the commands that mend have in common: Redis, its errors in words, progress."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from typing import Final, TypeVar

import attrs
import click
import trio

from bzredis.commands.logs import add_secret
from bzredis.errors import ConfigError, StoreDown
from bzredis.settings.config import Config
from bzredis.store.client import Store
from bzredis.store.mending import Keys
from bzredis.store.script import Limits
from bzredis.streams.installed import stream

T = TypeVar("T")

PLACE: Final = frozenset({"redis", "prefix", "stream"})  # the options of all of them
EACH: Final = 0.1  # s between two words on how far it is
CLEAR: Final = "\r\x1b[K"


def with_store(config: Config, use: Callable[[Store], Awaitable[T]]) -> T:
    """Run something with the store that the settings name.

    Raises ConfigError, which names the address, where Redis cannot do it.
    """
    for each in config.redis:
        for secret in each.secrets:
            add_secret(secret)
    url, *others = (each.url for each in config.redis)
    limits = Limits(config.events_maxlen, config.timeline_length, config.history_length)
    shown = ", ".join(each.shown for each in config.redis)
    try:
        with closing(Store(url, config.prefix, limits, others)) as store:
            return trio.run(partial(use, store))
    except StoreDown as error:
        raise ConfigError(f"{error} (--redis {shown})") from None
    finally:
        Progress().end()


def keys(store: Store, name: str) -> Keys:
    return Keys(store, stream(name))


def named(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Return symbols as they stand in keys, each once."""
    plain = (each.strip().removeprefix("$").upper() for each in symbols)
    return tuple(dict.fromkeys(plain))


@attrs.define
class Progress:
    """Says on a terminal how far it is, in one line that goes again."""

    _at: float = -EACH

    def __call__(self, words: str) -> None:
        now = trio.current_time()
        if _on_terminal() and now - self._at >= EACH:
            self._at = now
            click.echo(f"{CLEAR}{words[:78]}", err=True, nl=False)

    def end(self) -> None:
        if _on_terminal():
            click.echo(CLEAR, err=True, nl=False)


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
