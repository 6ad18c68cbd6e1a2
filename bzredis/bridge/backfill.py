"""Fetch over REST what a stream missed, after each of its connections.

From where is read in Redis and fixed there before the connection's first message is
written: a mark in the backlog sees to it (change.Owe, owed.lua). Another mark behind
the last row tells that all is written. So a crash between them costs nothing.

REST knows no filter by ISIN, and its rows do not always name theirs. What is not known
to be on a watch-list of ISINs is left, and then what is missing is announced.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, NoReturn

import attrs
import structlog
import trio

from bzredis.bridge.known import Symbols, known
from bzredis.bridge.ledger import Ledger
from bzredis.bridge.recovery import Recovery
from bzredis.bridge.retry import Asking
from bzredis.bridge.subscriber import SPELL
from bzredis.changes import rows as fetched
from bzredis.changes.read import Change, Rejected
from bzredis.errors import RestDown, RestRefused
from bzredis.ports import Removal

log = structlog.get_logger(__name__)

OVERLAP: Final = 5_000  # ms before the newest known: upstream's servers differ a little

# Both take the unix s from which on; see `bzredis.upstream.rest`.
Rows = Callable[[int, Sequence[str]], AsyncGenerator[str, None]]
Removed = Callable[[int], AsyncGenerator[Removal, None]]


async def _nobody() -> Sequence[str]:
    await trio.lowlevel.checkpoint()
    return ()


@attrs.frozen
class Found:
    """What REST gave back, and how many rows were left as perhaps not asked for."""

    messages: list[Change | Rejected]
    doubtful: int = 0


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
    symbols: Symbols = _nobody  # whose messages Redis has

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
        for number, message in enumerate(found.messages):
            if number % SPELL == 0:
                await self.ledger.backlog.breathe()
                await trio.lowlevel.checkpoint()
            self.ledger.put_fetched(message)
        if found.doubtful:
            # Until the gap is announced, the next process has to find the same.
            await self.recovery.run_out()
        if self.recovery.times == times:
            covered = owed if self.recovery.is_window else 0
            self.ledger.note_paid(words, None if found.doubtful else covered)

    async def _fetch(self, since: int) -> Found:
        """Return all rows since a time (unix s), the oldest first, then removals.

        All before any is stored: upstream sends the newest first, and from the newest
        stored the next fetch goes on.
        """
        # The streams let pass what fits either list.
        tickers = () if self.isins else self.tickers
        clock, stream = self.ledger.clock, self.ledger.stream
        rows: list[Change | Rejected] = []
        async with aclosing(self.rows(since, tickers)) as found:
            async for text in found:
                rows.append(fetched.row(stream, text, received=clock()))
                if len(rows) % SPELL == 0:
                    await trio.lowlevel.checkpoint()
        whole = await self._sifted(rows) if self.isins else Found(rows)
        rows = sorted(whole.messages, key=_version)
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
            removals=len(rows) - count, doubtful=whole.doubtful,
        )  # fmt: skip
        return Found(rows, whole.doubtful)

    async def _sifted(self, rows: Sequence[Change | Rejected]) -> Found:
        wanted, unknown = fetched.sifted(rows, frozenset(self.tickers), self.isins)
        seen = {*await known(self.symbols, self.asking.rng)} if unknown else set()
        wanted += [row for row in unknown if row.symbol in seen]
        return Found(wanted, sum(row.symbol not in seen for row in unknown))


def _version(message: Change | Rejected) -> int:
    return message.version if isinstance(message, Change) else 0
