"""Analyst insights: the analysts' reasoning in prose, each linked to a rating."""

from __future__ import annotations

import attrs

from bzredis.messages.direction import direction
from bzredis.messages.envelope import Envelope
from bzredis.messages.exchanges import market
from bzredis.messages.model import reader
from bzredis.messages.symbols import symbol
from bzredis.messages.times import milliseconds, published
from bzredis.streams.stream import Head, Reading, Stream, Table


@attrs.frozen
class Security:
    """What an insight is about."""

    symbol: str = ""
    exchange: str = ""
    isin: str = ""


@attrs.frozen
class Insight:
    """The fields of an insight that we read."""

    action: str = ""
    date: str = ""
    time: str = ""
    firm: str = ""
    pt: str = ""
    rating: str = ""
    rating_id: str = ""  # the rating that it belongs to
    updated: str = ""  # seconds over REST, milliseconds over the stream
    security: Security | None = None


_insight = reader(Insight)


def read(envelope: Envelope, _sole: str) -> Reading:
    """Read one insight; a delete may come without content."""
    insight = _insight(envelope.content or {})
    security = insight.security or Security()
    where = direction(insight.action)
    return Reading(
        symbol=symbol(security.symbol, security.exchange, security.isin),
        has_market=bool(market(security.exchange)),
        updated=milliseconds(insight.updated),
        published=published(insight.date, insight.time),
        headline=(insight.firm, where, insight.rating, insight.pt, insight.rating_id),
        derived=(("_firm", insight.firm), ("_direction", where)),
    )


INSIGHTS = Stream(
    name="insights",
    path="/api/v1/analyst/insights/stream",
    parameters=("tickers", "isins"),
    state="records",
    headline=(
        Head("firm", "_firm", is_news=True),
        Head("direction", "_direction", is_news=True),
        Head("rating", "rating", is_news=True),
        Head("pt", "pt", is_news=True, is_number=True),
        Head("rating_id", "rating_id"),
    ),
    read=read,
    rows=Table(
        path="/api/v1/analyst/insights",
        name="analyst-insights",
        since="parameters[updated]",
        sizes=("pageSize", "pagesize"),
        tickers="symbols",
    ),
    isin="security_isin",
)
