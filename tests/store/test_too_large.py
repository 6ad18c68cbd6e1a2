"""A message that is too large for this Redis, or for what stands before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio
from backlog.desk import begun
from faults.proxy import Proxy
from store.servers import BINARIES, Peer, binary, pack, rating, running

from bzredis.backlog import writer
from bzredis.backlog.spool import Spool
from bzredis.backlog.writer import Writer
from bzredis.changes.from_frame import CUT
from bzredis.store.client import Store
from bzredis.streams import RATINGS

LARGE = 2 * 2**20  # bytes
MIB = 2**20
TIME = 60  # s; it takes one


@pytest.fixture(params=BINARIES)
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Peer]:
    """Give a server that takes no text of over 1 MiB, the least that one may set."""
    name: str = request.param
    if binary(name) is None:
        pytest.skip(f"no {name} here")
    with running(name, tmp_path, proto_max_bulk_len="1mb") as peer:
        yield peer


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for no time, since virtual time cannot be had with real servers."""
    monkeypatch.setattr(writer, "RETRY_FIRST", 0.001)
    monkeypatch.setattr(writer, "RETRY_LAST", 0.001)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Give an empty spool."""
    spool = Spool.open(tmp_path / "spool", 2**30)
    yield spool
    spool.close()


@asynccontextmanager
async def written(spool: Spool, store: Store) -> AsyncIterator[None]:
    """Write three ratings, one of which is large."""
    backlog, results = begun(spool), list[str]()
    large = rating("b", notes="x" * LARGE)
    for packed in pack(RATINGS, [rating("a"), large, rating("c", version=2)]):
        backlog.put(packed)
    backlog.close()
    writing = Writer(
        RATINGS,
        backlog,
        store,
        lambda _, applied: results.extend(applied.results),
        lambda _: None,
        Random(1),
    )
    with trio.fail_after(TIME):
        await writing.run()
    assert results == ["latest", "rejected", "latest"]
    yield
    store.close()


async def test_of_a_message_over_the_servers_limit_a_part_is_kept(
    small: Peer, spool: Spool
) -> None:
    async with written(spool, small.store()):
        [(_, aside)] = small.redis.xrange("bz:ratings:rejected")
        assert MIB / 5 < len(aside["raw"]) < MIB
        assert aside["reason"].endswith(CUT)
        assert [each["record"] for each in small.entries()] == ["a", "c"]


async def test_of_a_message_over_a_proxys_limit_a_part_is_kept(
    peer: Peer, spool: Spool, nursery: trio.Nursery
) -> None:
    proxy = Proxy(peer.server.port, largest=100_000)  # with room for the script
    await nursery.start(proxy.serve)
    async with written(spool, Store(f"redis://127.0.0.1:{proxy.port}/0")):
        [(_, aside)] = peer.redis.xrange("bz:ratings:rejected")
        assert 10_000 < len(aside["raw"]) < 100_000
        assert aside["reason"].endswith(CUT)
        assert [each["record"] for each in peer.entries()] == ["a", "c"]
    nursery.cancel_scope.cancel()
