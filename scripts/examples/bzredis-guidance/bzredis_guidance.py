"""What companies expect of their own results, as a further stream of bzredis."""

from random import Random

import attrs

from bzredis import plugin as bz


@attrs.frozen
class Guidance:
    """The fields of the content that are needed here; all others come through alike."""

    ticker: str = ""
    exchange: str = ""
    date: str = ""
    time: str = ""
    period: str = ""
    eps_guidance_est: str = ""
    updated: str = ""


content = bz.content_reader(Guidance)


def read(envelope: bz.Envelope, _sole: str) -> bz.Reading:
    """Tell whose it is, of when, and what of it stands in the log."""
    one = content(envelope.content or {})  # a deletion may have none
    return bz.Reading(
        symbol=bz.symbol(one.ticker, one.exchange),
        has_market=bool(bz.market(one.exchange)),
        updated=bz.milliseconds(one.updated),
        published=bz.published(one.date, one.time),
        headline=(one.period, one.eps_guidance_est),
    )


def make(rng: Random, _at: float) -> dict[str, str]:
    """Make up content for `bzredis demo --stream guidance`."""
    eps = f"{rng.randint(10, 900) / 100:.2f}"
    whose = {"ticker": rng.choice(("AAPL", "MSFT")), "exchange": "NASDAQ"}
    return whose | {"date": "2026-11-20", "period": "Q4", "eps_guidance_est": eps}


EPS = "the earnings per share that it expects"
GUIDANCE = bz.Stream(
    name="guidance",
    path="/api/v2.1/calendar/guidance/stream",
    kind="data/v2.1/calendar/guidance",
    read=read,
    headline=(
        bz.head("period", "period", "`Q1` to `Q4` or `FY`", is_news=True),
        bz.head("eps", "eps_guidance_est", EPS, kind="number", is_news=True),
    ),
    content=(bz.said("eps_guidance_est", "number", EPS),),
    rows=bz.Table(
        path="/api/v2.1/calendar/guidance",
        tickers="parameters[tickers]",
        name="guidance",
        since="parameters[updated]",
        sizes=("pagesize",),
    ),
    removals=bz.Table(
        path="/api/v2.1/calendar-removed/",
        name="removed",
        since="updated",
        sizes=("pageSize", "pagesize"),
        type="guidance",
    ),
    make=make,
)
