"""What a server says of itself and of a user, asked without a trace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from store.servers import Peer
from store.test_acl import make

from bzredis.errors import StoreDown, StoreForeign
from bzredis.ports import Batch, Behind, Log, Sign
from bzredis.store import about
from bzredis.store.acl import bridge
from bzredis.store.connection import Connection
from bzredis.store.script import KEYS_OF_STATUS
from bzredis.streams import RATINGS, STREAMS

ASKED = Batch(Log("nobody's", "", 0, "api.example"), 1, [], None)


@pytest.fixture
async def at(peer: Peer) -> AsyncIterator[Connection]:
    at = Connection(peer.server.url)
    yield at
    at.close()


def as_user(peer: Peer) -> Connection:
    return Connection(peer.server.url.replace("://", "://bzredis:pw@"))


async def test_it_tells_which_it_is_and_how_it_saves(
    peer: Peer, at: Connection
) -> None:
    info = await about.info(at)
    assert info["redis_version"].startswith(f"{peer.version[0]}.")
    assert {"maxmemory_policy", "aof_enabled", "used_memory"} < info.keys()
    assert await about.snapshots(at) == ""
    with peer.config(save="3600 1"):
        assert await about.snapshots(at) == "3600 1"


async def test_signs_of_a_bridge(peer: Peer, at: Connection) -> None:
    nothing = about.Signs({}, is_alive=False, is_held=False)
    assert await about.signs(at, "bz", RATINGS) == nothing
    store = peer.store()
    sign = Sign("me", "fresh", "log", -1)
    await store.write_status(RATINGS, {"state": "live"}, sign)
    found = await about.signs(at, "bz", RATINGS)
    assert found == about.Signs({"state": "live"}, is_alive=True, is_held=True)
    await store.write_status(RATINGS, {"state": "x"}, Sign("me", "apart", "log", -1))
    found = await about.signs(at, "bz", RATINGS)
    assert (found.is_alive, found.is_held) == (False, True)


async def test_no_key_of_a_status_is_denied(peer: Peer, at: Connection) -> None:
    make(peer, bridge("bz"))
    for one in (at, as_user(peer)):
        for stream in STREAMS:
            assert await about.denied(one, "bz", stream) == ""
    assert peer.redis.dbsize() == 0


@pytest.mark.parametrize("key", KEYS_OF_STATUS)
async def test_one_that_is_denied_is_named(peer: Peer, key: str) -> None:
    make(peer, bridge("bz").replace(f" ~bz:ratings:{key} ", " "))
    assert await about.denied(as_user(peer), "bz", RATINGS) == f"bz:ratings:{key}"


async def test_what_keeps_it_from_writing_is_told(peer: Peer, at: Connection) -> None:
    words = r"^Redis refused: NOREPLICAS [^@]*$"
    with peer.config(min_replicas_to_write="1"), pytest.raises(StoreDown, match=words):
        await about.denied(at, "bz", RATINGS)
    peer.redis.replicaof("127.0.0.1", 9)
    try:
        with pytest.raises(StoreDown, match="against a read only replica"):
            await about.denied(at, "bz", RATINGS)
    finally:
        peer.redis.replicaof("NO", "ONE")


async def test_what_exists_stays_as_it_is(peer: Peer, at: Connection) -> None:
    store = peer.store()
    await store.write_status(RATINGS, {"state": "x"}, Sign("me", "gone", "log", -1))
    before = peer.dump()
    await about.denied(at, "bz", RATINGS)
    assert peer.dump() == before


async def test_who_may_not_ask_is_told_so(peer: Peer) -> None:
    make(peer, bridge("bz") + " -info")
    with pytest.raises(StoreDown):
        await about.info(as_user(peer))
    with pytest.raises(StoreDown):
        await about.snapshots(as_user(peer))


async def test_a_batch_of_nothing_asks_and_writes_nothing(peer: Peer) -> None:
    store = peer.store()
    for stream in STREAMS:
        assert await store.apply(stream, ASKED) == Behind(-1)
    assert peer.redis.dbsize() == 0
    peer.redis.hset("bz:ratings:internal:coverage", "upstream", "other.example")
    before = peer.dump()
    with pytest.raises(StoreForeign):
        await store.apply(RATINGS, ASKED)
    assert peer.dump() == before
