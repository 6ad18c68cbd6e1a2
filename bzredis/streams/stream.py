"""The form of a stream's definition, and what its `read` makes of a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Final, Literal

import attrs
import msgspec

from bzredis.messages.envelope import Envelope
from bzredis.streams.field import NOT_SAID, Field

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
    """A field of the headline: what the log calls it, and which of the hash it is."""

    about: Field
    field: str  # of the hash: what it was before
    is_news: bool = False  # whether another value is news

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def is_number(self) -> bool:
        """Whether the same one may come again in other digits."""
        return self.about.type == "number"


def head(  # noqa: PLR0913 - a field, and what it is of the hash
    name: str,
    field: str,
    meaning: str = "",
    *,
    kind: Literal["text", "number", "words"] = "text",
    absent: str = NOT_SAID,
    words: tuple[str, ...] = (),
    is_news: bool = False,
) -> Head:
    """Make a head of a field of the hash; `meaning` is what it says, in words."""
    meaning = meaning or f"`{field}` of the hash"
    return Head(Field(name, kind, meaning, absent, words), field, is_news)


@attrs.frozen
class Weight:
    """What Redis keeps of a stream, in bytes, at the limits that are the defaults."""

    entry: int  # of the log
    latest: int
    record: int  # 0: it keeps none
    whole: int  # a symbol of which all is kept that may be


@attrs.frozen(kw_only=True)
class Stream:
    """All that sets one upstream stream apart from another, REST included.

    `read` takes an envelope and the symbol of a subscription to one single security
    (else ""); it raises Unusable. `content` and `derived` describe the fields of the
    hash: upstream's own, as far as they are known, and ours, which begin with `_`.
    """

    name: str
    path: str
    read: Callable[[Envelope, str], Reading] = attrs.field(repr=False)
    headline: tuple[Head, ...] = ()  # of each log entry, so that alerts need no JSON
    content: tuple[Field, ...] = attrs.field(default=(), repr=False)
    derived: tuple[Field, ...] = attrs.field(default=(), repr=False)
    parameters: tuple[str, ...] = ("tickers", "isins")  # of the query, but the token
    # Where the state stands: a hash per record with a timeline and a latest per symbol,
    # or just one hash per symbol with a history (of consensus alone).
    state: Literal["records", "per_symbol"] = "records"
    # Content may stand in `data` itself, which then has one of these fields.
    flat: tuple[str, ...] = ()
    # What REST gives back: rows newer than a time and removals, or one object a ticker.
    rows: Table | None = None
    removals: Table | None = None
    lookup: Table | None = None
    isin: str = "isin"  # the field of the hash that names a row's security
    weight: Weight | None = None  # None: nobody measured it
    # Content for the simulator, made up anew each time, but for `id` and `updated`; of
    # chance, and what time it is (unix s).
    make: Callable[[Random, float], Mapping[str, object]] | None = attrs.field(
        default=None, repr=False
    )
    samples: tuple[str, ...] = ()  # or frames as upstream sends them, to the same end
    kind: str = ""  # what the simulator's envelopes say that they are of
