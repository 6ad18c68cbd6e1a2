"""From where REST resumes: fixed before what comes after can hide what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from store.servers import BASE, RECEIVED, Peer, rating

from bzredis.changes.read import Owe, Paid, owe, paid
from bzredis.messages.times import rfc3339
from bzredis.streams import RATINGS

WINDOW = 1_000_000  # ms
MS = BASE * 1_000


def mark(since: int = WINDOW, *, at: int = 0, subscription: str = "*") -> Owe:
    """Make a mark: no two are of the same time."""
    return owe(since=since, now=RECEIVED + at, subscription=subscription)


def end(words: str, subscription: str = "*") -> Paid:
    return paid(owed=words, now=RECEIVED, subscription=subscription)


def said(since: int, *, at: int = 0, ending: str = "") -> str:
    """Return the words of Redis for what it owes."""
    return f"{since} {rfc3339(RECEIVED + at)}{ending}"


def owed(since: int, *, at: int = 0, ending: str = "") -> str:
    return f"owed {said(since, at=at, ending=ending)}"


def test_what_redis_never_had_is_owed_for_the_window(peer: Peer) -> None:
    assert peer.one(mark()) == owed(WINDOW, ending=" window")
    later = peer.one(mark(WINDOW + 5, at=1))
    assert later == owed(WINDOW, at=1, ending=" window"), "until it is paid"
    assert peer.one(end(said(WINDOW, at=1, ending=" window"))) == "paid"
    assert not peer.redis.exists("bz:ratings:owed")
    assert peer.one(mark(7)) == owed(7, ending=" window")


def test_the_newest_before_the_mark_counts(peer: Peer) -> None:
    results = peer.apply(
        RATINGS, rating("a", 5), rating("b", 3), mark(), rating("c", 9), mark()
    )
    debt = owed(MS + 5_000)
    assert results == ("latest", "latest", debt, "latest", debt)
    assert peer.one(rating("d", 12)) == "latest"
    assert peer.one(mark()) == debt, "what it owed before is not paid"
    assert peer.apply(RATINGS, end(said(MS + 5_000)), mark()) == (
        "paid",
        owed(MS + 12_000),
    )


def test_a_duplicate_and_what_is_older_move_nothing_back(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", 5), rating("a", 5), rating("b", 1))
    assert peer.redis.get("bz:ratings:newest") == str(MS + 5_000)


def test_a_window_gives_way_to_what_is_older(peer: Peer) -> None:
    peer.one(mark(MS + 60_000))
    assert peer.one(rating("a", 5)) == "latest"
    assert peer.one(mark()) == owed(MS + 5_000)


def test_what_began_later_is_owed_in_spite_of_an_older_end(peer: Peer) -> None:
    """Redis has lost something, say, so that no fetch from before makes it good."""
    peer.one(rating("a", 5))
    assert peer.one(mark()) == owed(MS + 5_000)
    assert peer.one(mark(at=1)) == owed(MS + 5_000, at=1)
    assert peer.apply(RATINGS, end(said(MS + 5_000)), mark(at=2)) == (
        "paid",
        owed(MS + 5_000, at=2),
    )
    peer.apply(RATINGS, rating("b", 7), end(said(MS + 5_000, at=2)))
    assert peer.one(mark()) == owed(MS + 7_000)


def test_an_end_that_comes_again_ends_nothing_that_began_since(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", 5), mark())
    batch = (end(said(MS + 5_000)), mark(at=1), rating("b", 20))
    since = owed(MS + 5_000, at=1)
    assert peer.apply(RATINGS, *batch) == ("paid", since, "latest")
    again = peer.apply(RATINGS, *batch)  # its answer was lost
    assert again == ("paid", since, "duplicate")


def test_marks_leave_no_entry(peer: Peer) -> None:
    found: Any = peer.store()
    words = said(WINDOW, ending=" window")
    assert peer.apply(RATINGS, mark(), end(words), store=found) == (
        f"owed {words}",
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
        first = end(said(1, ending=" window"), before)
        assert peer.apply(RATINGS, mark(1, subscription=before), first)[1] == "paid"
    peer.one(rating("a", 50))
    since = window if is_wider else newest
    assert peer.one(mark(window, at=1, subscription=after)) == owed(since, at=1)
    later = mark(window + 5_000, at=2, subscription=after)
    assert peer.one(later) == owed(since, at=2), "until it is paid, by any process"
    peer.one(end(said(since, at=1), after))
    assert peer.one(later) == owed(since, at=2), "an end of another's"
    peer.one(end(said(since, at=2), after))
    assert peer.one(mark(window, at=3, subscription=after)) == owed(newest, at=3)


def test_the_window_of_a_wider_watch_list_leaves_what_is_owed_for_longer(
    peer: Peer,
) -> None:
    peer.apply(
        RATINGS,
        mark(1, subscription="A"),
        end(said(1, ending=" window"), "A"),
        rating("a", 5),
    )
    wider = mark(MS + 60_000, subscription="A,B")
    assert peer.one(wider) == owed(MS + 5_000)


@pytest.mark.parametrize("key", ["newest", "owed", "subscribed"])
def test_a_wrong_type_refuses_the_batch(peer: Peer, key: str) -> None:
    peer.redis.rpush(f"bz:ratings:{key}", "in the way")
    with pytest.raises(Exception, match=f"WRONGTYPE bz:ratings:{key} holds a list"):
        peer.one(rating("a"))
