"""Bulls say, bears say: one record per case, in prose. REST has none of it."""

from __future__ import annotations

from random import Random

import attrs

from bzredis.messages.envelope import Envelope
from bzredis.messages.model import reader
from bzredis.messages.symbols import symbol
from bzredis.messages.times import milliseconds
from bzredis.streams.field import RECORD, TICKER, UPDATED, said
from bzredis.streams.stream import Reading, Stream, head


@attrs.frozen
class Case:
    """The fields of a case that we read."""

    ticker: str = ""
    bull_case: str = ""
    bear_case: str = ""
    updated: str = ""


_case = reader(Case)


def read(envelope: Envelope, _sole: str) -> Reading:
    """Read one case; a delete may come without content."""
    case = _case(envelope.content or {})
    return Reading(
        symbol=symbol(case.ticker),
        has_market=False,  # it names no exchange
        updated=milliseconds(case.updated),
        headline=(case.bull_case, case.bear_case),
    )


def make(rng: Random, _at: float) -> dict[str, object]:
    """Make up a case."""
    ticker = rng.choice(("AAPL", "AMZN", "MSFT", "NVDA", "TSLA"))
    growth, margin = rng.randint(4, 40), rng.randint(5, 45)
    return {
        "ticker": ticker,
        "bull_case": f"{ticker} grows by {growth} % a year, and its customers stay.",
        "bear_case": f"Rivals press on the margin of {ticker}, now {margin} %.",
    }


BULLS_BEARS = Stream(
    name="bulls-bears",
    path="/api/v1/bulls_bears_say/stream",
    read=read,
    headline=(
        head("bull_case", "bull_case", "why it may rise, in prose", is_news=True),
        head("bear_case", "bear_case", "why it may fall, in prose", is_news=True),
    ),
    content=(
        *(RECORD, TICKER),
        said("bull_case", "text", "why it may rise, in prose"),
        said("bear_case", "text", "why it may fall, in prose"),
        UPDATED,
    ),
    make=make,
    kind="bull_bear_case",
)
