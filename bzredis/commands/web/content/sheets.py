"""What a page needs from Redis, read in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import attrs

from bzredis.commands.web.content.pictures import KINDS
from bzredis.reader import Consensus, Entry, Insight, Rating, Reader

CALLS: Final = 50  # of the timeline
COURSE: Final = 200  # of the consensus' history
LISTED: Final = 50  # of a watch-list that nobody named
MOST: Final = 200  # of one that somebody did


@attrs.frozen
class Sheet:
    """All that there is about one symbol."""

    symbol: str
    rating: Rating | None
    insight: Insight | None
    consensus: Consensus | None
    opinions: tuple[Rating, ...]
    calls: tuple[Entry, ...]
    course: tuple[Entry, ...]

    @property
    def is_there(self) -> bool:
        return any(
            (self.rating, self.insight, self.consensus, self.opinions, self.calls)
        )

    @property
    def about(self) -> dict[str, str]:
        """Whose symbol it is, where that is known."""
        said = [*filter(None, (self.rating, self.insight))]
        found = {
            name: next((text for one in said if (text := getattr(one, name))), "")
            for name in ("name", "exchange", "isin")
        }
        return {**found, "currency": (self.rating and self.rating.currency) or ""}


def sheet(symbol: str) -> Callable[[Reader], Sheet]:
    """Return what reads all about a symbol."""

    def read(reader: Reader) -> Sheet:
        return Sheet(
            symbol,
            reader.latest("ratings", symbol),
            reader.latest("insights", symbol),
            reader.latest("consensus", symbol),
            reader.opinions(symbol),
            reader.history("ratings", symbol, CALLS),
            reader.history("consensus", symbol, COURSE),
        )

    return read


@attrs.frozen
class Line:
    """One symbol of a watch-list."""

    symbol: str
    rating: Rating | None
    consensus: Consensus | None

    @property
    def name(self) -> str:
        return (self.rating and self.rating.name) or ""

    @property
    def buys(self) -> Decimal | None:
        """How many of a hundred say buy."""
        found = self.consensus
        counts = [getattr(found, kind) or Decimal(0) for kind in KINDS] if found else []
        total = sum(counts)
        return 100 * sum(counts[:2]) / total if total else None


@attrs.frozen
class Watched:
    """A watch-list: named, the bridge's own, or what changed last."""

    lines: Sequence[Line]
    whose: str  # yours, bridge, newest


def watched(named: Sequence[str]) -> Callable[[Reader], Watched]:
    """Return what reads a watch-list."""

    def read(reader: Reader) -> Watched:
        whose, symbols = "yours", [*named]
        if not symbols:
            told = reader.status("ratings").subscription or "*"
            whose, symbols = "bridge", [*symbols_of(told)] if told != "*" else []
        if not symbols:
            whose, symbols = "newest", [*reader.symbols("ratings")[:LISTED]]
        lines = [
            Line(each, reader.latest("ratings", each), reader.latest("consensus", each))
            for each in symbols[:MOST]
        ]
        return Watched(lines, whose)

    return read


def symbols_of(text: str) -> tuple[str, ...]:
    """Read a list with commas."""
    each = (one.strip().removeprefix("$").upper() for one in text.split(","))
    return tuple(dict.fromkeys(one for one in each if one))[:MOST]


def raw_latest(stream: str, symbol: str) -> Callable[[Reader], dict[str, str] | None]:
    """Return what reads a hash as it stands in Redis."""

    def read(reader: Reader) -> dict[str, str] | None:
        latest: Callable[..., Rating | Insight | Consensus | None] = reader.latest
        found = latest(stream, symbol)
        return {**found.text} if found else None

    return read


def raw_history(
    stream: str, symbol: str, count: int
) -> Callable[[Reader], list[dict[str, str]]]:
    """Return what reads a history as it stands in Redis, newest first."""

    def read(reader: Reader) -> list[dict[str, str]]:
        history: Callable[..., tuple[Entry, ...]] = reader.history
        return [{**one.text} for one in history(stream, symbol, count)]

    return read
