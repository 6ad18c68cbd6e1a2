"""From where REST resumes: fixed before what comes after can hide what is missing."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from msgspec.msgpack import encode as msgpack
from store.servers import BASE, RECEIVED, Peer, rating

from bzredis.change import Owe, Paid, owe, paid, unpack
from bzredis.streams import RATINGS

WINDOW = 1_000_000  # ms
MS = BASE * 1_000


def mark(since: int = WINDOW, *, again: bool = False, subscription: str = "*") -> Owe:
    return owe(since=since, now=RECEIVED, again=again, subscription=subscription)


def end(since: int, subscription: str = "*") -> Paid:
    return paid(since=since, now=RECEIVED, subscription=subscription)


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


@pytest.mark.parametrize(
    ("before", "after", "is_wider"),
    [
        ("A,B", "A,B", False),
        ("A,B", "A", False),
        ("*", "A", False),
        ("*", "*", False),
        ("", "A", False),
        ("A", "A,B", True),
        ("A,B", "A,C", True),
        ("AB", "A", True),
        ("A", "*", True),
    ],
)
def test_what_is_new_on_a_watch_list_is_owed_for_the_window(
    peer: Peer, before: str, after: str, *, is_wider: bool
) -> None:
    newest, window = MS + 50_000, MS + 10_000
    if before:
        peer.apply(RATINGS, mark(1, subscription=before), end(1, before))
    peer.one(rating("a", 50))
    owed = window if is_wider else newest
    wanted = mark(window, subscription=after)
    assert peer.one(wanted) == f"owed {owed}"
    later = mark(window + 5_000, subscription=after)
    assert peer.one(later) == f"owed {owed}", "until it is paid, also after a restart"
    peer.one(end(newest + 1, before))
    assert peer.one(later) == f"owed {owed}", "a fetch from later on pays nothing"
    peer.one(end(owed, after))
    assert peer.one(later) == f"owed {newest}"


def test_marks_of_an_earlier_version_name_no_subscription(peer: Peer) -> None:
    peer.apply(RATINGS, mark(1, subscription="A"), end(1, "A"), rating("a", 50))
    owed, paid_off = mark(MS), end(MS + 50_000)
    for each in (owed, paid_off):
        packed = {**unpack(each.pack())}
        del packed["subscription"]
        found = trio.run(peer.store().apply, RATINGS, [msgpack(packed)])
        assert found.results in {(f"owed {MS + 50_000}",), ("paid",)}
    assert peer.redis.get("bz:ratings:subscribed") == "A"


def test_the_window_of_a_wider_watch_list_leaves_what_is_owed_for_longer(
    peer: Peer,
) -> None:
    peer.apply(RATINGS, mark(1, subscription="A"), end(1, "A"), rating("a", 5))
    wider = mark(MS + 60_000, subscription="A,B")
    assert peer.one(wider) == f"owed {MS + 5_000}"


@pytest.mark.parametrize("key", ["newest", "owed", "subscribed"])
def test_a_wrong_type_refuses_the_batch(peer: Peer, key: str) -> None:
    peer.redis.rpush(f"bz:ratings:{key}", "in the way")
    with pytest.raises(Exception, match=f"WRONGTYPE bz:ratings:{key} holds a list"):
        peer.one(rating("a"))
