"""What Redis refuses whole, what cannot be used: contract.md, promises 2 and 9."""

from __future__ import annotations

import re

import pytest
from store.servers import RECEIVED, Peer, consensus, new_log, rating
from store.steps import BOTH, STEPS, refused_whole

from bzredis.errors import StoreDown
from bzredis.messages.times import rfc3339
from bzredis.streams import CONSENSUS, RATINGS, Stream

WRONG = {
    "ratings:record:bad": (RATINGS, rating("bad", symbol="BAD")),
    "ratings:latest:BAD": (RATINGS, rating("bad", symbol="BAD")),
    "ratings:timeline:BAD": (RATINGS, rating("bad", symbol="BAD")),
    "consensus:latest:BAD": (CONSENSUS, consensus(symbol="BAD")),
    "consensus:history:BAD": (CONSENSUS, consensus(symbol="BAD")),
    "consensus:internal:heard:symbol:BAD": (CONSENSUS, consensus(symbol="BAD")),
    "consensus:internal:heard:record:bad": (
        CONSENSUS,
        consensus(symbol=None, id="bad"),
    ),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_type_refuses_that_change_alone(peer: Peer, key: str) -> None:
    stream, bad = WRONG[key]
    good = [rating("good"), rating("good", 2)]
    if stream is CONSENSUS:
        good = [consensus(), consensus(2, "4")]
    peer.redis.rpush(f"bz:{key}", "in the way")
    first, refused, last = peer.apply(stream, good[0], bad, good[1])
    assert (first, last) == ("latest", "latest")
    assert refused.startswith("refused WRONGTYPE")
    assert key in refused
    assert [k for k in sorted(peer.redis.keys("*")) if re.search("bad|BAD", k)] == [
        f"bz:{key}"
    ]
    assert peer.redis.lrange(f"bz:{key}", 0, -1) == ["in the way"]
    assert "BAD" not in peer.symbols(stream.name)
    (entry,) = peer.entries(f"{stream.name}:rejected")
    assert entry["raw"] == bad
    assert entry["reason"] == refused.removeprefix("refused ")
    assert len(peer.entries(f"{stream.name}:events")) == 2

    # Sent again it is set aside no second time; and once it can be, it is applied.
    assert peer.one(bad, stream) == refused
    assert len(peer.entries(f"{stream.name}:rejected")) == 1
    peer.redis.delete(f"bz:{key}")
    assert peer.one(bad, stream) in ("latest", "unattributed")


def test_a_wrong_type_under_the_old_symbol_refuses_a_move(peer: Peer) -> None:
    peer.one(rating("a"))
    peer.redis.delete("bz:ratings:timeline:AAPL")
    peer.redis.set("bz:ratings:timeline:AAPL", "in the way")
    before = peer.dump()
    assert peer.one(rating("a", 2, symbol="X")).startswith("refused WRONGTYPE")
    after = peer.dump()
    new = {key for key in after.keys() - before.keys() if ":internal:" not in key}
    assert new == {"bz:ratings:rejected"}
    changed = {key for key in before if before[key] != after[key]}
    assert all(":internal:" in key for key in changed)


@pytest.mark.parametrize("name", ["OOM ", "NOPERM", "READONLY", "ROLLBACK x"])
def test_names_are_not_taken_for_what_redis_says(peer: Peer, name: str) -> None:
    peer.redis.set(f"bz:ratings:record:{name.strip()}", "in the way")
    results = peer.apply(RATINGS, rating(name), rating("good"))
    assert results[0].startswith("refused WRONGTYPE")
    assert results[1] == "latest"


@pytest.mark.parametrize(
    "key", ["events", "symbols", "rejected", "internal:seen", "internal:coverage"]
)
@BOTH
def test_a_wrong_type_under_the_streams_own_keys_refuses_the_batch(
    peer: Peer, key: str, stream: Stream
) -> None:
    peer.redis.set(f"bz:{stream.name}:{key}", "in the way")
    with refused_whole(peer, f"WRONGTYPE .*bz:{stream.name}:{key}"):
        peer.apply(stream, *STEPS[stream.name], "garbage")


def test_a_frame_that_cannot_be_used_is_kept_once(peer: Peer) -> None:
    assert peer.apply(RATINGS, "garbage ü", rating(), "garbage ü") == (
        "rejected",
        "latest",
        "duplicate",
    )
    (entry,) = peer.entries("ratings:rejected")
    assert list(entry) == ["reason", "received", "raw"]
    assert entry["raw"] == "garbage ü"


def test_of_a_frame_without_text_stands_only_the_reason(peer: Peer) -> None:
    assert peer.one("") == "rejected"
    (entry,) = peer.entries("ratings:rejected")
    assert entry.keys() == {"reason", "received"}
    assert entry["received"] == rfc3339(RECEIVED)
    assert "not JSON" in entry["reason"]


@pytest.mark.parametrize("key", ["events", "symbols", "rejected"])
@BOTH
def test_a_type_that_becomes_wrong_is_told_and_nothing_is_lost(
    peer: Peer, key: str, stream: Stream
) -> None:
    store, log, steps = peer.store(), new_log(), (*STEPS[stream.name][:3], "garbage")
    peer.one(steps[0], stream, store=store, log=log)
    peer.redis.delete(f"bz:{stream.name}:{key}")
    peer.redis.set(f"bz:{stream.name}:{key}", "in the way")
    how = {"store": store, "log": log, "first": 1}
    with pytest.raises(StoreDown, match="WRONGTYPE"):
        peer.apply(stream, *steps[1:], **how)
    with pytest.raises(StoreDown, match=f"WRONGTYPE bz:{stream.name}:{key} holds"):
        peer.apply(stream, *steps[1:], **how)
    peer.redis.delete(f"bz:{stream.name}:{key}")
    results = peer.apply(stream, *steps[1:], **how)
    assert set(results) <= {"again", "latest", "record", "rejected"}
    assert "garbage" in {
        entry["raw"] for entry in peer.entries(f"{stream.name}:rejected")
    }
    shown = {k.split(":")[-1] for k in peer.redis.keys(f"bz:{stream.name}:latest:*")}
    assert "AAPL" in shown & peer.symbols(stream.name)
