"""Streams besides the three, of whatever content one makes up: pure and seeded too."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from math import inf
from zlib import crc32

import attrs

from bzredis.simulator.market import formats
from bzredis.simulator.market.catalogue import COMPANIES, Company
from bzredis.simulator.market.records import API_VERSION, Content, Published

# Of chance, and the time (unix s); None: it cannot.
Make = Callable[[random.Random, float], Content | None]

Row = dict[str, object]

KEPT = 2_000  # live records of each, and as many that are gone
REVISED, DELETED = 0.3, 0.05  # the shares of messages that are about an earlier record
REPEATED = 0.5  # the share of revisions that change nothing but the time
TRIES = 20  # to make something up of the same company
BARE_DELETE = 0.4  # the share of deletions without content
# What says whose a record is, and stays.
WHOSE = ("id", "ticker", "exchange", "isin", "cusip", "name", "symbol", "security")


@attrs.frozen
class Further:
    """A stream, told in plain values: where it is, what it says, and REST of it."""

    name: str
    path: str
    make: Make | None = None  # None: it is there, and says nothing
    kind: str = ""  # of its envelopes
    rows: str = ""  # the path of REST that has its records; "": none has
    array: str = ""  # … and what the array there is called
    removed: str = ""  # its type among the removals; "": they have none of it


@attrs.define(eq=False)
class Sideline:
    """What happens in one of them: its live records, and when what is gone went.

    ``advance`` makes happen what is due, in unix seconds.
    """

    of: Further
    seed: int = 0
    live: dict[str, Content] = attrs.field(factory=dict, init=False)
    gone: dict[str, float] = attrs.field(factory=dict, init=False)
    next_due: float = attrs.field(default=inf, init=False)
    _rate: float = attrs.field(default=0.0, init=False)
    _rng: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Seed its chance: another one's than the market's, and each its own."""
        seed = self.seed + crc32(self.of.name.encode())
        self._rng = random.Random(seed)  # noqa: S311 - no secret hangs on it

    def past(self, now: float, count: int, span: float) -> Iterator[Published]:
        """Yield so many messages, all before now."""
        times = sorted(now - 1 - self._rng.random() * span for _ in range(count))
        yield from (said for at in times for said in self.happen(at))

    def pace(self, rate: float, now: float) -> None:
        """Have ``rate`` messages a second on average from now on; 0 is silence."""
        self._rate = rate if self.of.make else 0.0
        self.next_due = now + self._rng.expovariate(rate) if self._rate else inf

    def advance(self, now: float) -> Iterator[Published]:
        while self.next_due <= now:
            at = self.next_due
            self.next_due += self._rng.expovariate(self._rate)
            yield from self.happen(at)

    def happen(self, at: float) -> list[Published]:
        """Have a record made, revised or deleted."""
        chance = self._rng.random()
        record = self._rng.choice([*self.live]) if self.live else ""
        if record and chance < DELETED:
            return [self.retract(at, record)]
        return self.say(at, record if chance < DELETED + REVISED else "")

    def say(self, at: float, record: str = "") -> list[Published]:
        """Make a record, or revise one; nothing where nobody makes content."""
        old = self.live.get(record, {})
        made = old if old and self._rng.random() < REPEATED else self._made(at, old)
        if not made:
            return []
        record = record or formats.record_id(self._rng, at)
        whose = {name: old[name] for name in WHOSE if name in old}
        content = {**made, **whose, "id": record, "updated": int(at)}
        self.live[record] = content
        if len(self.live) > KEPT:
            del self.live[next(iter(self.live))]
        data = self._data(at, "updated" if old else "created", record, updated(old))
        return [self._sent(at, data | {"content": content}, content)]

    def _made(self, at: float, old: Content) -> Content:
        """Make content up; of the same company as before, if that can be had."""
        made: Content = {}
        for _ in range(TRIES if old and self.of.make else 1):
            made = (self.of.make and self.of.make(self._rng, at)) or {}
            if made.get("ticker") == old.get("ticker"):
                break
        return made

    def retract(self, at: float, record: str) -> Published:
        old = self.live.pop(record)
        self.gone[record] = at
        if len(self.gone) > KEPT:
            del self.gone[next(iter(self.gone))]
        told = self._data(at, "deleted", record, updated(old))
        if self._rng.random() >= BARE_DELETE:
            told["content"] = {**old, "updated": int(at)}
        return self._sent(at, told, old)

    def _data(self, at: float, action: str, record: str, last: int) -> Row:
        return {
            "action": formats.action(self._rng, action),
            "id": record,
            "timestamp": formats.timestamp(self._rng, at, last),
        }

    def _sent(self, at: float, data: Content, about: Content) -> Published:
        envelope = formats.envelope_id(self._rng)
        whole = {
            "id": envelope,
            "api_version": API_VERSION,
            "kind": self.of.kind or self.of.name,
            "data": data,
        }
        text = formats.compact(whole)
        return Published(self.of.name, text, at, company_of(about), envelope)

    def rows(self, tickers: Sequence[str], since: int) -> list[Content]:
        """Return the live records as REST has them, the newest first."""
        found = [
            content
            for content in self.live.values()
            if updated(content) >= since
            and (not tickers or not names(content).isdisjoint(tickers))
        ]
        return sorted(found, key=updated, reverse=True)


def updated(content: Content) -> int:
    return int(str(content.get("updated", 0)))


def names(content: Content) -> set[str]:
    """Return what its company can be asked for by."""
    ticker, exchange = content.get("ticker", ""), content.get("exchange", "")
    return {f"{ticker}", f"{exchange}:{ticker}"}


def company_of(content: Content) -> Company | None:
    """Return whom a content is about, as far as the market knows it."""
    named = content.get("ticker"), content.get("exchange")
    return next(
        (
            each
            for each in COMPANIES
            if each.ticker == named[0] and named[1] in {None, "", each.exchange}
        ),
        None,
    )
