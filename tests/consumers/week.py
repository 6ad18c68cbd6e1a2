"""A small log of a market, as a bridge would have left it: made up, and always alike.

The bridge's own script writes it, with one thing told: its clock is the time at which
each message came, so that entries have the ids which they would have had. All times are
so many days before today, at fixed times of the day.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from hashlib import sha1
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import attrs
import trio
from msgspec import structs
from store.servers import Peer

from bzredis.bridge.status import Identity, StreamStatus
from bzredis.changes.from_frame import read
from bzredis.changes.from_rest import looked_up, row
from bzredis.changes.kinds import Change, GaveUp, Heard, Opened, Packed
from bzredis.messages.times import EASTERN, rfc3339
from bzredis.ports import Applied, Batch, Coverage, Log, Presence, Sign
from bzredis.store.client import Store
from bzredis.store.script import script
from bzredis.store.wire import Script
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, STREAMS, Stream

UPSTREAM: Final = "api.benzinga.com"
DAY: Final = 86_400  # s
BRIDGE: Final = "44bb988960cf4fd28f20cea01711071f"
# What the script takes for the server's clock: when the batch in hand was read.
CLOCK: Final = """(function()
  local _, first = cmsgpack.unpack_one(ARGV[2])
  local ms = first[2]
  return { math.floor(ms / 1000), ms % 1000 * 1000 }
end)()"""
KINDS_OF_ENTRIES: Final = 4  # of log, history, gap and what is rejected
COMPANIES: Final = {
    "AAPL": ("NASDAQ", "Apple", "US0378331005", "USD"),
    "MSFT": ("NASDAQ", "Microsoft", "US5949181045", "USD"),
    "NVDA": ("NASDAQ", "NVIDIA", "US67066G1040", "USD"),
    "XOM": ("NYSE", "Exxon Mobil", "US30231G1022", "USD"),
    "SHOP": ("TSX", "Shopify", "CA82509L1076", "CAD"),
}


def today(ahead: int = 0) -> int:
    """Return when this day began in UTC, in s since 1970; or where clocks are ahead."""
    return (int(time.time()) + ahead) // DAY * DAY


def identity(*words: object) -> str:
    """Return an id like upstream's of a record."""
    return sha1(" ".join(map(str, words)).encode()).hexdigest()[:24]  # noqa: S324


@attrs.frozen
class Call:
    """One rating: when it was published, and what it says."""

    day: int
    clock: str
    ticker: str
    firm: str
    analyst: str
    action: str
    rating: str
    prior: str
    pt: str
    pt_prior: str
    action_pt: str = "Raises"
    importance: int = 0

    @property
    def id(self) -> str:
        return identity(self.ticker, self.firm, self.day)


CALLS: Final = (
    Call(-30, "13:05", "AAPL", "Barclays", "Tim Long", "Maintains", "Underweight",
         "Underweight", "198.00", "190.00"),
    Call(-9, "12:31", "AAPL", "Evercore ISI Group", "Amit Daryanani", "Maintains",
         "In-Line", "In-Line", "217.00", "225.00", "Lowers"),
    Call(-9, "13:10", "MSFT", "Morgan Stanley", "Keith Weiss", "Maintains",
         "Overweight", "Overweight", "500.00", "480.00"),
    Call(-6, "02:05", "SHOP", "BMO Capital", "Thanos Moschopoulos", "Maintains",
         "Outperform", "Outperform", "115.00", "98.00"),
    Call(-4, "12:40", "XOM", "Mizuho", "Nitin Kumar", "Maintains", "Neutral",
         "Neutral", "128.00", "124.00"),
    Call(-3, "11:15", "NVDA", "Benchmark", "Cody Acree", "Initiates Coverage On",
         "Buy", "", "190.00", "", "Announces"),
    Call(-2, "12:02", "XOM", "Goldman Sachs", "Neil Mehta", "Downgrades", "Neutral",
         "Buy", "118.00", "135.00", "Lowers", 3),
    Call(-1, "10:48", "AAPL", "Jefferies", "Edison Lee", "Downgrades",
         "Underperform", "Hold", "205.16", "222.80", "Lowers", 4),
    Call(0, "11:32", "AAPL", "Evercore ISI Group", "Amit Daryanani", "Upgrades",
         "Outperform", "In-Line", "267.00", "217.00", "Raises", 4),
    Call(0, "12:10", "MSFT", "Baird", "William Power", "Upgrades", "Outperform",
         "Neutral", "520.00", "460.00", "Raises", 2),
    Call(0, "12:32", "NVDA", "Citigroup", "Atif Malik", "Maintains", "Buy", "Buy",
         "210.00", "150.00"),
)  # fmt: skip
# What REST brings today, and is a week old.
LATE: Final = Call(-7, "12:45", "SHOP", "Scotiabank", "Kevin Krishnaratne", "Upgrades",
                   "Outperform", "Sector Perform", "112.00", "96.00")  # fmt: skip
# What comes while somebody waits.
LAST: Final = Call(0, "13:45", "XOM", "Barclays", "Betty Jiang", "Upgrades",
                   "Overweight", "Equal-Weight", "130.00", "112.00",
                   importance=2)  # fmt: skip
CONSENSUSES: Final = (
    (-9, "12:35", "AAPL", "BUY", 3.92, 281.5),
    (-9, "13:15", "MSFT", "BUY", 4.1, 521.6666666666666),
    (-3, "11:20", "NVDA", "STRONG_BUY", 4.6, 201),
    (-1, "10:55", "AAPL", "BUY", 3.55, 274.25),
    (0, "11:35", "AAPL", "BUY", 3.68, 278.4),
    (0, "12:15", "MSFT", "BUY", 4.18, 526.1),
    (0, "12:40", "NVDA", "STRONG_BUY", 4.6, 201),  # the same once more
)
PROSE: Final = (
    "## Rating Rationale\n"
    '- Services grow — "margins" hold: **resilient**.\n'
    "- The next cycle is not in the price."
)


@attrs.frozen
class Week:
    """What is written on which day."""

    start: int = attrs.field(factory=today)  # s; when today began

    def at(self, day: int, clock: str, ms: int = 0) -> int:
        """Return a time in ms since 1970, of a clock in UTC."""
        hours, minutes, seconds = (*map(int, clock.split(":")), 0)[:3]
        seconds += day * DAY + 3600 * hours + 60 * minutes
        return (self.start + seconds) * 1000 + ms

    def content(self, call: Call, later: int = 0) -> dict[str, Any]:
        """Return a rating as upstream has it, changed so many seconds later."""
        exchange, name, isin, currency = COMPANIES[call.ticker]
        at = self.at(call.day, call.clock) // 1000
        local = datetime.fromtimestamp(at, EASTERN)
        return {
            "id": call.id,
            "date": f"{local:%Y-%m-%d}",
            "time": f"{local:%H:%M:%S}",
            "ticker": call.ticker,
            "exchange": exchange,
            "isin": isin,
            "name": name,
            "currency": currency,
            "action_pt": call.action_pt,
            "action_company": call.action,
            "rating_current": call.rating,
            "pt_current": call.pt,
            "adjusted_pt_current": call.pt,
            "rating_prior": call.prior,
            "pt_prior": call.pt_prior,
            "adjusted_pt_prior": call.pt_prior,
            "url": "https://www.benzinga.com/quote/" + call.ticker,
            "analyst": call.firm,
            "analyst_name": call.analyst,
            "importance": call.importance,
            "notes": "",
            "updated": at + 20 + later,
        }

    def rating(self, call: Call, action: str = "created", later: int = 0) -> Change:
        content = self.content(call, later)
        at = self.at(call.day, call.clock, 40_137) + 1000 * later
        return self.frame(
            RATINGS, at, action=action, id=call.id, timestamp=nanos(at), content=content
        )

    def insight(self, call: Call, day: int, clock: str) -> Change:
        exchange, name, isin, _ = COMPANIES[call.ticker]
        at = self.at(day, clock, 10_402)
        content = {
            "id": identity("insight", call.id),
            "action": call.action,
            "analyst_insights": PROSE,
            "date": f"{datetime.fromtimestamp(at / 1000, EASTERN):%Y-%m-%d}",
            "firm": call.firm,
            "pt": call.pt,
            "rating": call.rating,
            "rating_id": call.id,
            "security": {
                "symbol": call.ticker,
                "name": name,
                "exchange": exchange,
                "isin": isin,
            },
            "updated": at - 900,
        }
        named = {"action": "created", "id": content["id"], "timestamp": nanos(at)}
        return self.frame(INSIGHTS, at, **named, content=content)

    def frame(self, stream: Stream, at: int, **data: Any) -> Change:
        """Return what a frame says that came at a time."""
        envelope = {
            "id": str(
                uuid5(NAMESPACE_URL, f"{data.get('id')} {at - 1000 * self.start}")
            ),
            "api_version": "websocket/v1",
            "kind": f"data/v2.1/calendar/{stream.name}",
            "data": data,
        }
        text = json.dumps(envelope, ensure_ascii=False)
        change = read(stream, text, received=at, source="live")
        assert isinstance(change, Change), change
        return change

    def ratings(self) -> Iterator[Packed]:
        """Yield what came on the stream of ratings, in the order in which it came."""
        missed, repeated, gone = CALLS[3], CALLS[-1], CALLS[4]
        yield Opened(self.at(-31, "00:00"))
        for call in CALLS[:3]:
            yield self.rating(call)
        yield Heard(self.at(-6, "02:02:30"), self.at(-6, "02:02:30"))
        yield Opened(self.at(-6, "02:14:06"))
        text = json.dumps(self.content(missed))
        found = row(RATINGS, text, received=self.at(-6, "02:14:09"))
        assert isinstance(found, Change)
        yield found
        yield GaveUp(self.at(-6, "02:15:06"), (), keep=True)
        for call in CALLS[4:]:
            yield self.rating(call)
        yield self.rating(repeated, "updated", 1_980)
        text = json.dumps(self.content(LATE))
        found = row(RATINGS, text, received=self.at(0, "13:10:02"))
        assert isinstance(found, Change)
        yield found
        at = self.at(0, "13:20:01", 88)
        yield self.frame(
            RATINGS, at, action="deleted", id=gone.id, timestamp=nanos(at), content={}
        )
        torn = '{"id": "0c8f", "data": {"action": "created", "con'
        received = self.at(0, "13:21", 512)
        rejected = read(RATINGS, torn, received=received, source="live")
        assert isinstance(rejected, Packed)
        yield rejected
        yield Heard(self.at(0, "13:30"), self.at(0, "13:30"))

    def insights(self) -> Iterator[Packed]:
        yield Opened(self.at(-31, "00:00"))
        yield self.insight(CALLS[7], -1, "12:20")
        yield self.insight(CALLS[8], 0, "12:55")
        yield Heard(self.at(0, "13:30"), self.at(0, "13:30"))

    def consensus(self) -> Iterator[Packed]:
        """Yield what REST told of symbols, and a frame that is nobody's."""
        yield Opened(self.at(-31, "00:00"))
        for day, clock, symbol, rating, value, target in CONSENSUSES:
            at = self.at(day, clock, 250)
            figures = self.figures(at, rating, value, target)
            found = looked_up(CONSENSUS, json.dumps(figures), symbol, received=at)
            assert isinstance(found, Change), found
            yield found
        at = self.at(0, "12:50", 731)
        yield self.frame(CONSENSUS, at, **self.figures(at, "HOLD", 2.83, 282.8))
        yield Heard(self.at(0, "13:30"), self.at(0, "13:30"))

    def figures(
        self, at: int, rating: str, value: float, target: float
    ) -> dict[str, Any]:
        return {
            "aggregate_ratings": {"strong_buy": 10, "buy": 15, "hold": 8, "sell": 1},
            "aggregate_type": "number",
            "consensus_price_target": target,
            "consensus_rating": rating,
            "consensus_rating_val": value,
            "high_price_target": 350,
            "low_price_target": 180,
            "total_analyst_count": 34,
            "unique_analyst_count": 28,
            "updated_at": nanos(at - 120_000),
        }


def nanos(ms: int) -> str:
    """Write a time a little before, as upstream's clock has it."""
    return f"{rfc3339(ms - 210)[:-1]}730108Z"


def dated(text: str) -> str:
    """Return a script that takes the time at which a message came for the server's."""
    assert text.count("redis.pcall('TIME')") == 1
    text = text.replace("redis.pcall('TIME')", CLOCK)
    text, times = re.subn(
        r"('MAXLEN', '~', [^,]+), '\*'", r"\1, server.now .. '-0'", text
    )
    assert times == KINDS_OF_ENTRIES
    return text


@attrs.define
class Bridge:
    """What wrote the week, and goes on to."""

    peer: Peer
    week: Week = attrs.field(factory=Week)
    _logs: dict[str, Log] = attrs.field(init=False)
    _applied: dict[str, int] = attrs.field(factory=dict, init=False)
    _coverage: dict[str, Coverage] = attrs.field(factory=dict, init=False)
    _results: dict[str, list[str]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        names = [stream.name for stream in STREAMS]
        self._logs = {name: Log(f"{name}-log", "*", 0, UPSTREAM) for name in names}

    def write(self) -> None:
        """Put all of the week into an empty server."""
        week = self.week
        for stream, items in (
            (RATINGS, week.ratings()),
            (INSIGHTS, week.insights()),
            (CONSENSUS, week.consensus()),
        ):
            self.apply(stream, *items)
        self.say("fresh")

    def apply(self, stream: Stream, *items: Packed) -> None:
        """Apply messages, each by itself."""
        with closing(self.peer.store()) as store:
            text = dated(script(stream, store.limits))
            store._apply[stream.name] = Script(text)
            trio.run(self._apply, store, stream, items)

    async def _apply(
        self, store: Store, stream: Stream, items: tuple[Packed, ...]
    ) -> None:
        for item in items:
            packed = item
            if isinstance(item, GaveUp):
                holes = self._coverage[stream.name].holes
                packed = structs.replace(item, ids=tuple(hole.id for hole in holes))
            number = self._applied.get(stream.name, 0)
            batch = Batch(self._logs[stream.name], number, [packed.pack()], None)
            answer = await store.apply(stream, batch)
            assert isinstance(answer, Applied)
            assert not answer.results[0].startswith("refused"), answer
            self._applied[stream.name] = number + 1
            self._coverage[stream.name] = answer.coverage
            self._results.setdefault(stream.name, []).extend(answer.results)

    def say(self, presence: Presence, why: str = "") -> None:
        """Write the status of each stream, and its sign of life."""
        week = self.week
        who = Identity(BRIDGE, "1.0.0", week.at(-31, "00:00"), UPSTREAM, "*")
        with closing(self.peer.store()) as store:
            for stream in STREAMS:
                status = StreamStatus(who)
                status.enter("live", week.at(-6, "02:14:06"))
                status.note_error("feed", "ConnectionClosed: the link is dead")
                status.connected_at = week.at(-6, "02:14:06")
                status.last_frame_at = week.at(0, "13:30:04", 12)
                status.last_event_at = week.at(0, "13:21", 512)
                status.last_pong_at = week.at(0, "13:30", 95)
                status.count(self._results[stream.name])
                status.reconnects = int(stream is RATINGS)
                status.note_coverage(self._coverage[stream.name])
                log = self._logs[stream.name].id
                sign = Sign(BRIDGE, presence, log, -1, why)
                trio.run(store.write_status, stream, status.fields(), sign)
                # A busy machine may take longer to look than a sign of life lasts.
                self.peer.redis.persist(f"bz:{stream.name}:alive")

    def go_on(self) -> None:
        """Have one more rating come, and the bridge cut off for a moment."""
        self.apply(RATINGS, self.week.rating(LAST))
        self.say("connected", "disconnected")
        self.say("fresh")
