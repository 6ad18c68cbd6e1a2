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
from bzredis.streams.field import (
    ANALYST_ID,
    CALL,
    COMPANY,
    CUSIP,
    DATE,
    DIRECTION,
    EXCHANGE,
    FIRM,
    FIRM_ID,
    IMPORTANCE,
    ISIN,
    NOTES,
    PT,
    RATING,
    RECORD,
    TICKER,
    TIME,
    UPDATED,
    Field,
    said,
)
from bzredis.streams.stream import Head, Reading, Stream, Table, Weight, head

# Plain digits only; whole or fraction may be missing.
_PRICE = re.compile(r"[+-]?(?=\.?\d)\d{0,18}(?:\.\d{0,18})?", re.ASCII)
_EXACT = Context(prec=120)  # digits: what these prices can differ by has fewer
_CENT, _HUNDRED = Decimal("0.01"), Decimal(100)


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
    change = _EXACT.subtract(Decimal(now), before)
    if not before:
        return _digits(change), ""
    percent = _EXACT.divide(_EXACT.multiply(change, _HUNDRED), before)
    return _digits(change), _digits(_EXACT.quantize(percent, _CENT))


def _digits(number: Decimal) -> str:
    return f"{number:f}" if number else f"{number.copy_abs():f}"  # never -0


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
    read=read,
    headline=(
        Head(FIRM, "_firm", is_news=True),
        Head(DIRECTION, "_direction", is_news=True),
        Head(RATING, "rating_current", is_news=True),
        head("rating_prior", "rating_prior", "what it said before"),
        Head(PT, "pt_current", is_news=True),
        head(
            *("pt_prior", "pt_prior", "its price target before"),
            kind="number",
            absent="it named none",
        ),
        head(
            *("importance", "importance"),
            "how much it matters in upstream's eyes, from 0 to 5",
            kind="number",
        ),
    ),
    content=(
        *(RECORD, DATE, TIME, TICKER, EXCHANGE, ISIN, CUSIP, COMPANY),
        said("currency", "text", "of the targets, as `USD`"),
        said(
            "action_company",
            "text",
            "what the firm did, as `Upgrades`, `Maintains` or `Initiates Coverage On`;"
            " `_direction` is one word for it",
        ),
        said("action_pt", "text", "what it did to its target, as `Raises`, `Lowers`"),
        said("rating_current", "text", "what it says now, in the firm's own words"),
        said("rating_prior", "text", "what it said before"),
        said("pt_current", "number", "its target for one share, in `currency`"),
        said("pt_prior", "number", "its target before"),
        said("adjusted_pt_current", "number", "`pt_current`, adjusted for splits"),
        said("adjusted_pt_prior", "number", "`pt_prior`, adjusted for splits"),
        said("analyst", "text", "the **firm**, as `_firm`; not the person"),
        said("analyst_name", "text", "the person"),
        *(ANALYST_ID, FIRM_ID, IMPORTANCE, NOTES),
        said("url", "text", "a page of upstream's on it"),
        said("url_calendar", "text", "the same in its calendar"),
        said("url_news", "text", "its news on it"),
        said("pt_pct_change", "number", "the target's change in per cent, by upstream"),
        UPDATED,
    ),
    derived=(
        *CALL,
        Field(
            *("_pt_change", "reckoned"),
            "the target's change, exact, of the adjusted targets where both are there",
            "there is no target now, or there was none before",
        ),
        Field(
            *("_pt_change_pct", "reckoned"),
            "the same in per cent, with two decimals (half-even)",
            "there is no `_pt_change`, or the target before was 0",
        ),
    ),
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
    weight=Weight(1_400, 2_080, 1_890, 159_000),
)
