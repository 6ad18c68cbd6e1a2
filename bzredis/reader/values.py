"""What stands in Redis, as values. Pure.

In all of them what is absent is None, times are aware datetimes in UTC, prices and
other figures are Decimals with the digits in which upstream sent them. What has no
attribute here, or is what its attribute cannot be (a price of "n/a"), is in `other`,
under its name in Redis and as the text that stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

import attrs

# Those that are always there; a bridge may follow others, which are told by any name.
StreamName = Literal["ratings", "insights", "consensus"]
Action = Literal["created", "updated", "deleted"]
Direction = Literal["up", "down", "same", "new", "end"]
Shift = Literal["up", "down", "same"]
Source = Literal["live", "replay", "rest"]
Effect = Literal["latest", "record", "none"]
State = Literal["connecting", "live", "retrying", "refused", "full", "stopped"]

NAMES: Final = "names"  # in the metadata of an attribute: its fields in Redis


def named(*names: str) -> Any:
    """Make an attribute of the first of these fields that is there."""
    return attrs.field(default=None, metadata={NAMES: names})


def _other() -> Any:
    return attrs.field(factory=dict, hash=False)  # a dict has no hash


def _text() -> Any:
    return attrs.field(factory=dict, eq=False, repr=False)  # the attributes say it all


# ---- hashes: `latest:SYM` and `record:ID`


@attrs.frozen(kw_only=True)
class Hash:
    """What the bridge adds to each hash."""

    symbol: str | None = named("_symbol")
    record: str | None = named("_record", "id")
    action: Action | None = named("_action")  # of the message that wrote it
    version: datetime | None = named("_version")  # to the ms; a higher one is newer
    published: datetime | None = named("_published")  # to the ms
    timestamp: datetime | None = named("_timestamp")  # of that message, by upstream
    received: datetime | None = named("_received")  # by the bridge's clock
    source: Source | None = named("_source")
    event: str | None = named("_event")  # its entry in `events`
    other: Mapping[str, str] = _other()
    text: Mapping[str, str] = _text()  # all fields as they stand in Redis


@attrs.frozen(kw_only=True)
class Rating(Hash):
    """An analyst's rating of a security, as its firm last changed it.

    Targets are in `currency` for one share; the adjusted ones are after splits.
    """

    firm: str | None = named("_firm", "analyst")
    direction: Direction | None = named("_direction")
    pt_change: Decimal | None = named("_pt_change")  # in `currency`, exact
    pt_change_pct: Decimal | None = named("_pt_change_pct")  # per cent of the prior
    ticker: str | None = named("ticker")
    exchange: str | None = named("exchange")
    isin: str | None = named("isin")
    name: str | None = named("name")  # of the company
    currency: str | None = named("currency")  # ISO 4217, as USD
    action_company: str | None = named("action_company")  # as Upgrades
    action_pt: str | None = named("action_pt")  # as Raises
    rating_current: str | None = named("rating_current")  # in the firm's own words
    rating_prior: str | None = named("rating_prior")
    pt_current: Decimal | None = named("pt_current")
    pt_prior: Decimal | None = named("pt_prior")
    adjusted_pt_current: Decimal | None = named("adjusted_pt_current")
    adjusted_pt_prior: Decimal | None = named("adjusted_pt_prior")
    analyst_name: str | None = named("analyst_name")  # the person
    analyst_id: str | None = named("analyst_id")
    firm_id: str | None = named("firm_id")
    importance: int | None = named("importance")  # 0 to 5
    notes: str | None = named("notes")
    url: str | None = named("url")
    date: str | None = named("date")  # of publication, US/Eastern; see `published`
    time: str | None = named("time")
    updated: datetime | None = named("updated")  # to the second


@attrs.frozen(kw_only=True)
class Insight(Hash):
    """An analyst's reasoning in prose, which belongs to a rating."""

    firm: str | None = named("_firm", "firm")
    direction: Direction | None = named("_direction")
    rating_id: str | None = named("rating_id")  # the `record` of its Rating
    rating: str | None = named("rating")  # in the firm's own words
    pt: Decimal | None = named("pt")  # the target for one share
    action_company: str | None = named("action")  # as Upgrades
    analyst_insights: str | None = named("analyst_insights")  # Markdown
    ticker: str | None = named("security_symbol")
    exchange: str | None = named("security_exchange")
    isin: str | None = named("security_isin")
    name: str | None = named("security_name")  # of the company
    analyst_id: str | None = named("analyst_id")
    firm_id: str | None = named("firm_id")
    date: str | None = named("date")  # of publication, US/Eastern; see `published`
    time: str | None = named("time")
    updated: datetime | None = named("updated")  # to the ms, or to the second


@attrs.frozen(kw_only=True)
class Consensus(Hash):
    """What all analysts of a security say together, and what they said before.

    Targets are for one share. The five counts are numbers of ratings, or per cent where
    `aggregate_type` is ``percentage``; upstream may leave out one that is zero.
    """

    consensus_rating: str | None = named("consensus_rating")  # as BUY
    consensus_rating_val: Decimal | None = named("consensus_rating_val")  # 1 to 5
    consensus_price_target: Decimal | None = named("consensus_price_target")
    high_price_target: Decimal | None = named("high_price_target")
    low_price_target: Decimal | None = named("low_price_target")
    previous_consensus_rating: str | None = named("_previous_consensus_rating")
    previous_consensus_rating_val: Decimal | None = named(
        "_previous_consensus_rating_val"
    )
    previous_consensus_price_target: Decimal | None = named(
        "_previous_consensus_price_target"
    )
    shift: Shift | None = named("_shift")  # of the value, since the previous one
    strong_buy: Decimal | None = named("aggregate_ratings_strong_buy", "strong_buy")
    buy: Decimal | None = named("aggregate_ratings_buy", "buy")
    hold: Decimal | None = named("aggregate_ratings_hold", "hold")
    sell: Decimal | None = named("aggregate_ratings_sell", "sell")
    strong_sell: Decimal | None = named("aggregate_ratings_strong_sell", "strong_sell")
    aggregate_type: str | None = named("aggregate_type")  # number, percentage
    total_analyst_count: int | None = named("total_analyst_count")
    unique_analyst_count: int | None = named("unique_analyst_count")
    updated_at: datetime | None = named("updated_at")  # cut to the µs


@attrs.frozen(kw_only=True)
class Record(Hash):
    """What stands in a stream that has no class here: see `other`, and `text`."""


# ---- streams: `events` and `history:SYM`


@attrs.frozen(kw_only=True)
class Entry:
    """A message in the log (`events`), or in the history of a symbol.

    Act on `news`: most entries but repeat what was said before. Of the headline a
    stream fills what it has; targets (`pt`, `pt_prior`, `target`) are for one share.
    What only another stream's headline has is in `other`.
    """

    stream: str
    id: str  # after which one may go on: `events(stream, after=entry.id)`
    event: str | None = named("event")  # its id in `events`; of the log, `id` again
    envelope: str | None = named("envelope")
    action: Action | None = named("action")
    record: str | None = named("record")
    symbol: str | None = named("symbol")  # None where it is not certain whose it is
    timestamp: datetime | None = named("timestamp")  # by upstream, cut to the µs
    received: datetime | None = named("received")  # by the bridge's clock
    source: Source | None = named("source")
    version: datetime | None = named("version")  # to the ms; a higher one is newer
    published: datetime | None = named("published")  # to the ms
    effect: Effect | None = named("effect")  # on what stands in Redis
    news: bool = attrs.field(default=False, metadata={NAMES: ("news",)})
    firm: str | None = named("firm")
    direction: Direction | None = named("direction")
    rating: str | None = named("rating")
    rating_prior: str | None = named("rating_prior")
    pt: Decimal | None = named("pt")
    pt_prior: Decimal | None = named("pt_prior")
    importance: int | None = named("importance")  # 0 to 5
    rating_id: str | None = named("rating_id")  # of insights: the `record` of a Rating
    value: Decimal | None = named("value")  # of consensus: 1 to 5
    target: Decimal | None = named("target")  # of consensus
    shift: Shift | None = named("shift")  # of consensus
    raw: str | None = named("raw")  # JSON as upstream sent it; not in a history
    other: Mapping[str, str] = _other()
    text: Mapping[str, str] = _text()  # all fields as they stand in Redis


@attrs.frozen(kw_only=True)
class Gap:
    """Between `begin` and `end` messages may be missing.

    What announces it is the bridge (`cause` is ``reconnect``, ``restart`` or
    ``redis-rollback``), or the reader itself, where the log was trimmed beyond the id
    that it was to go on from (``trimmed``; or entries were deleted by hand).
    """

    stream: str
    id: str  # after which one may go on, as with an Entry
    received: datetime | None = named("received")  # when it was announced
    begin: datetime | None = named("from")
    end: datetime | None = named("to")
    cause: str | None = named("cause")
    recovered: int | None = named("recovered")  # messages
    other: Mapping[str, str] = _other()


# ---- status


@attrs.frozen
class Span:
    """A time, from `begin` to `end`."""

    begin: datetime
    end: datetime


@attrs.frozen(kw_only=True)
class Status:
    """How a stream stands. All but `alive` is what its bridge said last.

    So it counts only while `alive` is there: a bridge that was killed leaves the rest
    as it was.
    """

    stream: str
    # The bridge for which all is fresh; None where nothing is. Not of the hash.
    alive: str | None = attrs.field(default=None)
    contract: int | None = named("contract")
    state: State | None = named("state")
    since: datetime | None = named("since")
    bridge: str | None = named("bridge")  # its instance id
    version: str | None = named("version")  # of the program
    started_at: datetime | None = named("started_at")
    upstream: str | None = named("upstream")  # its host
    subscription: str | None = named("subscription")  # *, or a list with commas
    connected_at: datetime | None = named("connected_at")
    last_frame_at: datetime | None = named("last_frame_at")
    last_event_at: datetime | None = named("last_event_at")
    last_pong_at: datetime | None = named("last_pong_at")
    covered_until: datetime | None = named("covered_until")  # all until then is here …
    missing: tuple[Span, ...] = attrs.field(  # … but for this
        default=(), metadata={NAMES: ("missing",)}
    )
    # Counted since `started_at`.
    events: int | None = named("events")
    duplicates: int | None = named("duplicates")
    rejected: int | None = named("rejected")
    unattributed: int | None = named("unattributed")
    gaps: int | None = named("gaps")
    reconnects: int | None = named("reconnects")
    fetched: int | None = named("fetched")
    # Messages that were read and are not in Redis yet, and how many of them on disk.
    backlog: int | None = named("backlog")
    spooled: int | None = named("spooled")
    error: str | None = named("error")  # the last one, in words
    other: Mapping[str, str] = _other()
    text: Mapping[str, str] = _text()  # all fields as they stand in Redis

    @property
    def fresh(self) -> bool:
        """Whether what `latest` says is fresh."""
        return self.alive is not None
