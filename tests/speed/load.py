"""The messages that the counts are of: those of `scripts/bench`, as changes."""

from __future__ import annotations

from typing import Final

from benching.feed.frames import payload

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Incoming
from bzredis.ports import Batch, Log
from bzredis.streams import Stream

BATCH: Final = 150
LOG: Final = Log("counted", "*", 0, "counted.example")
RECEIVED: Final = 1_728_069_666_000  # ms


def frame(stream: Stream, number: int, symbols: int = 0) -> str:
    return payload(stream.name, number, symbols).decode()  # type: ignore[arg-type]


def packed(stream: Stream, first: int, count: int, symbols: int = 0) -> list[bytes]:
    """Return so many messages of a stream, from number `first` on, for the store."""
    found = []
    for number in range(first, first + count):
        text, at = frame(stream, number, symbols), RECEIVED + number
        change = read(stream, text, received=at, source="live")
        assert isinstance(change, Incoming)
        found.append(change.pack())
    return found


def batch(stream: Stream, first: int, count: int, symbols: int = 0) -> Batch:
    return Batch(LOG, first, packed(stream, first, count, symbols), 0)
