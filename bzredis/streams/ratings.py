"""Analyst ratings: one record per firm, company and action; exact targets."""

from __future__ import annotations

import re
from decimal import Context, Decimal

import attrs

from bzredis.messages.direction import direction
from bzredis.messages.envelope import Envelope
from bzredis.messages.exchanges import market
from bzredis.messages.model import reader
from bzredis.messages.symbols import symbol
from bzredis.messages.times import milliseconds, published
from bzredis.streams.stream import Head, Reading, Stream, Table

# Plain digits only; whole or fraction may be missing.
_PRICE = re.compile(r"[+-]?(?=\.?\d)\d{0,18}(?:\.\d{0,18})?", re.ASCII)
_EXACT = Context(prec=120)  # digits: what these prices can differ by has fewer
_CENT = Decimal("0.01")


@attrs.frozen
class Rating:
    """The fields of a rating that we read. ``analyst`` is the firm (upstream.md, 3)."""

    ticker: str = ""
    exchange: str = ""
    isin: str = ""
    date: str = ""
    time: str = ""
    updated: str = ""
    analyst: str = ""
    action_company: str = ""
    rating_current: str = ""
    rating_prior: str = ""
    pt_current: str = ""
    pt_prior: str = ""
    adjusted_pt_current: str = ""
    adjusted_pt_prior: str = ""
    importance: str = ""


_rating = reader(Rating)


def price_target_change(current: str, prior: str) -> tuple[str, str] | None:
    """Return the exact change, and the change in per cent to two decimals (half-even).

    None where one of them is no plain decimal. The per cent are "" from a prior of 0.
    """
    now, was = current.strip(), prior.strip()
    if not (_PRICE.fullmatch(now) and _PRICE.fullmatch(was)):
        return None
    before = Decimal(was)
    change = _EXACT.add(_EXACT.subtract(Decimal(now), before), 0)  # never -0
    if not before:
        return f"{change:f}", ""
    percent = _EXACT.divide(_EXACT.multiply(change, 100), before)
    return f"{change:f}", f"{_EXACT.add(_EXACT.quantize(percent, _CENT), 0):f}"


def read(envelope: Envelope, _sole: str) -> Reading:
    """Read one rating; a delete may come without content."""
    rating = _rating(envelope.content or {})
    where = direction(rating.action_company)
    change, percent = (
        price_target_change(rating.adjusted_pt_current, rating.adjusted_pt_prior)
        or price_target_change(rating.pt_current, rating.pt_prior)
        or ("", "")
    )
    return Reading(
        symbol=symbol(rating.ticker, rating.exchange, rating.isin),
        has_market=bool(market(rating.exchange)),
        updated=milliseconds(rating.updated),
        published=published(rating.date, rating.time),
        headline=(
            *(rating.analyst, where, rating.rating_current, rating.rating_prior),
            *(rating.pt_current, rating.pt_prior, rating.importance),
        ),
        derived=(
            *(("_firm", rating.analyst), ("_direction", where)),
            *(("_pt_change", change), ("_pt_change_pct", percent)),
        ),
    )


RATINGS = Stream(
    name="ratings",
    path="/api/v2.1/calendar/ratings/stream",
    parameters=("tickers", "isins"),
    state="records",
    headline=(
        Head("firm", "_firm", is_news=True),
        Head("direction", "_direction", is_news=True),
        Head("rating", "rating_current", is_news=True),
        Head("rating_prior", "rating_prior"),
        Head("pt", "pt_current", is_news=True, is_number=True),
        Head("pt_prior", "pt_prior"),
        Head("importance", "importance"),
    ),
    read=read,
    rows=Table(
        path="/api/v2.1/calendar/ratings",
        name="ratings",
        since="parameters[updated]",
        sizes=("pagesize",),
        tickers="parameters[tickers]",
    ),
    removals=Table(
        path="/api/v2.1/calendar-removed/",
        name="removed",
        since="updated",
        sizes=("pageSize", "pagesize"),
        type="ratings",
    ),
    isin="isin",
)
