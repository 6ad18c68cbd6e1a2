"""Upstream's own fields, as far as they are known, under their names in a hash.

Nothing hangs on this table: others come through alike, and any of these may be absent.
"""

from __future__ import annotations

from typing import Final

from bzredis.contract.fields import NOT_SAID, Field, Type
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS


def _said(name: str, kind: Type, meaning: str) -> Field:
    return Field(name, kind, meaning, NOT_SAID)


_DATE: Final = _said(
    "date",
    "text",
    "the day of publication in New York, as `2026-11-20`; `_published` is the same"
    " moment in ms, in no time zone",
)
_TIME: Final = _said("time", "text", "the time of that day in New York, as `09:30:00`")
_EXCHANGE: Final = "its exchange, as someone typed it; `_symbol` knows the spellings"
_ISIN: Final = "its ISIN"
_FIRM_ID: Final = _said("firm_id", "text", "upstream's id of the firm")
_ANALYST_ID: Final = _said("analyst_id", "text", "upstream's id of the person")
_COUNT: Final = "of how many ratings, or per cent (`aggregate_type`); 0 may be absent"

THEIRS: Final = {
    RATINGS.name: (
        _said("id", "text", "the id of the record, as `_record`"),
        _DATE,
        _TIME,
        _said("ticker", "text", "the ticker as sent; keys have `_symbol`"),
        _said("exchange", "text", _EXCHANGE),
        _said("isin", "text", _ISIN),
        _said("cusip", "text", "its CUSIP"),
        _said("name", "text", "the name of the company"),
        _said("currency", "text", "of the targets, as `USD`"),
        _said(
            "action_company",
            "text",
            "what the firm did, as `Upgrades`, `Maintains` or `Initiates Coverage On`;"
            " `_direction` is one word for it",
        ),
        _said("action_pt", "text", "what it did to its target, as `Raises`, `Lowers`"),
        _said("rating_current", "text", "what it says now, in the firm's own words"),
        _said("rating_prior", "text", "what it said before"),
        _said("pt_current", "number", "its target for one share, in `currency`"),
        _said("pt_prior", "number", "its target before"),
        _said("adjusted_pt_current", "number", "`pt_current`, adjusted for splits"),
        _said("adjusted_pt_prior", "number", "`pt_prior`, adjusted for splits"),
        _said("analyst", "text", "the **firm**, as `_firm`; not the person"),
        _said("analyst_name", "text", "the person"),
        _ANALYST_ID,
        _FIRM_ID,
        _said("importance", "number", "how much it matters, from 0 to 5"),
        _said("notes", "text", "a remark of upstream's"),
        _said("url", "text", "a page of upstream's on it"),
        _said("url_calendar", "text", "the same in its calendar"),
        _said("url_news", "text", "its news on it"),
        _said(
            "pt_pct_change", "number", "the target's change in per cent, by upstream"
        ),
        _said("updated", "number", "when it was last changed, in **s** since 1970"),
    ),
    INSIGHTS.name: (
        _said("id", "text", "the id of the record, as `_record`"),
        _DATE,
        _TIME,
        _said("action", "text", "what the firm did, as `Upgrades`, like `_direction`"),
        _said("analyst_insights", "text", "the reasoning: Markdown of 1 to 3 KB"),
        _said("firm", "text", "the firm, as `_firm`"),
        _FIRM_ID,
        _ANALYST_ID,
        _said("rating", "text", "what it says, in the firm's own words"),
        _said("pt", "number", "its target for one share"),
        _said(
            "rating_id", "text", "the id of the record in `ratings` that it explains"
        ),
        _said("security_symbol", "text", "the ticker as sent; keys have `_symbol`"),
        _said("security_exchange", "text", _EXCHANGE),
        _said("security_isin", "text", _ISIN),
        _said("security_cik", "text", "the company's number at the SEC"),
        _said("security_name", "text", "the name of the company"),
        _said(
            "updated",
            "number",
            "when it was last changed: in **ms** since 1970 over the stream, in **s**"
            " over REST; `_version` is always in ms",
        ),
    ),
    CONSENSUS.name: (
        _said(
            "consensus_rating",
            "text",
            "what all firms together say, as `BUY`, in the case in which it was sent:"
            " set it in capitals before you compare. `rating` of an entry is in"
            " capitals",
        ),
        _said(
            "consensus_rating_val",
            "number",
            "the same as a number from 1 to 5, more is better",
        ),
        _said("consensus_price_target", "number", "their target for one share"),
        _said("high_price_target", "number", "the highest of them"),
        _said("low_price_target", "number", "the lowest of them"),
        _said("aggregate_ratings_strong_buy", "number", f"strong buy: {_COUNT}"),
        _said("aggregate_ratings_buy", "number", f"buy: {_COUNT}"),
        _said("aggregate_ratings_hold", "number", f"hold: {_COUNT}"),
        _said("aggregate_ratings_sell", "number", f"sell: {_COUNT}"),
        _said("aggregate_ratings_strong_sell", "number", f"strong sell: {_COUNT}"),
        _said("aggregate_type", "text", "what those five are: `number`, `percentage`"),
        _said("total_analyst_count", "number", "how many ratings were taken together"),
        _said("unique_analyst_count", "number", "of how many analysts"),
        _said(
            "updated_at",
            "text",
            "when it was reckoned: RFC 3339, with up to nine digits of a second",
        ),
    ),
}
