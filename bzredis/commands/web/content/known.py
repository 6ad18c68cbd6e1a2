"""Which symbols there are, with their names: for who searches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import attrs
import trio

from bzredis.commands.looks.words import nearest, one_line
from bzredis.commands.web.live.hub import Hub
from bzredis.reader import Insight, Rating, Reader

KEPT: Final = 60.0  # s until they are read again, when somebody searches
FOUND: Final = 50  # that are shown
LONGEST: Final = 120  # characters of a name


@attrs.frozen
class Known:
    """A symbol, and by what else it can be found."""

    symbol: str
    name: str = ""
    exchange: str = ""
    isin: str = ""


def read(reader: Reader) -> tuple[Known, ...]:
    """Read all of them; raises ReaderError."""
    found: dict[str, Known] = {}
    for symbol in reader.symbols("consensus"):
        found[symbol] = Known(symbol)
    told_of: list[Insight | Rating] = [*reader.newest("insights")]
    told_of += reader.newest("ratings")
    for one in told_of:
        if one.symbol:
            words = (one.name, one.exchange, one.isin)
            told = [one_line(each or "")[:LONGEST] for each in words]
            found[one.symbol] = Known(one.symbol, *told)
    return tuple(sorted(found.values(), key=lambda each: each.symbol))


@attrs.define
class Register:
    """Them, read when somebody asks, and kept a while."""

    hub: Hub
    _known: tuple[Known, ...] = ()
    _until: float = 0.0
    _turn: trio.Lock = attrs.field(factory=trio.Lock)

    async def search(self, words: str) -> list[Known]:
        """Return what may be meant, the likeliest first. Raises ReaderError."""
        async with self._turn:
            if time.monotonic() >= self._until:
                self._known = await self.hub.read(read)
                self._until = time.monotonic() + KEPT
        ranked = sorted(_ranked(words.strip(), self._known), key=lambda each: each[0])
        return [each for _, each in ranked[:FOUND]]

    def near(self, symbol: str) -> list[str]:
        """Return symbols that may be meant by one that is not there."""
        return nearest(symbol, [each.symbol for each in self._known])


def _ranked(words: str, known: tuple[Known, ...]) -> Iterator[tuple[int, Known]]:
    upper, folded = words.removeprefix("$").upper(), words.casefold()
    if not folded:
        return
    for each in known:
        name = each.name.casefold()
        if upper in {each.symbol, each.isin}:
            yield 0, each
        elif each.symbol.rpartition(":")[2] == upper:
            yield 1, each
        elif name.startswith(folded):
            yield 2, each
        elif each.symbol.rpartition(":")[2].startswith(upper):
            yield 3, each
        elif folded in name or (each.isin and each.isin.startswith(upper)):
            yield 4, each
