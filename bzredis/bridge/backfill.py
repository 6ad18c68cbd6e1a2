"""Fetch over REST what is missing: the holes that Redis knows of (coverage.md).

REST knows no filter by ISIN, and its rows do not always name theirs. What is not known
to be on a watch-list of ISINs is left, and then what is missing stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from math import inf
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
from bzredis.messages.times import rfc3339
from bzredis.ports import Hole, Rest
from bzredis.streams.stream import Table

log = structlog.get_logger(__name__)

OVERLAP: Final = 5_000  # ms before the newest known: upstream's servers differ a little
POLL: Final = 1.0  # s between looks whether something is to be asked

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
    _has_rows: set[str] = attrs.field(factory=set)  # … and those that lack removals
    # A key may be entitled to the rows alone.
    _removals: Retry = attrs.field(init=False)
    _removals_at: float = -inf  # when they may be asked for again

    @_removals.default
    def _retry_of_removals(self) -> Retry:
        return Retry("removals", self.retry.on_trouble, self.retry.rng)

    async def run(self) -> NoReturn:
        done: int | None = None  # after which connection that was
        while True:
            holes, opened = self.intake.holes, self.intake.holes.opened
            to_ask = holes.to_ask(trio.current_time())
            asked = [hole for hole in to_ask if hole.id in self._left]
            if due := self._due(to_ask):
                if not self._have_rows(due):
                    done = opened
                await trio.sleep(await self._fill(due))
                continue
            # What it left out once it will leave out again: nobody gives that back.
            if announced := [hole.id for hole in asked if hole.announced]:
                self.intake.forget(announced)
            is_whole = holes.has_replayed and self._have_rows(holes.coverage.holes)
            if opened != done and is_whole:
                # The replay says that no row is missing; what is newer all the same
                # (contract.md, 6), nobody has to wait for.
                await trio.sleep(REST_HAS)
                if (pause := await self._fill(())) > POLL:
                    await trio.sleep(pause)
                    continue  # it is asked for again, as long as this connection stands
                done = opened
            await trio.sleep(POLL)

    def _due(self, holes: Sequence[Hole]) -> list[Hole]:
        """Return the holes that can be filled, and of what is lacking be asked now."""
        waits = trio.current_time() < self._removals_at
        not_due = self._left | self._has_rows if waits else self._left
        return [hole for hole in holes if hole.id not in not_due]

    def _have_rows(self, holes: Sequence[Hole]) -> bool:
        return self._has_rows.issuperset(hole.id for hole in holes)

    async def _fill(self, holes: Sequence[Hole]) -> float:
        """Fetch what these holes lack; return the s until there is more to ask.

        What one table gives is put at once, whatever becomes of the other.
        """
        since = self._since(holes)
        if not since:
            return POLL  # nothing was there that REST could go on from
        lacking = [hole for hole in holes if hole.id not in self._has_rows]
        if lacking or not holes:
            try:
                left = await self._fetch(self._since(lacking))
            except (RestDown, RestRefused) as error:
                return self.retry.failed(error)
            self.retry.answered()
            done = self._left if left else self._has_rows
            done.update(hole.id for hole in lacking)
        filled = [hole.id for hole in holes if hole.id in self._has_rows]
        if await self._fetch_removals(since) and filled:
            self.intake.filled(filled)
        return POLL

    def _since(self, holes: Sequence[Hole]) -> int:
        """Return from when (unix s) to ask for what holes, or else the replay, lack."""
        times = [hole.resume for hole in holes] or [self.intake.resume or 0]
        return max(0, min(times) - OVERLAP) // 1_000

    async def _fetch(self, since: int) -> int:
        """Put all rows since a time (unix s), the oldest first.

        Also where they turn out not to be all. Returns how many were left out that may
        have been wanted; raises RestDown and RestRefused.
        """
        stream = self.intake.stream
        found, failure = await self._rows(since)
        left = 0
        if self.isins:
            found, left = await self._sifted(found)
        told = {"since": rfc3339(1_000 * since), "rows": len(found), "left": left}
        log.debug("fetched", stream=stream.name, **told)
        await self._put(sorted(found, key=_version))
        if failure is not None:
            raise failure
        return left

    async def _rows(self, since: int) -> tuple[Rows, RestDown | RestRefused | None]:
        """Return the rows since a time (unix s), and why these are not all, if so."""
        stream, clock = self.intake.stream, self.intake.clock
        # The streams let pass what fits either list.
        tickers = () if self.isins else self.tickers
        found = Rows()
        failure: RestDown | RestRefused | None = None
        try:
            async with aclosing(self.rest.rows(self.table, since, tickers)) as pages:
                async for page in pages:
                    read = Rows()
                    for text in page:
                        read.append(rows.row(stream, text, received=clock()))
                        if len(read) % PER_TURN == 0:
                            await trio.lowlevel.checkpoint()
                    found += read
                    failure = failure or _no_answer(self.table, read)
        except (RestDown, RestRefused) as error:
            failure = error
        return found, failure

    async def _fetch_removals(self, since: int) -> bool:
        """Put what was removed since a time (unix s); tell whether that is known."""
        stream, clock = self.intake.stream, self.intake.clock
        if (table := stream.removals) is None:
            return True
        gone = Rows()
        failure: RestDown | RestRefused | None = None
        try:
            async with aclosing(self.rest.removals(table, since)) as removals:
                async for each in removals:
                    told = (each.record, each.updated, each.raw)
                    gone.append(rows.removal(stream, *told, received=clock()))
            failure = _no_answer(table, gone)
        except (RestDown, RestRefused) as error:
            failure = error
        await self._put(gone)
        if failure is not None:
            pause = self._removals.failed(failure)
            self._removals_at = trio.current_time() + pause
            return False
        self._removals.answered()
        self._removals_at = -inf
        return True

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


def _no_answer(table: Table, read: Rows) -> RestDown | None:
    """Return why a page is no answer: an error under status 200, say."""
    if read and all(isinstance(row, Rejected) for row in read):
        return RestDown(f"no row of a page of {table.path} can be used: no answer")
    return None


def _version(row: Change | Rejected) -> int:
    return row.version if isinstance(row, Change) else 0
