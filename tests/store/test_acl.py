"""The whole contract with the smallest rules, as `bzredis keys --acl` shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError
from store.servers import Peer, new_log, pack
from store.steps import STEPS

from bzredis.contract.keys import KEYS
from bzredis.ports import Applied, Batch, Sign
from bzredis.store.acl import bridge, reader
from bzredis.store.client import Store
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, STREAMS

SIGN = Sign("me", "fresh", "x", -1)
PREFIXES = pytest.mark.parametrize("prefix", ["bz", "{bz}", r"b[z]?\:"])
FRAMES = {
    INSIGHTS.name: STEPS[RATINGS.name],
    RATINGS.name: STEPS[RATINGS.name],
    CONSENSUS.name: (*STEPS[CONSENSUS.name], "garbage"),
}


def make(peer: Peer, command: str) -> None:
    """Run the command that a person would paste."""
    peer.redis.execute_command(*command.replace(">PASSWORD", ">pw").split(" "))


def reading(peer: Peer) -> str:
    return "%R~" if peer.version >= (7,) else "~"


@pytest.fixture
def as_reader(peer: Peer) -> Iterator[Any]:
    """Return a client of someone who may only read."""
    make(peer, reader("bz", reading(peer)))
    port = peer.server.port
    with Redis(
        port=port, username="bzreader", password="pw", decode_responses=True
    ) as client:
        yield client


async def fill(store: Store) -> None:
    """Have the store do all that a bridge wants of it."""
    for stream in STREAMS:
        packed = pack(stream, FRAMES[stream.name])
        applied = await store.apply(stream, Batch(new_log(), 0, packed, None))
        assert isinstance(applied, Applied)
        assert not any(result.startswith("refused") for result in applied.results)
        assert await store.write_status(stream, {"state": "live"}, SIGN)
        await store.symbols(stream)
    await store.ping()


@PREFIXES
async def test_the_bridge_does_all_with_just_its_rules(peer: Peer, prefix: str) -> None:
    peer.redis.script_flush()
    make(peer, bridge(prefix))
    url = peer.server.url.replace("://", "://bzredis:pw@").replace("/0", "/1")
    for _ in range(2):  # by its text, by its hash
        await fill(Store(url, prefix))
    with Redis(port=peer.server.port, db=1) as database:
        assert database.exists(f"{prefix}:ratings:alive")


async def test_who_reads_sees_all_that_is_promised(peer: Peer, as_reader: Any) -> None:
    with as_reader.pubsub() as channel:
        channel.subscribe("bz:ratings:changed")
        assert channel.get_message(timeout=5)
        await fill(peer.store())
        told = channel.get_message(timeout=5)
        assert told is not None
        symbol = str(told["data"]).split()[0]
    assert as_reader.hgetall(f"bz:ratings:latest:{symbol}")
    for stream in STREAMS:
        stem = f"bz:{stream.name}"
        assert as_reader.xread({f"{stem}:events": 0})
        assert as_reader.xrange(f"{stem}:rejected")
        assert as_reader.hgetall(f"{stem}:status")
        assert as_reader.get(f"{stem}:alive") == "me"
        assert as_reader.ttl(f"{stem}:alive") > 0
        as_reader.zrevrange(f"{stem}:symbols", 0, 9)
    for found in as_reader.scan_iter("bz:*"):
        if ":internal:" not in found:
            as_reader.type(found)


async def test_consumer_groups_need_what_the_readme_adds(
    peer: Peer, as_reader: Any
) -> None:
    await fill(peer.store())
    log, group = "bz:ratings:events", "desk"
    with pytest.raises(NoPermissionError):
        as_reader.xgroup_create(log, group, id="0")
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    [added] = re.findall(r"in consumer groups also needs `([^`]+)`", readme)
    make(peer, f"ACL SETUSER bzreader {added}")
    as_reader.xgroup_create(log, group, id="0")
    [[_, [(first, _), *_]]] = as_reader.xreadgroup(group, "me", {log: ">"})
    assert as_reader.xautoclaim(log, group, "other", 0)[1][0][0] == first
    assert as_reader.xack(log, group, first) == 1
    with pytest.raises(NoPermissionError):
        as_reader.delete(log)


@pytest.mark.parametrize(
    "command",
    [
        *(
            ("DEL", f"bz:ratings:{one.name.replace('SYM', 'A').replace('ID', '1')}")
            for one in KEYS
        ),
        ("XADD", "bz:ratings:events", "*", "a", "b"),
        ("XACK", "bz:ratings:events", "group", "1-1"),
        ("SET", "bz:ratings:alive", "x"),
        ("PUBLISH", "bz:ratings:changed", "x"),
        ("HGETALL", "bz:ratings:internal:coverage"),
        ("GET", "other"),
        ("SUBSCRIBE", "other"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "bz:ratings:alive"),
        ("CONFIG", "GET", "*"),
    ],
    ids=lambda words: "-".join(map(str, words[:2])),
)
def test_who_reads_may_do_nothing_else(
    peer: Peer, as_reader: Any, command: tuple[str, ...]
) -> None:
    with pytest.raises(NoPermissionError):
        as_reader.execute_command(*command)
    assert peer.dump() == {}
