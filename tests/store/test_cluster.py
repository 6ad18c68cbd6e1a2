"""Redis Cluster: our keys share a slot, and the store goes to the node that has it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hurt import freeze, thaw
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError
from store.servers import Peer, consensus, deleted, rating, running

from bzredis.errors import StoreDown
from bzredis.ports import Sign
from bzredis.store import connection
from bzredis.store.client import Store
from bzredis.store.connection import Connection
from bzredis.streams import CONSENSUS, RATINGS

SLOTS = 16_384
TAG = "{bz}"
PATIENCE = 60.0  # s until the nodes have met, on a busy machine too


@attrs.frozen
class Cluster:
    """Two nodes; the first has half of the slots, the second the other half."""

    nodes: tuple[Peer, Peer]

    @property
    def slot(self) -> int:
        """The slot of all our keys."""
        return int(self.nodes[0].redis.execute_command("CLUSTER", "KEYSLOT", TAG))

    def owner(self) -> int:
        """Return which node has our keys, by what the first one says."""
        shards = self.nodes[0].redis.execute_command("CLUSTER", "SLOTS")
        port = next(
            port for (low, high), port in _ports(shards) if low <= self.slot <= high
        )
        return [node.server.port for node in self.nodes].index(port)

    def store(self, node: int) -> Store:
        """Return a store whose URL names one of the nodes."""
        return self.nodes[node].store(prefix=TAG)

    def name(self, node: int) -> str:
        return str(self.nodes[node].redis.execute_command("CLUSTER", "MYID"))

    def announce_a_move(self, here: int, there: int) -> None:
        tell = self.nodes[there].redis.execute_command
        tell("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.name(here))
        tell = self.nodes[here].redis.execute_command
        tell("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.name(there))

    def begin_to_move(self) -> tuple[int, int]:
        """Have the cluster move our keys; return from which node to which."""
        here = self.owner()
        there = 1 - here
        self.announce_a_move(here, there)
        tell = self.nodes[here].redis.execute_command
        keys = tell("CLUSTER", "GETKEYSINSLOT", self.slot, 1_000)
        port = self.nodes[there].server.port
        tell("MIGRATE", "127.0.0.1", port, "", 0, 5_000, "KEYS", *keys)
        return here, there

    def end_the_move(self, there: int) -> None:
        for node in (there, 1 - there):
            tell = self.nodes[node].redis.execute_command
            tell("CLUSTER", "SETSLOT", self.slot, "NODE", self.name(there))


def _ports(shards: Any) -> Iterator[tuple[tuple[int, int], int]]:
    if isinstance(shards, dict):  # redis-py reads the answer
        for bounds, nodes in shards.items():
            yield bounds, int(nodes["primary"][1])
    else:
        for low, high, first, *_ in shards:
            yield (int(low), int(high)), int(first[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(
                running(
                    "valkey", tmp_path_factory.mktemp("node"), cluster_enabled="yes"
                )
            )
            for _ in range(2)
        )
        half = SLOTS // 2
        one.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, half - 1)
        other.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", half, SLOTS - 1)
        one.redis.execute_command("CLUSTER", "MEET", "127.0.0.1", other.server.port)
        end = time.monotonic() + PATIENCE
        while not all(_is_whole(node) for node in (one, other)):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield Cluster((one, other))


def _is_whole(node: Peer) -> bool:
    told = node.redis.execute_command("CLUSTER", "INFO")
    state = told["cluster_state"] if isinstance(told, dict) else told
    return "ok" in state and "cluster_state:fail" not in state


@pytest.mark.parametrize("node", [0, 1])
def test_either_node_leads_to_our_keys(cluster: Cluster, node: int) -> None:
    peer, store = cluster.nodes[node], cluster.store(node)
    assert peer.one(rating(f"a{node}"), store=store) == "latest"
    assert peer.one(rating(f"a{node}"), store=store) == "duplicate"
    keeper = cluster.nodes[cluster.owner()].redis
    assert keeper.hget(f"{TAG}:ratings:record:a{node}", "_record") == f"a{node}"


async def test_the_rest_of_the_store_goes_there_too(cluster: Cluster) -> None:
    store = cluster.store(1 - cluster.owner())
    sign = Sign("me", "fresh", "x", -1)
    assert await store.write_status(RATINGS, {"state": "live"}, sign)
    keeper = cluster.nodes[cluster.owner()].redis
    assert keeper.hgetall(f"{TAG}:ratings:status") == {"state": "live"}
    keeper.zadd(f"{TAG}:ratings:symbols", {"MSFT": 2**53})
    assert (await store.symbols(RATINGS))[0] == "MSFT"
    keeper.zrem(f"{TAG}:ratings:symbols", "MSFT")


def test_what_comes_while_the_slot_is_moved_waits(cluster: Cluster) -> None:
    """A key that is not there yet is not this node's any more."""
    here = cluster.owner()
    peer, store = cluster.nodes[here], cluster.store(here)
    frames = consensus(1, "3"), '{"x":1}', consensus(2, "4", symbol="MSFT")
    assert peer.apply(CONSENSUS, *frames[:2], store=store) == ("latest", "rejected")
    cluster.announce_a_move(here, 1 - here)
    with pytest.raises(StoreDown, match="moving that slot"):
        peer.one(frames[2], CONSENSUS, store=store)
    peer.redis.execute_command("CLUSTER", "SETSLOT", cluster.slot, "STABLE")
    assert peer.one(frames[2], CONSENSUS, store=store) == "latest"


def test_keys_that_move_are_followed(cluster: Cluster) -> None:
    here, there = cluster.begin_to_move()
    peer, store = cluster.nodes[here], cluster.store(here)
    with pytest.raises(StoreDown, match="is moving"):
        peer.one(rating("b"), store=store)
    cluster.end_the_move(there)
    assert peer.one(rating("b"), store=store) == "latest"
    assert cluster.owner() == there


async def test_a_node_that_is_gone_is_not_asked_for_ever(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor is known to whom the URL names, and only there."""
    owner = cluster.owner()
    store = cluster.store(1 - owner)
    await store.write_status(RATINGS, {"a": "b"}, Sign("me", "apart", "x", -1))
    keeper = cluster.nodes[owner].server
    monkeypatch.setattr(connection, "ANSWER", 0.2)
    freeze(keeper)
    try:
        with pytest.raises(StoreDown), trio.fail_after(PATIENCE):
            await store.write_status(RATINGS, {"a": "b"}, Sign("me", "apart", "x", -1))
        kwargs = store._at._node.connection_pool.connection_kwargs
        assert kwargs["port"] != keeper.port
    finally:
        thaw(keeper)
    monkeypatch.undo()
    assert await store.write_status(RATINGS, {"a": "b"}, Sign("me", "apart", "x", -1))


@pytest.mark.parametrize("alive", [0, 1])
async def test_of_several_that_are_named_any_will_do(
    cluster: Cluster, alive: int
) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    urls = [nowhere, nowhere, cluster.nodes[alive].server.url]
    store = Store(urls[0], "{bz}", others=urls[1:])
    for tries in range(len(urls)):
        try:
            await store.write_status(RATINGS, {"a": "b"}, Sign("me", "apart", "x", -1))
            break
        except StoreDown:
            assert tries < len(urls) - 1
    store.close()


def test_of_two_nodes_the_one_that_is_there_is_found() -> None:
    at, up = Connection("redis://127.0.0.1:1/0"), {"first": True, "other": True}

    def ask(redis: Redis) -> str:
        name = "first" if redis is at.first else "other"
        if not up[name]:
            raise RedisConnectionError(f"{name} is down")
        if name == "first":
            raise MovedError("5 127.0.0.1:2")
        return name

    async def blips() -> str:
        await at.run(ask)
        up["first"] = up["other"] = False
        for _ in range(3):
            with pytest.raises(StoreDown):
                await at.run(ask)
        up["other"] = True
        with suppress(StoreDown):
            return await at.run(ask)
        return await at.run(ask)

    assert trio.run(blips) == "other"


def test_without_a_hash_tag_it_says_what_to_do(cluster: Cluster) -> None:
    peer = cluster.nodes[0]
    with pytest.raises(StoreDown, match=re.escape("--prefix '{bz}'")):
        peer.one(rating("c"), store=peer.store(prefix="bz"))


async def test_a_cluster_on_a_unix_socket_is_told_in_words(tmp_path: Path) -> None:
    def ask(redis: Redis) -> None:
        raise MovedError("5 127.0.0.1:2")

    with pytest.raises(StoreDown, match="has our keys elsewhere"):
        await Connection(f"unix://{tmp_path / 's.sock'}").run(ask)


def test_on_a_cluster_all_keys_share_a_slot(tmp_path: Path) -> None:
    with running("valkey", tmp_path, cluster_enabled="yes") as peer:
        peer.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until = time.monotonic() + PATIENCE
        while peer.redis.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < until
            time.sleep(0.02)
        store = peer.store("{bz}")
        batch = (rating(), deleted(), "garbage", rating("b"), rating("c", symbol="X"))
        results = peer.apply(RATINGS, *batch, store=store)
        assert results == ("latest", "latest", "rejected", "latest", "latest")
        changes = (consensus(id="c"), consensus(2, "4"))
        results = peer.apply(CONSENSUS, *changes, store=peer.store("{bz}"))
        assert results == ("latest", "latest")
        keys = peer.redis.keys()
        assert len(keys) > 12
        slots = {peer.redis.execute_command("CLUSTER", "KEYSLOT", key) for key in keys}
        assert len(slots) == 1
