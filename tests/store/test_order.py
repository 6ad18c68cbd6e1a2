"""Newest wins: contract.md, promise 3."""

from __future__ import annotations

import pytest
from store.servers import Peer, deleted, latest, rating

from bzredis.streams import RATINGS

# First comes one message, then another: what the second one's effect is.
PAIRS = {
    "higher version": (rating(version=1), rating(version=2), "latest"),
    "lower version": (rating(version=2), rating(version=1), "none"),
    "higher version, earlier timestamp": (
        rating(version=1, at=9),
        rating(version=2, at=3),
        "latest",
    ),
    "tie, later timestamp": (rating(at=1), rating(at=2, x=1), "latest"),
    "tie, earlier timestamp": (rating(at=2), rating(at=1, x=1), "none"),
    "tie, later by a nanosecond": (
        rating(at=1.000000001),
        rating(at=1.000000002, x=1),
        "latest",
    ),
    "tie, earlier by a nanosecond": (
        rating(at=1.000000002),
        rating(at=1.000000001, x=1),
        "none",
    ),
    "tie, then a delete": (rating(), rating(action="deleted"), "latest"),
    "tie, after a delete": (rating(action="deleted"), rating(), "none"),
    "no `updated`: by timestamp, newer": (
        rating(updated="", at=1),
        rating(updated="", at=2),
        "latest",
    ),
    "no `updated`: by timestamp, older": (
        rating(updated="", at=2),
        rating(updated="", at=1),
        "none",
    ),
    "`updated` in ms and in s": (
        rating(updated=1_728_000_001_500),
        rating(updated=1_728_000_002),
        "latest",
    ),
    "created after updated": (
        rating(version=2),
        rating(version=3, action="created"),
        "latest",
    ),
    "a delete without content": (rating(at=1), deleted(at=1.5), "latest"),
    "an older delete without content": (rating(version=5), deleted(at=4), "none"),
}


@pytest.mark.parametrize("case", PAIRS)
def test_newest_wins_within_a_record(peer: Peer, case: str) -> None:
    first, second, effect = PAIRS[case]
    peer.one(first)
    assert peer.one(second) == effect
    assert [entry["effect"] for entry in peer.entries()][1:] == [effect]
    if effect == "none":
        (entry, _), _ = peer.redis.xrange("bz:ratings:events")
        assert peer.hash("ratings:record:a")["_event"] == entry
    latest(peer)


def test_rest_loses_ties(peer: Peer) -> None:
    peer.one(rating("a", 5, notes="row"), source="rest")
    assert peer.one(rating("a", 5, at=4, notes="live")) == "duplicate of a row"
    peer.one(rating("b", 5, updated="", at=5, notes="live"))
    row = rating("b", 5, at=5, notes="row")
    assert peer.one(row, source="rest") == "duplicate"
    assert peer.hash("ratings:record:b")["notes"] == "live"


def test_versions_without_any_time_go_by_receipt(peer: Peer) -> None:
    undated = '{"data": {"id": "a", "content": {"ticker": "AAPL"}}}'
    assert peer.one(undated) == "latest"
    assert peer.hash("ratings:record:a")["_version"] == "1728070000000"
    assert "_timestamp" not in peer.hash("ratings:record:a")


def test_latest_is_the_newest_published_and_at_a_tie_the_higher_id(peer: Peer) -> None:
    for record, minute, effect in (
        ("m", 5, "latest"),
        ("z", 4, "record"),
        ("b", 5, "record"),
        ("n", 5, "latest"),
        ("mm", 5, "record"),
        ("nn", 5, "latest"),
        ("é", 5, "latest"),  # by bytes, not by any language's order
        ("Z", 5, "record"),
        ("o", 5, "record"),
    ):
        assert peer.one(rating(record, minute=minute)) == effect, record
    assert latest(peer) == "é"
    assert peer.timeline("AAPL") == ["é", "o", "nn", "n", "mm", "m", "b", "Z", "z"]


def test_many_that_tie_within_one_batch(peer: Peer) -> None:
    records = ["b", "a", "c", "ab", "cc", "B", "ca"]
    peer.apply(RATINGS, *(rating(record) for record in records))
    assert latest(peer) == "cc"
    assert peer.timeline("AAPL") == sorted(records, reverse=True)
