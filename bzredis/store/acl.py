"""The smallest rules with which the bridge works, for who only reads, and who mends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from bzredis.contract.keys import KEYS, key, pattern
from bzredis.store.script import (
    Limits,
    commands,
    keys_written,
    lua,
    script,
    status_script,
)
from bzredis.streams import INSIGHTS, RATINGS, STREAMS, Stream

# Besides what the scripts call. CLIENT is a courtesy, SELECT for another database.
OURS: Final = (
    "EVALSHA",
    "EVAL",
    "PING",
    "ZREVRANGE",
    "SELECT",
    "CLIENT|SETNAME",
    "CLUSTER|SLOTS",
)
# Whatever only reads, but what can hold up the server (KEYS); and to hear of changes.
READING: Final = (
    *("+@read", "-@dangerous", "+ping", "+select", "+hello", "+client|setname"),
    *("+multi", "+exec", "+discard"),  # what the reader reads at one moment
    *("+subscribe", "+psubscribe", "+unsubscribe", "+punsubscribe"),
)
# What `rebuild`, `redrive` and `forget` ask and write besides (mending.py).
MENDING: Final = (
    *("TIME", "SCAN", "EXISTS", "HGET", "HGETALL", "PTTL", "XRANGE", "XREVRANGE"),
    *("XLEN", "XINFO|STREAM", "ZRANGE", "ZCARD", "ZSCORE", "MULTI", "EXEC"),
    *("XDEL", "UNLINK"),
)
SCRIPTS_OF_MENDING: Final = ("mend", "forget", "rejected")
# What `react` does: it takes entries, and keeps what failed under keys of its own.
REACTING: Final = (
    *("PING", "SELECT", "CLIENT|SETNAME", "CLUSTER|SLOTS", "MULTI", "EXEC", "DISCARD"),
    *("XGROUP", "XINFO", "XREADGROUP", "XACK", "XCLAIM", "XAUTOCLAIM", "XPENDING"),
    *("XRANGE", "XREVRANGE", "XADD", "XDEL", "HGETALL", "HINCRBY", "HDEL", "EXPIRE"),
    *("EXISTS", "SUBSCRIBE", "UNSUBSCRIBE"),
)
# What REST is asked of where a watch-list does not tell: whose symbols were seen here.
WHOSE: Final = (RATINGS, INSIGHTS)
USER: Final = "reset on >PASSWORD resetchannels"


def bridge(prefix: str, streams: Sequence[Stream] = STREAMS) -> str:
    """Return what makes a user for the bridge, as one command."""
    keys = [
        f"~{_pattern(key(prefix, stream, name))}"
        for stream in streams
        for name in keys_written(stream)
    ]
    others = [each for each in WHOSE if each not in streams]
    keys += [f"~{_pattern(key(prefix, each, 'symbols'))}" for each in others]
    rules = [*keys, *_channels(prefix, streams), *_allowed(_called(streams))]
    return f"ACL SETUSER bzredis {USER} {' '.join(rules)}"


def mender(prefix: str, streams: Sequence[Stream] = STREAMS) -> str:
    """Return what makes a user for the commands that mend: `forget --all`, too."""
    called = {*_called(streams), *MENDING}
    called.update(*(commands(lua(name)) for name in SCRIPTS_OF_MENDING))
    keys = [f"~{_pattern(key(prefix, stream, ''))}" for stream in streams]
    rules = [*keys, *_channels(prefix, streams), *_allowed(called)]
    return f"ACL SETUSER bzmender {USER} {' '.join(rules)}"


def reactor(prefix: str, streams: Sequence[Stream] = STREAMS) -> str:
    """Return what makes a user for `react`, from Redis 7.0 on."""
    keys = [f"~{_pattern(f'{prefix}:react:')}"]
    for stream in streams:
        of = ("~", "events"), ("%R~", "latest:"), ("%R~", "alive"), ("&", "fresh")
        keys += [f"{may}{_pattern(key(prefix, stream, name))}" for may, name in of]
    return f"ACL SETUSER bzreactor {USER} {' '.join([*keys, *_allowed({*REACTING})])}"


def reader(prefix: str, may: str, streams: Sequence[Stream] = STREAMS) -> str:
    """Return what makes a user that reads; `may`: %R~, or ~ where that is not known."""
    names = [
        _pattern(key(prefix, stream, re.sub("SYM|ID", "*", one.name)))
        for stream in streams
        for one in KEYS
        if stream.state in one.state and not one.type.startswith("pub/sub")
    ]
    rules = [*(may + name for name in names), *_channels(prefix, streams), *READING]
    return f"ACL SETUSER bzreader {USER} {' '.join(rules)}"


def _called(streams: Sequence[Stream]) -> set[str]:
    """Return the commands that a bridge needs."""
    texts = [status_script(), *(script(stream, Limits()) for stream in streams)]
    return {*OURS, *(name for text in texts for name in commands(text))}


def _allowed(called: set[str]) -> list[str]:
    return [f"+{name.lower()}" for name in sorted(called)]


def _channels(prefix: str, streams: Sequence[Stream]) -> list[str]:
    channels = [one.name for one in KEYS if one.type.startswith("pub/sub")]
    return [
        f"&{_pattern(key(prefix, stream, name))}"
        for stream in streams
        for name in channels
    ]


def _pattern(name: str) -> str:
    """Write a key as Redis' patterns do; in a prefix only `*` cannot stand."""
    escaped = pattern(name)
    return f"{escaped}*" if name.endswith(":") else escaped
