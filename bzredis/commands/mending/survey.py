"""One stream, looked at symbol by symbol while it may go on: what differs, and mending.

What is read of some symbols is of one moment, and the log up to that moment is known;
where it tells something new of a symbol meanwhile, that symbol is looked at once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import attrs

from bzredis.commands.mending.asked import Progress
from bzredis.commands.mending.judging import consensus, records
from bzredis.commands.mending.judging.judged import Ground, Judged
from bzredis.commands.mending.judging.logged import Consensus, Records, logged
from bzredis.contract.keys import internal
from bzredis.store.mending import PAGE, START, Entry, Keys, Looked

SYMBOLS: Final = 20  # that are looked at together …
HASHES: Final = 150  # … while they have no more: a few ms of Redis' time
WRITTEN: Final = 30  # in one call, but all of one symbol are one step
HASHES_OF_A_STEP: Final = 2  # their place in it
FORGOTTEN: Final = internal("forgotten")  # until which entry, by symbol
TRIES: Final = 50  # for a symbol that changes all the time


@attrs.define
class Survey:
    """What the log of a stream says, and what stands; both go on."""

    keys: Keys
    length: int  # of a timeline
    say: Progress
    log: Records | Consensus = attrs.field(init=False)
    sieved: bool = False
    entries: int = 0
    hints: dict[str, set[str]] = attrs.field(factory=dict)  # symbol -> records
    busy: set[str] = attrs.field(factory=set)  # changed each time that one looked

    @log.default
    def _empty(self) -> Records | Consensus:
        return logged(self.keys.stream, self.length, {})

    async def begin(self, wanted: Sequence[str]) -> list[str]:
        """Read the log and what keys there are; return the symbols to look at."""
        forgotten = await self.keys.hash(FORGOTTEN)
        self.log = logged(self.keys.stream, self.length, forgotten)
        self.sieved = await self.keys.is_sieved()
        await self._read_on(START)
        found = {*self.log.symbols()}
        kinds = ("latest:", "timeline:") if self._has_records else ("latest:",)
        for kind in kinds:
            async for names in self.keys.names(kind):
                found.update(names)
        found.update(await self.keys.listed())
        if isinstance(self.log, Records):
            async for names in self.keys.names("record:"):
                await self._hint([each for each in names if each not in self.log.of])
            found.update(self.hints, [""])
        if wanted:
            return [each for each in wanted if each in found]
        return sorted(found)

    @property
    def _has_records(self) -> bool:
        return isinstance(self.log, Records)

    async def _hint(self, unknown: list[str]) -> None:
        """Note whose records are that the log does not know."""
        for first in range(0, len(unknown), PAGE):
            page = unknown[first : first + PAGE]
            for record, symbol in zip(page, await self.keys.whose(page), strict=True):
                self.hints.setdefault(symbol, set()).add(record)

    async def _read_on(self, after: str) -> set[str]:
        """Read the log to its end; return the symbols that it told something of."""
        concerned = set[str]()
        while True:
            page = await self.keys.log(after)
            concerned |= self._add(page)
            if len(page) < PAGE:
                return concerned
            after = self.log.until
            self.say(f"{self.keys.stream.name}: {self.entries:,} entries of the log")

    def _add(self, page: Sequence[Entry]) -> set[str]:
        self.entries += len(page)
        return {s for entry, fields in page for s in self.log.add(entry, fields)}

    # ---- what stands

    async def judged(self, symbols: Sequence[str]) -> AsyncIterator[list[Judged]]:
        """Yield what is found, some symbols at a time."""
        named, done = [each for each in symbols if each], 0
        for some in self._cut(named):
            yield await self.judge(some)
            done += len(some)
            of = f"{done:,} of {len(named):,}"
            self.say(f"{self.keys.stream.name}: looked at {of} symbols")
        if "" not in symbols:
            return
        rest = sorted(self._records(""))  # of none: they have nothing in common
        for first in range(0, len(rest), HASHES):
            yield await self.judge([""], {*rest[first : first + HASHES]})

    def _cut(self, symbols: Sequence[str]) -> Iterator[list[str]]:
        """Cut symbols into lots that Redis can tell of in a few ms."""
        some, size = list[str](), 0
        for symbol in symbols:
            its = self._size(symbol)
            if some and (len(some) == SYMBOLS or size + its > HASHES):
                yield some
                some, size = [], 0
            some.append(symbol)
            size += its
        if some:
            yield some

    def _size(self, symbol: str) -> int:
        return 1 + len(self._records(symbol))

    def _records(self, symbol: str) -> set[str]:
        if not isinstance(self.log, Records):
            return set()
        return self.log.at(symbol) | self.hints.get(symbol, set())

    async def judge(
        self, symbols: Sequence[str], only: set[str] | None = None
    ) -> list[Judged]:
        """Judge some symbols, each as of what the log says at the end of this.

        Of `only` these records, where it is told.
        """
        found, left = dict[str, Judged](), list(symbols)
        for _ in range(TRIES):
            its = await self._all_records(symbols)
            if only is not None:
                its = dict.fromkeys(symbols, only)
            looked = await self._look(left, its)
            again = self._add(looked.newer)
            moved = {fields.get("record", "") for _, fields in looked.newer}
            again |= {symbol for symbol in symbols if its[symbol] & moved}
            if len(looked.newer) == PAGE:
                await self._read_on(self.log.until)
                again |= {*symbols}
            for symbol in left:
                if symbol not in again:
                    found[symbol] = self._one(symbol, its[symbol], looked)
            left = [symbol for symbol in symbols if symbol in again]
            if not left:
                break
        self.busy.update(left)
        return [found[symbol] for symbol in symbols if symbol not in left]

    async def _all_records(self, symbols: Sequence[str]) -> dict[str, set[str]]:
        """Return all records that may be a symbol's."""
        if not self._has_records:
            return {symbol: set() for symbol in symbols}
        lines = await self.keys.timelines(symbols)
        return {
            symbol: self._records(symbol) | {*line}
            for symbol, line in zip(symbols, lines, strict=True)
        }

    async def _look(
        self, symbols: Sequence[str], records: dict[str, set[str]]
    ) -> Looked:
        entries = list[str]()
        for symbol in symbols:
            if isinstance(self.log, Consensus):
                shown = self.log.of.get(symbol)
                told = [shown.entry, shown.before, shown.repeat] if shown else []
            else:
                its = (self.log.of.get(each) for each in records[symbol])
                told = [each.entry for each in its if each and each.symbol == symbol]
            entries += filter(None, told)
        all_records = sorted({r for symbol in symbols for r in records[symbol]})
        named = [each for each in symbols if each]
        return await self.keys.look(self.log.until, named, all_records, entries)

    def _one(self, symbol: str, its: set[str], looked: Looked) -> Judged:
        stream, log = self.keys.stream, self.log
        ground = Ground(stream, looked, log.until, self.length, self.sieved)
        if isinstance(log, Consensus):
            return consensus.judge(ground, log, symbol)
        return records.judge(ground, log, symbol, its)

    # ---- mending

    async def mend(self, found: Sequence[Judged]) -> tuple[list[Judged], list[str]]:
        """Write what differs; return what was written, and what changed meanwhile."""
        written, again = list[Judged](), list[str]()
        for some in self._lots(found):
            steps = [each.step for each in some if each.step]
            answers = await self.keys.mend(self.log.until, steps)
            for each, is_done in zip(some, answers, strict=True):
                if is_done:
                    written.append(each)
                else:
                    again.append(each.symbol)
        return written, again

    @staticmethod
    def _lots(found: Sequence[Judged]) -> Iterator[list[Judged]]:
        """Cut what is to be written into lots that Redis writes in a few ms."""
        some, size = list[Judged](), 0
        for each in found:
            if each.step is None:
                continue
            its = 1 + len(each.step[HASHES_OF_A_STEP])
            if some and size + its > WRITTEN:
                yield some
                some, size = [], 0
            some.append(each)
            size += its
        if some:
            yield some
