"""`bzredis redrive`: what can be used now is applied once, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from store.servers import Peer, consensus, rating

from bzredis.changes.from_frame import CUT, rejected
from bzredis.errors import StoreDown
from bzredis.store.client import Store
from bzredis.store.mending import Keys
from bzredis.streams import CONSENSUS, RATINGS

Run = Callable[..., Result]
REJECTED = "bz:ratings:rejected"
T = 1_728_000_000_000


def set_aside(peer: Peer, *frames: str, reason: str = "an older version's") -> None:
    """Set frames aside that today's code can use."""
    peer.apply(RATINGS, *(rejected(reason, frame, received=T) for frame in frames))


def test_what_can_be_used_now_is_applied_and_leaves(peer: Peer, asked: Any) -> None:
    set_aside(peer, rating("a", minute=1), rating("b", 2, minute=0), "garbage")
    told = asked("redrive", code=1)["ratings"]
    assert told["applied"] == {"latest": 1, "record": 1}
    assert peer.timeline("AAPL") == ["a", "b"]
    assert peer.hash("ratings:latest:AAPL")["_received"] == "2024-10-04T00:00:00.000Z"
    (left,) = peer.entries("ratings:rejected")
    assert left["raw"] == "garbage"
    assert left["reason"].startswith("not JSON")  # no longer what it was
    assert (left["received"], left["reason"]) == (
        "2024-10-04T00:00:00.000Z",
        next(iter(told["left"])),
    )
    entry = peer.redis.xrange(REJECTED)[0][0]
    asked("redrive", code=1)
    assert peer.redis.xrange(REJECTED)[0][0] == entry  # it is as it was
    assert len(peer.entries()) == 2
    assert not peer.redis.keys("bz:ratings:internal:log:redrive*")


def test_what_came_meanwhile_is_known(peer: Peer, asked: Any) -> None:
    frame = rating("a", envelope="e")
    set_aside(peer, frame)
    peer.one(frame)
    assert asked("redrive")["ratings"]["known"] == 1
    assert len(peer.entries()) == 1
    assert peer.entries("ratings:rejected") == []


def test_it_may_end_anywhere_and_each_is_applied_once(
    peer: Peer, asked: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_aside(peer, rating("a"), rating("b", 2))

    async def ends(self: Keys, rejected: object) -> None:
        raise StoreDown("ended just now")

    with monkeypatch.context() as patch:
        patch.setattr(Keys, "take_out", ends)
        assert "ended just now" in run("redrive", code=2).stderr
    assert (len(peer.entries()), len(peer.entries("ratings:rejected"))) == (1, 2)
    told = asked("redrive")["ratings"]
    assert (told["known"], sum(told["applied"].values())) == (1, 1)
    assert (len(peer.entries()), len(peer.entries("ratings:rejected"))) == (2, 0)


@pytest.mark.parametrize("seen", [True, False])
def test_what_redis_refuses_stays_once(peer: Peer, asked: Any, *, seen: bool) -> None:
    peer.redis.set("bz:ratings:latest:AAPL", "mine")
    frame = rating("a")
    if seen:
        assert peer.one(frame).startswith("refused")
    else:
        set_aside(peer, frame)
    for _ in range(2):
        (reason,) = asked("redrive", code=1)["ratings"]["left"]
        assert reason.startswith("WRONGTYPE")
        (left,) = peer.entries("ratings:rejected")
        assert (left["reason"], left["raw"]) == (reason, frame)
    peer.redis.delete("bz:ratings:latest:AAPL")
    assert asked("redrive")["ratings"]["applied"] == {"latest": 1}
    assert peer.entries("ratings:rejected") == []


def test_a_server_without_room_ends_it_and_nothing_changes(
    peer: Peer, asked: Any, run: Run
) -> None:
    set_aside(peer, rating("a"))
    before = peer.dump()
    with peer.config(maxmemory="1"):
        assert "maxmemory" in run("redrive", code=2).stderr
    assert peer.dump() == before
    assert asked("redrive")["ratings"]["applied"] == {"latest": 1}


@pytest.mark.parametrize("words", ["Redis refused: it is too large", "gone"])
def test_one_that_redis_never_takes_stays_and_the_rest_goes_on(
    peer: Peer, run: Run, asked: Any, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    set_aside(peer, rating("a"), rating("b", 2))
    apply = Store.apply

    async def poisoned(self: Store, stream: Any, batch: Any) -> Any:
        if b"AAPL" in batch.packed[0] and b'"a"' in batch.packed[0]:
            raise StoreDown(words)
        return await apply(self, stream, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "apply", poisoned)
        if words == "gone":
            run("redrive", code=2)
            assert len(peer.entries("ratings:rejected")) == 2
            return
        told = asked("redrive", code=1)["ratings"]
    assert (told["applied"], told["left"]) == ({"latest": 1}, {words: 1})


def test_a_row_has_to_say_all_of_it(peer: Peer, asked: Any) -> None:
    whole = '{"id": "r", "ticker": "AAPL", "updated": 1728000001}'
    set_aside(peer, whole, '{"id": "s", "kind": "?"}', '{"ticker": "AAPL"}')
    told = asked("redrive", code=1)["ratings"]
    assert told["applied"] == {"latest": 1}
    assert peer.hash("ratings:latest:AAPL")["_source"] == "rest"
    assert sum(told["left"].values()) == 2


def test_what_was_cut_is_left_alone_and_a_notice_goes(peer: Peer, asked: Any) -> None:
    set_aside(peer, rating("a"), reason=f"too large{CUT}")
    set_aside(peer, "pong")
    told = asked("redrive", code=1)["ratings"]
    assert (told["left"], told["notices"]) == ({f"too large{CUT}": 1}, 1)
    assert len(peer.entries("ratings:rejected")) == 1


def test_whose_a_consensus_is_stays_open(peer: Peer, asked: Any) -> None:
    frame = consensus(symbol=None)
    peer.apply(CONSENSUS, rejected("?", frame, received=T))
    assert asked("redrive")["consensus"]["applied"] == {"unattributed": 1}
    assert peer.symbols("consensus") == set()


def test_nothing_falls_off_that_the_bridge_keeps(peer: Peer, run: Run) -> None:
    many = [rating(str(n), n + 1, minute=n) for n in range(5)]
    peer.apply(RATINGS, *many)
    set_aside(peer, rating("new", 90, minute=90))
    run("redrive", "--timeline-length", "2", "--stream", "ratings")
    assert len(peer.timeline("AAPL")) == 5  # one more would be more than there were


def test_it_says_it_in_words(peer: Peer, run: Run) -> None:
    set_aside(peer, rating("a"), "garbage")
    told = run("redrive", code=1).stdout.splitlines()
    assert told[0] == "ratings: 1 applied (1 latest), 1 still not usable"
    assert told[1].startswith("  1: not JSON")
    assert told[2] == "insights: nothing stands in rejected"
    assert all(len(line) <= 80 for line in told)
