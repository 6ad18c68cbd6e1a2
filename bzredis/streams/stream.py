"""The form of a stream's definition, and what its `read` makes of a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import attrs
import msgspec

from bzredis.messages.envelope import Envelope

TICKERS: Final = 50  # of one request (upstream.md, 4)
PAGE: Final = 1_000  # rows; the most that upstream gives at once


class Reading(msgspec.Struct, frozen=True):  # made for each message, like Envelope
    """What a stream's definition knows of one message; the rest is the same for all."""

    symbol: str = ""  # "" where it is not certain, or not plausible
    updated: int | None = None  # ms; None where the content does not say
    published: int | None = None  # ms; None where the content has no date
    headline: tuple[str, ...] = ()  # values for `Stream.headline`, "" where unknown
    has_market: bool = True  # False where only a ticker is named, and no exchange
    derived: tuple[tuple[str, str], ...] = ()  # our own fields of the hash, all "_…"
    # What orders equal versions: field of the hash, comparable time, …
    moments: tuple[str, ...] = ()


@attrs.frozen
class Table:
    """A path of REST, and what is asked of it.

    It answers with an array of rows, page by page, or with the one object of a ticker.
    """

    path: str
    tickers: str = ""  # the parameter that names them; "": it takes none
    name: str = ""  # of the array
    since: str = ""
    sizes: tuple[str, ...] = ()  # a wrong spelling goes unnoticed: pages are small then
    type: str = ""  # of a table of removals: whose it is to tell

    def queries(self, since: int, tickers: Sequence[str]) -> Iterator[dict[str, str]]:
        """Yield the queries that it takes: one for each so many tickers."""
        sizes = dict.fromkeys(self.sizes, str(PAGE))
        kind = {"type": self.type} if self.type else {}
        asked = {self.since: str(since), **sizes, **kind}
        if not tickers:
            yield asked
        for first in range(0, len(tickers), TICKERS):
            yield {**asked, self.tickers: ",".join(tickers[first : first + TICKERS])}


@attrs.frozen
class Head:
    """A field of the headline, under its name in the log."""

    name: str
    field: str  # of the hash: what it was before
    is_news: bool = False  # whether another value is news …
    is_number: bool = False  # … in whatever digits the same one is sent again


@attrs.frozen
class Stream:
    """All that sets one upstream stream apart from another, REST included.

    `read` takes an envelope and the symbol of a subscription to one single security
    (else ""); it raises Unusable.
    """

    name: str
    path: str
    parameters: tuple[str, ...]  # of the query, besides the token
    # Where the state stands: a hash per record with a timeline and a latest per symbol,
    # or just one hash per symbol with a history.
    state: Literal["records", "per_symbol"]
    headline: tuple[Head, ...]  # of each log entry, so that alerts need no JSON
    read: Callable[[Envelope, str], Reading] = attrs.field(repr=False)
    # Content may stand in `data` itself, which then has one of these fields.
    flat: tuple[str, ...] = ()
    # What REST gives back: rows newer than a time and removals, or one object a ticker.
    rows: Table | None = None
    removals: Table | None = None
    lookup: Table | None = None
    isin: str = ""  # the field of the hash that names a row's security
