"""What came last, kept for whoever opens a page; and who moved today. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

import attrs

from bzredis.commands.looks.words import way
from bzredis.messages.times import EASTERN
from bzredis.reader import Entry, Gap

NEWS: Final = 2_000  # kept for filters to find something in
SHOWN: Final = 50  # of it on a page
MOVERS: Final = 8  # of each kind
LONGEST: Final = 64  # characters of a filter
DIRECTIONS: Final = ("up", "down", "same", "new", "end")
NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def percent(one: Entry) -> Decimal | None:
    """Return by how much a target moved, in per cent of the prior one."""
    if one.action == "deleted" or not one.pt_prior or one.pt is None:
        return None
    return 100 * (one.pt - one.pt_prior) / one.pt_prior


@attrs.frozen
class Wanted:
    """Which news a page wants; what is "" or 0 is any."""

    symbol: str = ""
    firm: str = ""  # a part of its name
    direction: str = ""
    move: Decimal = Decimal(0)  # per cent of the target, at the least
    stream: str = ""

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Wanted:
        """Read it from a page's address; what cannot be understood wants nothing."""
        given = {name: asked.get(name, "").strip()[:LONGEST] for name in FIELDS}
        return cls(
            symbol=given["symbol"].removeprefix("$").upper(),
            firm=given["firm"].casefold(),
            direction=given["direction"] if given["direction"] in DIRECTIONS else "",
            move=Decimal(given["move"])
            if NUMBER.fullmatch(given["move"])
            else Decimal(0),
            stream=given["stream"],
        )

    @property
    def anything(self) -> bool:
        return self == Wanted()

    def __call__(self, one: Entry | Gap) -> bool:
        """Whether this is among it; a gap may have hidden anything."""
        if self.stream not in {"", one.stream}:
            return False
        if isinstance(one, Gap):
            return True
        return (
            self.symbol in {"", one.symbol, (one.symbol or "").rpartition(":")[2]}
            and self.firm in (one.firm or "").casefold()
            and self.direction in {"", way(one)}
            and (not self.move or abs(percent(one) or Decimal(0)) >= self.move)
        )


FIELDS: Final = tuple(each.name for each in attrs.fields(Wanted))


@attrs.frozen
class News:
    """One line, and as it is drawn: once for all pages."""

    one: Entry | Gap
    html: str

    @property
    def at(self) -> datetime:
        return self.one.received or LONG_AGO


@attrs.define
class Kept:
    """What was news, newest last; and of today each record that moved."""

    news: deque[News] = attrs.field(factory=lambda: deque(maxlen=NEWS))
    _day: date | None = None
    _moved: dict[str, Entry] = attrs.field(factory=dict)

    def add(self, news: News, today: date) -> None:
        self.news.append(news)
        one = news.one
        if self._day != today:
            self._day, self._moved = today, {}
        if isinstance(one, Gap) or not one.symbol or one.stream != "ratings":
            return
        at = one.published or one.received
        if at is None or at.astimezone(EASTERN).date() != today:
            return
        record = one.record or one.symbol
        if way(one) in {"up", "down"} or percent(one):
            self._moved[record] = one
        else:  # it is withdrawn, or was corrected
            self._moved.pop(record, None)

    def sort(self) -> None:
        """Put them in order of when they came: three logs were read one by one."""
        self.news = deque(sorted(self.news, key=lambda each: each.at), maxlen=NEWS)

    def newest(self, wanted: Wanted) -> list[News]:
        """Return what a page shows, newest first."""
        found: list[News] = []
        for each in reversed(self.news):
            if wanted(each.one):
                found.append(each)
                if len(found) == SHOWN:
                    break
        return found

    def moved(self, today: date) -> dict[str, list[Entry]]:
        """Return who moved up and down today, by its greatest move, the most first."""
        if self._day != today:
            return {"up": [], "down": []}
        by_symbol = {
            each.symbol: each for each in sorted(self._moved.values(), key=_weight)
        }
        return {
            "up": _most(one for one in by_symbol.values() if _rises(one)),
            "down": _most(one for one in by_symbol.values() if not _rises(one)),
        }


def _most(found: Iterable[Entry]) -> list[Entry]:
    return sorted(found, key=_weight, reverse=True)[:MOVERS]


def _rises(one: Entry) -> bool:
    return way(one) == "up" if way(one) in {"up", "down"} else (percent(one) or 0) > 0


def _weight(one: Entry) -> tuple[bool, Decimal]:
    """Order moves: a rating that changed before a target that did."""
    return way(one) in {"up", "down"}, abs(percent(one) or Decimal(0))
