"""A batch: in one step, of any size, and what is sent again: promises 1, 2 and 5."""

from __future__ import annotations

from typing import Any

import pytest
from store.servers import Peer, consensus, deleted, rating
from store.steps import BOTH, MAXIMUM, STEPS, refused_whole

from bzredis.errors import StoreDown
from bzredis.streams import CONSENSUS, RATINGS, Stream


def test_a_batch_resent_takes_effect_once(peer: Peer) -> None:
    batch = [rating("a"), deleted("b"), rating("a", 2), "garbage", rating("c", 1)]
    peer.apply(RATINGS, *batch)
    before = peer.kept()
    again = peer.applied(RATINGS, *batch)  # as a bridge that knows nothing
    assert again.results == ("duplicate",) * 5
    assert peer.kept() == before


def test_a_thousand_fields_fit(peer: Peer) -> None:
    many: dict[str, Any] = {f"f{n}": str(n) for n in range(990)}
    assert peer.one(rating(**many)) == "latest"
    assert peer.hash("ratings:latest:AAPL")["f989"] == "989"
    crowd: dict[str, Any] = {f"f{n}": n for n in range(980)}
    assert peer.one(consensus(1, **crowd), CONSENSUS) == "latest"
    assert peer.one(consensus(2, "4", **crowd), CONSENSUS) == "latest"
    assert peer.hash("consensus:latest:AAPL")["_previous_consensus_rating"]


def test_a_big_batch_fits(peer: Peer) -> None:
    batch = [rating(f"r{n}", symbol=f"T{n % 900}", minute=n % 60) for n in range(5_000)]
    assert set(peer.apply(RATINGS, *batch)) == {"latest", "record"}
    assert len(peer.symbols()) == 900
    assert peer.redis.xlen("bz:ratings:events") == 5_000
    assert set(peer.apply(RATINGS, *batch)) == {"duplicate"}


@BOTH
def test_full_memory_refuses_the_batch_until_there_is_room(
    peer: Peer, stream: Stream
) -> None:
    peer.apply(stream, *STEPS[stream.name][:2])
    rest = STEPS[stream.name][1:]  # the first of them is known already
    with peer.config(maxmemory="1", maxmemory_policy="noeviction"):
        for _ in range(2):
            with refused_whole(peer, r"Redis is full \(maxmemory\)"):
                peer.apply(stream, *rest)
        if stream is RATINGS:
            with refused_whole(peer, r"Redis is full \(maxmemory\)"):
                peer.one(deleted("a"))
    results = peer.apply(stream, *rest)
    assert results[0] == "duplicate"
    assert set(results[1:]) <= {"latest", "record", "rejected"}


@BOTH
def test_a_replica_refuses_the_batch(peer: Peer, stream: Stream) -> None:
    peer.apply(stream, *STEPS[stream.name][:2])
    peer.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with refused_whole(peer, "read only replica"):
            peer.apply(stream, *STEPS[stream.name])
        with (
            peer.config(replica_serve_stale_data="no"),
            pytest.raises(StoreDown, match="MASTER is down"),
        ):
            peer.apply(stream, *STEPS[stream.name])
    finally:
        peer.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert "duplicate" not in peer.apply(stream, *STEPS[stream.name][2:])


def test_a_log_that_takes_nothing_more_loses_nothing(peer: Peer) -> None:
    peer.one(rating("a"))
    peer.redis.xadd("bz:ratings:events", {"a": "b"}, id=MAXIMUM)
    batch = (rating("b"), rating("c", symbol="X"), deleted("a"))
    with refused_whole(peer, "last possible ID|exhausted"):
        peer.apply(RATINGS, *batch)
    peer.redis.delete("bz:ratings:events")
    assert peer.apply(RATINGS, *batch) == ("latest", "latest", "record")


def test_what_was_applied_before_a_failure_is_whole_and_known(peer: Peer) -> None:
    peer.redis.xadd("bz:ratings:rejected", {"a": "b"}, id=MAXIMUM)
    peer.redis.set("bz:ratings:record:bad", "in the way")
    batch = (rating("a"), rating("bad", symbol="X"), rating("b"))
    with pytest.raises(StoreDown):
        peer.apply(RATINGS, *batch)
    assert peer.hash("ratings:latest:AAPL") == peer.hash("ratings:record:a") != {}
    assert peer.symbols() == {"AAPL"}
    peer.redis.delete("bz:ratings:record:bad")
    assert peer.apply(RATINGS, *batch) == ("duplicate", "latest", "latest")
    peer.redis.delete("bz:ratings:rejected")
    assert peer.one("garbage") == "rejected"
