"""Ratings and insights as upstream words them, and the envelopes they come in."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal

import attrs

from bzredis.simulator.market import commentary, formats
from bzredis.simulator.market.catalogue import Company, Firm
from bzredis.simulator.market.consensus import PLAIN, Consensus, View, fields
from bzredis.simulator.market.opinions import (
    NOTHING,
    Opinion,
    company_action,
    target_action,
)

KINDS = {  # as documented: not what one would think
    "ratings": "data/v2.1/calendar/ratings",
    "consensus": "data/v2.1/calendar/ratings",
    "insights": "stream_type",
}
API_VERSION = "websocket/v1"
URL = "https://www.benzinga.com/quote"

Content = Mapping[str, object]


@attrs.frozen
class Rating:
    """A live rating; ``content`` is what was last sent of it."""

    id: str
    company: Company
    firm: Firm
    at: float  # published, unix seconds
    prior: Opinion | None  # what the firm thought before; None: it did not cover it
    opinion: Opinion
    content: Content = attrs.Factory(dict)


@attrs.frozen
class Insight:
    """A live insight; its ``updated`` is in ms, as the stream sends it."""

    id: str
    company: Company
    firm: Firm
    rating_id: str
    at: float
    content: Content


@attrs.frozen
class Published:
    """One message as broadcast; consensus looks different in different views."""

    stream: str
    text: str
    at: float
    company: Company | None = None
    envelope: str = ""
    render: Callable[[View], str] | None = attrs.field(default=None, eq=False)

    def seen(self, view: View = PLAIN) -> str:
        """Return the text that a subscriber with this view gets."""
        plain = self.render is None or view == PLAIN
        return self.text if plain or self.render is None else self.render(view)


def percent_change(last: Decimal, now: Decimal) -> str:
    return str((100 * (now - last) / last).quantize(Decimal("0.01")))


def rating_content(
    rng: random.Random, rating: Rating, *, updated: float
) -> dict[str, object]:
    """Word a rating, with upstream's gaps and oddities."""
    company, firm, now = rating.company, rating.firm, rating.opinion
    date, time = formats.eastern(rating.at)
    prior = rating.prior or NOTHING
    analyst = firm.analyst(company)
    content: dict[str, object] = {
        "id": rating.id,
        "date": date,
        "time": time,
        "ticker": company.ticker,
        "exchange": company.exchange,
        "isin": company.isin,
        "cusip": company.cusip,
        "name": company.name,
        "currency": company.currency,
        "action_pt": target_action(rng, prior.target, now.target),
        "action_company": company_action(rng, rating.prior, now),
        "rating_current": "" if now.grade is None else firm.word(now.grade),
        "pt_current": formats.money(rng, now.target),
        "adjusted_pt_current": formats.money(rng, now.target),
        "rating_prior": "" if prior.grade is None else firm.word(prior.grade),
        "pt_prior": formats.money(rng, prior.target),
        "adjusted_pt_prior": formats.money(rng, prior.target),
        "url": f"{URL}/{company.ticker}/analyst-ratings?rating={rating.id}",
        "url_calendar": f"{URL}/{company.ticker}/analyst-ratings",
        "url_news": f"{URL}/{company.ticker}/analyst-ratings/news",
        "analyst": firm.name,
        "analyst_id": analyst.id,
        "analyst_name": analyst.name,
        "firm_id": firm.id,
        "importance": rng.randint(0, 5),
        "notes": "",
        "updated": int(updated),
    }
    if prior.target and now.target and rng.random() < 0.5:  # noqa: PLR2004 - a share
        content["pt_pct_change"] = percent_change(prior.target, now.target)
    return odd(rng, content)


def odd(rng: random.Random, content: dict[str, object]) -> dict[str, object]:
    """Leave out, empty or retype a field now and then, as upstream does."""
    chance = rng.random()
    if chance < 0.06:  # noqa: PLR2004 - shares, here and below
        del content["analyst_name"]
    elif chance < 0.08:  # noqa: PLR2004
        content["importance"] = ""
    elif chance < 0.10:  # noqa: PLR2004
        content["updated"] = str(content["updated"])
    elif chance < 0.12:  # noqa: PLR2004
        del content["adjusted_pt_prior"], content["adjusted_pt_current"]
    elif chance < 0.14:  # noqa: PLR2004
        content["cusip"] = ""
    return content


def insight_content(
    rng: random.Random, record: str, rating: Rating, at: float
) -> dict[str, object]:
    """Word an insight into ``rating``."""
    company, firm = rating.company, rating.firm
    row = rating.content
    headline = f"{firm.name} {row['action_company']} {company.name}"
    content: dict[str, object] = {
        "id": record,
        "action": row["action_company"],
        "analyst_insights": commentary.insight(rng, firm, company, headline),
        "date": row["date"],
        "firm": firm.name,
        "firm_id": firm.id,
        "pt": row["pt_current"],
        "rating": row["rating_current"],
        "rating_id": rating.id,
        "security": {
            "symbol": company.ticker,
            "name": company.name,
            "exchange": company.exchange,
            "isin": company.isin if rng.random() < 0.9 else "",  # noqa: PLR2004 - a share
            "cik": company.cik,
        },
        "updated": int(at * 1000),
    }
    if rng.random() < 0.5:  # noqa: PLR2004 - a share
        content["analyst_id"] = firm.analyst(company).id
    return content


def updated(record: Rating | Insight) -> int:
    """Return the second of a record's last change."""
    said = int(str(record.content["updated"]))
    return said // 1_000 if isinstance(record, Insight) else said


def enveloped(  # noqa: PLR0913 - an envelope has this many fields
    rng: random.Random,
    stream: str,
    action: str,
    record: Rating | Insight,
    content: Content | None,
    *,
    at: float,
    last: int = 0,
) -> Published:
    """Put a record into its envelope; a delete may come without content.

    ``last`` is the second of the message before, if this is not the record's first.
    """
    envelope = formats.envelope_id(rng)
    data: dict[str, object] = {
        "action": formats.action(rng, action),
        "id": record.id,
        "timestamp": formats.timestamp(rng, at, last),
    }
    if content is not None:
        data["content"] = content
    return Published(stream, wrap(envelope, stream, data), at, record.company, envelope)


def enveloped_consensus(
    rng: random.Random, consensus: Consensus, at: float, *, ticker: bool
) -> Published:
    """Put a consensus into its envelope, flat and nameless unless ``ticker``."""
    envelope = formats.envelope_id(rng)
    company = consensus.company
    names = {
        "ticker": company.ticker,
        "exchange": company.exchange,
        "isin": company.isin,
    }

    def render(view: View) -> str:
        data = fields(consensus, view)
        return wrap(envelope, "consensus", (names | data) if ticker else data)

    text = render(PLAIN)
    return Published("consensus", text, at, company, envelope, render)


def wrap(envelope: str, stream: str, data: Content) -> str:
    return formats.compact(
        {
            "id": envelope,
            "api_version": API_VERSION,
            "kind": KINDS[stream],
            "data": data,
        }
    )
