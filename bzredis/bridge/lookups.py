"""Ask REST whose consensus it is: one symbol at a time, never by timing.

A symbol is looked up when its rating has changed, and in rounds: after each connection
and every few hours. A round is of the watch-list's tickers, or of each symbol whose
rating was seen where there is none, or where ISINs are on it. REST is asked for US
symbols only: elsewhere a ticker alone is not unique, and it knows none for an ISIN.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from itertools import chain
from math import inf
from random import Random
from typing import Final, NoReturn, Protocol

import attrs
import trio

from bzredis.bridge.known import Symbols, known
from bzredis.bridge.ledger import Ledger
from bzredis.bridge.recovery import Recovery
from bzredis.bridge.retry import Asking
from bzredis.changes import rows as fetched
from bzredis.errors import RestDown, RestRefused

EVERY: Final = 30.0  # s between two requests for the same symbol


class Ask(Protocol):
    """Ask for one consensus. See `bzredis.upstream.rest`."""

    def __call__(
        self, ticker: str, /, *, simplify: bool, aggregate_type: str | None
    ) -> Awaitable[str | None]:
        """Return it as JSON, None for none; raises RestDown and RestRefused."""


@attrs.define(eq=False)
class Lookups:
    """The look-ups of consensus.

    `symbols` are those whose ratings were seen, `watched` the watch-list's tickers.
    """

    ledger: Ledger
    recovery: Recovery
    asking: Asking
    ask: Ask
    symbols: Symbols
    rng: Random
    refresh: float  # s
    watched: Sequence[str] = ()
    isins: bool = False  # whether the watch-list has ISINs: not all symbols are known
    simplify: bool = False
    aggregate_type: str | None = None
    _rated: dict[str, None] = attrs.field(factory=dict)
    _round: dict[str, None] = attrs.field(factory=dict)
    _covers: int = 0  # the connection whose gap the end of this round closes
    _not_before: dict[str, float] = attrs.field(factory=dict)
    _news: trio.Event = attrs.field(factory=trio.Event)

    def rated(self, symbols: Iterable[str]) -> None:
        """Note that ratings of these symbols have changed."""
        self._rated.update(dict.fromkeys(filter(is_asked_for, symbols)))
        self._news.set()

    async def run(self) -> NoReturn:
        """Look up until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._after_connections)
            nursery.start_soon(self._every_few_hours)
            while True:
                await self._look_up(await self._next())
        raise AssertionError  # the nursery ends by an exception only

    # ---- what there is to ask

    async def _after_connections(self) -> NoReturn:
        done = 0
        while True:
            await self.recovery.until(lambda: self.recovery.times > done)  # noqa: B023 - it is waited for here
            done = self.recovery.times
            symbols = await self._all()
            self._begin_round(symbols)
            # What REST is not asked for nobody gives back.
            is_whole = all(map(is_asked_for, symbols)) and not self.isins
            self._covers = done if symbols and is_whole else 0

    async def _every_few_hours(self) -> NoReturn:
        while True:
            await trio.sleep(self.refresh)
            self._begin_round(await self._all())

    def _begin_round(self, symbols: Iterable[str]) -> None:
        self._round.update(dict.fromkeys(filter(is_asked_for, symbols)))
        self._news.set()

    async def _all(self) -> Sequence[str]:
        if self.watched and not self.isins:
            await trio.lowlevel.checkpoint()
            return self.watched
        return (*self.watched, *await known(self.symbols, self.rng))

    async def _next(self) -> str:
        """Wait for a symbol that may be asked for now; rated ones go first."""
        while True:
            self._news = trio.Event()
            soonest = inf
            for symbol in chain(self._rated, self._round):
                at = self._not_before.get(symbol, -inf)
                if at <= trio.current_time():
                    return symbol
                soonest = min(soonest, at)
            with trio.move_on_at(soonest):
                await self._news.wait()

    # ---- and what comes of it

    async def _look_up(self, symbol: str) -> None:
        # Before: what is rated from now on is worth another look.
        self._rated.pop(symbol, None)
        is_of_round = symbol in self._round
        covers = self._covers
        try:
            text = await self.ask(
                symbol, simplify=self.simplify, aggregate_type=self.aggregate_type
            )
        except (RestDown, RestRefused) as error:
            delay = self.asking.failed(error)
        else:
            # From the answer on: the request may have waited for its turn (rest.py).
            self._not_before[symbol] = trio.current_time() + EVERY
            self.asking.answered()
            self._take(symbol, text)
            # A connection while it was asked for wants it once more.
            if is_of_round and covers == self._covers:
                self._end_of(symbol)
            return
        self._not_before[symbol] = trio.current_time() + EVERY
        self._put_last(symbol, of_round=is_of_round)
        await trio.sleep(delay)

    def _take(self, symbol: str, text: str | None) -> None:
        if text is not None:
            now = self.ledger.clock()
            self.ledger.put_fetched(fetched.consensus_row(text, symbol, received=now))

    def _put_last(self, symbol: str, *, of_round: bool) -> None:
        queue = self._round if of_round else self._rated
        queue.pop(symbol, None)
        queue[symbol] = None

    def _end_of(self, symbol: str) -> None:
        self._round.pop(symbol, None)
        if self._round or not self._covers:
            return
        if self._covers == self.recovery.times:
            self.ledger.note_covered()
        self._covers = 0


def is_asked_for(symbol: str) -> bool:
    """Tell whether it is a ticker of the United States."""
    return bool(symbol) and ":" not in symbol
