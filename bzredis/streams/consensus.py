"""Consensus ratings: the aggregate per security, where it is certain which one.

Documented frames name no security. The symbol comes from the frame if one stands there
after all, else from a subscription to one single security; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from bzredis.errors import Unusable
from bzredis.messages.envelope import Envelope, Json, is_blank, text
from bzredis.messages.exchanges import market
from bzredis.messages.model import reader
from bzredis.messages.symbols import symbol
from bzredis.messages.times import comparable, milliseconds
from bzredis.streams.field import NOTHING_BEFORE, SHIFT, Field, said
from bzredis.streams.stream import Reading, Stream, Table, Weight, head

# A consensus has one of them at least: all else may be about anything.
FIGURES = (
    *("consensus_rating", "consensus_rating_val", "consensus_price_target"),
    *("high_price_target", "low_price_target"),
    *("total_analyst_count", "unique_analyst_count"),
    *("aggregate_ratings", "strong_buy", "buy", "hold", "sell", "strong_sell"),
)
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


def _objects(value: Json | list[object], depth: int = 0) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    if depth == _DEEPEST:
        return
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from _objects(inner, depth + 1)


def _scalar(holder: dict[str, object], name: str) -> str:
    value = holder.get(name)
    return "" if isinstance(value, dict | list) else text(value)


def _markets(holders: Iterable[dict[str, object]]) -> set[str]:
    return {market(_scalar(holder, "exchange")) for holder in holders} - {""}


def _only(found: set[str]) -> str:
    return next(iter(found)) if len(found) == 1 else ""


def _named(ticker: str, exchange: str, isin: str, sole: str) -> str:
    name = symbol(ticker, exchange, isin)
    return sole if not market(exchange) and name == sole.rpartition(":")[2] else name


def security(frame: dict[str, object], sole: str = "") -> str:
    """Return the symbol of the one security that the frame is about, or "".

    A subscription to one single ISIN decides by itself. Else a ticker anywhere in the
    frame goes before an ISIN (``ISIN:…``), and both before `sole`, of a subscription to
    one ticker: that decides only where none or several are named. A ticker of no
    exchange is the sole symbol, of whatever exchange, if that has the same ticker.
    """
    if sole.startswith("ISIN:"):
        return sole
    holders = list(_objects(frame))
    isins = {_scalar(holder, "isin").strip() for holder in holders} - {""}
    # Of a ticker beside none.
    at, isin = _only(_markets(holders)), _only(isins)
    tickers = {
        _named(
            _scalar(holder, name),
            market(_scalar(holder, "exchange")) or at,
            _scalar(holder, "isin") or isin,
            sole,
        )
        for holder in holders
        for name in _TICKERS
    } - {""}
    isins = {symbol(f"ISIN:{isin}") for isin in isins} - {""}
    if not tickers and len(isins) <= 1 and sole:
        return sole
    named = tickers or isins
    if len(named) == 1:
        return named.pop()
    return sole if sole in named else ""


def read(envelope: Envelope, sole: str) -> Reading:
    """Read one consensus; `sole` is the symbol of a subscription to one security.

    Raises Unusable for what has no figures: it must not take the place of some.
    """
    content = envelope.content or {}
    if envelope.action != "deleted" and all(is_blank(content.get(f)) for f in FIGURES):
        raise Unusable("no consensus in it")
    consensus = _consensus(content)
    whose = security(envelope.frame, sole)
    # Only a record has a symbol of its own to stay with.
    has_market = not envelope.record or ":" in whose
    return Reading(
        symbol=whose,
        has_market=has_market or bool(_markets(_objects(envelope.frame))),
        updated=milliseconds(consensus.updated_at),
        headline=(
            consensus.consensus_rating.upper(),
            consensus.consensus_rating_val,
            consensus.consensus_price_target,
        ),
        moments=("updated_at", comparable(consensus.updated_at)),
    )


_COUNT = "of how many ratings, or per cent (`aggregate_type`); 0 may be absent"
CONSENSUS = Stream(
    name="consensus",
    path="/api/v1/consensus-ratings/stream",
    parameters=("tickers", "isins", "simplify", "aggregate_type"),
    state="per_symbol",
    read=read,
    # And `shift`, which needs what stood before.
    headline=(
        head(
            *("rating", "consensus_rating"),
            "what all firms together say, in capitals however upstream sent it:"
            " `STRONG_BUY`, `BUY`, `HOLD`, `SELL` or `STRONG_SELL`",
        ),
        head(
            *("value", "consensus_rating_val"),
            "the same as a number, more is better; it is upstream's own, so take the"
            " word from `rating`",
            kind="number",
        ),
        head(
            *("target", "consensus_price_target"),
            "the price target of all firms together",
            kind="number",
        ),
    ),
    content=(
        said(
            "consensus_rating",
            "text",
            "what all firms together say, as `BUY`, in the case in which it was sent:"
            " set it in capitals before you compare. `rating` of an entry is in"
            " capitals",
        ),
        said(
            "consensus_rating_val",
            "number",
            "the same as a number from 1 to 5, more is better",
        ),
        said("consensus_price_target", "number", "their target for one share"),
        said("high_price_target", "number", "the highest of them"),
        said("low_price_target", "number", "the lowest of them"),
        said("aggregate_ratings_strong_buy", "number", f"strong buy: {_COUNT}"),
        said("aggregate_ratings_buy", "number", f"buy: {_COUNT}"),
        said("aggregate_ratings_hold", "number", f"hold: {_COUNT}"),
        said("aggregate_ratings_sell", "number", f"sell: {_COUNT}"),
        said("aggregate_ratings_strong_sell", "number", f"strong sell: {_COUNT}"),
        said("aggregate_type", "text", "what those five are: `number`, `percentage`"),
        said("total_analyst_count", "number", "how many ratings were taken together"),
        said("unique_analyst_count", "number", "of how many analysts"),
        said(
            "updated_at",
            "text",
            "when it was reckoned: RFC 3339, with up to nine digits of a second",
        ),
    ),
    derived=(
        Field(
            *("_previous_consensus_rating", "text"),
            "the rating of the consensus before, which had other figures; as sent, like"
            " `consensus_rating`, so set both in capitals before you compare",
            NOTHING_BEFORE,
        ),
        Field("_previous_consensus_rating_val", "number", "its value", NOTHING_BEFORE),
        Field(
            *("_previous_consensus_price_target", "number", "its price target"),
            NOTHING_BEFORE,
        ),
        attrs.evolve(SHIFT, name="_shift"),
    ),
    flat=FIGURES,
    lookup=Table(path="/api/v1/consensus-ratings", tickers="parameters[tickers]"),
    weight=Weight(690, 790, 0, 38_000),
)
