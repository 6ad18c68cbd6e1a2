"""Earnings: one record per report, announced long before and filled in later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import attrs

from bzredis.messages.envelope import Envelope
from bzredis.messages.exchanges import market
from bzredis.messages.model import reader
from bzredis.messages.symbols import symbol
from bzredis.messages.times import milliseconds, published
from bzredis.streams.field import (
    COMPANY,
    CUSIP,
    EXCHANGE,
    IMPORTANCE,
    ISIN,
    NOTES,
    RECORD,
    TICKER,
    UPDATED,
    said,
)
from bzredis.streams.stream import Reading, Stream, Table, Weight, head

_HEADS = (
    *("period", "period_year", "date", "time", "date_confirmed"),
    *("eps", "eps_est", "eps_surprise_percent"),
    *("revenue", "revenue_est", "revenue_surprise_percent", "importance"),
)


@attrs.frozen
class Report:
    """The fields of a report that we read."""

    ticker: str = ""
    exchange: str = ""
    isin: str = ""
    updated: str = ""
    date: str = ""
    time: str = ""
    date_confirmed: str = ""
    period: str = ""
    period_year: str = ""
    eps: str = ""
    eps_est: str = ""
    eps_surprise_percent: str = ""
    revenue: str = ""
    revenue_est: str = ""
    revenue_surprise_percent: str = ""
    importance: str = ""


_report = reader(Report)


def read(envelope: Envelope, _sole: str) -> Reading:
    """Read one report; a delete may come without content."""
    report = _report(envelope.content or {})
    return Reading(
        symbol=symbol(report.ticker, report.exchange, report.isin),
        has_market=bool(market(report.exchange)),
        updated=milliseconds(report.updated),
        published=published(report.date, report.time),
        headline=tuple(getattr(report, name) for name in _HEADS),
    )


_PERIODS = ("Q1", "Q2", "Q3", "Q4", "FY", "H1", "H2")
_COMPANIES = (
    ("AAPL", "NASDAQ", "US0378331005", "Apple"),
    ("MSFT", "NASDAQ", "US5949181045", "Microsoft"),
    ("NVDA", "NASDAQ", "US67066G1040", "NVIDIA"),
    ("JPM", "NYSE", "US46625H1005", "JPMorgan Chase"),
    ("SHOP", "TSX", "CA82509L1076", "Shopify"),
)


def make(rng: Random, at: float) -> dict[str, object]:
    """Make up a report: some three in four lie ahead, the others are filled in."""
    ticker, exchange, isin, name = rng.choice(_COMPANIES)
    day = datetime.fromtimestamp(at, UTC) + timedelta(days=rng.randint(-10, 30))
    estimate, sales = rng.randint(20, 600), rng.randint(5, 900) * 100_000_000
    was = estimate + rng.randint(-30, 30)
    content: dict[str, object] = {
        "date": f"{day:%Y-%m-%d}",
        "date_confirmed": rng.randint(0, 1),
        "time": rng.choice(("07:00:00", "16:05:00", "")),
        "ticker": ticker,
        "exchange": exchange,
        "isin": isin,
        "cusip": "",
        "name": name,
        "currency": "USD",
        "period": rng.choice(_PERIODS),
        "period_year": day.year,
        "eps_type": rng.choice(("Adj", "GAAP")),
        "eps": "",
        "eps_est": f"{estimate / 100:.2f}",
        "eps_prior": f"{was / 100:.2f}",
        "eps_surprise": "",
        "eps_surprise_percent": "",
        "revenue_type": "GAAP",
        "revenue": "",
        "revenue_est": f"{sales}.000",
        "revenue_prior": f"{sales * 19 // 20}.000",
        "revenue_surprise": "",
        "revenue_surprise_percent": "",
        "importance": rng.randint(0, 5),
        "notes": "",
    }
    if day.timestamp() < at:
        more = rng.randint(-15, 25)  # cents
        content |= {
            "date_confirmed": 1,
            "eps": f"{(estimate + more) / 100:.2f}",
            "eps_surprise": f"{more / 100:.2f}",
            "eps_surprise_percent": f"{100 * more / estimate:.2f}",
            "revenue": f"{sales + more * 1_000_000}.000",
            "revenue_surprise": f"{more * 1_000_000}.000",
            "revenue_surprise_percent": f"{100 * more * 10**6 / sales:.3f}",
        }
    return content


_UNTIL = "it is not reported yet, or upstream did not say"
EARNINGS = Stream(
    name="earnings",
    path="/api/v2.1/calendar/earnings/stream",
    read=read,
    headline=(
        head("period", "period", "`Q1` to `Q4`, `FY`, `H1` or `H2`", is_news=True),
        head(
            *("period_year", "period_year", "the year of it"),
            kind="number",
            is_news=True,
        ),
        head(
            *("date", "date"),
            "the day of the report in New York, which may lie ahead",
            is_news=True,
        ),
        head("time", "time", "the time of that day, as `16:05:00`", is_news=True),
        head(
            *("date_confirmed", "date_confirmed"),
            "`1`: the company said so; `0`: the day is a guess",
            kind="number",
            is_news=True,
        ),
        head(
            *("eps", "eps", "the earnings per share, in the `currency` of the hash"),
            kind="number",
            absent=_UNTIL,
            is_news=True,
        ),
        head("eps_est", "eps_est", "what was expected of them", kind="number"),
        head(
            *("eps_surprise_percent", "eps_surprise_percent"),
            "by how many per cent they are above that",
            kind="number",
            absent=_UNTIL,
        ),
        head(
            *("revenue", "revenue", "the revenue, in the `currency` of the hash"),
            kind="number",
            absent=_UNTIL,
            is_news=True,
        ),
        head("revenue_est", "revenue_est", "what was expected of it", kind="number"),
        head(
            *("revenue_surprise_percent", "revenue_surprise_percent"),
            "by how many per cent it is above that",
            kind="number",
            absent=_UNTIL,
        ),
        head(
            *("importance", "importance"),
            "how much it matters in upstream's eyes, from 0 to 5",
            kind="number",
        ),
    ),
    content=(
        RECORD,
        said(
            "date",
            "text",
            "the day of the report in New York, as `2026-11-20`, which may lie ahead;"
            " `_published` is the same moment in ms. So `latest` is the report that is"
            " furthest ahead, and `timeline` is the company's calendar",
        ),
        said(
            "date_confirmed", "number", "`1`: the company said so; `0`: it is a guess"
        ),
        said("time", "text", "the time of that day in New York, as `16:05:00`"),
        *(TICKER, EXCHANGE, ISIN, CUSIP, COMPANY),
        said("currency", "text", "of all amounts, as `USD`"),
        said("period", "text", "`Q1` to `Q4`, `FY`, `H1` or `H2`"),
        said("period_year", "number", "the year of it"),
        said("eps_type", "text", "how the earnings were reckoned, as `Adj` or `GAAP`"),
        said("eps", "number", "the earnings per share, once they are reported"),
        said("eps_est", "number", "what was expected of them"),
        said("eps_prior", "number", "those of the same period a year before"),
        said("eps_surprise", "number", "`eps` less `eps_est`"),
        said("eps_surprise_percent", "number", "the same in per cent"),
        said("revenue_type", "text", "how the revenue was reckoned, as `GAAP`"),
        said("revenue", "number", "the revenue, once it is reported"),
        said("revenue_est", "number", "what was expected of it"),
        said("revenue_prior", "number", "that of the same period a year before"),
        said("revenue_surprise", "number", "`revenue` less `revenue_est`"),
        said("revenue_surprise_percent", "number", "the same in per cent"),
        *(IMPORTANCE, NOTES, UPDATED),
    ),
    rows=Table(
        path="/api/v2.1/calendar/earnings",
        name="earnings",
        since="parameters[updated]",
        sizes=("pagesize",),
        tickers="parameters[tickers]",
    ),
    removals=Table(
        path="/api/v2.1/calendar-removed/",
        name="removed",
        since="updated",
        sizes=("pageSize", "pagesize"),
        type="earnings",
    ),
    weight=Weight(1_200, 700, 740, 112_000),
    make=make,
    kind="data/v2.1/calendar/earnings",
)
