"""Where things stand in the pictures: shares of a bar, marks on a scale. Pure.

The templates draw them, as SVG, in a field of WIDE by HIGH that is stretched to the
room there is: lines keep their width, and letters stand outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import attrs

from bzredis.reader import Consensus, Entry, Rating

WIDE: Final = 1_000
HIGH: Final = 100
EDGE: Final = 20  # that stays free at both ends
KINDS: Final = ("strong_buy", "buy", "hold", "sell", "strong_sell")


@attrs.frozen
class Share:
    """A part of a bar."""

    kind: str  # as strong-buy
    words: str
    value: Decimal
    percent: int
    x: float
    width: float


def shares(found: Consensus) -> list[Share]:
    """Return how many say what, beside each other."""
    values = [(kind, getattr(found, kind)) for kind in KINDS]
    there = [
        (kind, value) for kind, value in values if value is not None and value >= 0
    ]
    total = sum(value for _, value in there)
    if not total:
        return []
    drawn, x = [], 0.0
    for kind, value in there:
        width = float(value / total) * WIDE
        words = kind.replace("_", " ")
        percent = round(100 * value / total)
        name = kind.replace("_", "-")
        drawn.append(Share(name, words, value, percent, round(x, 1), round(width, 1)))
        x += width
    return drawn


@attrs.frozen
class Mark:
    """A value on a scale."""

    x: float
    value: Decimal
    words: str = ""
    row: int = 0  # in the table of firms


@attrs.frozen
class Scale:
    """Targets from the lowest to the highest, and who says which."""

    low: Mark
    high: Mark
    average: Mark | None
    firms: Sequence[Mark]


def scale(consensus: Consensus | None, opinions: Sequence[Rating]) -> Scale | None:
    """Put all targets on one scale; None where there are too few for one."""
    says = [
        (row, each, each.adjusted_pt_current or each.pt_current)
        for row, each in enumerate(opinions, 1)
        if each.direction != "end"
    ]
    firms = [(row, each, value) for row, each, value in says if value]
    values = [value for _, _, value in firms]
    average = consensus and consensus.consensus_price_target
    bounds = (
        [consensus.low_price_target, consensus.high_price_target] if consensus else []
    )
    known = [value for value in (*values, *bounds, average) if value]
    if len({*known}) < 2:  # noqa: PLR2004 - of one nothing is seen
        return None
    least, most = min(known), max(known)
    low = (consensus and consensus.low_price_target) or least
    high = (consensus and consensus.high_price_target) or most

    def at(value: Decimal) -> float:
        part = float((value - least) / (most - least))
        return round(EDGE + part * (WIDE - 2 * EDGE), 1)

    return Scale(
        Mark(at(low), low),
        Mark(at(high), high),
        Mark(at(average), average) if average else None,
        [Mark(at(value), value, each.firm or "", row) for row, each, value in firms],
    )


@attrs.frozen
class Course:
    """How something went, from left to right."""

    points: Sequence[tuple[float, float]]
    first: Any  # entries
    last: Any
    least: Decimal
    most: Decimal

    @property
    def line(self) -> str:
        """Go in steps: each holds until the next one."""
        found = [self.points[0]]
        for (_, before), (x, y) in pairwise(self.points):
            found += [(x, before), (x, y)]
        return " ".join(f"{x},{y}" for x, y in found)


def course(history: Sequence[Entry], what: str) -> Course | None:
    """Draw how a consensus' `target` or `value` went; it comes newest first."""
    there = [each for each in reversed(history) if getattr(each, what) is not None]
    if len(there) < 2:  # noqa: PLR2004 - of one nothing is seen
        return None
    values: list[Decimal] = [getattr(each, what) for each in there]
    least, most = min(values), max(values)
    wide = (most - least) or Decimal(1)
    times = [(each.version or each.received) for each in there]
    stamps = [time.timestamp() if time else 0.0 for time in times]
    begin, long = stamps[0], (stamps[-1] - stamps[0]) or 1.0
    points = [
        (
            round(EDGE + (stamp - begin) / long * (WIDE - 2 * EDGE), 1),
            round(float(HIGH - 10 - (value - least) / wide * (HIGH - 20)), 1),
        )
        for stamp, value in zip(stamps, values, strict=True)
    ]
    return Course(points, there[0], there[-1], least, most)
