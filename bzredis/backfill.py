"""Fetch over REST what a stream missed, after each of its connections.

From where is read in Redis and fixed there before the connection's first message is
written: a mark in the backlog sees to it (change.Owe, owed.lua). Another mark behind
the last row tells that all is written. So a crash between them costs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, NoReturn

import attrs
import structlog
import trio

from bzredis import fetched
from bzredis.asking import Asking
from bzredis.change import Change, Rejected
from bzredis.errors import RestDown, RestRefused
from bzredis.ledger import Ledger
from bzredis.mirror import SPELL
from bzredis.recovery import Recovery
from bzredis.tables import Removal

log = structlog.get_logger(__name__)

OVERLAP: Final = 5_000  # ms before the newest known: upstream's servers differ a little

# Both take the unix s from which on; see `bzredis.rest`.
Rows = Callable[[int, Sequence[str]], AsyncGenerator[str, None]]
Removed = Callable[[int], AsyncGenerator[Removal, None]]


@attrs.define(eq=False)
class Backfill:
    """One stream's fetches, in good order with its live messages."""

    ledger: Ledger
    recovery: Recovery
    asking: Asking
    rows: Rows
    removed: Removed | None = None  # None: upstream tells of no removals
    tickers: Sequence[str] = ()
    isins: frozenset[str] = frozenset()

    async def run(self) -> NoReturn:
        """Fetch after each connection; a new one while fetching begins anew."""
        done = 0
        while True:
            await self.recovery.until(
                lambda: self.recovery.owed is not None and self.recovery.times > done  # noqa: B023 - it is waited for here
            )
            now = self.recovery.times
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give_up, now, nursery.cancel_scope)
                await self._pay(now)
                done = now
                nursery.cancel_scope.cancel()

    async def _give_up(self, times: int, scope: trio.CancelScope) -> None:
        await self.recovery.until(lambda: self.recovery.times > times)
        scope.cancel()

    async def _pay(self, times: int) -> None:
        owed, words = self.recovery.owed or 0, self.recovery.words
        since = max(0, owed - OVERLAP) // 1_000
        while True:
            try:
                found = await self._fetch(since)
                break
            except (RestDown, RestRefused) as error:
                delay = self.asking.failed(error)
            await trio.sleep(delay)
        self.asking.answered()
        for number, message in enumerate(found):
            if number % SPELL == 0:
                await self.ledger.backlog.breathe()
                await trio.lowlevel.checkpoint()
            self.ledger.put_fetched(message)
        if self.recovery.times == times:
            self.ledger.note_paid(words, owed if self.recovery.is_window else 0)

    async def _fetch(self, since: int) -> list[Change | Rejected]:
        """Return all rows since a time (unix s), the oldest first, then removals.

        All before any is stored: upstream sends the newest first, and from the newest
        stored the next fetch goes on.
        """
        # REST knows no filter by ISIN, and the streams let pass what fits either list.
        tickers = () if self.isins else self.tickers
        clock, stream = self.ledger.clock, self.ledger.stream
        rows: list[Change | Rejected] = []
        async with aclosing(self.rows(since, tickers)) as found:
            async for text in found:
                rows.append(fetched.row(stream, text, received=clock()))
                if len(rows) % SPELL == 0:
                    await trio.lowlevel.checkpoint()
        rows = sorted(filter(self._wants, rows), key=_version)
        count = len(rows)
        if self.removed is not None:
            async with aclosing(self.removed(since)) as gone:
                async for one in gone:
                    rows.append(
                        fetched.removal(
                            stream, one.record, one.updated, one.raw, received=clock()
                        )
                    )
        log.info(
            "fetched", stream=stream.name, since=since, rows=count,
            removals=len(rows) - count,
        )  # fmt: skip
        return rows

    def _wants(self, message: Change | Rejected) -> bool:
        if not self.isins or isinstance(message, Rejected):
            return True
        fields = dict(zip(message.fields[::2], message.fields[1::2], strict=True))
        isin = fields.get("isin") or fields.get("security_isin")
        ticker = message.symbol.rpartition(":")[2]
        return isin in self.isins or bool({message.symbol, ticker} & {*self.tickers})


def _version(message: Change | Rejected) -> int:
    return message.version if isinstance(message, Change) else 0
