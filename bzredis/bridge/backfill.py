"""Fetch over REST what is missing: the holes that Redis knows of (coverage.md).

REST knows no filter by ISIN, and its rows do not always name theirs. What is not known
to be on a watch-list of ISINs is left, and then what is missing stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final, NoReturn

import attrs
import structlog
import trio

from bzredis.bridge.coverage import REST_HAS
from bzredis.bridge.intake import Intake
from bzredis.bridge.retry import Retry, Symbols, known
from bzredis.bridge.subscriber import PER_TURN
from bzredis.changes import from_rest as rows
from bzredis.changes.kinds import Change, Rejected
from bzredis.errors import RestDown, RestRefused
from bzredis.ports import Hole, Rest
from bzredis.streams.stream import Table

log = structlog.get_logger(__name__)

OVERLAP: Final = 5_000  # ms before the newest known: upstream's servers differ a little
POLL: Final = 0.5  # s between looks whether something is to be asked

Rows = list[Change | Rejected]


@attrs.define(eq=False)
class Backfill:
    """One stream's fetches, in good order with its live messages.

    `tickers` and `isins` are the watch-list, `symbols` whose messages Redis has.
    """

    intake: Intake
    table: Table
    rest: Rest
    retry: Retry
    symbols: Symbols
    tickers: Sequence[str] = ()
    isins: frozenset[str] = frozenset()
    _left: set[str] = attrs.field(factory=set)  # holes that it cannot fill

    async def run(self) -> NoReturn:
        done: int | None = None  # after which connection that was
        while True:
            holes, opened = self.intake.holes, self.intake.holes.opened
            to_ask = holes.to_ask(trio.current_time())
            asked = [hole for hole in to_ask if hole.id in self._left]
            if fresh := [hole for hole in to_ask if hole.id not in self._left]:
                await trio.sleep(await self._fill(fresh))
                done = opened
                continue
            # What it left out once it will leave out again: nobody gives that back.
            if announced := [hole.id for hole in asked if hole.announced]:
                self.intake.forget(announced)
            if opened != done and holes.has_replayed and not holes.coverage.holes:
                # The replay says that nothing is missing; what is newer all the same
                # (contract.md, 6), nobody has to wait for.
                await trio.sleep(REST_HAS)
                if (pause := await self._fill(())) > POLL:
                    await trio.sleep(pause)
                    continue  # it is asked for again, as long as this connection stands
                done = opened
            await trio.sleep(POLL)

    async def _fill(self, holes: Sequence[Hole]) -> float:
        """Fetch what these holes lack; return the s until there is more to ask."""
        times = [hole.resume for hole in holes] or [self.intake.resume or 0]
        since = max(0, min(times) - OVERLAP) // 1_000
        if not since:
            return POLL  # nothing was there that REST could go on from
        try:
            left = await self._fetch(since)
        except (RestDown, RestRefused) as error:
            return self.retry.failed(error)
        self.retry.answered()
        ids = [hole.id for hole in holes]
        if left:
            self._left.update(ids)
        elif ids:
            self.intake.filled(ids)
        return POLL

    async def _fetch(self, since: int) -> int:
        """Put all rows since a time (unix s), the oldest first, then removals.

        All rows before any is put: upstream sends the newest first, and pages overlap.
        Returns how many were left out that may have been wanted.
        """
        stream, clock = self.intake.stream, self.intake.clock
        # The streams let pass what fits either list.
        tickers = () if self.isins else self.tickers
        found: Rows = []
        async with aclosing(self.rest.rows(self.table, since, tickers)) as texts:
            async for text in texts:
                found.append(rows.row(stream, text, received=clock()))
                if len(found) % PER_TURN == 0:
                    await trio.lowlevel.checkpoint()
        if found and all(isinstance(row, Rejected) for row in found):
            await self._put(found)
            raise RestDown(f"no row for {self.table.path} can be used: no answer")
        left = 0
        if self.isins:
            found, left = await self._sifted(found)
        log.info("fetched", stream=stream.name, since=since, rows=len(found), left=left)
        await self._put(sorted(found, key=_version))
        if stream.removals is not None:
            # A key may be entitled to the rows alone: then these are here at least.
            await self._put(await self._removals(stream.removals, since))
        return left

    async def _removals(self, table: Table, since: int) -> Rows:
        stream, clock = self.intake.stream, self.intake.clock
        async with aclosing(self.rest.removals(table, since)) as gone:
            return [
                rows.removal(stream, one.record, one.updated, one.raw, received=clock())
                async for one in gone
            ]

    async def _put(self, found: Rows) -> None:
        for number, row in enumerate(found):
            if number % PER_TURN == 0:
                await self.intake.backlog.breathe()
                await trio.lowlevel.checkpoint()
            self.intake.put(row)

    async def _sifted(self, found: Rows) -> tuple[Rows, int]:
        """Return the rows on the watch-list, and how many may be on it and are left."""
        tickers, stream = frozenset(self.tickers), self.intake.stream
        wanted, unmatched = rows.sifted(stream, found, tickers, self.isins)
        held = {*await known(self.symbols, self.retry.rng)} if unmatched else set()
        wanted += [row for row in unmatched if row.symbol in held]
        return wanted, sum(row.symbol not in held for row in unmatched)


def _version(row: Change | Rejected) -> int:
    return row.version if isinstance(row, Change) else 0
