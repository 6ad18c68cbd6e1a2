"""Numbered messages of all three streams, no two alike: what upstream has to say.

Each frame carries its own number and the moment it was made, beside the envelope, so
that whatever becomes of it can be told from the frame alone.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import attrs

Json = dict[str, object]

STREAMS: Final = ("ratings", "insights", "consensus")
EASTERN: Final = ZoneInfo("America/New_York")
SECOND: Final = 1_000_000_000  # ns
MILLISECOND: Final = 1_000_000  # ns
DAY: Final = 86_400 * SECOND
LATE: Final = 1_000 * SECOND  # how much older than the newest a late copy is
KEPT: Final = 400  # records of a stream that may still be edited

# Of all messages about records: new ones, edits, moves to another symbol, deletes, and
# the rest are late copies. Of consensus: a delete, a late one.
NEW, EDIT, MOVE, DELETE = 0.55, 0.25, 0.05, 0.09
DELETE_CONSENSUS, LATE_CONSENSUS = 0.03, 0.05


@attrs.define
class Record:
    """A rating or an insight as it was last sent."""

    id: str
    ticker: str
    exchange: str
    published: int  # ns
    edited: int = 0  # s


@attrs.define
class Press:
    """Words messages, seeded; their times alone are the clock's."""

    rng: Random
    symbols: int = 40
    padding: int = 0  # characters of prose in each
    # Whether no two messages have one version in the eyes of REST, which takes such for
    # the same (contract.md, promise 1): seconds of a record, ms of a consensus.
    apart: bool = False
    _last: int = 0
    _numbers: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(STREAMS, 0))
    _records: dict[str, list[Record]] = attrs.field(
        factory=lambda: {name: [] for name in STREAMS}
    )

    def next(self, stream: str) -> str:
        """Return the next message of a stream."""
        self._numbers[stream] += 1
        number, at = self._numbers[stream], self._now()
        if stream == "consensus":
            data = self._consensus(number, at)
        else:
            data = self._about_a_record(stream, number, at)
        frame = {
            "id": f"{stream}-{number}",
            "api_version": "websocket/v1",
            "kind": "stream_type",
            "number": number,
            "sent": time.time(),
            "data": data,
        }
        return json.dumps(frame, separators=(",", ":"))

    def _now(self) -> int:
        """Return ns since 1970; no two messages share one."""
        step = MILLISECOND if self.apart else 1_000
        self._last = max(self._last + step, time.time_ns())
        return self._last

    def _security(self) -> tuple[str, str]:
        ticker = f"T{self.rng.randrange(self.symbols)}"
        return ticker, self.rng.choice(("NASDAQ", "NASDAQ", "NYSE", "TSX"))

    # ---- ratings and insights

    def _about_a_record(self, stream: str, number: int, at: int) -> Json:
        records = self._records[stream]
        chance = self.rng.random()
        record = self.rng.choice(records) if records and chance >= NEW else None
        if record is None or (self.apart and record.edited == at // SECOND):
            record = self._new(at)
            records.append(record)
            del records[:-KEPT]
            return self._edition(stream, record, number, at)
        record.edited = at // SECOND
        if chance < NEW + EDIT:
            return self._edition(stream, record, number, at)
        if chance < NEW + EDIT + MOVE:
            record.ticker, record.exchange = self._security()
            return self._edition(stream, record, number, at)
        if chance < NEW + EDIT + MOVE + DELETE:
            return self._deletion(stream, record, number, at)
        return self._edition(stream, record, number, at, age=LATE)

    def _new(self, at: int) -> Record:
        identity = f"{self.rng.getrandbits(96):024x}"
        security = self._security()
        published = at - self.rng.randrange(10 * DAY)
        return Record(identity, *security, published, at // SECOND)

    def _edition(
        self, stream: str, record: Record, number: int, at: int, age: int = 0
    ) -> Json:
        """Word a record as it stands, or as it stood `age` ns ago."""
        action = self.rng.choice(("created", "Created", "updated", "Updated"))
        content = self._content(stream, record, number, at - age)
        return _data(action, record.id, at - age, content)

    def _deletion(self, stream: str, record: Record, number: int, at: int) -> Json:
        # It may be deleted again later, and be edited all the same: upstream's affair.
        is_bare = self.rng.random() < 0.5
        content = None if is_bare else self._content(stream, record, number, at)
        return _data(self.rng.choice(("deleted", "Removed")), record.id, at, content)

    def _content(self, stream: str, record: Record, number: int, at: int) -> Json:
        wall = datetime.fromtimestamp(record.published // SECOND, EASTERN)
        prose = f"#{number} " + "x" * self.padding
        target = f"{self.rng.randrange(10_000) / 100:.2f}"
        if stream == "insights":
            return {
                "id": record.id,
                "action": "Maintains",
                "analyst_insights": prose,
                "date": f"{wall:%Y-%m-%d}",
                "firm": "Some Firm",
                "pt": target,
                "rating": "Buy",
                "updated": at // 1_000_000,
                "security": {"symbol": record.ticker, "exchange": record.exchange},
            }
        return {
            "id": record.id,
            "date": f"{wall:%Y-%m-%d}",
            "time": f"{wall:%H:%M:%S}",
            "ticker": record.ticker,
            "exchange": record.exchange,
            "action_company": "Maintains",
            "analyst": "Some Firm",
            "rating_current": "Buy",
            "pt_current": target,
            "pt_prior": "10.0000",
            "importance": self.rng.randrange(6),
            "notes": prose,
            "updated": at // SECOND,
        }

    # ---- consensus

    def _consensus(self, number: int, at: int) -> Json:
        ticker, exchange = self._security()
        named: Json = {"ticker": ticker, "exchange": exchange}
        chance = self.rng.random()
        if chance < DELETE_CONSENSUS:
            return {"action": "deleted", "timestamp": rfc3339(at), **named}
        if chance < DELETE_CONSENSUS + LATE_CONSENSUS:
            at -= LATE
        content: Json = {
            **named,
            "consensus_rating": "BUY",
            "consensus_rating_val": self.rng.randrange(100, 500) / 100,
            "consensus_price_target": self.rng.random() * 300,
            "total_analyst_count": number,  # so that no two have the same figures
            "updated_at": rfc3339(at),
        }
        if self.rng.random() < 0.5:
            return content
        return {"action": "updated", "timestamp": rfc3339(at), "content": content}


def _data(action: str, record: str, at: int, content: Json | None) -> Json:
    data: Json = {"action": action, "id": record, "timestamp": rfc3339(at)}
    return data if content is None else {**data, "content": content}


def rfc3339(ns: int) -> str:
    """Write ns since 1970 as upstream does, with nine digits."""
    moment = datetime.fromtimestamp(ns // SECOND, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns % SECOND:09d}Z"
