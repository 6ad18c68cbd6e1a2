"""The seams between the engine and its edges, each declared once, and their values.

Times are ms since 1970 by our clock, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol

import attrs

from bzredis.streams import Stream
from bzredis.streams.stream import Table

# How a bridge stands to a stream: what `latest` says is fresh; connected, though it may
# be stale; not connected; gone for good.
Presence = Literal["fresh", "connected", "apart", "gone"]


# ---- what was read


@attrs.frozen
class Log:
    """What one process read of one stream, numbered from 0. All of it holds for all."""

    id: str
    subscription: str  # `*`, or the list in order, with commas
    window: int  # ms that REST is asked back for what was not subscribed to; 0: not
    upstream: str  # its host


class Item(NamedTuple):  # made for each message: a class of attrs takes thrice as long
    """A packed change and its number in its log."""

    log: Log
    number: int
    packed: bytes


@attrs.frozen
class Batch:
    """Changes of one log in order, the first of them numbered `first`; perhaps none."""

    log: Log
    first: int
    packed: Sequence[bytes]
    since: int | None  # from when on this stream is followed, as far as we know
    may_hold: bool = True  # False: what is lacking before `first` is held no more


# ---- what Redis says


@attrs.frozen
class Hole:
    """A time of which something may be missing; once announced it is called a gap."""

    id: str
    begin: int
    end: int
    cause: str  # restart, reconnect, redis-rollback, first
    resume: int  # ms by upstream's clock: from there REST is asked
    announced: bool


@attrs.frozen
class Coverage:
    """Until when all is in Redis, but for the holes (coverage.md)."""

    since: int | None = None  # None: nothing was ever read of this stream
    until: int | None = None
    subscription: str = ""
    reader: str = ""  # the log whose connection counts
    holes: tuple[Hole, ...] = ()


@attrs.frozen
class Applied:
    """What came of a batch.

    A result is ``latest``, ``record`` or ``none`` (the change's effect),
    ``unattributed``, ``duplicate``, ``rejected``, ``refused WHY``, or ``again`` for
    what had been applied before; of marks ``opened``, ``late``, ``heard``,
    ``replayed``, ``filled``, ``gap`` where it was announced, ``given up`` where not.
    """

    last: int  # number of the last change that Redis has of this log
    results: tuple[str, ...]
    symbols: tuple[str, ...]  # of which a record changed
    fetched: int  # rows of REST that took effect
    coverage: Coverage


@attrs.frozen
class Behind:
    """Nothing was applied: Redis has this log only up to number `at`."""

    at: int


class Store(Protocol):
    """Redis: `bzredis.store.client`. All may raise StoreDown, `apply` StoreForeign.

    `apply` may send at once what its next call will bring, `following`: what came of
    it, only that call tells. `write_status` raises StoreEvicts where nothing there is
    to be relied on.
    """

    async def apply(
        self, stream: Stream, batch: Batch, following: Batch | None = None, /
    ) -> Applied | Behind: ...
    async def symbols(self, stream: Stream, /) -> list[str]: ...
    async def write_status(
        self, stream: Stream, fields: Mapping[str, str], sign: Sign, /
    ) -> bool: ...


@attrs.frozen
class Sign:
    """A sign of life: whose, how it stands, and what Redis is known to have."""

    bridge: str  # instance id
    presence: Presence
    log: str
    confirmed: int  # number of the log's last change that Redis confirmed; -1: none
    why: str = ""  # nothing is fresh, in a word


# ---- the disk


class Spool(Protocol):
    """Changes on disk, in order: `bzredis.backlog.spool`. All may raise SpoolFull."""

    limit: int  # bytes of packed changes

    @property
    def room(self) -> int: ...
    def append(self, stream: str, items: Sequence[Item], /) -> None: ...
    def oldest(self, stream: str, limit: int, /) -> list[Item]: ...
    def remove(self, stream: str, log: str, last: int, /) -> int: ...
    def count(self, stream: str, /) -> int: ...
    def since(self, stream: str, at: int | None = None, /) -> int | None: ...
    def close(self) -> None: ...


# ---- upstream


class Link(Protocol):
    """A connection: `bzredis.upstream.websocket`. All may raise FeedLost."""

    async def send(self, text: str, /) -> None: ...
    async def receive(self) -> str | bytes: ...
    @property
    def heard_at(self) -> float:
        """When the last byte came, of a PING too; s on trio's clock."""
        ...

    def arrived(self) -> Iterable[str | bytes]: ...


Connect = Callable[[Stream], AbstractAsyncContextManager[Link]]


@attrs.frozen
class Removal:
    """A record that is there no longer, as REST tells."""

    record: str  # "" where the row does not say: only good to be rejected
    updated: int | None  # unix s; None where upstream does not know
    raw: str  # the row as sent


class Rest(Protocol):
    """REST: `bzredis.upstream.rest`. All may raise RestDown and RestRefused."""

    def rows(
        self, table: Table, since: int, tickers: Sequence[str] = (), /
    ) -> AsyncGenerator[list[str], None]: ...  # page by page
    def removals(
        self, table: Table, since: int, /
    ) -> AsyncGenerator[Removal, None]: ...
    async def lookup(
        self, table: Table, ticker: str, query: Mapping[str, str], /
    ) -> str | None: ...
