"""From where REST resumes: fixed before what comes after can hide what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from store.servers import BASE, RECEIVED, Peer, rating

from bzredis.change import Owe, Paid, owe, paid
from bzredis.streams import RATINGS

WINDOW = 1_000_000  # ms
MS = BASE * 1_000


def mark(since: int = WINDOW, *, again: bool = False) -> Owe:
    return owe(since=since, now=RECEIVED, again=again)


def end(since: int) -> Paid:
    return paid(since=since, now=RECEIVED)


def test_what_redis_never_had_is_owed_for_the_window(peer: Peer) -> None:
    assert peer.one(mark()) == f"owed {WINDOW} window"
    assert peer.one(mark(WINDOW + 5)) == f"owed {WINDOW} window", "until it is paid"
    assert peer.one(end(WINDOW)) == "paid"
    assert not peer.redis.exists("bz:ratings:owed")
    assert peer.one(mark(7)) == "owed 7 window"


def test_the_newest_before_the_mark_counts(peer: Peer) -> None:
    results = peer.apply(
        RATINGS, rating("a", 5), rating("b", 3), mark(), rating("c", 9), mark()
    )
    owed = f"owed {MS + 5_000}"
    assert results == ("latest", "latest", owed, "latest", owed)
    assert peer.one(rating("d", 12)) == "latest"
    assert peer.one(mark()) == owed, "what it owed before is not paid"
    assert peer.apply(RATINGS, end(MS + 5_000), mark()) == (
        "paid",
        f"owed {MS + 12_000}",
    )


def test_a_duplicate_and_what_is_older_move_nothing_back(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", 5), rating("a", 5), rating("b", 1))
    assert peer.redis.get("bz:ratings:newest") == str(MS + 5_000)


def test_a_window_gives_way_to_what_is_older(peer: Peer) -> None:
    peer.one(mark(MS + 60_000))
    assert peer.one(rating("a", 5)) == "latest"
    assert peer.one(mark()) == f"owed {MS + 5_000}"


def test_a_redis_that_lost_something_is_owed_in_spite_of_an_older_end(
    peer: Peer,
) -> None:
    peer.one(rating("a", 5))
    assert peer.one(mark()) == f"owed {MS + 5_000}"
    assert peer.one(mark(again=True)) == f"owed {MS + 4_999}"
    assert peer.apply(RATINGS, end(MS + 5_000), mark()) == (
        "paid",
        f"owed {MS + 4_999}",
    )
    assert peer.apply(RATINGS, end(MS + 4_999), mark())[1] == f"owed {MS + 5_000}"


def test_marks_leave_no_entry(peer: Peer) -> None:
    found: Any = peer.store()
    assert peer.apply(RATINGS, mark(), end(WINDOW), store=found) == (
        f"owed {WINDOW} window",
        "paid",
    )
    assert not peer.redis.exists("bz:ratings:events", "bz:ratings:seen")


@pytest.mark.parametrize("key", ["newest", "owed"])
def test_a_wrong_type_refuses_the_batch(peer: Peer, key: str) -> None:
    peer.redis.rpush(f"bz:ratings:{key}", "in the way")
    with pytest.raises(Exception, match=f"WRONGTYPE bz:ratings:{key} holds a list"):
        peer.one(rating("a"))
