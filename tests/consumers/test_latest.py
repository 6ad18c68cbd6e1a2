"""The newest of a symbol, and whether it is fresh."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from consumers.conftest import Consumer
from consumers.lines import latest
from consumers.recording import Recording
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


@pytest.mark.parametrize(
    ("stream", "symbol"),
    [
        ("ratings", "BRK.B"),
        ("ratings", "TSX:BIP-UN.A"),
        ("insights", "BF-B"),
        ("consensus", "LONDON-STOCK-EXCHANGE:Q1"),
    ],
)
def test_of_a_symbol(
    consume: Callable[[Peer], Consumer],
    peer: Peer,
    recording: Recording,
    stream: str,
    symbol: str,
) -> None:
    for each, held in recording.latest[stream].items():
        peer.redis.hset(f"bz:{stream}:latest:{each}", mapping=held)
    consumer = consume(peer)
    consumer.environment["KEYS"] = f"bz:{stream}"
    wanted = latest(symbol, "stale", recording.latest[stream][symbol])
    assert consumer.run("latest", symbol) == [wanted]


def test_of_a_fresh_one(consume: Callable[[Peer], Consumer], peer: Peer) -> None:
    symbol = HASH["_symbol"]
    peer.redis.hset(f"bz:ratings:latest:{symbol}", mapping=HASH)
    peer.redis.set(ALIVE, "bridge", ex=15)
    wanted = [latest(symbol, "fresh", HASH)]
    assert consume(peer).run("latest", symbol) == wanted


def test_what_is_absent_is_no_number(
    consume: Callable[[Peer], Consumer], peer: Peer
) -> None:
    consumer = consume(peer)
    assert consumer.run("latest", "NONE") == ["latest\tNONE\tstale"]
    peer.redis.hset("bz:ratings:latest:A", mapping={"_record": "a", "_version": "1"})
    assert consumer.run("latest", "A") == ["latest\tA\tstale\t_record=a\t_version=1"]


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
