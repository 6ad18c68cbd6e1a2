"""Analyst ratings: one record per firm, company and action; exact targets."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

import attrs

from bzredis.message import Envelope
from bzredis.streams.direction import direction
from bzredis.streams.model import reader
from bzredis.streams.stream import Reading, Stream
from bzredis.symbols import symbol
from bzredis.times import milliseconds, published

# Plain digits only, and few enough that every result below is exact.
_PRICE = re.compile(r"[+-]?\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_CENT = Decimal("0.01")
_HUNDRED = Decimal(100)


@attrs.frozen
class Rating:
    """The fields of a rating that we read. ``analyst`` is the firm (upstream.md, 3)."""

    ticker: str = ""
    exchange: str = ""
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
_NOTHING = Rating()


@lru_cache(maxsize=16_384)  # targets are round as a rule, and the same ones come often
def price_target_change(current: str, prior: str) -> tuple[str, str] | None:
    """Return the exact change, and the change in per cent to two decimals (half-even).

    None where one of them is no plain decimal. The per cent are "" from a prior of 0.
    """
    current, prior = current.strip(), prior.strip()
    if not (_PRICE.fullmatch(current) and _PRICE.fullmatch(prior)):
        return None
    was = Decimal(prior)
    change = _EXACT.subtract(Decimal(current), was)
    if not was:
        return f"{change:f}", ""
    ratio = _EXACT.divide(_EXACT.multiply(change, _HUNDRED), was)
    cents = ratio.quantize(_CENT, context=_EXACT)
    return f"{change:f}", f"{cents:zf}"  # "z": never -0.00


def _derived(rating: Rating, where: str) -> tuple[tuple[str, str], ...]:
    fields = [("_firm", rating.analyst), ("_direction", where)]
    change = price_target_change(
        rating.adjusted_pt_current, rating.adjusted_pt_prior
    ) or price_target_change(rating.pt_current, rating.pt_prior)
    if change is not None:
        fields += zip(("_pt_change", "_pt_change_pct"), change, strict=True)
    return tuple(fields)


def read(envelope: Envelope, _sole: str) -> Reading:
    """Read one rating; a delete may come without content."""
    rating = _rating(envelope.content) if envelope.content else _NOTHING
    where = direction(rating.action_company)
    return Reading(
        symbol=symbol(rating.ticker, rating.exchange),
        updated=milliseconds(rating.updated),
        published=published(rating.date, rating.time),
        headline=(
            rating.analyst,
            where,
            rating.rating_current,
            rating.rating_prior,
            rating.pt_current,
            rating.pt_prior,
            rating.importance,
        ),
        derived=_derived(rating, where),
    )


RATINGS = Stream(
    name="ratings",
    path="/api/v2.1/calendar/ratings/stream",
    parameters=("tickers", "isins"),
    keyed="record",
    headline=(
        "firm",
        "direction",
        "rating",
        "rating_prior",
        "pt",
        "pt_prior",
        "importance",
    ),
    read=read,
)
