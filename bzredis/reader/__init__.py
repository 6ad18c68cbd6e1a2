"""Reads what the bridge keeps in Redis: typed values, synchronously and for trio.

>>> with Reader("redis://127.0.0.1:6379/0") as reader:  # doctest: +SKIP
...     rating = reader.latest("ratings", "AAPL")

It knows the contract (README.md) and nothing of the bridge.
"""

from __future__ import annotations

from bzredis.reader.error import ReaderError
from bzredis.reader.in_trio import Events, TrioReader
from bzredis.reader.reader import Reader
from bzredis.reader.values import (
    Consensus,
    Entry,
    Gap,
    Hash,
    Insight,
    Rating,
    Record,
    Span,
    Status,
    StreamName,
)

__all__ = [
    "Consensus",
    "Entry",
    "Events",
    "Gap",
    "Hash",
    "Insight",
    "Rating",
    "Reader",
    "ReaderError",
    "Record",
    "Span",
    "Status",
    "StreamName",
    "TrioReader",
]
