"""The newest of a symbol, and whether it is fresh."""

from __future__ import annotations

from collections.abc import Callable

from consumers.conftest import Consumer
from consumers.lines import latest
from store.servers import Peer

from bzredis.store.acl import reader

ALIVE = "bz:ratings:alive"
HASH = {
    "_symbol": "TSX:BIP-UN.A",
    "_record": "67003f2e5d1c8a0001b0f5d1",
    "_version": "1728069666000",
    "_firm": "Société 😀\tGénérale",
    "_direction": "same",
    "rating_current": "Buy",
    "pt_current": "195.50",
    "notes": "x" * 3_000,
}


def test_of_a_symbol(consume: Callable[[Peer], Consumer], peer: Peer) -> None:
    for symbol in ("AAPL", "BRK.B", "TSX:BIP-UN.A"):
        peer.redis.hset(f"bz:ratings:latest:{symbol}", mapping=HASH)
    consumer = consume(peer)
    assert consumer.run("latest", "BRK.B") == [latest("BRK.B", "stale", HASH)]
    peer.redis.set(ALIVE, "bridge", ex=15)
    symbol = "TSX:BIP-UN.A"
    assert consumer.run("latest", symbol) == [latest(symbol, "fresh", HASH)]


def test_what_is_absent_is_no_number(
    consume: Callable[[Peer], Consumer], peer: Peer
) -> None:
    consumer = consume(peer)
    assert consumer.run("latest", "NONE") == ["latest\tNONE\tstale"]
    peer.redis.hset("bz:ratings:latest:A", mapping={"_record": "a", "_version": "1"})
    assert consumer.run("latest", "A") == ["latest\tA\tstale\t_record=a\t_version=1"]


def test_of_other_streams(consume: Callable[[Peer], Consumer], peer: Peer) -> None:
    figures = {
        "consensus_rating": "BUY",
        "consensus_price_target": "293.69192307692305",
    }
    peer.redis.hset("bz:consensus:latest:A", mapping=figures)
    consumer = consume(peer)
    consumer.environment["KEYS"] = "bz:consensus"
    assert consumer.run("latest", "A") == [latest("A", "stale", figures)]


def test_as_one_who_may_only_read(
    consume: Callable[[Peer], Consumer], peer: Peer
) -> None:
    words = reader("bz", "%R~").replace(">PASSWORD", ">s3cret").split(" ")
    peer.redis.execute_command(*words)
    peer.redis.hset("bz:ratings:latest:A", mapping=HASH)
    peer.redis.xadd("bz:ratings:events", {"action": "created", "record": "a"}, "1-1")
    consumer = consume(peer)
    url = f"redis://{words[2]}:s3cret@127.0.0.1:{peer.server.port}"
    consumer.environment["REDIS_URL"] = url
    assert consumer.run("latest", "A") == [latest("A", "stale", HASH)]
    entry = "entry\t1-1\taction=created\trecord=a"
    assert consumer.run("tail", "0-0", "1") == ["stale", entry]
