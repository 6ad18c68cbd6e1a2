"""What upstream sends: frames of each stream, as documented, and no two alike.

Made once, and the same for all turns. What a load has beyond BASE is what it began with
again, as new records of the next day: to make a frame takes longer than to write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Final, Literal

import attrs

from bzredis.simulator.market import commentary
from bzredis.simulator.market.catalogue import COMPANIES, FIRMS, Company
from bzredis.simulator.market.formats import envelope_id, record_id

Stream = Literal["ratings", "insights", "consensus"]

PATHS: Final[dict[Stream, str]] = {
    "ratings": "/api/v2.1/calendar/ratings/stream",
    "insights": "/api/v1/analyst/insights/stream",
    "consensus": "/api/v1/consensus-ratings/stream",
}
BASE: Final = 6_000  # frames that are made one by one: of a morning
BEGIN: Final = datetime(2024, 10, 4, 9, 30, tzinfo=UTC)  # on the wall in New York
FIRST_DAY: Final = f"{BEGIN:%Y-%m-%d}".encode()
UPDATED: Final = 1_728_069_666  # unix s
SECONDS: Final = 10  # digits; what has more is in ms
SHORT: Final = 0xFFFF  # bytes that a 16-bit length can say


@attrs.frozen
class Made:
    """A message, and what of it has to change before it can be sent again."""

    text: bytes
    envelope: bytes
    record: bytes
    updated: bytes

    def again(self, lap: int) -> bytes:
        """Return it as another record's, so many days later, in as many bytes."""
        if not lap:
            return self.text
        mark = f"{lap:04x}".encode()
        day = f"{BEGIN + timedelta(days=lap):%Y-%m-%d}".encode()
        later = self.text.replace(self.envelope, mark + self.envelope[4:])
        if self.record:
            later = later.replace(self.record, self.record[:-4] + mark)
        if self.updated.isdigit():
            later = later.replace(self.updated, _later(self.updated, lap))
        return later.replace(FIRST_DAY, day)


def payload(stream: Stream, number: int, symbols: int = 0) -> bytes:
    """Return a message; 0 symbols: the simulator's companies."""
    made = _made(stream, symbols)
    return made[number % len(made)].again(number // len(made))


def frames(
    stream: Stream, count: int, symbols: int = 0, first: int = 0
) -> Iterator[bytes]:
    """Yield so many frames of a server, from number `first` on."""
    for number in range(first, first + count):
        yield frame(payload(stream, number, symbols))


def rows(count: int) -> list[bytes]:
    """Return ratings as REST's rows: what `content` is in a frame."""
    return [
        json.dumps(json.loads(payload("ratings", number))["data"]["content"]).encode()
        for number in range(count)
    ]


def frame(text: bytes) -> bytes:
    """Return a server's text frame."""
    size = len(text)
    if size > SHORT:
        raise ValueError(f"a frame of {size} bytes; none of ours is so long")
    head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")  # noqa: PLR2004 - RFC 6455
    return b"\x81" + head + text


@cache
def _made(stream: Stream, symbols: int) -> list[Made]:
    companies = _companies(symbols)
    count = max(BASE, len(companies))
    return [
        MAKERS[stream](Random(n), n, companies[n % len(companies)])
        for n in range(count)
    ]


def _companies(symbols: int) -> list[Company]:
    if not symbols:
        return list(COMPANIES)
    named = [COMPANIES[n % len(COMPANIES)] for n in range(symbols)]
    return [
        Company(f"S{n}", each.name, "NYSE", each.cusip, each.price)
        for n, each in enumerate(named)
    ]


def _rating(rng: Random, number: int, company: Company) -> Made:
    """Make some 1.1 KB. Each is its company's latest, until the next one."""
    moment = BEGIN + timedelta(seconds=number)
    firm = FIRMS[rng.randrange(len(FIRMS))]
    analyst = firm.analysts[rng.randrange(len(firm.analysts))]
    grade, target = rng.choice(firm.scale)[1], company.price + rng.randrange(300)
    before = target - rng.randrange(1, 100) / Decimal(4)
    record = record_id(rng, moment.timestamp())
    address = f"https://www.benzinga.com/quote/{company.ticker}/analyst-ratings"
    content = {
        "id": record,
        "date": f"{moment:%Y-%m-%d}",
        "time": f"{moment:%H:%M:%S}",
        "ticker": company.ticker,
        "exchange": company.exchange,
        "isin": company.isin,
        "cusip": company.cusip,
        "name": company.name,
        "currency": company.currency,
        "action_pt": "Raises",
        "action_company": "Maintains",
        "rating_current": grade,
        "pt_current": f"{target:.4f}",
        "adjusted_pt_current": f"{target:.4f}",
        "rating_prior": grade,
        "pt_prior": f"{before:.2f}",
        "adjusted_pt_prior": f"{before:.2f}",
        "url": address,
        "url_calendar": address,
        "url_news": f"{address}/news",
        "analyst": firm.name,
        "analyst_id": analyst.id,
        "analyst_name": analyst.name,
        "firm_id": firm.id,
        "importance": rng.randrange(6),
        "notes": "",
        "updated": UPDATED + number,
        "ratings_accuracy": {
            "smart_score": f"{rng.uniform(30, 90):.1f}",
            "overall_success_rate": f"{rng.uniform(30, 90):.1f}",
        },
    }
    return _enveloped(rng, "data/v2.1/calendar/ratings", record, moment, content)


def _insight(rng: Random, number: int, company: Company) -> Made:
    """Make some 3 KB, half of them Markdown."""
    moment = BEGIN + timedelta(seconds=number)
    firm = FIRMS[rng.randrange(len(FIRMS))]
    record = record_id(rng, moment.timestamp())
    headline = f"{firm.name} Maintains {company.name}"
    content = {
        "id": record,
        "action": "Maintains",
        "analyst_insights": commentary.insight(rng, firm, company, headline),
        "date": f"{moment:%Y-%m-%d}",
        "firm": firm.name,
        "firm_id": firm.id,
        "pt": f"{company.price + rng.randrange(300):.2f}",
        "rating": rng.choice(firm.scale)[1],
        "rating_id": record_id(rng, moment.timestamp()),
        "security": {
            "symbol": company.ticker,
            "name": company.name,
            "exchange": company.exchange,
            "isin": company.isin,
            "cik": company.cik,
        },
        "updated": (UPDATED + number) * 1_000,
    }
    return _enveloped(rng, "stream_type", record, moment, content)


def _consensus(rng: Random, number: int, company: Company) -> Made:
    """Make a flat one, which names its security, as not all of them do."""
    counts = [rng.randrange(1, 20) for _ in range(5)]
    target = float(company.price) + rng.uniform(0, 100)
    updated = f"{BEGIN + timedelta(seconds=number):%Y-%m-%dT%H:%M:%S}.880730108Z"
    data = {
        "ticker": company.ticker,
        "exchange": company.exchange,
        "isin": company.isin,
        "aggregate_ratings": dict(
            zip(
                ("strong_buy", "buy", "hold", "sell", "strong_sell"),
                counts,
                strict=True,
            )
        ),
        "aggregate_type": "number",
        "consensus_rating": rng.choice(("BUY", "HOLD", "SELL")),
        "consensus_rating_val": round(rng.uniform(1, 5), 2),
        "consensus_price_target": target,
        "high_price_target": round(target) + 50,
        "low_price_target": round(target) - 50,
        "total_analyst_count": sum(counts),
        "unique_analyst_count": sum(counts) - 1,
        "updated_at": updated,
    }
    envelope = envelope_id(rng)
    text = _wrap(envelope, "data/v2.1/calendar/ratings", data)
    return Made(text, envelope.encode(), b"", updated.encode())


MAKERS = {"ratings": _rating, "insights": _insight, "consensus": _consensus}


def _enveloped(
    rng: Random, kind: str, record: str, moment: datetime, content: Mapping[str, object]
) -> Made:
    data = {
        "action": "created",
        "id": record,
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{rng.randrange(10**9):09d}Z",
        "content": content,
    }
    envelope, updated = envelope_id(rng), str(content["updated"])
    text = _wrap(envelope, kind, data)
    return Made(text, envelope.encode(), record.encode(), updated.encode())


def _wrap(envelope: str, kind: str, data: Mapping[str, object]) -> bytes:
    message = {
        "id": envelope,
        "api_version": "websocket/v1",
        "kind": kind,
        "data": data,
    }
    return json.dumps(message, separators=(",", ":")).encode()


def _later(updated: bytes, lap: int) -> bytes:
    days = lap * 86_400
    return str(
        int(updated) + (days * 1_000 if len(updated) > SECONDS else days)
    ).encode()
