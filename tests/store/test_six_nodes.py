"""A cluster of three masters and three replicas, one of which is lost for good."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from store.servers import Peer, binary, new_log, pack, rating, running

from bzredis.errors import StoreDown
from bzredis.ports import Applied, Batch
from bzredis.store.client import Store
from bzredis.streams import RATINGS

PATIENCE: Final = 90.0  # s, on a busy machine too
BOUNDS: Final = ((0, 5460), (5461, 10922), (10923, 16383))


def ask(peer: Peer, *words: object) -> Any:
    return peer.redis.execute_command("CLUSTER", *words)


async def until(peer: Peer, told: str, *words: str) -> None:
    while told not in str(ask(peer, *words)):
        await trio.sleep(0.05)


async def form(nodes: list[Peer]) -> None:
    """Make three masters of them, and a replica of each."""
    for bounds, master in zip(BOUNDS, nodes, strict=False):
        for slot in range(bounds[0], bounds[1] + 1, 1000):
            slots = range(slot, min(slot + 1000, bounds[1] + 1))
            ask(master, "ADDSLOTS", *slots)
    for node in nodes[1:]:
        ask(nodes[0], "MEET", "127.0.0.1", node.server.port)
    for master, replica in zip(nodes[:3], nodes[3:], strict=True):
        name = ask(master, "MYID")
        await until(replica, name, "NODES")
        ask(replica, "REPLICATE", name)
    for node in nodes:
        await until(node, "ok", "INFO")
    for replica in nodes[3:]:
        while replica.redis.info("replication")["master_link_status"] != "up":
            await trio.sleep(0.05)


@pytest.mark.parametrize("name", ["valkey", "redis"])
def test_the_node_with_our_keys_dies_for_good(name: str, tmp_path: Path) -> None:
    if binary(name) is None:
        pytest.skip(f"no {name} here")
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                running(
                    name,
                    tmp_path / str(number),
                    cluster_enabled="yes",
                    cluster_node_timeout="2000",  # nor is who waits for a core gone
                )
            )
            for number in range(6)
        ]

        async def lose_one() -> None:
            await form(nodes)
            slot = int(ask(nodes[0], "KEYSLOT", "{bz}"))
            owner = next(
                n for n, (low, high) in enumerate(BOUNDS) if low <= slot <= high
            )
            store = Store(nodes[owner].server.url, "{bz}")
            batch = Batch(new_log(), 0, pack(RATINGS, [rating()]), None)
            await store.apply(RATINGS, batch)
            while not nodes[owner + 3].redis.dbsize():
                await trio.sleep(0.05)
            await nodes[owner].server.kill()
            applied = None
            while applied is None:
                with suppress(StoreDown):
                    applied = await store.apply(RATINGS, batch)
                await trio.sleep(0.05)
            assert isinstance(applied, Applied)
            assert nodes[owner + 3].redis.role()[0] == "master"
            store.close()

        async def in_time() -> None:
            with trio.fail_after(PATIENCE):
                await lose_one()

        trio.run(in_time)
