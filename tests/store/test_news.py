"""What is news, what a deletion tells, and the history of a symbol: contract.md, 2."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from store.servers import BASE, Peer, consensus, deleted, message, rating

from bzredis.changes.from_rest import removal, row
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, STREAMS

SAID: dict[str, Any] = {
    "analyst": "Firm",
    "action_company": "Upgrades",
    "rating_current": "Buy",
    "rating_prior": "Hold",
    "pt_current": "195.50",
    "importance": 3,
}
HEADLINE = {
    "firm": "Firm",
    "direction": "up",
    "rating": "Buy",
    "rating_prior": "Hold",
    "pt": "195.50",
    "importance": "3",
}
NEWS: dict[str, dict[str, Any]] = {
    "another firm": {"analyst": "Other"},
    "another direction": {"action_company": "Downgrades"},
    "another rating": {"rating_current": "Strong Buy"},
    "another target": {"pt_current": "195.51"},
    "a target that is gone": {"pt_current": ""},
}
NO_NEWS: dict[str, dict[str, Any]] = {
    "the same again": {},
    "other digits of the target": {"pt_current": "195.5"},
    "another word for the direction": {"action_company": "upgrades"},
    "notes": {"notes": "more"},
    "importance": {"importance": 5},
    "what was before": {"rating_prior": "Sell"},
    "what the target was before": {"pt_prior": "180"},
    "another date": {"date": "2024-10-04"},
}


def news(peer: Peer, stream: str = "ratings") -> list[str]:
    return [entry.get("news", "") for entry in peer.entries(f"{stream}:events")]


@pytest.mark.parametrize(
    ("fields", "is_news"),
    [*((f, True) for f in NEWS.values()), *((f, False) for f in NO_NEWS.values())],
    ids=[*NEWS, *NO_NEWS],
)
def test_an_update_is_news_where_it_says_something_else(
    peer: Peer, fields: dict[str, Any], *, is_news: bool
) -> None:
    peer.apply(RATINGS, rating("a", 1, **SAID), rating("a", 2, **(SAID | fields)))
    assert news(peer) == ["1", "1" if is_news else ""]


def test_what_is_out_of_date_is_no_news(peer: Peer) -> None:
    peer.one(rating("a", 5, **SAID))
    assert peer.one(rating("a", 1, **(SAID | NEWS["another rating"]))) == "none"
    assert news(peer) == ["1", ""]
    seconds = [int(each["version"]) // 1_000 - BASE for each in peer.entries()]
    assert seconds == [5, 1]
    assert len({each["published"] for each in peer.entries()}) == 1


def test_what_is_too_old_for_the_timeline_is_no_news(peer: Peer) -> None:
    short = peer.store(timeline_length=1)
    peer.one(rating("a", minute=5), store=short)
    assert peer.one(rating("b", minute=1), store=short) == "none"
    assert news(peer) == ["1", ""]


def test_a_record_that_comes_back_is_news(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", 1, **SAID), deleted("a", 2), rating("a", 3, **SAID))
    assert news(peer) == ["1", "1", "1"]


def test_a_row_that_says_the_same_as_the_stream_is_no_news(peer: Peer) -> None:
    peer.one(rating("a", 1, **SAID))
    content = {"id": "a", "ticker": "AAPL", "updated": 1728000009, **SAID}
    text = msgspec.json.encode(content | {"notes": "more"}).decode()
    peer.one(row(RATINGS, text, received=1728000009000))
    entry = peer.entries()[1]
    assert (entry["source"], "news" in entry) == ("rest", False)
    assert not {"envelope", "timestamp"} & set(entry)
    assert int(entry["version"]) == int(peer.hash("ratings:record:a")["_version"])


REPEATS = rating("a", 2, symbol="SHOP", exchange="TSX", action="deleted", **SAID)


@pytest.mark.parametrize(
    "gone", [deleted("a", 2), REPEATS, "row"], ids=["frame", "with content", "row"]
)
def test_a_deletion_tells_whose_call_is_gone(peer: Peer, gone: str) -> None:
    peer.one(rating("a", 1, symbol="SHOP", exchange="TSX", **SAID))
    change: Any = gone
    if gone == "row":
        change = removal(RATINGS, "a", 1728000002, "{}", received=1728000003000)
    assert peer.one(change) == "latest"
    entry = peer.entries()[1]
    assert {name: entry.get(name) for name in HEADLINE} == HEADLINE
    assert (entry["symbol"], entry["news"]) == ("TSX:SHOP", "1")
    assert entry["published"] == peer.entries()[0]["published"]


def test_a_deletion_is_of_the_symbol_that_the_record_had(peer: Peer) -> None:
    """Whatever it names: it is not the other symbol's call that is gone."""
    other = {"ticker": "MSFT"}
    peer.apply(RATINGS, rating("a"), message("a", other, action="deleted", at=5))
    assert peer.entries()[1]["symbol"] == "AAPL"
    history = peer.entries("ratings:history:AAPL")
    assert [each["action"] for each in history] == ["updated", "deleted"]
    assert not peer.redis.exists("bz:ratings:history:MSFT")


def test_a_deleted_consensus_is_news_whatever_symbol_the_deletion_names(
    peer: Peer,
) -> None:
    peer.apply(
        CONSENSUS,
        message("c", {"ticker": "AAPL", "consensus_rating": "Buy"}, at=1),
        message("c", {"ticker": "MSFT"}, action="deleted", at=2),
    )
    gone = peer.entries("consensus:events")[1]
    assert gone["effect"] == "latest"
    assert (gone.get("symbol"), gone.get("rating")) == ("AAPL", "BUY")
    assert gone.get("news") == "1"


def test_what_is_too_old_for_its_first_symbol_is_no_news(peer: Peer) -> None:
    """It had none before."""
    short = peer.store(timeline_length=1)
    frames = (
        rating("a", minute=5),
        rating("b", 1, minute=1, symbol="", **SAID),
        rating("b", 2, minute=1, **(SAID | NEWS["another rating"])),
    )
    results = peer.apply(RATINGS, *frames, store=short)
    assert results == ("latest", "record", "none")
    assert news(peer) == ["1", "1", ""]
    assert len(peer.entries("ratings:history:AAPL")) == 1


def test_a_deletion_of_what_nobody_knows_is_no_news(peer: Peer) -> None:
    peer.apply(RATINGS, deleted("a", 2), deleted("a", 3))
    assert news(peer) == ["", ""]
    assert not peer.redis.keys("*:history:*")


def test_an_insight_names_its_rating(peer: Peer) -> None:
    security = {"symbol": "AAPL", "exchange": "NASDAQ"}
    said = {"security": security, "rating": "Buy", "rating_id": "r1", "updated": 5}
    other = said | {"rating_id": "r2", "updated": 6}
    peer.apply(INSIGHTS, message("i", said), message("i", other))
    assert [e["rating_id"] for e in peer.entries("insights:events")] == ["r1", "r2"]
    assert news(peer, "insights") == ["1", ""]


@pytest.mark.parametrize(
    ("fields", "is_news"),
    [
        ({"firm": "Other"}, True),
        ({"action": "Downgrades"}, True),
        ({"rating": "Strong Buy"}, True),
        ({"pt": "195.51"}, True),
        ({"pt": "195.5"}, False),
        ({"analyst_insights": "more"}, False),
    ],
)
def test_an_insight_is_news_where_it_says_something_else(
    peer: Peer, fields: dict[str, str], *, is_news: bool
) -> None:
    said = {"firm": "F", "action": "Upgrades", "rating": "Buy", "pt": "195.50"}
    first = {"security": {"symbol": "AAPL"}, **said, "updated": BASE}
    again = first | fields | {"updated": BASE + 1}
    peer.apply(INSIGHTS, message("i", first), message("i", again, at=1))
    assert news(peer, "insights") == ["1", "1" if is_news else ""]
    assert len(peer.entries("insights:history:AAPL")) == 1 + is_news


def test_a_consensus_is_news_where_its_figures_differ(peer: Peer) -> None:
    word = {"consensus_rating": "Buy"}
    peer.apply(
        CONSENSUS,
        consensus(1, "3.5", **word),
        consensus(2, "3.50", **word),
        consensus(3, "3.6", **word),
        consensus(symbol=None),
    )
    entries = peer.entries("consensus:events")
    assert news(peer, "consensus") == ["1", "", "1", ""]
    assert {entry["rating"] for entry in entries} == {"BUY"}
    assert peer.hash("consensus:latest:AAPL")["consensus_rating"] == "Buy"


def test_a_deleted_consensus_tells_its_figures(peer: Peer) -> None:
    content = {"ticker": "AAPL", "consensus_rating": "Buy", "hold": 1}
    peer.apply(
        CONSENSUS,
        message("c", content, at=1),
        message("c", None, action="deleted", at=2),
    )
    gone = peer.entries("consensus:events")[1]
    assert (gone["symbol"], gone["rating"], gone["news"]) == ("AAPL", "BUY", "1")


def test_a_history_keeps_what_was_news_about_a_symbol(peer: Peer) -> None:
    peer.apply(
        RATINGS,
        rating("a", 1, **SAID),
        rating("a", 2, **SAID, notes="more"),
        rating("b", 3, symbol="X"),
        rating("a", 4, **(SAID | NEWS["another target"])),
        deleted("a", 5),
        rating("c", 6, symbol=""),
    )
    logged = peer.redis.xrange("bz:ratings:events")
    for symbol, places in (("AAPL", (0, 3, 4)), ("X", (2,))):
        wanted = [{**logged[n][1], "event": logged[n][0]} for n in places]
        assert all(entry.pop("raw") for entry in wanted)
        found = peer.redis.xrange(f"bz:ratings:history:{symbol}")
        assert [entry for _, entry in found] == wanted
    assert len(peer.redis.keys("*:history:*")) == 2


def test_a_history_of_a_wrong_type_refuses_the_change_whole(peer: Peer) -> None:
    peer.redis.set("bz:ratings:history:AAPL", "mine")
    assert peer.one(rating("a")).startswith("refused WRONGTYPE")
    assert not peer.entries()
    assert not peer.redis.keys("bz:ratings:record:*")


def test_no_entry_has_an_empty_field(peer: Peer) -> None:
    for stream in STREAMS:
        peer.apply(stream, message("x", {"hold": 1, "pt": "", "firm": None}))
        peer.apply(stream, message("x", None, action="deleted", at=9))
        for entry in peer.entries(f"{stream.name}:events"):
            assert all(entry.values())
            assert {"version", "published"} <= set(entry)
