"""The commands that mend, by the user that `bzredis keys --acl` prints for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from redis import Redis
from redis.exceptions import NoPermissionError
from store.servers import BASE, Peer, consensus, deleted, rating

from bzredis.store.acl import mender
from bzredis.streams import CONSENSUS, RATINGS

LATEST = "bz:ratings:latest:AAPL"
Run = Callable[..., Result]


@pytest.fixture
def as_mender(peer: Peer, run: Run) -> Callable[..., Result]:
    """Return what runs a command as that user, by scripts that Redis does not know."""
    peer.redis.execute_command(
        *mender("bz").replace(">PASSWORD", ">a-password").split(" ")
    )
    url = peer.server.url.replace("://", "://bzmender:a-password@")

    def as_mender(*words: str, code: int = 0) -> Result:
        peer.redis.script_flush()
        return run(*words, "--redis", url, code=code)

    return as_mender


@pytest.fixture
def market(peer: Peer) -> Peer:
    peer.apply(RATINGS, rating("a"), rating("b", 2, minute=2), deleted("b", at=50))
    peer.apply(CONSENSUS, consensus(1), consensus(2, "4.5"))
    return peer


def test_it_rebuilds(market: Peer, as_mender: Run) -> None:
    before = {*market.kept()}
    for name in market.redis.scan_iter("bz:*:latest:*"):
        market.redis.delete(name)
    market.redis.delete("bz:ratings:record:a", "bz:ratings:timeline:AAPL")
    as_mender("rebuild", "--verify", code=1)
    as_mender("rebuild")
    as_mender("rebuild", "--verify")
    assert {*market.kept()} == before


def test_it_redrives(market: Peer, as_mender: Run) -> None:
    for raw in (rating("c", 3), "no message"):
        fields = {"reason": "new to me", "received": str(BASE), "raw": raw}
        market.redis.xadd("bz:ratings:rejected", fields)
    as_mender("redrive", code=1)
    assert market.redis.exists("bz:ratings:record:c")
    assert market.redis.xlen("bz:ratings:rejected") == 1


def test_it_forgets(market: Peer, as_mender: Run) -> None:
    as_mender("forget", "AAPL", "--yes")
    assert not market.redis.exists(LATEST)
    as_mender("rebuild")
    assert not market.redis.exists(LATEST)
    as_mender("forget", "--all", "--yes")
    assert not [*market.redis.scan_iter("bz:*")]


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "other"),
        ("DEL", "bz2:ratings:events"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
    ],
)
def test_it_may_do_nothing_else(
    market: Peer, as_mender: Any, command: tuple[str, ...]
) -> None:
    port = market.server.port
    with (
        Redis(port=port, username="bzmender", password="a-password") as client,
        pytest.raises(NoPermissionError),
    ):
        client.execute_command(*command)
