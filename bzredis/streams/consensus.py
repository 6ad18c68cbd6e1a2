"""Consensus ratings: the aggregate per security, where it is certain which one.

Documented frames name no security. The symbol comes from the frame if one stands there
after all, else from a subscription to one single security; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from bzredis.message import Envelope, text
from bzredis.streams.model import reader
from bzredis.streams.stream import Reading, Stream
from bzredis.symbols import symbol
from bzredis.times import comparable, milliseconds

_TICKERS = ("ticker", "symbol")
_DEEPEST = 8  # levels of nesting that are searched for a security


@attrs.frozen
class Consensus:
    """The fields of a consensus that we read. The label never follows the value."""

    consensus_rating: str = ""
    consensus_rating_val: str = ""
    consensus_price_target: str = ""
    updated_at: str = ""


_consensus = reader(Consensus)
_NOTHING = Consensus()


def _objects(value: object, depth: int = 0) -> Iterator[dict[str, object]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner, depth + 1)


def _scalar(holder: dict[str, object], name: str) -> str:
    value = holder.get(name)
    return "" if isinstance(value, dict | list) else text(value)


def security(frame: dict[str, object]) -> str:
    """Return the symbol of the one security that is named anywhere in the frame.

    A ticker goes before an ISIN (``ISIN:…``). "" where none is named, or several are.
    """
    tickers: set[str] = set()
    isins: set[str] = set()
    for holder in _objects(frame):
        exchange = _scalar(holder, "exchange")
        tickers.update(symbol(_scalar(holder, name), exchange) for name in _TICKERS)
        if isin := _scalar(holder, "isin").strip():
            isins.add(symbol(f"ISIN:{isin}"))
    for named in (tickers - {""}, isins - {""}):
        if named:
            return named.pop() if len(named) == 1 else ""
    return ""


def read(envelope: Envelope, sole: str) -> Reading:
    """Read one consensus; `sole` is the symbol of a subscription to one security."""
    consensus = _consensus(envelope.content) if envelope.content else _NOTHING
    updated = milliseconds(consensus.updated_at)
    return Reading(
        symbol=security(envelope.frame) or sole,
        updated=updated,
        published=None,
        headline=(
            consensus.consensus_rating,
            consensus.consensus_rating_val,
            consensus.consensus_price_target,
        ),
        moments=(("updated_at", comparable(consensus.updated_at)),),
    )


CONSENSUS = Stream(
    name="consensus",
    path="/api/v1/consensus-ratings/stream",
    parameters=("tickers", "isins", "simplify", "aggregate_type"),
    keyed="symbol",
    headline=("rating", "value", "target"),  # and `shift`, which needs what stood before
    read=read,
    flat=True,
)
