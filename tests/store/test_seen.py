"""A message takes effect once: contract.md, promise 1."""

from __future__ import annotations

import time
from typing import Any

import pytest
from store.servers import Peer, rating

from bzredis.store import script
from bzredis.streams import RATINGS

AGAIN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the same frame": ({}, {}),
    "under a new envelope id": ({"envelope": "e1"}, {"envelope": "e2"}),
    "with an envelope id only now": ({"envelope": ""}, {"envelope": "e2"}),
    "with another timestamp": ({"at": 1}, {"at": 50}),
    "the envelope id, with other words": ({"envelope": "e"}, {"envelope": "e", "x": 1}),
}


@pytest.mark.parametrize("apart", [False, True], ids=["one batch", "two batches"])
@pytest.mark.parametrize("again", AGAIN)
def test_the_same_message_takes_effect_once(
    peer: Peer, again: str, *, apart: bool
) -> None:
    first, second = (rating(**how) for how in AGAIN[again])
    if again == "the same frame":
        second = first
    results = (
        [peer.one(first), peer.one(second)]
        if apart
        else [*peer.apply(RATINGS, first, second)]
    )
    assert results == ["latest", "duplicate"]
    assert len(peer.entries()) == 1


OTHER = {
    "another action": (rating(), rating(action="deleted"), "latest"),
    "another record": (rating("a"), rating("b"), "latest"),
    "another content": (rating(), rating(at=2, notes="x"), "latest"),
    "no `updated`, another timestamp": (
        rating(updated="", at=1),
        rating(updated="", at=2),
        "latest",
    ),
    "the envelope id of another record": (
        rating("a", envelope="e"),
        rating("b", envelope="e"),
        "latest",
    ),
}


@pytest.mark.parametrize("case", OTHER)
def test_another_message_is_not_the_same(peer: Peer, case: str) -> None:
    first, second, result = OTHER[case]
    assert peer.apply(RATINGS, first, second) == ("latest", result)
    assert len(peer.entries()) == 2


def test_what_was_seen_is_kept_for_days_and_never_less_than_so_many(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "REMEMBERED_LEAST", 10)
    frames = [rating(f"r{n}", envelope=f"e{n}") for n in range(10)]
    peer.apply(RATINGS, *frames)
    seen = "bz:ratings:internal:seen"
    count = peer.redis.zcard(seen)
    assert count > 10
    week = 7 * 86_400_000_000  # µs
    now = round(time.time() * 1_000_000)
    for member in peer.redis.zrange(seen, 0, -1):
        peer.redis.zadd(seen, {member: now - week + 60_000_000})
    peer.one("garbage 1")
    assert peer.redis.zcard(seen) == count + 1
    for member in peer.redis.zrange(seen, 0, -1):
        peer.redis.zadd(seen, {member: now - week - 1})
    peer.one("garbage 2")
    assert peer.redis.zcard(seen) == 10


def test_what_comes_again_keeps_its_first_stamp(peer: Peer) -> None:
    """By it a replay proves that it reaches back; other copies leave other prints."""
    peer.one(rating(envelope="e1"))
    seen = "bz:ratings:internal:seen"
    before = dict(peer.redis.zrange(seen, 0, -1, withscores=True))
    assert peer.one(rating(envelope="e2")) == "duplicate"
    after = dict(peer.redis.zrange(seen, 0, -1, withscores=True))
    assert before.items() <= after.items()
    (added,) = after.keys() - before.keys()
    assert after[added] > max(before.values())


def test_stamps_never_go_back(peer: Peer) -> None:
    ahead = round(time.time() * 1_000_000) + 60_000_000  # its TIME stepped back since
    peer.one(rating("a"))
    peer.redis.hset("bz:ratings:internal:coverage", "stamp", ahead)
    peer.one(rating("b"))
    scores = peer.redis.zrange("bz:ratings:internal:seen", 0, -1, withscores=True)
    assert max(score for _, score in scores) == ahead + 1
    peer.one(rating("c"))
    assert peer.redis.hget("bz:ratings:internal:coverage", "stamp") == str(ahead + 2)
