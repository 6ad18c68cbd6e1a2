"""The keys of the contract, as a table: for the code, `bzredis keys` and the README."""

from __future__ import annotations

import re

import attrs

from bzredis.streams import Stream


@attrs.frozen
class Key:
    """One key of a stream, after ``PREFIX:STREAM:``."""

    name: str
    type: str
    content: str
    state: tuple[str, ...] = ("records", "per_symbol")  # the streams that have it


_R = ("records",)
KEYS = (
    Key("events", "stream", "the log: every distinct message, in commit order"),
    Key("latest:SYM", "hash", "the newest live record of the symbol"),
    Key("record:ID", "hash", "each record as it stands", _R),
    Key("timeline:SYM", "sorted set", "record IDs scored by publication time (ms)", _R),
    Key("history:SYM", "stream", "what was news about the symbol, without `raw`"),
    Key("symbols", "sorted set", "symbols scored by when `latest` last changed (ms)"),
    Key("rejected", "stream", "frames that could not be used: reason, received, raw"),
    Key("status", "hash", "the state of this stream and of its connection"),
    Key("alive", "string", "there only while `latest` is fresh; expires in 15 s"),
    Key("changed", "pub/sub channel", "`SYM ENTRY` whenever a `latest` changed"),
    Key(
        "fresh", "pub/sub channel", "`1` when `alive` appears, `0 REASON` when it goes"
    ),
)


def key(prefix: str, stream: Stream, name: str) -> str:
    return f"{prefix}:{stream.name}:{name}"


def pattern(name: str) -> str:
    """Write a key, or what it begins with, as Redis' patterns do."""
    return re.sub(r"[][?\\]", r"\\\g<0>", name)


def internal(name: str) -> str:
    return f"internal:{name}"
