"""Analyst insights: the analysts' reasoning in prose, each linked to a rating."""

from __future__ import annotations

import attrs

from bzredis.messages.direction import direction
from bzredis.messages.envelope import Envelope
from bzredis.messages.exchanges import market
from bzredis.messages.model import reader
from bzredis.messages.symbols import symbol
from bzredis.messages.times import milliseconds, published
from bzredis.streams.field import (
    ANALYST_ID,
    CALL,
    COMPANY,
    DATE,
    DIRECTION,
    EXCHANGE,
    FIRM,
    FIRM_ID,
    ISIN,
    PT,
    RATING,
    RECORD,
    TICKER,
    TIME,
    said,
)
from bzredis.streams.stream import Head, Reading, Stream, Table, Weight, head


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


_EXPLAINS = "the id of the record in `ratings` that it explains"
INSIGHTS = Stream(
    name="insights",
    path="/api/v1/analyst/insights/stream",
    read=read,
    headline=(
        Head(FIRM, "_firm", is_news=True),
        Head(DIRECTION, "_direction", is_news=True),
        Head(RATING, "rating", is_news=True),
        Head(attrs.evolve(PT, meaning="its price target"), "pt", is_news=True),
        head("rating_id", "rating_id", _EXPLAINS),
    ),
    content=(
        *(RECORD, DATE, TIME),
        said("action", "text", "what the firm did, as `Upgrades`, like `_direction`"),
        said("analyst_insights", "text", "the reasoning: Markdown of 1 to 3 KB"),
        said("firm", "text", "the firm, as `_firm`"),
        *(FIRM_ID, ANALYST_ID),
        said("rating", "text", "what it says, in the firm's own words"),
        said("pt", "number", "its target for one share"),
        said("rating_id", "text", _EXPLAINS),
        attrs.evolve(TICKER, name="security_symbol"),
        attrs.evolve(EXCHANGE, name="security_exchange"),
        attrs.evolve(ISIN, name="security_isin"),
        said("security_cik", "text", "the company's number at the SEC"),
        attrs.evolve(COMPANY, name="security_name"),
        said(
            "updated",
            "number",
            "when it was last changed: in **ms** since 1970 over the stream, in **s**"
            " over REST; `_version` is always in ms",
        ),
    ),
    derived=CALL,
    rows=Table(
        path="/api/v1/analyst/insights",
        name="analyst-insights",
        since="parameters[updated]",
        sizes=("pageSize", "pagesize"),
        tickers="symbols",
    ),
    isin="security_isin",
    weight=Weight(2_870, 3_300, 2_920, 211_000),
)
