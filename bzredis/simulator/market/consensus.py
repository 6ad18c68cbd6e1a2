"""What the current ratings of a company come to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs

from bzredis.simulator.market.opinions import Opinion

if TYPE_CHECKING:
    from bzredis.simulator.market.catalogue import Company

GRADES = ("strong_buy", "buy", "hold", "sell", "strong_sell")  # 5 down to 1
SIMPLE = {"strong_buy": "buy", "strong_sell": "sell"}


@attrs.frozen
class View:
    """How a subscriber wants it: three grades rather than five, shares of 100."""

    simplify: bool = False
    percentage: bool = False


PLAIN = View()


@attrs.frozen
class Figures:
    """The numbers alone: equal figures are the same consensus.

    ``counts`` are those of GRADES; the targets are ``None`` where no firm names one.
    """

    counts: tuple[int, ...]
    value: float
    target: float | None
    high: Decimal | None
    low: Decimal | None
    total: int
    unique: int


@attrs.frozen
class Consensus:
    """The figures of one company as last published."""

    company: Company
    figures: Figures
    updated_at: str
    sparse: bool = False  # counts of zero are left out
    lower: bool = False  # the label comes in small letters


def figures(current: Iterable[Opinion], total: int) -> Figures | None:
    """Aggregate one current opinion per firm; ``total`` counts older ones too."""
    graded = [o for o in current if o.grade is not None]
    if not graded:
        return None
    grades = [o.grade for o in graded if o.grade is not None]
    targets = [o.target for o in graded if o.target is not None]
    return Figures(
        counts=tuple(grades.count(5 - place) for place in range(len(GRADES))),
        value=round(sum(grades) / len(grades), 2),
        target=float(sum(targets)) / len(targets) if targets else None,
        high=max(targets, default=None),
        low=min(targets, default=None),
        total=total,
        unique=len(graded),
    )


def label(value: float, *, simplify: bool = False) -> str:
    """Round a value of 1 to 5 to the nearest grade's name."""
    name = GRADES[5 - math.floor(value + 0.5)]
    return (SIMPLE.get(name, name) if simplify else name).upper()


def aggregate(counts: tuple[int, ...], view: View) -> dict[str, int]:
    """Name the counts, or their percentages, in the grades that ``view`` knows."""
    named: dict[str, int] = {}
    for name, count in zip(GRADES, counts, strict=True):
        key = SIMPLE.get(name, name) if view.simplify else name
        named[key] = named.get(key, 0) + count
    if not view.percentage:
        return named
    return {name: round(100 * count / sum(counts)) for name, count in named.items()}


def number(amount: Decimal | float) -> int | float:
    """Return a JSON number, whole where it is, as upstream's encoder writes it."""
    value = float(amount)
    return int(value) if value.is_integer() else value


def fields(consensus: Consensus, view: View = PLAIN) -> dict[str, object]:
    """Return the documented fields: no ticker, no isin, no record id."""
    sums = consensus.figures
    counts = aggregate(sums.counts, view)
    word = label(sums.value, simplify=view.simplify)
    targets = {
        "consensus_price_target": sums.target,
        "high_price_target": sums.high,
        "low_price_target": sums.low,
    }
    return {
        "aggregate_ratings": {
            name: count
            for name, count in counts.items()
            if count or not consensus.sparse
        },
        "aggregate_type": "percentage" if view.percentage else "number",
        "consensus_rating": word.lower() if consensus.lower else word,
        "consensus_rating_val": number(sums.value),
        **{name: number(t) for name, t in targets.items() if t is not None},
        "total_analyst_count": sums.total,
        "unique_analyst_count": sums.unique,
        "updated_at": consensus.updated_at,
    }
