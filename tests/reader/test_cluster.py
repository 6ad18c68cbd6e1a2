"""Redis Cluster: from any node to the one that has the keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from store import test_cluster
from store.servers import Peer, rating
from store.test_cluster import TAG, Cluster

from bzredis.reader import Reader, ReaderError, TrioReader

cluster = test_cluster.cluster


@pytest.fixture(params=[0, 1])
def reader(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Reader]:
    with Reader(cluster.nodes[request.param].server.url, TAG) as reader:
        yield reader


@pytest.fixture
def peer(cluster: Cluster) -> Peer:
    return cluster.nodes[cluster.owner()]


def test_either_node_leads_to_the_keys(peer: Peer, reader: Reader) -> None:
    store = peer.store(prefix=TAG)
    peer.one(rating("a"), store=store)
    assert reader.latest("ratings", "AAPL")
    assert [one.record for one in reader.opinions("AAPL")] == ["a"]
    assert not reader.status("ratings").fresh
    assert [*reader.events("ratings", "0", follow=False)]


@pytest.mark.parametrize("node", [0, 1])
async def test_in_trio_too(cluster: Cluster, node: int) -> None:
    with TrioReader(cluster.nodes[node].server.url, TAG) as reader:
        assert not await reader.fresh("ratings")


def test_a_node_that_is_gone_is_left(peer: Peer, reader: Reader) -> None:
    peer.one(rating("a"), store=peer.store(prefix=TAG))
    reader._redis._node = Redis(port=1)
    with pytest.raises(ReaderError, match="cannot reach"):
        reader.fresh("ratings")
    assert reader.latest("ratings", "AAPL")
