"""Ask REST whose consensus it is: one symbol at a time, never by timing.

A symbol is looked up when its rating has changed, and in rounds: after each connection,
while something is missing, and every few hours. A round is of the watch-list's tickers,
or of each symbol whose rating was seen where there is none, or where ISINs are on it.
REST is asked for US symbols only: elsewhere a ticker alone is not unique, and it knows
none for an ISIN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import inf
from typing import Final, NoReturn

import attrs
import trio
from trio.lowlevel import ParkingLot

from bzredis.bridge.backfill import POLL
from bzredis.bridge.coverage import REST_HAS
from bzredis.bridge.intake import Intake
from bzredis.bridge.retry import Retry, Symbols, known
from bzredis.changes import from_rest as rows
from bzredis.changes.kinds import Rejected
from bzredis.errors import RestDown, RestRefused
from bzredis.ports import Rest
from bzredis.streams.stream import Table

EVERY: Final = 30.0  # s between two requests for the same symbol
ODD: Final = 3  # unusable answers in a row: not one symbol's fault, but REST's


@attrs.define(eq=False)
class Turns:
    """Whose turn it is: who was rated goes first, and nobody twice in half a minute."""

    rounds: int = 0  # those begun
    _rated: dict[str, None] = attrs.field(factory=dict)
    _round: dict[str, None] = attrs.field(factory=dict)
    _not_before: dict[str, float] = attrs.field(factory=dict)
    _news: ParkingLot = attrs.field(factory=ParkingLot)

    def rate(self, symbols: Iterable[str]) -> None:
        self._rated.update(dict.fromkeys(filter(is_asked_for, symbols)))
        self._news.unpark_all()

    def begin_round(self, symbols: Iterable[str]) -> None:
        """Add all that a round is of."""
        self.rounds += 1
        self._round.update(dict.fromkeys(filter(is_asked_for, symbols)))
        self._news.unpark_all()

    @property
    def is_round_over(self) -> bool:
        return not self._round

    async def next(self) -> str:
        while True:
            soonest = inf
            for symbol in chain(self._rated, self._round):
                at = self._not_before.get(symbol, -inf)
                if at <= trio.current_time():
                    # What is rated from now on is worth another look.
                    self._rated.pop(symbol, None)
                    return symbol
                soonest = min(soonest, at)
            with trio.move_on_at(soonest):
                await self._news.park()

    def failed(self, symbol: str) -> None:
        """Put a symbol last."""
        self._not_before[symbol] = trio.current_time() + EVERY
        queue = self._round if symbol in self._round else self._rated
        queue.pop(symbol, None)
        queue[symbol] = None

    def answered(self, symbol: str, rounds: int) -> None:
        """Let a symbol wait, out of the round unless another began meanwhile."""
        # From the answer on: the request may have waited for its turn (rest.py).
        self._not_before[symbol] = trio.current_time() + EVERY
        if rounds == self.rounds:
            self._round.pop(symbol, None)


@attrs.define(eq=False)
class Lookups:
    """The look-ups of one stream.

    `symbols` are those whose ratings were seen, `watched` the watch-list's tickers;
    `isins`: ISINs are on it too, so that not all symbols are known.
    """

    intake: Intake
    table: Table
    rest: Rest
    retry: Retry
    symbols: Symbols
    refresh: float  # s
    watched: Sequence[str] = ()
    isins: bool = False
    query: Mapping[str, str] = attrs.field(factory=dict)
    _turns: Turns = attrs.field(factory=Turns)
    _unusable: int = 0  # answers in a row
    _known: dict[str, None] = attrs.field(factory=dict)

    def rated(self, symbols: Iterable[str]) -> None:
        self._turns.rate(symbols)

    async def run(self) -> NoReturn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._after_connections)
            nursery.start_soon(self._fill)
            nursery.start_soon(self._every_few_hours)
            while True:
                await self._look_up(await self._turns.next())
        raise AssertionError  # the nursery ends by an exception only

    # ---- what there is to ask

    async def _after_connections(self) -> NoReturn:
        """Look all up after each connection: what changed meanwhile, no frame tells."""
        done = None
        while True:
            opened = self.intake.holes.opened
            if opened is not None and opened != done and self.intake.holes.is_connected:
                done = opened
                self._turns.begin_round(await self._all())
            await trio.sleep(POLL)

    async def _every_few_hours(self) -> NoReturn:
        while True:
            await trio.sleep(self.refresh)
            self._turns.begin_round(await self._all())

    async def _fill(self) -> NoReturn:
        while True:
            holes = self.intake.holes.to_ask(trio.current_time())
            symbols = await self._all() if holes else ()
            if symbols and not self.isins and all(map(is_asked_for, symbols)):
                self._turns.begin_round(symbols)
                while not self._turns.is_round_over:  # noqa: ASYNC110 - several things end it
                    await trio.sleep(POLL)
                self.intake.filled([hole.id for hole in holes])
            elif announced := [hole.id for hole in holes if hole.announced]:
                # What REST is not asked for nobody gives back.
                self.intake.forget(announced)
            await trio.sleep(REST_HAS if holes else POLL)

    async def _all(self) -> Sequence[str]:
        if self.watched and not self.isins:
            await trio.lowlevel.checkpoint()
            return self.watched
        # An emptied Redis knows fewer than we heard of.
        self._known.update(dict.fromkeys(await known(self.symbols, self.retry.rng)))
        return (*self.watched, *self._known)

    # ---- and what comes of it

    async def _look_up(self, symbol: str) -> None:
        rounds = self._turns.rounds
        try:
            text = await self.rest.lookup(self.table, symbol, self.query)
        except RestDown as error:
            self._turns.failed(symbol)
            await trio.sleep(self.retry.failed(error))
            return
        except RestRefused as error:
            await self._unanswered(symbol, error)
            return
        found = None
        if text is not None:
            stream, now = self.intake.stream, self.intake.clock()
            found = rows.looked_up(stream, text, symbol, received=now)
            self.intake.put(found)
        if isinstance(found, Rejected):  # an error under status 200, say: no answer
            unusable = RestDown(f"no answer for {self.table.path} can be used")
            await self._unanswered(symbol, unusable)
        else:
            self._unusable = 0
            self.retry.answered()
            self._turns.answered(symbol, rounds)

    async def _unanswered(self, symbol: str, why: RestDown | RestRefused) -> None:
        """Put a symbol last; the others wait only where it is not that one's fault."""
        self._turns.failed(symbol)
        self._unusable += 1
        if self._unusable >= ODD:
            await trio.sleep(self.retry.failed(why))


def is_asked_for(symbol: str) -> bool:
    return bool(symbol) and ":" not in symbol
