"""Redis, asked for a person who looks; where it cannot be, one line says so."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bzredis.commands.logs import add_secret
from bzredis.errors import ConfigError
from bzredis.reader import Reader, ReaderError
from bzredis.reader.asking import HOW, Redis
from bzredis.settings.addresses import RedisURL
from bzredis.settings.config import Config
from bzredis.store import sentinel

STREAMS: Final = ("ratings", "insights", "consensus")  # as they are drawn
PLACE: Final = frozenset({"redis", "prefix"})  # the options of who looks


def streams(config: Config) -> tuple[str, ...]:
    """Return the streams that are named, in the order in which they are drawn."""
    known = tuple(name for name in STREAMS if name in config.streams)
    return (*known, *(name for name in config.streams if name not in STREAMS))


def reader_at(url: RedisURL, prefix: str) -> Reader:
    """Return a reader of what the settings name, Sentinels too; nothing is sent yet."""
    return Reader(place_of(url), prefix)


def place_of(url: RedisURL) -> str | Redis:
    """Return what a reader is made of: a URL, or a client that knows Sentinels."""
    for secret in url.secrets:
        add_secret(secret)
    if sentinel.MARK in url.url:
        # Without a name for Redis: who only looks may not be allowed to tell one.
        how = {**HOW, "redis_connect_func": None, "decode_responses": False}
        client = sentinel.client(url.url, **how)
        # What the Sentinels say is wanted in bytes, and all that Redis says as text.
        client.connection_pool.connection_kwargs["decode_responses"] = True
        return client
    return url.url


def place(config: Config) -> str:
    """Return where one looks."""
    shown = ", ".join(each.shown for each in config.redis)
    return f"under {config.prefix} in {shown}"


def empty(config: Config) -> str:
    """Say that nothing is there: one may have meant another Redis."""
    return f"no symbol is here yet, {place(config)}"


@contextmanager
def reading(config: Config) -> Iterator[Reader]:
    """Give a reader; of several nodes of a cluster one that answers.

    What it raises becomes a ConfigError, which names the address.
    """
    shown = ", ".join(each.shown for each in config.redis)
    try:
        with ExitStack() as stack:
            readers = [reader_at(url, config.prefix) for url in config.redis]
            for reader in readers:
                stack.callback(reader.close)
            yield readers[0] if len(readers) == 1 else _answering(readers)
    except ReaderError as error:
        raise ConfigError(f"{error} (--redis {shown})") from None


def _answering(readers: list[Reader]) -> Reader:
    for reader in readers[:-1]:
        try:
            reader.ask(("PING",))
        except ReaderError as error:
            if not error.passes:
                raise
        else:
            return reader
    return readers[-1]


def has_letters() -> bool:
    """Whether more than ASCII can be written to standard output."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").startswith("utf")


def put_json(value: object) -> None:
    """Write one value as JSON, as `put` does."""
    put(json.dumps(value, indent=2, ensure_ascii=not has_letters()) + "\n")


def put(text: str) -> None:
    """Write to standard output; who has read enough of it, as `| head`, ends us."""
    stream = sys.stdout
    if stream is None:  # it is closed
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Else Python would try again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(0) from None
        words = f"cannot write to standard output: {error.strerror}"
        raise ConfigError(words) from None
